package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/repository"
)

const dockerBody = `{"name":"more","online":true,"storage":{"blobStoreName":"default","strictContentTypeValidation":true,"writePolicy":"allow_once"},` +
	`"docker":{"v1Enabled":false,"forceBasicAuth":false,"httpPort":8083},"format":"maven2","type":"proxy","url":"x","other":[1]}`

// anyBody is one that all operations on repositories take.
var anyBody = edit(dockerBody, `"docker":`, `"proxy":{"remoteUrl":"http://upstream.test"},"group":{"memberNames":["images"]},"dockerProxy":{"indexType":"HUB"},"docker":`)

const userBody = `{"userId":"jane","firstName":"Jane","lastName":"Doe","emailAddress":"jane@example.org","password":"secret","status":"active","roles":["nx-anonymous"]}`

// edit is body with the first old replaced.
func edit(body, old, new string) string {
	if !strings.Contains(body, old) {
		panic("nothing to replace: " + old)
	}
	return strings.Replace(body, old, new, 1)
}

func violationsOf(pairs ...string) string {
	list := []violation{}
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, violation{pairs[i], pairs[i+1]})
	}
	text, _ := json.Marshal(list)
	return string(text)
}

// The bodies of answers that a table can stand for by a word: a fault has an id of its own each time.
const (
	isFault = "fault"
)

func TestOperations(t *testing.T) {
	const badName = "Only letters, digits, underscores(_), hyphens(-), and dots(.) are allowed and may not start with underscore or dot."
	tests := []struct {
		name, user, method, path, body string
		headers                        []string
		status                         int
		want                           string
	}{
		{name: "status", method: "GET", path: "/v1/status", status: 200},
		{name: "status by HEAD", method: "HEAD", path: "/v1/status", status: 200},
		{name: "status with a slash", method: "GET", path: "/v1/status/", status: 200},
		{name: "status with wrong credentials", method: "GET", path: "/v1/status", headers: []string{"Authorization", "Basic eDp5"}, status: 401, want: isFault},
		{name: "writable", method: "GET", path: "/v1/status/writable", status: 200},
		{name: "unknown path", user: admin, method: "GET", path: "/v1/nothing", status: 404, want: isFault},
		{name: "unknown method", user: admin, method: "PATCH", path: "/v1/repositories", status: 405, want: isFault},

		{name: "list repositories", user: admin, method: "GET", path: "/v1/repositories", status: 200,
			want: `[{"attributes":{},"format":"docker","name":"images","online":true,"type":"hosted","url":"http://nexus.test/repository/images"}]`},
		{name: "list repositories without rights", user: powerless, method: "GET", path: "/v1/repositories", status: 200, want: `[]`},
		{name: "list repositories anonymously", method: "GET", path: "/v1/repositories", status: 401, want: isFault},
		{name: "get repository", user: contributor, method: "GET", path: "/v1/repositories/images", status: 200,
			want: `{"attributes":{},"format":"docker","name":"images","online":true,"type":"hosted","url":"http://nexus.test/repository/images"}`},
		{name: "get repository that is missing", user: admin, method: "GET", path: "/v1/repositories/nope", status: 404, want: `"Repository not found"`},
		{name: "get repository without rights", user: powerless, method: "GET", path: "/v1/repositories/images", status: 403, want: isFault},
		{name: "get repository anonymously", method: "GET", path: "/v1/repositories/images", status: 401, want: isFault},
		{name: "get repository that is missing anonymously", method: "GET", path: "/v1/repositories/nope", status: 401, want: isFault},
		{name: "delete repository", user: admin, method: "DELETE", path: "/v1/repositories/images", status: 204},
		{name: "delete repository that is missing", user: admin, method: "DELETE", path: "/v1/repositories/nope", status: 404, want: `"Repository not found"`},
		{name: "delete repository as contributor", user: contributor, method: "DELETE", path: "/v1/repositories/images", status: 403, want: isFault},
		{name: "delete repository anonymously", method: "DELETE", path: "/v1/repositories/images", status: 401, want: isFault},
		{name: "list settings", user: admin, method: "GET", path: "/v1/repositorySettings", status: 200, want: "[" + imagesSettings + "]"},
		{name: "list settings without rights", user: powerless, method: "GET", path: "/v1/repositorySettings", status: 200, want: `[]`},
		{name: "list settings anonymously", method: "GET", path: "/v1/repositorySettings", status: 401, want: isFault},

		{name: "get docker", user: admin, method: "GET", path: "/v1/repositories/docker/hosted/images", status: 200, want: imagesSettings},
		{name: "get docker that is missing", user: admin, method: "GET", path: "/v1/repositories/docker/hosted/nope", status: 404, want: `"Repository not found"`},
		{name: "get docker without rights", user: powerless, method: "GET", path: "/v1/repositories/docker/hosted/images", status: 403, want: isFault},
		{name: "get docker anonymously", method: "GET", path: "/v1/repositories/docker/hosted/images", status: 401, want: isFault},
		{name: "create docker", user: contributor, method: "POST", path: "/v1/repositories/docker/hosted", body: dockerBody, status: 201},
		{name: "create docker without rights", user: powerless, method: "POST", path: "/v1/repositories/docker/hosted", body: dockerBody, status: 403, want: isFault},
		{name: "create docker anonymously", method: "POST", path: "/v1/repositories/docker/hosted", body: "not even JSON", status: 401, want: isFault},
		{name: "create docker twice", user: admin, method: "POST", path: "/v1/repositories/docker/hosted", body: edit(dockerBody, "more", "IMAGES"), status: 400,
			want: violationsOf("name", "Name is already used, must be unique (ignoring case)")},
		{name: "create docker with a bad name", user: admin, method: "POST", path: "/v1/repositories/docker/hosted", body: edit(dockerBody, "more", "a:b"), status: 400,
			want: violationsOf("name", badName)},
		{name: "create docker with wrong types", user: admin, method: "POST", path: "/v1/repositories/docker/hosted",
			body: edit(edit(dockerBody, "8083", `"8083"`), `"online":true`, `"online":"true"`), status: 400,
			want: violationsOf("docker.httpPort", "value must be an integer", "online", "value must be a boolean")},
		{name: "create docker with fields missing", user: admin, method: "POST", path: "/v1/repositories/docker/hosted", body: `{"storage":{"blobStoreName":""}}`, status: 400,
			want: violationsOf("docker", "must not be null", "name", "must not be null", "storage.blobStoreName", "must not be empty", "storage.strictContentTypeValidation", "must not be null")},
		{name: "create docker with a bad policy", user: admin, method: "POST", path: "/v1/repositories/docker/hosted", body: edit(dockerBody, "allow_once", "never"), status: 400,
			want: violationsOf("storage.writePolicy", `write policy must be ALLOW, ALLOW_ONCE or DENY, not "never"`)},
		{name: "create docker with a bad port", user: admin, method: "POST", path: "/v1/repositories/docker/hosted", body: edit(dockerBody, "8083", "65536"), status: 400,
			want: violationsOf("docker.httpPort", "number must be at most 65535")},
		{name: "create docker with a bad subdomain", user: admin, method: "POST", path: "/v1/repositories/docker/hosted", body: edit(dockerBody, `"httpPort":8083`, `"subdomain":"-"`), status: 400,
			want: violationsOf("docker.subdomain", "subdomain must be 1 to 63 letters, digits and dashes, start with a letter and end with a letter or digit")},
		{name: "create docker from no JSON", user: admin, method: "POST", path: "/v1/repositories/docker/hosted", body: `{"name":`, status: 400,
			want: violationsOf("*", "malformed: unexpected EOF")},
		{name: "create docker from nothing", user: admin, method: "POST", path: "/v1/repositories/docker/hosted", status: 400,
			want: violationsOf("*", "the request body must not be empty")},
		{name: "create docker from a list", user: admin, method: "POST", path: "/v1/repositories/docker/hosted", body: `[]`, status: 400,
			want: violationsOf("*", "value must be an object")},
		{name: "create docker from text", user: admin, method: "POST", path: "/v1/repositories/docker/hosted", body: dockerBody, headers: []string{"Content-Type", "text/plain"}, status: 415, want: isFault},
		{name: "create docker from too much", user: admin, method: "POST", path: "/v1/repositories/docker/hosted", body: strings.Repeat(" ", maxBody+1), status: 413, want: isFault},
		{name: "update docker", user: admin, method: "PUT", path: "/v1/repositories/docker/hosted/images", body: edit(dockerBody, "more", "images"), status: 204},
		{name: "update docker that is missing", user: admin, method: "PUT", path: "/v1/repositories/docker/hosted/more", body: dockerBody, status: 404, want: `"Repository not found"`},
		{name: "update docker with another name", user: admin, method: "PUT", path: "/v1/repositories/docker/hosted/images", body: dockerBody, status: 400,
			want: violationsOf("name", "Renaming a repository is not supported")},
		{name: "update docker with another blob store", user: admin, method: "PUT", path: "/v1/repositories/docker/hosted/images",
			body: edit(edit(dockerBody, "more", "images"), "default", "s3"), status: 400, want: violationsOf("BlobStoreName", "Blob store can't be changed")},
		{name: "update docker as contributor", user: contributor, method: "PUT", path: "/v1/repositories/docker/hosted/images", body: dockerBody, status: 403, want: isFault},
		{name: "update docker anonymously", method: "PUT", path: "/v1/repositories/docker/hosted/images", body: dockerBody, status: 401, want: isFault},

		{name: "list blob stores", user: contributor, method: "GET", path: "/v1/blobstores", status: 200,
			want: `[{"availableSpaceInBytes":1099511627776,"blobCount":3,"name":"default","softQuota":null,"totalSizeInBytes":4096,"type":"File","unavailable":false},` +
				`{"availableSpaceInBytes":0,"blobCount":0,"name":"s3","softQuota":null,"totalSizeInBytes":0,"type":"S3","unavailable":true}]`},
		{name: "list blob stores without rights", user: powerless, method: "GET", path: "/v1/blobstores", status: 403, want: isFault},
		{name: "create blob store", user: admin, method: "POST", path: "/v1/blobstores/file", body: `{"name":"b","path":"b","softQuota":{"type":"spaceUsedQuota","limit":1}}`, status: 204},
		{name: "create blob store without quota", user: admin, method: "POST", path: "/v1/blobstores/file", body: `{"name":"b","path":"b","softQuota":null}`, status: 204},
		{name: "create blob store twice", user: admin, method: "POST", path: "/v1/blobstores/file", body: `{"name":"default","path":"b"}`, status: 400,
			want: violationsOf("name", "Name is already used, must be unique (ignoring case)")},
		{name: "create blob store with a bad quota", user: admin, method: "POST", path: "/v1/blobstores/file", body: `{"name":"b","path":"b","softQuota":{"type":"no","limit":1.5}}`, status: 400,
			want: violationsOf("softQuota.limit", "value must be an integer", "softQuota.type", `value is not one of the allowed values ["spaceRemainingQuota","spaceUsedQuota"]`)},
		{name: "create blob store with a quota beyond numbers", user: admin, method: "POST", path: "/v1/blobstores/file", body: `{"name":"b","path":"b","softQuota":{"type":"spaceUsedQuota","limit":9223372036854775808}}`, status: 400,
			want: violationsOf("softQuota.limit", "a number 9223372036854775808 has no place here")},
		{name: "create blob store as contributor", user: contributor, method: "POST", path: "/v1/blobstores/file", body: `{"name":"b","path":"b"}`, status: 403, want: isFault},
		{name: "get file blob store", user: admin, method: "GET", path: "/v1/blobstores/file/default", status: 200, want: `{"path":"default","softQuota":null}`},
		{name: "get file blob store of another type", user: admin, method: "GET", path: "/v1/blobstores/file/s3", status: 400, want: `"Blob store s3 is of type S3, not File"`},
		{name: "get file blob store that is missing", user: admin, method: "GET", path: "/v1/blobstores/file/nope", status: 404, want: `"Blob store nope not found"`},
		{name: "update file blob store", user: admin, method: "PUT", path: "/v1/blobstores/file/default", body: `{"path":"default"}`, status: 204},
		{name: "update file blob store that is missing", user: admin, method: "PUT", path: "/v1/blobstores/file/nope", body: `{"path":"x"}`, status: 404, want: `"Blob store nope not found"`},
		{name: "delete blob store", user: admin, method: "DELETE", path: "/v1/blobstores/s3", status: 204},
		{name: "delete blob store in use", user: admin, method: "DELETE", path: "/v1/blobstores/default", status: 400, want: `"Blob store default is in use by a repository"`},
		{name: "delete blob store that is missing", user: admin, method: "DELETE", path: "/v1/blobstores/file", status: 404, want: `"Blob store file not found"`},
		{name: "quota", user: admin, method: "GET", path: "/v1/blobstores/default/quota-status", status: 200,
			want: `{"blobStoreName":"default","isViolation":false,"message":"Blob store default has no quota"}`},

		{name: "get anonymous", user: admin, method: "GET", path: "/v1/security/anonymous", status: 200,
			want: `{"enabled":false,"realmName":"NexusAuthorizingRealm","userId":"anonymous"}`},
		{name: "get anonymous without rights", user: contributor, method: "GET", path: "/v1/security/anonymous", status: 403, want: isFault},
		{name: "put anonymous", user: admin, method: "PUT", path: "/v1/security/anonymous", body: `{"enabled":true}`, status: 200,
			want: `{"enabled":true,"realmName":"NexusAuthorizingRealm","userId":"anonymous"}`},
		{name: "put anonymous with an unknown realm", user: admin, method: "PUT", path: "/v1/security/anonymous", body: `{"enabled":true,"realmName":"x"}`, status: 400,
			want: violationsOf("realmName", `realmName must be NexusAuthorizingRealm, not "x"`)},

		{name: "list users", user: admin, method: "GET", path: "/v1/security/users?userId=ADM", status: 200,
			want: `[{"emailAddress":"admin@example.org","externalRoles":[],"firstName":"Administrator","lastName":"User","readOnly":false,"roles":["nx-admin"],"source":"default","status":"active","userId":"admin"}]`},
		{name: "list users of another source", user: admin, method: "GET", path: "/v1/security/users?source=LDAP", status: 200, want: `[]`},
		{name: "list users without rights", user: contributor, method: "GET", path: "/v1/security/users", status: 403, want: isFault},
		{name: "create user", user: admin, method: "POST", path: "/v1/security/users", body: userBody, status: 200,
			want: `{"emailAddress":"jane@example.org","externalRoles":[],"firstName":"Jane","lastName":"Doe","readOnly":false,"roles":["nx-anonymous"],"source":"default","status":"active","userId":"jane"}`},
		{name: "create user twice", user: admin, method: "POST", path: "/v1/security/users", body: edit(userBody, "jane", "admin"), status: 400,
			want: violationsOf("userId", "User 'admin' already exists.")},
		{name: "create user with an unknown role", user: admin, method: "POST", path: "/v1/security/users", body: edit(userBody, "nx-anonymous", "x"), status: 400,
			want: violationsOf("roles", "Role 'x' not found.")},
		{name: "create user with much wrong", user: admin, method: "POST", path: "/v1/security/users",
			body: edit(edit(edit(userBody, "jane@example.org", "jane"), `"active"`, `"asleep"`), `["nx-anonymous"]`, `[]`), status: 400,
			want: violationsOf("emailAddress", "must be an e-mail address", "roles", "must not be empty", "status", `value is not one of the allowed values ["active","locked","disabled","changepassword"]`)},
		{name: "update user", user: admin, method: "PUT", path: "/v1/security/users/powerless", body: edit(userBody, `"jane"`, `"powerless"`), status: 204},
		{name: "update another user", user: admin, method: "PUT", path: "/v1/security/users/powerless", body: userBody, status: 400,
			want: violationsOf("userId", "The path's userId does not match the body")},
		{name: "update user that is missing", user: admin, method: "PUT", path: "/v1/security/users/jane", body: userBody, status: 404, want: `"User 'jane' not found."`},
		{name: "delete user", user: admin, method: "DELETE", path: "/v1/security/users/powerless?realm=default", status: 204},
		{name: "delete user that is missing", user: admin, method: "DELETE", path: "/v1/security/users/50%25%2Foff", status: 404, want: `"User '50%/off' not found."`},
		{name: "delete user with a percent sign", user: admin, method: "DELETE", path: "/v1/security/users/50%25", status: 404, want: `"User '50%' not found."`},
		{name: "delete the last administrator", user: admin, method: "DELETE", path: "/v1/security/users/admin", status: 400,
			want: `"The server needs an active user with the role nx-admin: this is the last one."`},
		{name: "change password", user: admin, method: "PUT", path: "/v1/security/users/powerless/change-password", body: "new", headers: []string{"Content-Type", "text/plain"}, status: 204},
		{name: "change own password", user: contributor, method: "PUT", path: "/v1/security/users/contributor/change-password", body: "new", headers: []string{"Content-Type", "text/plain; charset=utf-8"}, status: 204},
		{name: "change own password without rights", user: powerless, method: "PUT", path: "/v1/security/users/powerless/change-password", body: "new", headers: []string{"Content-Type", "text/plain"}, status: 403, want: isFault},
		{name: "change another's password without rights", user: contributor, method: "PUT", path: "/v1/security/users/admin/change-password", body: "new", headers: []string{"Content-Type", "text/plain"}, status: 403, want: isFault},
		{name: "change password to a blank one", user: admin, method: "PUT", path: "/v1/security/users/powerless/change-password", body: " ", headers: []string{"Content-Type", "text/plain"}, status: 400,
			want: violationsOf("password", "password must not be empty")},
		{name: "change password that is missing", user: admin, method: "PUT", path: "/v1/security/users/nope/change-password", body: "new", headers: []string{"Content-Type", "text/plain"}, status: 404, want: `"User 'nope' not found."`},
		{name: "change password as JSON", user: admin, method: "PUT", path: "/v1/security/users/admin/change-password", body: `"new"`, status: 415, want: isFault},
		{name: "list roles of an unknown source", user: admin, method: "GET", path: "/v1/security/roles?source=x", status: 400, want: `"Source 'x' not found."`},
		{name: "list roles without rights", user: contributor, method: "GET", path: "/v1/security/roles", status: 403, want: isFault},
	}
	shared := newFixture(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := shared.in(t)
			if changes := test.method != http.MethodGet && test.status < 300; changes {
				f = newFixture(t)
			}
			got := f.do(test.user, test.method, test.path, test.body, append([]string{"Host", "nexus.test"}, test.headers...)...)
			if got.StatusCode != test.status {
				t.Errorf("status is %d, not %d: %s", got.StatusCode, test.status, got.body)
			}
			checkBody(t, got, test.want)
			checkHeaders(t, got)
		})
	}
}

const imagesSettings = `{"name":"images","format":"docker","type":"hosted","url":"http://nexus.test/repository/images","online":true,` +
	`"storage":{"blobStoreName":"default","strictContentTypeValidation":false,"writePolicy":"ALLOW","latestPolicy":false},"cleanup":null,` +
	`"docker":{"v1Enabled":false,"forceBasicAuth":true,"httpPort":8082,"httpsPort":null,"subdomain":null,"pathEnabled":null},` +
	`"component":{"proprietaryComponents":false}}`

func checkBody(t *testing.T, got answer, want string) {
	t.Helper()
	if want != isFault {
		if diff := cmp.Diff(want, strings.TrimSpace(got.body)); diff != "" {
			t.Errorf("body (-want +got):\n%s", diff)
		}
		return
	}
	var f fault
	if err := json.Unmarshal([]byte(got.body), &f); err != nil {
		t.Fatalf("%v: %s", err, got.body)
	}
	name := strings.ToUpper(strings.ReplaceAll(http.StatusText(got.StatusCode), " ", "_"))
	if diff := cmp.Diff(fault{got.StatusCode, got.Header.Get("X-Siesta-FaultId"), name}, f); diff != "" {
		t.Errorf("fault (-want +got):\n%s", diff)
	}
}

// checkHeaders checks the headers that every answer of the API has.
func checkHeaders(t *testing.T, got answer) {
	t.Helper()
	want := map[string]string{"Server": "Nexus/3.77.1-01 (OSS)", "X-Content-Type-Options": "nosniff", "WWW-Authenticate": ""}
	if got.StatusCode == http.StatusUnauthorized {
		want["WWW-Authenticate"] = `BASIC realm="Sonatype Nexus Repository Manager"`
	}
	for name, value := range want {
		if got.Header.Get(name) != value {
			t.Errorf("%s is %q, not %q", name, got.Header.Get(name), value)
		}
	}
	if has := got.Header.Get("X-Siesta-FaultId") != ""; has != (got.StatusCode >= 400) {
		t.Errorf("status %d, fault id %q", got.StatusCode, got.Header.Get("X-Siesta-FaultId"))
	}
}

func TestCreatedIsReturned(t *testing.T) {
	f := newFixture(t, knownUsers)
	f.do(admin, "POST", "/v1/repositories/docker/hosted", dockerBody)
	got := f.do(admin, "GET", "/v1/repositories/docker/hosted/more", "", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "repo.example.org, inner")
	want := `{"name":"more","format":"docker","type":"hosted","url":"https://repo.example.org/repository/more","online":true,` +
		`"storage":{"blobStoreName":"default","strictContentTypeValidation":true,"writePolicy":"ALLOW_ONCE","latestPolicy":false},"cleanup":null,` +
		`"docker":{"v1Enabled":false,"forceBasicAuth":false,"httpPort":8083,"httpsPort":null,"subdomain":null,"pathEnabled":null},` +
		`"component":{"proprietaryComponents":false}}`
	checkBody(t, got, want)
	// what was read can be sent back
	if got := f.do(admin, "PUT", "/v1/repositories/docker/hosted/more", got.body); got.StatusCode != http.StatusNoContent {
		t.Errorf("sent back: %d %s", got.StatusCode, got.body)
	}
	if again := f.do(admin, "GET", "/v1/repositories/docker/hosted/more", "", "Host", "repo.example.org", "X-Forwarded-Proto", "https"); again.body != got.body {
		t.Errorf("after sending back:\n%s\nbefore:\n%s", again.body, got.body)
	}
}

// A repository of a format that has gone, or of another type, is not found below a format's path.
func TestOtherFormat(t *testing.T) {
	f := newFixture(t, knownUsers)
	f.repositories.all["raw"] = repository.Config{Name: "raw", Format: "raw", Type: "hosted"}
	f.repositories.all["cache"] = repository.Config{Name: "cache", Format: "docker", Type: "proxy"}
	for _, name := range []string{"raw", "cache"} {
		checkBody(t, f.do(admin, "GET", "/v1/repositories/docker/hosted/"+name, ""), `"Repository not found"`)
	}
	if got := f.do(admin, "GET", "/v1/repositorySettings", ""); got.StatusCode != http.StatusOK || strings.Contains(got.body, "writePolicy\":\"\"},\"cleanup\":null,\"docker") {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
}

// Everybody without rights is refused, whatever the operation: this is also the net for operations to come.
func TestRefusals(t *testing.T) {
	f := newFixture(t)
	operations := f.operations()
	for _, anonymous := range []bool{false, true} {
		if anonymous {
			f.allowAnonymous()
		}
		for _, op := range operations {
			if op.open || op.method == http.MethodGet && op.list {
				continue
			}
			body := map[bool]string{true: anyBody}[op.body]
			if got := f.do(powerless, op.method, op.path, body); got.StatusCode != http.StatusForbidden {
				t.Errorf("signed in: %s %s answers %d %s", op.method, op.path, got.StatusCode, got.body)
			}
			if op.browse && anonymous {
				continue
			}
			if got := f.do(anonymously, op.method, op.path, body); got.StatusCode != http.StatusUnauthorized {
				t.Errorf("anonymously, allowed %v: %s %s answers %d %s", anonymous, op.method, op.path, got.StatusCode, got.body)
			}
		}
	}
}

func TestAnonymousIsAllowed(t *testing.T) {
	f := newFixture(t)
	f.allowAnonymous()
	tests := []struct{ name, method, path, body, want string }{
		{"what he may browse", "GET", "/v1/repositories", "", `[{"attributes":{},"format":"docker","name":"images","online":true,"type":"hosted","url":"` + f.URL + `/repository/images"}]`},
		{"who may browse all may know what is missing", "GET", "/v1/repositories/nope", "", `"Repository not found"`},
		{"who may not delete may not know it", "DELETE", "/v1/repositories/nope", "", isFault},
		{"no settings", "GET", "/v1/repositorySettings", "", `[]`},
		{"no blob stores", "GET", "/v1/blobstores", "", isFault},
		{"his body is not read", "POST", "/v1/repositories/docker/hosted", "not even JSON", isFault},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := f.in(t).do(anonymously, test.method, test.path, test.body)
			checkBody(t, got, test.want)
			if refused := got.StatusCode == http.StatusUnauthorized; refused != (test.want == isFault) {
				t.Errorf("status is %d", got.StatusCode)
			}
		})
	}
}

func TestNotReady(t *testing.T) {
	down := func(context.Context) error { return errors.New("disk on fire") }
	tests := []struct {
		name             string
		change           func(*Deps)
		status, writable int
	}{
		{"all well", func(*Deps) {}, 200, 200},
		{"not writable", func(d *Deps) { d.Writable = down }, 200, 503},
		{"not ready", func(d *Deps) { d.Ready = down }, 503, 503},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t, test.change)
			for path, want := range map[string]int{"/v1/status": test.status, "/v1/status/writable": test.writable} {
				if got := f.do(anonymously, "GET", path, ""); got.StatusCode != want || got.body != "" {
					t.Errorf("%s answers %d %q, not %d without a body", path, got.StatusCode, got.body, want)
				}
			}
		})
	}
}

func TestFailures(t *testing.T) {
	tests := []struct {
		name   string
		fail   error
		status int
		want   string
	}{
		{"unknown", errors.New("secret detail"), 500, "ERROR: (ID %s) internal error; the server's log has more under this ID"},
		{"read-only", errs.New(errs.ReadOnly, "no"), 503, "Nexus Repository Manager is in read-only mode: (ID %s)"},
		{"unavailable", errs.New(errs.Unavailable, "later"), 503, `"later"`},
		{"full", errs.Wrap(errs.StorageFull, errors.New("secret detail"), "the disk is full"), 507, `"the disk is full"`},
		{"several fields", invalid{{"a", "b"}, {"c", "d"}}, 400, violationsOf("a", "b", "c", "d")},
		{"invalid as a whole", errs.New(errs.Invalid, "no"), 400, violationsOf("*", "no")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t, knownUsers)
			f.repositories.fail = test.fail
			got := f.do(admin, "POST", "/v1/repositories/docker/hosted", dockerBody)
			if got.StatusCode != test.status {
				t.Errorf("status is %d, not %d", got.StatusCode, test.status)
			}
			id := got.Header.Get("X-Siesta-FaultId")
			want := test.want
			if strings.Contains(want, "%s") {
				want = fmt.Sprintf(want, id)
			}
			checkBody(t, got, want)
			checkHeaders(t, got)
			logged := strings.Contains(f.log.String(), id) && strings.Contains(f.log.String(), "secret detail")
			if logged != (test.status == 500) {
				t.Errorf("log: %s", f.log)
			}
		})
	}
}

type panicking struct{ Repositories }

func (panicking) List(context.Context) ([]repository.Config, error) { panic("secret detail") }

func TestPanic(t *testing.T) {
	f := newFixture(t, knownUsers, func(d *Deps) { d.Repositories = panicking{} })
	got := f.do(admin, "GET", "/v1/repositories", "")
	if got.StatusCode != 500 || strings.Contains(got.body, "secret") || got.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
	if !strings.Contains(f.log.String(), "secret detail") || !strings.Contains(f.log.String(), "rest_test.go") {
		t.Errorf("log has no stack: %s", f.log)
	}
}

func TestChunkedBodyIsLimited(t *testing.T) {
	f := newFixture(t, knownUsers)
	// a reader of unknown length makes the client send chunks
	body := struct{ *strings.Reader }{strings.NewReader(strings.Repeat(" ", maxBody+1))}
	r, err := http.NewRequestWithContext(t.Context(), "POST", f.URL+"/service/rest/v1/blobstores/file", body)
	if err != nil {
		t.Fatal(err)
	}
	r.ContentLength = -1
	r.SetBasicAuth(admin, admin)
	r.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("status is %d", response.StatusCode)
	}
}

func TestQuota(t *testing.T) {
	f := newFixture(t, knownUsers)
	tests := []struct {
		name, kind string
		limit      int64
		want       string
	}{
		{"uses too much", "spaceUsedQuota", 4095, `{"blobStoreName":"default","isViolation":true,"message":"Blob store default uses 4096 bytes and has a limit of 4095"}`},
		{"uses all", "spaceUsedQuota", 4096, `{"blobStoreName":"default","isViolation":false,"message":"Blob store default uses 4096 bytes and has a limit of 4096"}`},
		{"leaves too little", "spaceRemainingQuota", 1<<40 + 1, `{"blobStoreName":"default","isViolation":true,"message":"Blob store default has 1099511627776 bytes left and is to keep 1099511627777"}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			body := fmt.Sprintf(`{"path":"default","softQuota":{"type":%q,"limit":%d}}`, test.kind, test.limit)
			f.do(admin, "PUT", "/v1/blobstores/file/default", body)
			checkBody(t, f.do(admin, "GET", "/v1/blobstores/default/quota-status", ""), test.want)
		})
	}
}

func TestRoles(t *testing.T) {
	f := newFixture(t, knownUsers)
	var roles []struct {
		ID         string
		Privileges []string
		ReadOnly   bool
	}
	if err := json.Unmarshal([]byte(f.do(admin, "GET", "/v1/security/roles?source=default", "").body), &roles); err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{
		"nx-admin":     {"nx-all"},
		"nx-anonymous": {"nx-healthcheck-read", "nx-repository-view-*-*-browse", "nx-repository-view-*-*-read", "nx-search-read"},
	}
	for _, role := range roles {
		if privileges, ok := want[role.ID]; ok {
			if diff := cmp.Diff(privileges, role.Privileges); diff != "" || !role.ReadOnly {
				t.Errorf("role %s, read-only %v, privileges (-want +got):\n%s", role.ID, role.ReadOnly, diff)
			}
			delete(want, role.ID)
		}
	}
	if len(want) > 0 {
		t.Errorf("missing: %v", want)
	}
}
