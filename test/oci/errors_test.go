package oci

import (
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

// knownCodes are those of "Error Codes", and those that Docker Registry HTTP API v2 has beside.
var knownCodes = []string{
	"BLOB_UNKNOWN", "BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN", "DIGEST_INVALID", "MANIFEST_BLOB_UNKNOWN", "MANIFEST_INVALID",
	"MANIFEST_UNKNOWN", "NAME_INVALID", "NAME_UNKNOWN", "SIZE_INVALID", "UNAUTHORIZED", "DENIED", "UNSUPPORTED", "TOOMANYREQUESTS",
	"TAG_INVALID", "MANIFEST_UNVERIFIED", "PAGINATION_NUMBER_INVALID", "RANGE_INVALID",
}

// "Error Codes": a JSON body has the form {"errors":[{"code","message","detail"}]}; a code has capitals and underscores only, and is
// one that clients know.
func TestError_Body(t *testing.T) {
	form := regexp.MustCompile(`^[A-Z_]+$`)
	each(t, func(t *testing.T, r registry) {
		_, b := r.pushImage(t, "v1")
		absent := digest.FromBytes(random(8))
		location := r.patch(t, r.begin(t), random(10)).location(t)
		for _, tt := range []struct {
			name   string
			status int
			res    response
		}{
			{"blob unknown", 404, r.get(t, r.blob(absent))},
			{"manifest unknown", 404, r.get(t, r.manifest("v2"))},
			{"name unknown", 404, r.get(t, r.sibling().path("tags/list"))},
			{"upload unknown", 404, r.get(t, r.path("blobs/uploads/x"))},
			{"name invalid", 400, r.get(t, r.base+"/v2/"+r.prefix+"UPPER/manifests/v1")},
			{"digest invalid", 400, r.get(t, r.path("blobs/sha256:x"))},
			{"manifest invalid", 400, r.put(t, "v2", typeManifest, []byte("{}"))},
			{"manifest blob unknown", 400, r.sibling().put(t, "v2", typeManifest, b)},
			{"page invalid", 400, r.get(t, r.path("tags/list?n=-1"))},
			{"referrers of no digest", 400, r.get(t, r.path("referrers/v1"))},
			{"chunk out of order", 416, r.chunk(t, location, 5, random(10))},
			{"manifest too large", 413, r.put(t, "v2", typeManifest, make([]byte, maxManifest+1))},
			{"not signed in", 401, r.by("").put(t, "v2", typeManifest, b)},
			{"wrong password", 401, r.by(basic(adminUser, "x")).get(t, r.manifest("v1"))},
			{"no right", 401, r.by(basic(contributor, contributorPassword)).remove(t, r.manifest("v1"))},
			{"method", 405, r.do(t, http.MethodPost, r.manifest("v1"))},
			{"no end-point", 404, r.get(t, r.path("nothing/here"))},
		} {
			if tt.res.status != tt.status {
				t.Errorf("%s: status %d, want %d: %s", tt.name, tt.res.status, tt.status, tt.res.body)
			}
			if kind, _, err := mime.ParseMediaType(tt.res.header.Get("Content-Type")); err != nil || kind != "application/json" {
				t.Errorf("%s: Content-Type %q", tt.name, tt.res.header.Get("Content-Type"))
			}
			for _, p := range tt.res.problems(t) {
				if !form.MatchString(p.Code) || !slices.Contains(knownCodes, p.Code) || p.Message == "" {
					t.Errorf("%s: %+v", tt.name, p)
				}
			}
		}
	})
}

// RFC 9110 section 9.3.2: an answer to HEAD has no body.
func TestError_HeadWithoutBody(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		for _, target := range []string{r.manifest("v1"), r.blob(digest.FromBytes(random(8))), r.path("blobs/sha256:x"), r.path("nothing/here")} {
			if res := r.head(t, target); res.status/100 != 4 || len(res.body) != 0 {
				t.Errorf("%s: status %d, body %q", res.request, res.status, res.body)
			}
		}
	})
}

// RFC 9110 section 15.5.6: 405 with Allow for a method that an end-point doesn't have.
func TestError_Method405(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		d, _ := r.pushImage(t, "v1")
		for _, tt := range []struct{ method, target, allowed string }{
			{http.MethodPost, r.manifest("v1"), "GET"}, {http.MethodPatch, r.manifest(d), "PUT"},
			{http.MethodPut, r.blob(d), "GET"}, {http.MethodPost, r.blob(d), "DELETE"},
			{http.MethodPut, r.path("tags/list"), "GET"}, {http.MethodDelete, r.path("tags/list"), "GET"},
			{http.MethodPost, r.path("referrers/%s", d), "GET"}, {http.MethodDelete, r.path("referrers/%s", d), "GET"},
			{http.MethodGet, r.path("blobs/uploads/"), "POST"}, {http.MethodPut, r.path("blobs/uploads/"), "POST"},
			{http.MethodPost, r.begin(t), "PATCH"}, {http.MethodPost, r.rootPath("/v2/"), "GET"},
			{http.MethodDelete, r.rootPath("/v2/_catalog"), "GET"}, {http.MethodPut, r.rootPath("/v2/token"), "POST"},
			{"BREW", r.manifest("v1"), "GET"},
		} {
			res := r.do(t, tt.method, tt.target).refused(t, http.StatusMethodNotAllowed, "UNSUPPORTED")
			if allow := res.header.Get("Allow"); !strings.Contains(allow, tt.allowed) || strings.Contains(allow, tt.method) {
				t.Errorf("%s: Allow %q", res.request, allow)
			}
		}
	})
}

// Paths that are no end-points, with a JSON body as well: docker shows what comes.
func TestError_NoEndpoint404(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		r.pushImage(t, "v1")
		for _, path := range []string{"", "x", "manifests", "manifests/", "blobs", "blobs/", "tags", "tags/", "tags/list/", "tags/lists", "referrers/", "manifests/v1/", "manifests/v1/x"} {
			res := r.get(t, r.path("%s", path))
			res.want(t, http.StatusNotFound, http.StatusBadRequest).problems(t)
		}
	})
}

// A request whose body was not read must not spoil the next one on the same connection.
func TestError_ConnectionStaysUsable(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		_, b := r.pushImage(t, "v1")
		for range 5 {
			// Errors of sending are those of a connection that the server closed early, which it may.
			_, _ = r.by("").send(http.MethodPost, r.path("blobs/uploads/?digest=sha256:%064d", 0), body(random(1<<20)))
			_, _ = r.send(http.MethodPatch, r.path("blobs/uploads/x"), body(random(1<<20)))
			_, _ = r.send(http.MethodPut, r.manifest("v2"), header("Content-Type", typeManifest), body(random(maxManifest+1)))
			r.get(t, r.manifest("v1")).want(t, http.StatusOK).wantBody(t, b)
		}
	})
}
