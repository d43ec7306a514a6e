package httpapi

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const ruleBody = `{"description":"x","matchers":["/secret/.*"],"mode":"BLOCK","name":"no-secrets"}`

func TestRoutingRules(t *testing.T) {
	const path = "/v1/routing-rules"
	w, up := newWired(t), newOrigin(t)
	missing := `"Did not find a routing rule with the name 'none'"`
	proxy := func(name, rule string) string {
		return edit(up.rawProxy(name, "", quick), `"proxy":`, rule+`,"proxy":`)
	}
	group := func(rule string) string {
		return edit(rawGroup("all", `{"memberNames":["mirror"]}`), `"group":`, rule+`,"group":`)
	}
	unknown := violationsOf("routingRuleName", "Routing rule does not exist: none")
	tests := []struct {
		name, user, method, path, body string
		status                         int
		want                           string
	}{
		{"list nothing", admin, "GET", path, "", 200, `[]`},
		{"list without rights", powerless, "GET", path, "", 403, isFault},
		{"list anonymously", anonymously, "GET", path, "", 401, isFault},
		{"create without rights", powerless, "POST", path, ruleBody, 403, isFault},
		{"create with less than all rights", contributor, "POST", path, ruleBody, 403, isFault},
		{"create anonymously", anonymously, "POST", path, ruleBody, 401, isFault},
		{"create", admin, "POST", path, ruleBody, 204, ""},
		{"create twice", admin, "POST", path, edit(ruleBody, "no-secrets", "NO-secrets"), 400,
			violationsOf("name", "A rule with the same name already exists. Name must be unique.")},
		{"create from nothing", admin, "POST", path, `{}`, 400, violationsOf("matchers", "must not be null", "mode", "must not be null", "name", "must not be null")},
		{"create without matchers", admin, "POST", path, edit(ruleBody, `"/secret/.*"`, ""), 400, violationsOf("matchers", "must not be empty")},
		{"create in another mode", admin, "POST", path, edit(ruleBody, "BLOCK", "DENY"), 400, violationsOf("mode", `value is not one of the allowed values ["ALLOW","BLOCK"]`)},
		{"create with a bad name", admin, "POST", path, edit(ruleBody, "no-secrets", "_"), 400, violationsOf("name",
			"Only letters, digits, underscores(_), hyphens(-), and dots(.) are allowed and may not start with underscore or dot.")},
		{"create with a lookahead", admin, "POST", path, edit(ruleBody, "/secret/", "/(?!public)"), 400, violationsOf("matchers",
			"Invalid regex \"/(?!public).*\": error parsing regexp: invalid or unsupported Perl syntax: `(?!` (the syntax is RE2: there are no lookarounds, back-references and possessive quantifiers)")},
		{"get", admin, "GET", path + "/no-secrets", "", 200, ruleBody},
		{"get as one who may add repositories", contributor, "GET", path + "/no-secrets", "", 200, ruleBody},
		{"get without rights", powerless, "GET", path + "/no-secrets", "", 403, isFault},
		{"get what is missing", admin, "GET", path + "/none", "", 404, missing},
		{"without description", admin, "POST", path, `{"name":"a","mode":"ALLOW","matchers":["/a"]}`, 204, ""},
		{"list", contributor, "GET", path, "", 200, `[{"description":"","matchers":["/a"],"mode":"ALLOW","name":"a"},` + ruleBody + `]`},
		{"update", admin, "PUT", path + "/a", `{"name":"a","mode":"BLOCK","matchers":["/b","/c"]}`, 204, ""},
		{"get what was updated", admin, "GET", path + "/a", "", 200, `{"description":"","matchers":["/b","/c"],"mode":"BLOCK","name":"a"}`},
		{"update with another name", admin, "PUT", path + "/a", ruleBody, 400, violationsOf("name", "Renaming a routing rule is not supported")},
		{"update what is missing", admin, "PUT", path + "/none", edit(ruleBody, "no-secrets", "none"), 404, missing},
		{"update without rights", contributor, "PUT", path + "/a", ruleBody, 403, isFault},
		{"delete without rights", contributor, "DELETE", path + "/a", "", 403, isFault},
		{"delete what is missing", admin, "DELETE", path + "/none", "", 404, missing},
		{"a proxy with a rule", admin, "POST", "/v1/repositories/raw/proxy", proxy("mirror", `"routingRuleName":"a"`), 201, ""},
		{"a proxy with a rule by the older name", admin, "POST", "/v1/repositories/raw/proxy", proxy("old", `"routingRule":"a"`), 201, ""},
		{"a proxy with an unknown rule", admin, "POST", "/v1/repositories/raw/proxy", proxy("other", `"routingRuleName":"none"`), 400, unknown},
		{"a group with an unknown rule", admin, "POST", "/v1/repositories/raw/group", group(`"routingRuleName":"none"`), 400, unknown},
		{"a group with a rule", admin, "POST", "/v1/repositories/raw/group", group(`"routingRuleName":"no-secrets"`), 201, ""},
		{"a hosted repository has none", admin, "POST", "/v1/repositories/raw/hosted", edit(rawHosted("files"), `"storage"`, `"routingRuleName":"none","storage"`), 201, ""},
		{"an update with an unknown rule", admin, "PUT", "/v1/repositories/raw/proxy/mirror", proxy("mirror", `"routingRuleName":"none"`), 400, unknown},
		{"delete in use", admin, "DELETE", path + "/a", "", 400, `"Routing rule is still in use by 2 repositories."`},
		{"take the rule away", admin, "PUT", "/v1/repositories/raw/proxy/old", proxy("old", `"routingRuleName":null`), 204, ""},
		{"delete the other repository", admin, "DELETE", "/v1/repositories/mirror", "", 204, ""},
		{"delete when not in use", admin, "DELETE", path + "/a", "", 204, ""},
		{"delete in use by a group", admin, "DELETE", path + "/no-secrets", "", 400, `"Routing rule is still in use by 1 repositories."`},
		{"try", admin, "POST", "/api/v1/routing-rules/test", `{"mode":"BLOCK","matchers":["/a\\?x=1"],"path":"a?x=1"}`, 200, `{"allowed":false}`},
		{"try what is allowed", admin, "POST", "/api/v1/routing-rules/test", `{"mode":"BLOCK","matchers":["/a"],"path":"/b"}`, 200, `{"allowed":true}`},
		{"try what is none", admin, "POST", "/api/v1/routing-rules/test", `{"mode":"BLOCK","matchers":[" "],"path":"/b"}`, 400, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := w.in(t).do(tt.user, tt.method, tt.path, tt.body, "Host", "nexus.test")
			if got.StatusCode != tt.status {
				t.Errorf("status is %d, not %d: %s", got.StatusCode, tt.status, got.body)
			}
			if tt.want != "" {
				checkBody(t, got, tt.want)
			}
			checkHeaders(t, got)
		})
	}
	for _, page := range []string{"/v1/repositories/raw/group/all", "/v1/repositorySettings"} {
		if got := w.want(t, 200, "", "GET", page, "").body; !strings.Contains(got, `"routingRuleName":"no-secrets"`) {
			t.Errorf("%s: %s", page, got)
		}
	}
}

// A rule holds for what is kept and for what is not, by GET and HEAD; what it denies leaves no trace, and a change holds at once.
func TestRoutingOfRaw(t *testing.T) {
	w, up := newWired(t), newOrigin(t)
	rule := func(mode string, matchers string) {
		t.Helper()
		body := fmt.Sprintf(`{"name":"rule","mode":%q,"matchers":[%s]}`, mode, matchers)
		if w.in(t).do(admin, "PUT", "/v1/routing-rules/rule", body).StatusCode == 404 {
			w.want(t, 204, "", "POST", "/v1/routing-rules", body)
		}
	}
	refused := func(why, path string) {
		t.Helper()
		up.seen()
		w.want(t, 403, "", "HEAD", path, "")
		if got := w.want(t, 403, "", "GET", path, "").body; strings.TrimSpace(got) != "Routing rules block the requested item from this repository" {
			t.Errorf("%s: %q", why, got)
		}
		if n := up.seen(); n != 0 {
			t.Errorf("%s: upstream was asked %d times", why, n)
		}
	}
	rule("BLOCK", `"/secret/.*"`)
	w.want(t, 201, "", "POST", "/v1/repositories/raw/proxy", edit(up.rawProxy("mirror", "", quick), `"proxy":`, `"routingRuleName":"rule","proxy":`))
	w.want(t, 201, "", "POST", "/v1/repositories/raw/hosted", rawHosted("files"))
	w.want(t, 201, "", "POST", "/v1/repositories/raw/group", rawGroup("all", `{"memberNames":["mirror","files"],"writableMember":"files"}`))
	refused("blocked", "/repository/mirror/secret/a")
	refused("with a query", "/repository/mirror/secret/a?x")
	refused("escaped", "/repository/mirror/%73ecret%2Fa")
	w.want(t, 404, "", "GET", "/repository/all/secret/a", "")
	if n := up.seen(); n != 0 {
		t.Errorf("upstream was asked %d times for a group", n)
	}
	w.want(t, 200, "at /a", "GET", "/repository/mirror/a", "")
	w.recorded(t, "mirror", "a")
	rule("BLOCK", `"/x","/a"`)
	refused("kept", "/repository/mirror/a")
	w.want(t, 200, "at /secret/a", "GET", "/repository/mirror/secret/a", "")
	w.restart(t)
	refused("after a restart", "/repository/mirror/a")

	// What was denied is not remembered as missing.
	rule("BLOCK", `"/none"`)
	up.status.Store(404)
	refused("missing", "/repository/mirror/none")
	up.status.Store(200)
	rule("ALLOW", `"/none"`)
	w.want(t, 200, "at /none", "GET", "/repository/mirror/none", "")
	refused("not allowed", "/repository/mirror/a")

	// A group's own rule: for reads of all members, and not for uploads. Rights come first.
	rule("BLOCK", `"/b"`)
	w.want(t, 204, "", "PUT", "/v1/repositories/raw/group/all",
		edit(rawGroup("all", `{"memberNames":["files","mirror"],"writableMember":"files"}`), `"group":`, `"routingRule":"rule","group":`))
	w.want(t, 201, "", "PUT", "/repository/all/b", "uploaded")
	refused("blocked by the group", "/repository/all/b")
	w.want(t, 200, "uploaded", "GET", "/repository/files/b", "")
	w.want(t, 200, "at /a", "GET", "/repository/all/a", "")
	if got := w.in(t).do(anonymously, "GET", "/repository/mirror/b", ""); got.StatusCode != 401 {
		t.Errorf("anonymously: %d", got.StatusCode)
	}
}

func TestRoutingOfDocker(t *testing.T) {
	w, up := newWired(t), newOrigin(t)
	w.want(t, 204, "", "POST", "/v1/routing-rules", `{"name":"rule","mode":"BLOCK","matchers":["/v2/evil/.*","/v2/bad/tags/list"]}`)
	body := edit(edit(leastProxy, "https://registry.test", up.URL), `"docker":{`, `"routingRuleName":"rule","httpClient":`+quick+`,"docker":{"pathEnabled":true,`)
	w.want(t, 201, "", "POST", "/v1/repositories/docker/proxy", edit(body, "least", "hub"))
	const all = `{"name":"all","storage":{"blobStoreName":"default","strictContentTypeValidation":true},"docker":{"v1Enabled":false},"group":{"memberNames":["hub"]}}`
	w.want(t, 201, "", "POST", "/v1/repositories/docker/group", all)
	const digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	denied := `{"errors":[{"code":"DENIED","message":"Routing rules block the requested item from this repository"}]}`
	for _, rest := range []string{"evil/manifests/latest", "evil/manifests/" + digest, "evil/blobs/" + digest, "evil/tags/list", "evil/tags/list?n=5", "bad/tags/list?n=5",
		"evil/referrers/" + digest, "evil/manifests/latest?ns=docker.io"} {
		for _, entry := range []string{"/repository/hub/v2/", "/v2/hub/"} {
			w.want(t, 403, denied, "GET", entry+rest, "")
			w.want(t, 403, "", "HEAD", entry+rest, "")
		}
		if got := w.in(t).do(admin, "GET", "/repository/all/v2/"+rest, "").body; strings.Contains(got, "at /v2") {
			t.Errorf("%s by way of a group: %s", rest, got)
		}
	}
	// There is no name that stands for all images, by which a blob could be had.
	w.want(t, 400, "", "GET", "/repository/hub/v2/-/blobs/"+digest, "")
	if n := up.seen(); n != 0 {
		t.Errorf("upstream was asked %d times", n)
	}
	w.want(t, 200, "", "GET", "/repository/hub/v2/", "")
	w.in(t).do(admin, "GET", "/repository/hub/v2/good/manifests/latest", "")
	if up.seen() == 0 {
		t.Error("upstream was not asked for what is not blocked")
	}
	// An image that may only be had by its name can't be found by its catalog, and signing in goes on.
	w.want(t, 204, "", "PUT", "/v1/routing-rules/rule", `{"name":"rule","mode":"ALLOW","matchers":["/v2/good/.*"]}`)
	w.want(t, 403, denied, "GET", "/repository/hub/v2/_catalog", "")
	w.want(t, 200, `{"repositories":[]}`, "GET", "/v2/_catalog", "")
	w.want(t, 200, `{"repositories":[]}`, "GET", "/repository/all/v2/_catalog", "")
	w.want(t, 200, "", "GET", "/repository/hub/v2/", "")
	if n := up.seen(); n != 0 {
		t.Errorf("upstream was asked %d times for catalogs", n)
	}
}

// A change of a rule holds for the next request, and what is on its way arrives.
func TestRoutingChangeWhileFetching(t *testing.T) {
	proceed, begun := make(chan struct{}), make(chan struct{})
	body := strings.Repeat("content!", 20_000)
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		_, _ = w.Write([]byte(body[:100_000]))
		_ = http.NewResponseController(w).Flush()
		close(begun)
		<-proceed
		_, _ = w.Write([]byte(body[100_000:]))
	}))
	t.Cleanup(up.Close)
	w := newWired(t)
	rule := `{"name":"rule","mode":"BLOCK","matchers":["/other"]}`
	w.want(t, 204, "", "POST", "/v1/routing-rules", rule)
	w.want(t, 201, "", "POST", "/v1/repositories/raw/proxy",
		edit((&origin{Server: up}).rawProxy("mirror", "", quick), `"proxy":`, `"routingRuleName":"rule","proxy":`))
	done := make(chan answer)
	go func() { done <- w.in(t).do(admin, "GET", "/repository/mirror/a", "") }()
	<-begun
	w.want(t, 204, "", "PUT", "/v1/routing-rules/rule", edit(rule, "/other", "/a"))
	w.want(t, 403, "", "GET", "/repository/mirror/a", "")
	close(proceed)
	if got := <-done; got.StatusCode != 200 || got.body != body {
		t.Errorf("%d with %d bytes, not %d", got.StatusCode, len(got.body), len(body))
	}
	w.want(t, 403, "", "GET", "/repository/mirror/a", "")
	w.want(t, 204, "", "PUT", "/v1/routing-rules/rule", rule)
	w.want(t, 200, body, "GET", "/repository/mirror/a", "")
}

// What a rule denies can't be had by another way: by a mount, or as what stands for a list of referrers.
func TestRoutingHasNoWayAround(t *testing.T) {
	const digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	w := newWired(t)
	up := &origin{}
	up.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		up.requests.Add(1)
		switch {
		case strings.Contains(r.URL.Path, "/manifests/"):
			w.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
			fmt.Fprintf(w, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":"m","size":1,"digest":%q}]}`, digest)
		case strings.Contains(r.URL.Path, "/referrers/"):
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(up.Close)
	rule := `{"name":"rule","mode":"BLOCK","matchers":["/none"]}`
	w.want(t, 204, "", "POST", "/v1/routing-rules", rule)
	body := edit(edit(leastProxy, "https://registry.test", up.URL), `"docker":{`, `"routingRuleName":"rule","httpClient":`+quick+`,"docker":{`)
	w.want(t, 201, "", "POST", "/v1/repositories/docker/proxy", edit(body, "least", "hub"))
	w.want(t, 201, "", "POST", "/v1/repositories/docker/hosted", edit(edit(edit(dockerBody, "more", "own"), `,"httpPort":8083`, ""), "allow_once", "allow"))
	w.want(t, 201, "", "POST", "/v1/repositories/docker/group", `{"name":"all","storage":{"blobStoreName":"default","strictContentTypeValidation":true},`+
		`"docker":{"v1Enabled":false},"group":{"memberNames":["own","hub"],"writableMember":"own"}}`)
	w.want(t, 200, "", "GET", "/repository/hub/v2/evil/blobs/"+digest, "")
	mount := func(status int, name, query string) {
		t.Helper()
		w.want(t, status, "", "POST", "/repository/all/v2/"+name+"/blobs/uploads/?mount="+digest+query, "")
	}
	referrers := func(repo, image string, want bool) {
		t.Helper()
		if got := w.want(t, 200, "", "GET", "/repository/"+repo+"/v2/"+image+"/referrers/"+digest, "").body; strings.Contains(got, digest) != want {
			t.Errorf("referrers of %s are %s", image, got)
		}
	}
	referrers("hub", "one", true)
	w.want(t, 204, "", "PUT", "/v1/routing-rules/rule", edit(rule, "/none", `/v2/[^/]+/(blobs|manifests)/.*`))
	mount(202, "a", "&from=evil")
	mount(202, "b", "")
	up.seen()
	referrers("hub", "two", false)
	referrers("all", "three", false)
	if n := up.seen(); n != 2 {
		t.Errorf("upstream was asked %d times for referrers, not 2", n)
	}
	w.want(t, 204, "", "PUT", "/v1/routing-rules/rule", rule)
	mount(201, "a", "&from=evil")
}
