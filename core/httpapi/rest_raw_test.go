package httpapi

import (
	"strings"
	"testing"
)

const rawBody = `{"name":"files","online":true,"storage":{"blobStoreName":"default","strictContentTypeValidation":true,"writePolicy":"allow"},` +
	`"raw":{"contentDisposition":"INLINE"},"format":"x","type":"y","url":"z","other":[1]}`

const filesSettings = `{"name":"files","format":"raw","type":"hosted","url":"http://nexus.test/repository/files","online":true,` +
	`"storage":{"blobStoreName":"default","strictContentTypeValidation":true,"writePolicy":"ALLOW"},` +
	`"cleanup":null,"raw":{"contentDisposition":"INLINE"},"component":{"proprietaryComponents":false}}`

// TestRaw walks through the life of a repository; nothing in it depends on an earlier step but for the repository itself.
func TestRaw(t *testing.T) {
	const path = "/v1/repositories/raw/hosted"
	f := newFixture(t, knownUsers)
	tests := []struct {
		name, user, method, path, body string
		status                         int
		want                           string
	}{
		{"get what is missing", admin, "GET", path + "/files", "", 404, `"Repository not found"`},
		{"create without rights", powerless, "POST", path, rawBody, 403, isFault},
		{"create anonymously", anonymously, "POST", path, rawBody, 401, isFault},
		{"create with another disposition", admin, "POST", path, edit(rawBody, "INLINE", "BOTH"), 400,
			violationsOf("raw.contentDisposition", `contentDisposition must be ATTACHMENT or INLINE, not "BOTH"`)},
		{"create with a disposition of another type", admin, "POST", path, edit(rawBody, `"INLINE"`, "1"), 400,
			violationsOf("raw.contentDisposition", "value must be a string")},
		{"create without storage", admin, "POST", path, `{"name":"files"}`, 400, violationsOf("storage", "must not be null")},
		{"create", contributor, "POST", path, rawBody, 201, ""},
		{"create twice", admin, "POST", path, edit(rawBody, "files", "FILES"), 400, violationsOf("name", "Name is already used, must be unique (ignoring case)")},
		{"get", admin, "GET", path + "/files", "", 200, filesSettings},
		{"get without rights", powerless, "GET", path + "/files", "", 403, isFault},
		{"get as docker", admin, "GET", "/v1/repositories/docker/hosted/files", "", 404, `"Repository not found"`},
		{"get docker as raw", admin, "GET", path + "/images", "", 404, `"Repository not found"`},
		{"update as contributor", contributor, "PUT", path + "/files", rawBody, 403, isFault},
		{"update", admin, "PUT", path + "/files", edit(rawBody, `"raw":{"contentDisposition":"INLINE"},`, ""), 204, ""},
		{"get the default", admin, "GET", path + "/files", "", 200, edit(filesSettings, "INLINE", "ATTACHMENT")},
		{"update what is missing", admin, "PUT", path + "/more", edit(rawBody, "files", "more"), 404, `"Repository not found"`},
		{"update with another name", admin, "PUT", path + "/files", edit(rawBody, "files", "more"), 400, violationsOf("name", "Renaming a repository is not supported")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := f.in(t).do(tt.user, tt.method, tt.path, tt.body, "Host", "nexus.test")
			if got.StatusCode != tt.status {
				t.Errorf("status is %d, not %d: %s", got.StatusCode, tt.status, got.body)
			}
			if tt.want != isFault {
				checkBody(t, got, tt.want)
			}
		})
	}
}

// TestRawUsage: a format without ports of its own is shown with the commands for its URL.
func TestRawUsage(t *testing.T) {
	f := newFixture(t, knownUsers)
	f.do(admin, "POST", "/v1/repositories/raw/hosted", rawBody)
	page := f.do(admin, "GET", "/", "", "Host", "nexus.test").body
	if want := "curl -u USER -T file.zip http://nexus.test/repository/files/dir/file.zip"; !strings.Contains(page, want) {
		t.Errorf("the start page has no %q:\n%s", want, page)
	}
}
