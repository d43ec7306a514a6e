package oci

import (
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

// "Pulling manifests": <name> is [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/...)*. The words that end-points are made of are names like
// any other.
func TestName_AnyValid(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		for _, name := range []string{
			"a", "0", "a/b/c/d/e/f", "a.b", "a_b", "a__b", "a-b", "a---b", "a.b_c__d-e", "a/0", "x/library",
			"blobs", "manifests", "tags", "referrers", "uploads", "list", "token", "v2", "v2/v2",
			"a/tags/list", "a/tags/list/b", "a/blobs/uploads", "a/blobs/uploads/b", "blobs/uploads", "tags/list", "a/manifests/latest", "a/manifests",
			"a/referrers/b", "manifests/manifests", "blobs/blobs", "referrers/referrers", "repository/x",
			strings.Repeat("a", 255-len(r.prefix)-len(r.image)-1), strings.Repeat("a/", 50) + "a",
		} {
			x := r.named(r.image + "/" + name)
			d, b := x.pushImage(t, "v1")
			blob := x.pushBlob(t, random(10))
			x.get(t, x.manifest("v1")).want(t, http.StatusOK).wantBody(t, b)
			x.get(t, x.manifest(d)).want(t, http.StatusOK).wantBody(t, b)
			x.head(t, x.blob(blob)).want(t, http.StatusOK)
			wantTags(t, x.tags(t), "v1")
			_, referrers := x.referrers(t, d)
			wantReferrers(t, referrers)
			x.remove(t, x.manifest("v1")).want(t, http.StatusAccepted)
			wantTags(t, x.tags(t))
		}
	})
}

// The same names at the root of the repository. Since all entries share it, each has a tag of its own.
func TestName_AtTheRoot(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		for _, name := range []string{"a", "blobs", "manifests", "tags", "token", "v2", "uploads", "blobs/uploads", "tags/list", "manifests/manifests", "referrers"} {
			x, tag := r.named(name), "by-"+r.entry.name
			_, b := x.pushImage(t, tag)
			x.get(t, x.manifest(tag)).want(t, http.StatusOK).wantBody(t, b)
		}
	})
}

// badNames are what can't be a name. "Pulling manifests" has the pattern; a name of more than 255 bytes is refused by clients.
var badNames = []string{
	"UPPER", "a/B", "-a", "a-", ".a", "a.", "_a", "a_", "a..b", "a___b", "a._b", "a.-b", "a//b", "a/-/b", "a/./b", "a/../b", "..", "a/..", "%2e%2e", "a/%2e%2e/b",
	"a%2Fb%2F..%2F..", "a%5Cb", "a%00", "a%20b", "%C3%A4", "a+b", "a:b", "a@b", "a*", "a'b", "a%22b", "a%3Bb", "~a", "a%25", "_catalog",
}

// code-8: what can't be a name is refused, or leads nowhere; it is never taken for another name.
func TestName_Invalid(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		b := encode(t, r.newImage(t))
		d := digest.FromBytes(b)
		for _, name := range append([]string{strings.Repeat("a", 256), strings.Repeat("a/", 200) + "a"}, badNames...) {
			at := r.base + "/v2/" + r.prefix + name
			for _, res := range []response{
				r.get(t, at+"/manifests/v1"), r.get(t, at+"/tags/list"), r.get(t, at+"/blobs/"+d.String()), r.get(t, at+"/referrers/"+d.String()),
				r.do(t, http.MethodPost, at+"/blobs/uploads/"), r.do(t, http.MethodPut, at+"/manifests/v1", body(b)), r.remove(t, at+"/manifests/v1"),
			} {
				res.want(t, http.StatusBadRequest, http.StatusNotFound).problems(t)
			}
		}
	})
}

// No path leads out of the repository, nor to files of the server.
func TestName_PathTraversal(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		d, b := r.pushImage(t, "v1")
		other := r.sibling()
		other.pushImage(t, "other")
		for _, path := range []string{
			"/v2/%s/../" + other.image + "/manifests/other", "/v2/%s/%2e%2e/x/manifests/other", "/v2/%s/blobs/../manifests/v1",
			"/v2/%s/blobs/uploads/../../manifests/v1", "/v2/%s/blobs/uploads/..%2f..%2fmanifests%2fv1", "/v2/%s/manifests/..%2Fv1",
			"/v2/%s/manifests/../manifests/v1", "/v2/%s/blobs/sha256:..%2f..%2f..%2f..%2fetc%2fpasswd", "/v2/%s/blobs/..%2f..%2f..%2fetc%2fpasswd",
			"/v2/%s//manifests/v1", "/v2//%s/manifests/v1", "/v2/../v2/%s/manifests/v1", "/v2/./%s/manifests/v1", "/v2/%s/manifests/v1%00", "/v2/%s/manifests%2Fv1%2F..",
			"/v2/%s/blobs/" + d.String() + "/../../manifests/v1", "/../../../../etc/passwd", "/v2/../../../../etc/passwd", "/v2/%s/blobs/uploads/%2e%2e%2f%2e%2e%2frepomgr.db",
		} {
			path = r.base + strings.ReplaceAll(path, "%s", r.name())
			res := r.get(t, path)
			if res.status/100 != 4 && res.status/100 != 3 || strings.Contains(string(res.body), "root:") {
				t.Errorf("%s: status %d: %.200s", res.request, res.status, res.body)
			}
			if res.status == http.StatusOK && string(res.body) == string(b) {
				t.Errorf("%s: is the image", res.request)
			}
		}
	})
}
