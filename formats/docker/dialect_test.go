package docker

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
)

func coded(kind errs.Kind, code string) error {
	return &errs.Error{Kind: kind, Code: code, Message: "m"}
}

func TestWriteError(t *testing.T) {
	upload := format.Route{Kind: kindUpload, Name: "a", Action: content.Add}
	blob := format.Route{Kind: kindBlob, Name: "a", Action: content.Read}
	man := format.Route{Kind: kindManifest, Name: "a", Action: content.Edit}
	tag := format.Route{Kind: kindTag, Name: "a", Action: content.Edit}
	one := func(code string) string { return `{"errors":[{"code":"` + code + `","message":"m"}]}` }
	tests := []struct {
		name   string
		route  format.Route
		err    error
		status int
		body   string
		header http.Header
	}{
		{"blob not found", blob, errs.New(errs.NotFound, "m"), 404, one("BLOB_UNKNOWN"), nil},
		{"wrapped", blob, fmt.Errorf("secret: %w", errs.New(errs.NotFound, "m")), 404, one("BLOB_UNKNOWN"), nil},
		{"manifest not found", man, errs.New(errs.NotFound, "m"), 404, one("MANIFEST_UNKNOWN"), nil},
		{"tag not found", tag, errs.New(errs.NotFound, "m"), 404, one("MANIFEST_UNKNOWN"), nil},
		{"upload not found", upload, errs.New(errs.NotFound, "m"), 404, one("BLOB_UPLOAD_UNKNOWN"), nil},
		{"repository not found", format.Route{}, errs.New(errs.NotFound, "m"), 404, one("NAME_UNKNOWN"), nil},
		{"own code", tag, invalid(codeDigestInvalid, "m"), 400, one("DIGEST_INVALID"), nil},
		{"digest differs", upload, coded(errs.Invalid, format.CodeDigest), 400, one("DIGEST_INVALID"), nil},
		{"a code that clients don't know", tag, coded(errs.Invalid, "odd"), 400, one("MANIFEST_INVALID"), nil},
		{"body ended", upload, errs.New(errs.Invalid, "m"), 400, one("BLOB_UPLOAD_INVALID"), nil},
		{"manifest too large", tag, errs.New(errs.TooLarge, "m"), 413, one("MANIFEST_INVALID"), nil},
		{"range", blob, errs.New(errs.RangeNotSatisfiable, "m"), 416, one("SIZE_INVALID"), nil},
		{"chunk", upload, errs.New(errs.RangeNotSatisfiable, "m"), 416, one("BLOB_UPLOAD_INVALID"), nil},
		{"busy", upload, errs.New(errs.Conflict, "m"), 409, one("BLOB_UPLOAD_INVALID"), nil},
		{"write policy", tag, errs.New(errs.Conflict, "m"), 400, one("DENIED"), nil},
		{"blob in use", blob, coded(errs.Conflict, format.CodeRequired), 405, one("UNSUPPORTED"), http.Header{"Allow": {"GET, HEAD"}}},
		{"method", blob, checkMethod("PUT", []string{"GET", "HEAD"}), 405,
			`{"errors":[{"code":"UNSUPPORTED","message":"method is not allowed here"}]}`, http.Header{"Allow": {"GET, HEAD"}}},
		{"forbidden", tag, errs.New(errs.Forbidden, "m"), 403, one("DENIED"), nil},
		{"not signed in", tag, errs.New(errs.Unauthenticated, "m"), 401, one("UNAUTHORIZED"),
			http.Header{"Www-Authenticate": {`Bearer realm="http://reg:5000/v2/token",service="reg:5000",scope="repository:a:pull,push"`}}},
		{"scope", blob, coded(errs.Unauthenticated, format.CodeScope), 401, one("DENIED"), http.Header{"Www-Authenticate": {
			`Bearer realm="http://reg:5000/v2/token",service="reg:5000",scope="repository:a:pull",error="insufficient_scope"`}}},
		{"rate", blob, &errs.Error{Kind: errs.TooManyRequests, Message: "m", RetryAfter: 1500 * time.Millisecond}, 429, one("TOOMANYREQUESTS"),
			http.Header{"Retry-After": {"2"}}},
		{"offline", blob, errs.New(errs.Unavailable, "m"), 503, one("UNAVAILABLE"), nil},
		{"full", upload, errs.New(errs.StorageFull, "m"), 507, one("UNAVAILABLE"), nil},
		{"detail", tag, &errs.Error{Kind: errs.NotFound, Code: codeNameUnknown, Message: "m", Detail: map[string]string{"name": "a"}}, 404,
			`{"errors":[{"code":"NAME_UNKNOWN","message":"m","detail":{"name":"a"}}]}`, nil},
		{"missing blobs", tag, &errs.Error{Kind: errs.Invalid, Code: format.CodeMissing, Message: "m", Detail: []content.Reference{{To: "sha256:1"}, {To: "sha256:2"}}}, 400,
			`{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","message":"manifest references a manifest or blob unknown to registry","detail":{"digest":"sha256:1"}},` +
				`{"code":"MANIFEST_BLOB_UNKNOWN","message":"manifest references a manifest or blob unknown to registry","detail":{"digest":"sha256:2"}}]}`, nil},
		{"missing, nobody says what", tag, coded(errs.Invalid, format.CodeMissing), 400, one("MANIFEST_BLOB_UNKNOWN"), nil},
		{"internal", tag, errors.New("password is x"), 500, `{"errors":[{"code":"UNKNOWN","message":"internal server error"}]}`, nil},
		{"internal with a message", tag, errs.New(errs.Internal, "password is x"), 500, `{"errors":[{"code":"UNKNOWN","message":"internal server error"}]}`, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "http://reg:5000/", nil)
			w := httptest.NewRecorder()
			w.Header().Set("Range", "0-4") // what a handler has set stays
			docker{}.WriteError(w, r, format.Repository{}, format.Entry{}, tt.route, tt.err)
			if w.Code != tt.status {
				t.Errorf("status %d, want %d", w.Code, tt.status)
			}
			if diff := cmp.Diff(tt.body, w.Body.String()); diff != "" {
				t.Error(diff)
			}
			if !json.Valid(w.Body.Bytes()) {
				t.Error("no JSON")
			}
			want := http.Header{
				"Content-Type": {"application/json"}, "Content-Length": {fmt.Sprint(w.Body.Len())}, "Range": {"0-4"},
				"Docker-Distribution-Api-Version": {"registry/2.0"},
			}
			for k, v := range tt.header {
				want[k] = v
			}
			if diff := cmp.Diff(want, w.Header()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestChallenge(t *testing.T) {
	const basic = `Basic realm="Sonatype Nexus Repository Manager"`
	pulling := format.Route{Kind: kindTag, Name: "a/b", Action: content.Read}
	tests := []struct {
		name   string
		force  bool
		entry  format.Entry
		route  format.Route
		host   string
		path   string
		header map[string]string
		tls    bool
		want   string
	}{
		{"forced basic", true, format.Entry{}, pulling, "h", "/", nil, false, basic},
		{"port", false, format.Entry{}, pulling, "h:1", "/", nil, false, `Bearer realm="http://h:1/v2/token",service="h:1",scope="repository:a/b:pull"`},
		{"repository URL", false, format.Entry{Base: "/repository/r"}, pulling, "h", "/", nil, true,
			`Bearer realm="https://h/repository/r/v2/token",service="h",scope="repository:a/b:pull"`},
		{"path", false, format.Entry{NamePrefix: "r/"}, pulling, "h", "/", nil, false,
			`Bearer realm="http://h/v2/token",service="h",scope="repository:r/a/b:pull"`},
		{"ping", false, format.Entry{}, format.Route{Kind: kindPing}, "h", "/v2/", nil, false, `Bearer realm="http://h/v2/token",service="h"`},
		{"delete", false, format.Entry{}, format.Route{Kind: kindTag, Name: "a", Action: content.Delete}, "h", "/", nil, false,
			`Bearer realm="http://h/v2/token",service="h",scope="repository:a:delete"`},
		{"catalog", false, format.Entry{}, format.Route{Kind: kindCatalog, Action: content.Browse}, "h", "/", nil, false,
			`Bearer realm="http://h/v2/token",service="h",scope="registry:catalog:*"`},
		{"token endpoint", false, format.Entry{}, format.Route{Kind: kindToken}, "h", "/v2/token", nil, false, basic},
		{"token endpoint of the root", false, format.Entry{}, format.Route{}, "h", "/v2/token", nil, false, basic},
		{"behind a proxy", false, format.Entry{}, pulling, "inside:8081", "/",
			map[string]string{"X-Forwarded-Proto": "https", "X-Forwarded-Host": "reg.example, inside"}, false,
			`Bearer realm="https://reg.example/v2/token",service="reg.example",scope="repository:a/b:pull"`},
		{"odd scheme", false, format.Entry{}, format.Route{}, "h", "/", map[string]string{"X-Forwarded-Proto": `x",y="`}, false,
			`Bearer realm="http://h/v2/token",service="h"`},
		{"injection by header", false, format.Entry{}, format.Route{}, "h", "/", map[string]string{"X-Forwarded-Host": `evil",realm="x`}, false,
			`Bearer realm="http://h/v2/token",service="h"`},
		{"injection by host", false, format.Entry{}, format.Route{}, `h"x`, "/", nil, false, `Bearer realm="http://localhost/v2/token",service="localhost"`},
		{"IPv6", false, format.Entry{}, format.Route{}, "[::1]:5000", "/", nil, false, `Bearer realm="http://[::1]:5000/v2/token",service="[::1]:5000"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", tt.path, nil)
			r.Host = tt.host
			for k, v := range tt.header {
				r.Header.Set(k, v)
			}
			if tt.tls {
				r.TLS = &tls.ConnectionState{}
			}
			w := httptest.NewRecorder()
			repo := format.Repository{Settings: Settings{ForceBasicAuth: tt.force}}
			docker{}.WriteError(w, r, repo, tt.entry, tt.route, errs.New(errs.Unauthenticated, "m"))
			if diff := cmp.Diff([]string{tt.want}, w.Header().Values("WWW-Authenticate")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestHeaders(t *testing.T) {
	d := dig("a")
	facts, _ := json.Marshal(Facts{MediaType: "application/x", Subject: dig("5")})
	tag := content.Asset{Path: "/v2/a/manifests/v1", Kind: kindTag, Name: "a", Digest: d, Attributes: facts}
	man := content.Asset{Path: "/v2/a/manifests/" + d.String(), Kind: kindManifest, Name: "a", Digest: d}
	tests := []struct {
		name   string
		entry  format.Entry
		route  format.Route
		asset  content.Asset
		status int
		want   http.Header
	}{
		{"read", format.Entry{}, format.Route{}, tag, 200, http.Header{headerVersion: {"registry/2.0"}, headerDigest: {d.String()}}},
		{"deleted", format.Entry{}, format.Route{}, content.Asset{}, 202, http.Header{headerVersion: {"registry/2.0"}}},
		{"tag stored", format.Entry{NamePrefix: "r/"}, format.Route{}, tag, 201, http.Header{headerVersion: {"registry/2.0"}, headerDigest: {d.String()},
			"Location": {"/v2/r/a/manifests/" + d.String()}, headerSubject: {dig("5").String()}}},
		{"manifest stored with tags", format.Entry{Base: "/repository/r"}, format.Route{Aliases: []string{"1", "2"}}, man, 201,
			http.Header{headerVersion: {"registry/2.0"}, headerDigest: {d.String()}, "Location": {"/repository/r" + man.Path}, headerTag: {"1", "2"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := http.Header{}
			docker{}.Headers(h, format.Repository{}, tt.entry, tt.route, tt.asset, tt.status)
			if diff := cmp.Diff(tt.want, h); diff != "" {
				t.Error(diff)
			}
		})
	}
}
