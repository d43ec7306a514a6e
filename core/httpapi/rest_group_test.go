package httpapi

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/repomgr/repomgr/core/security"
)

func TestGroupSettings(t *testing.T) {
	const path = "/v1/repositories/docker/group"
	const body = `{"name":"all","storage":{"blobStoreName":"default","strictContentTypeValidation":true},"cleanup":{"policyNames":["x"]},` +
		`"group":{"memberNames":["zero","hub"],"writableMember":null},"docker":{"v1Enabled":false,"forceBasicAuth":false,"httpPort":8085}}`
	const shown = `{"name":"all","format":"docker","type":"group","url":"http://nexus.test/repository/all","online":true,` +
		`"storage":{"blobStoreName":"default","strictContentTypeValidation":true},"group":{"memberNames":["zero","hub"]},"routingRuleName":null,` +
		`"docker":{"v1Enabled":false,"forceBasicAuth":false,"httpPort":8085,"httpsPort":null,"subdomain":null,"pathEnabled":null}}`
	w := newWired(t)
	hosted := edit(edit(dockerBody, "more", "zero"), `,"httpPort":8083`, "")
	w.want(t, 201, "", "POST", "/v1/repositories/docker/hosted", hosted)
	w.want(t, 201, "", "POST", "/v1/repositories/docker/proxy", edit(leastProxy, "least", "hub"))
	w.want(t, 201, "", "POST", "/v1/repositories/raw/hosted", rawHosted("files"))
	members := func(list string) string { return edit(body, `["zero","hub"]`, list) }
	tests := []struct {
		name, user, method, path, body string
		status                         int
		want                           string
	}{
		{"without rights", powerless, "POST", path, body, 403, isFault},
		{"anonymously", anonymously, "POST", path, body, 401, isFault},
		{"no group", admin, "POST", path, `{"name":"all","storage":{"blobStoreName":"default","strictContentTypeValidation":true},"docker":{"v1Enabled":false}}`, 400,
			violationsOf("group", "must not be null")},
		{"no members", admin, "POST", path, members(`[]`), 400, violationsOf("group.memberNames", "must not be empty")},
		{"members missing", admin, "POST", path, edit(body, `"memberNames":["zero","hub"],`, ""), 400, violationsOf("group.memberNames", "must not be null")},
		{"unknown member", admin, "POST", path, members(`["zero","none"]`), 400, violationsOf("memberNames", "Member repository does not exist: none")},
		{"itself", admin, "POST", path, members(`["all"]`), 400, violationsOf("memberNames", "Member repository does not exist: all")},
		{"another format", admin, "POST", path, members(`["files"]`), 400,
			violationsOf("memberNames", "Member repository format does not match group repository format: files")},
		{"twice", admin, "POST", path, members(`["hub","hub"]`), 400, violationsOf("memberNames", "Member repository is there twice: hub")},
		{"writable proxy", admin, "POST", path, edit(body, `"writableMember":null`, `"writableMember":"hub"`), 400,
			violationsOf("group.writableMember", "the writable member must be a hosted repository among the members: hub")},
		{"writable other", admin, "POST", path, edit(members(`["hub"]`), `"writableMember":null`, `"writableMember":"zero"`), 400,
			violationsOf("group.writableMember", "the writable member must be a hosted repository among the members: zero")},
		{"create", contributor, "POST", path, body, 201, ""},
		{"get", admin, "GET", path + "/all", "", 200, shown},
		{"get as proxy", admin, "GET", "/v1/repositories/docker/proxy/all", "", 404, `"Repository not found"`},
		{"order and writable member", admin, "PUT", path + "/all", edit(members(`["hub","zero"]`), `"writableMember":null`, `"writableMember":"zero"`), 204, ""},
		{"get order and writable member", admin, "GET", path + "/all", "", 200,
			edit(shown, `["zero","hub"]`, `["hub","zero"],"writableMember":"zero"`)},
		{"what was read is taken back", admin, "PUT", path + "/all", edit(shown, `["zero","hub"]`, `["hub","zero"],"writableMember":"zero"`), 204, ""},
		{"refused", admin, "PUT", path + "/all", members(`["none"]`), 400, violationsOf("memberNames", "Member repository does not exist: none")},
		{"get after a refusal", admin, "GET", path + "/all", "", 200,
			edit(shown, `["zero","hub"]`, `["hub","zero"],"writableMember":"zero"`)},
		{"another name", admin, "PUT", path + "/all", edit(body, "all", "other"), 400, violationsOf("name", "Renaming a repository is not supported")},
		{"update as contributor", contributor, "PUT", path + "/all", body, 403, isFault},
		{"get in the list", admin, "GET", "/v1/repositories/all", "", 200,
			`{"attributes":{},"format":"docker","name":"all","online":true,"type":"group","url":"http://nexus.test/repository/all"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := w.in(t).do(tt.user, tt.method, tt.path, tt.body, "Host", "nexus.test")
			if got.StatusCode != tt.status {
				t.Errorf("status is %d, not %d: %s", got.StatusCode, tt.status, got.body)
			}
			checkBody(t, got, tt.want)
			checkHeaders(t, got)
		})
	}
	// The group's name comes before that of a member.
	w.restart(t)
	w.want(t, 200, edit(shown, `["zero","hub"]`, `["hub","zero"],"writableMember":"zero"`), "GET", path+"/all", "")
}

// A group that would contain itself, at any depth, is refused.
func TestCycles(t *testing.T) {
	const path = "/v1/repositories/raw/group"
	w := newWired(t)
	w.want(t, 201, "", "POST", "/v1/repositories/raw/hosted", rawHosted("files"))
	w.want(t, 201, "", "POST", path, rawGroup("a", `{"memberNames":["files"]}`))
	w.want(t, 201, "", "POST", path, rawGroup("b", `{"memberNames":["a"]}`))
	w.want(t, 201, "", "POST", path, rawGroup("c", `{"memberNames":["b","files"]}`))
	for _, member := range []string{"a", "b", "c"} {
		want := violationsOf("memberNames", "group a would contain itself by way of "+member)
		w.want(t, 400, want, "PUT", path+"/a", rawGroup("a", `{"memberNames":["files","`+member+`"]}`))
	}
	w.want(t, 204, "", "PUT", path+"/c", rawGroup("c", `{"memberNames":["files","a","b"]}`))
	w.want(t, 201, "", "PUT", "/repository/files/x", "content")
	w.want(t, 200, "content", "GET", "/repository/c/x", "")
}

// Groups may be nested as deeply as one likes, and to look through them takes no longer the more ways there are.
func TestNesting(t *testing.T) {
	const path = "/v1/repositories/raw/group"
	w := newWired(t)
	w.want(t, 201, "", "POST", "/v1/repositories/raw/hosted", rawHosted("files"))
	w.want(t, 201, "", "PUT", "/repository/files/x", "content")
	below := `"files"`
	began := time.Now()
	for level := range 25 {
		var names []string
		for _, side := range []string{"a", "b", "c"} {
			name := side + strconv.Itoa(level)
			w.want(t, 201, "", "POST", path, rawGroup(name, `{"memberNames":[`+below+`]}`))
			names = append(names, strconv.Quote(name))
		}
		below = strings.Join(names, ",")
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %s", took)
	}
	w.want(t, 200, "content", "GET", "/repository/c24/x", "")
	want := violationsOf("memberNames", "group a0 would contain itself by way of c24")
	w.want(t, 400, want, "PUT", path+"/a0", rawGroup("a0", `{"memberNames":["files","c24"]}`))
}

// A repository that is deleted goes out of the groups that it is in, and they go on, also when nothing is left in them.
func TestDeleteMember(t *testing.T) {
	const path = "/v1/repositories/raw/group"
	w := newWired(t)
	w.want(t, 201, "", "POST", "/v1/repositories/raw/hosted", rawHosted("one"))
	w.want(t, 201, "", "POST", "/v1/repositories/raw/hosted", rawHosted("two"))
	w.want(t, 201, "", "POST", path, rawGroup("all", `{"memberNames":["one","two"],"writableMember":"one"}`))
	w.want(t, 201, "", "POST", path, rawGroup("outer", `{"memberNames":["all"]}`))
	w.want(t, 201, "", "PUT", "/repository/two/x", "content")
	w.want(t, 201, "", "PUT", "/repository/one/y", "content")
	w.want(t, 200, "content", "GET", "/repository/all/y", "")
	group := func(name, want string) {
		t.Helper()
		if got := w.want(t, 200, "", "GET", path+"/"+name, "").body; !strings.Contains(got, `"group":`+want) {
			t.Errorf("group %s is %s, not %s", name, got, want)
		}
	}
	for _, restarted := range []bool{false, true} {
		if restarted {
			w.restart(t)
		} else {
			w.want(t, 204, "", "DELETE", "/v1/repositories/one", "")
		}
		group("all", `{"memberNames":["two"]}`)
		w.want(t, 200, "content", "GET", "/repository/all/x", "")
		w.want(t, 200, "content", "GET", "/repository/outer/x", "")
		w.want(t, 404, "", "GET", "/repository/all/y", "")
		w.want(t, 405, "", "PUT", "/repository/all/z", "content")
	}
	for _, restarted := range []bool{false, true} {
		if restarted {
			w.restart(t)
		} else {
			w.want(t, 204, "", "DELETE", "/v1/repositories/two", "")
		}
		group("all", `{"memberNames":[]}`)
		group("outer", `{"memberNames":["all"]}`)
		w.want(t, 404, "", "GET", "/repository/outer/x", "")
	}
	// A name that is used again is a new repository: it is not in the group.
	w.want(t, 201, "", "POST", "/v1/repositories/raw/hosted", rawHosted("one"))
	group("all", `{"memberNames":[]}`)
	w.want(t, 204, "", "PUT", path+"/all", rawGroup("all", `{"memberNames":["one"]}`))
	w.want(t, 404, "", "GET", "/repository/outer/y", "")
}

// Who may read a group may know of what is in it.
func TestMemberOfGroup(t *testing.T) {
	w := newWired(t)
	w.want(t, 201, "", "POST", "/v1/repositories/raw/hosted", rawHosted("one"))
	w.want(t, 201, "", "POST", "/v1/repositories/raw/hosted", rawHosted("two"))
	w.want(t, 201, "", "POST", "/v1/repositories/raw/group", rawGroup("inner", `{"memberNames":["one"]}`))
	w.want(t, 201, "", "POST", "/v1/repositories/raw/group", rawGroup("outer", `{"memberNames":["inner"]}`))
	s := &server{Deps: Deps{Repositories: w.manager, Security: onlyOuter{sharedSecurity()}}}
	ctx := withCall(t.Context(), call{})
	for name, want := range map[string]bool{"one": true, "two": false, "inner": true} {
		if got := s.viewsGroup(ctx, name); got != want {
			t.Errorf("%s: %v, not %v", name, got, want)
		}
	}
}

// onlyOuter permits reading the group "outer" and nothing else.
type onlyOuter struct{ Security }

func (onlyOuter) Permitted(_ security.Principal, permission string) bool {
	return permission == "nexus:repository-view:raw:outer:read"
}
