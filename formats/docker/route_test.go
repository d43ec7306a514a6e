package docker

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
)

// resolve resolves a request for a path with an optional query.
func resolve(method, target string) (format.Route, error) {
	r := httptest.NewRequest(method, "/", nil)
	path, query, _ := strings.Cut(target, "?")
	r.URL = &url.URL{Path: path, RawQuery: query}
	return docker{}.Resolve(r, path)
}

func TestResolve(t *testing.T) {
	d256, d512 := digest.Digest(sha256), digest.Digest(sha512)
	blob := format.Route{Action: content.Read, Path: "/v2/a/b/blobs/" + sha256, Class: content.Immutable, Kind: kindBlob, Name: "a/b", Expect: d256}
	blobDelete := blob
	blobDelete.Action = content.Delete
	upload := format.Route{Action: content.Add, Path: "/v2/a/blobs/uploads/", Class: content.Mutable, Kind: kindUpload, Name: "a"}
	session := upload
	session.Path += "x_Y-1"
	tag := format.Route{Action: content.Read, Path: "/v2/a/manifests/v1", Class: content.Mutable, Kind: kindTag, Name: "a",
		MaxSize: MaxManifest, Metadata: true}
	tagPut := tag
	tagPut.Action = content.Edit
	tagDelete := tag
	tagDelete.Action = content.Delete
	man := format.Route{Action: content.Read, Path: "/v2/a/manifests/" + sha512, Class: content.Immutable, Kind: kindManifest, Name: "a", Expect: d512,
		MaxSize: MaxManifest, Metadata: true}
	manPut := man
	manPut.Action, manPut.Aliases = content.Edit, []string{"1", "1.2"}
	manDelete := man
	manDelete.Action, manDelete.Along = content.Delete, &content.List{Kind: kindTag, Name: "a", Digest: d512}
	tags := format.Route{Action: content.Read, Path: "/v2/a/tags/list", Class: content.Query, Kind: kindTags, Name: "a",
		List: content.List{Kind: kindTag, Name: "a", Brief: true, Limit: pageSize}}
	tagsPage := tags
	tagsPage.List.Limit, tagsPage.List.After = 2, "/v2/a/manifests/v1"
	catalog := format.Route{Action: content.Browse, Path: "/v2/_catalog", Class: content.Query, Kind: kindCatalog,
		List: content.List{Names: true, Kind: kindManifest, Limit: 3, After: "x/y"}}
	named := func(r format.Route, name string) format.Route {
		r.Path, r.Name = strings.Replace(r.Path, "/"+r.Name+"/", "/"+name+"/", 1), name
		if r.List.Name != "" {
			r.List.Name = name
		}
		return r
	}
	tests := []struct {
		name   string
		method string
		target string
		want   format.Route
	}{
		{"ping", "GET", "/v2/", format.Route{Path: "/v2/", Kind: kindPing}},
		{"ping without slash", "HEAD", "/v2", format.Route{Path: "/v2", Kind: kindPing}},
		{"token", "GET", "/v2/token?scope=x", format.Route{Path: "/v2/token", Kind: kindToken, Open: true}},
		{"token by form", "POST", "/v2/token", format.Route{Path: "/v2/token", Kind: kindToken, Open: true}},
		{"ping v1", "GET", "/v1/_ping", format.Route{Path: "/v1/_ping", Kind: kindPingV1, Open: true}},
		{"search", "GET", "/v1/search?q=x", format.Route{Action: content.Browse, Path: "/v1/search", Kind: kindSearch}},
		{"blob", "GET", "/v2/a/b/blobs/" + sha256, blob},
		{"blob head", "HEAD", "/v2/a/b/blobs/" + sha256, blob},
		{"blob delete", "DELETE", "/v2/a/b/blobs/" + sha256, blobDelete},
		{"upload", "POST", "/v2/a/blobs/uploads/", upload},
		{"upload without slash", "POST", "/v2/a/blobs/uploads", upload},
		{"session", "PATCH", "/v2/a/blobs/uploads/x_Y-1", session},
		{"session put", "PUT", "/v2/a/blobs/uploads/x_Y-1?digest=x", session},
		{"session status", "GET", "/v2/a/blobs/uploads/x_Y-1", session},
		{"session cancel", "DELETE", "/v2/a/blobs/uploads/x_Y-1", session},
		{"tag", "GET", "/v2/a/manifests/v1", tag},
		{"tag put", "PUT", "/v2/a/manifests/v1?tag=ignored", tagPut},
		{"tag delete", "DELETE", "/v2/a/manifests/v1", tagDelete},
		{"manifest", "HEAD", "/v2/a/manifests/" + sha512, man},
		{"manifest put with tags", "PUT", "/v2/a/manifests/" + sha512 + "?tag=1&tag=1.2&tag=1", manPut},
		{"manifest delete", "DELETE", "/v2/a/manifests/" + sha512, manDelete},
		{"tags", "GET", "/v2/a/tags/list", tags},
		{"tags page", "GET", "/v2/a/tags/list?n=2&last=v1", tagsPage},
		{"catalog", "GET", "/v2/_catalog?n=3&last=x/y", catalog},
		{"referrers", "GET", "/v2/a/referrers/" + sha256,
			format.Route{Action: content.Read, Path: "/v2/a/referrers/" + sha256, Class: content.Index, Kind: kindReferrers, Name: "a"}},

		{"name with tags/list", "GET", "/v2/a/tags/list/tags/list", named(tags, "a/tags/list")},
		{"name with uploads", "GET", "/v2/a/blobs/uploads/manifests/v1", named(tag, "a/blobs/uploads")},
		{"name manifests", "GET", "/v2/manifests/manifests/v1", named(tag, "manifests")},
		{"name blobs", "POST", "/v2/blobs/blobs/uploads/", named(upload, "blobs")},
		{"name uploads", "POST", "/v2/blobs/uploads/blobs/uploads/", named(upload, "blobs/uploads")},
		{"name manifests/x in tags", "GET", "/v2/a/manifests/tags/list", named(tags, "a/manifests")},
		{"name token", "GET", "/v2/token/tags/list", named(tags, "token")},
		{"tag called list", "GET", "/v2/a/manifests/list", named(format.Route{Action: content.Read, Path: "/v2/a/manifests/list",
			Class: content.Mutable, Kind: kindTag, Name: "a", MaxSize: MaxManifest, Metadata: true}, "a")},

		// containerd's mirrors say whose place they take; the repository is known by then.
		{"manifest of a mirror", "HEAD", "/v2/a/manifests/v1?ns=docker.io", tag},
		{"blob of a mirror", "GET", "/v2/a/b/blobs/" + sha256 + "?ns=docker.io", blob},
		{"tags of a mirror", "GET", "/v2/a/tags/list?ns=https%3A%2F%2F169.254.169.254%2F", tags},
		{"referrers of a mirror", "GET", "/v2/a/referrers/" + sha256 + "?ns=docker.io",
			format.Route{Action: content.Read, Path: "/v2/a/referrers/" + sha256, Class: content.Index, Kind: kindReferrers, Name: "a"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := resolve(tt.method, tt.target)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got, cmpopts.IgnoreFields(format.Route{}, "Handler")); diff != "" {
				t.Error(diff)
			}
			handled := slices.Contains([]string{kindPing, kindToken, kindPingV1, kindSearch, kindUpload}, got.Kind)
			if (got.Handler != nil) != handled {
				t.Errorf("handler: %v, want %v", got.Handler != nil, handled)
			}
		})
	}
}

func TestResolveContentType(t *testing.T) {
	r := httptest.NewRequest("PUT", "/v2/a/manifests/v1", nil)
	r.Header.Set("Content-Type", "application/x+json")
	route, err := docker{}.Resolve(r, r.URL.Path)
	if err != nil || route.ContentType != "application/x+json" {
		t.Errorf("content type %q, error %v", route.ContentType, err)
	}
}

func TestResolveErrors(t *testing.T) {
	many := make([]string, maxAliases+1)
	for i := range many {
		many[i] = "tag=" + strings.Repeat("x", i+1)
	}
	tests := []struct {
		name   string
		method string
		target string
		kind   errs.Kind
		code   string
		allow  string
	}{
		{"nothing", "GET", "", errs.NotFound, "", ""},
		{"root", "GET", "/", errs.NotFound, "", ""},
		{"other version", "GET", "/v3/a/tags/list", errs.NotFound, "", ""},
		{"other v1", "GET", "/v1/images", errs.NotFound, "", ""},
		{"no operation", "GET", "/v2/a", errs.NotFound, "", ""},
		{"unknown operation", "GET", "/v2/a/b/c", errs.NotFound, "", ""},
		{"no name", "GET", "/v2/manifests/v1", errs.NotFound, "", ""},
		{"empty name", "GET", "/v2//manifests/v1", errs.Invalid, codeNameInvalid, ""},
		{"trailing slash", "GET", "/v2/a/manifests/v1/", errs.NotFound, "", ""},
		{"trailing slash of a list", "GET", "/v2/a/tags/list/", errs.NotFound, "", ""},
		{"capitals", "GET", "/v2/A/manifests/v1", errs.Invalid, codeNameInvalid, ""},
		{"parent", "GET", "/v2/../manifests/v1", errs.Invalid, codeNameInvalid, ""},
		{"bad tag", "GET", "/v2/a/manifests/-v1", errs.NotFound, codeManifestUnknown, ""},
		{"bad tag to delete", "DELETE", "/v2/a/manifests/.v1", errs.NotFound, codeManifestUnknown, ""},
		{"bad tag to push", "PUT", "/v2/a/manifests/-v1", errs.Invalid, codeTagInvalid, ""},
		{"bad digest", "GET", "/v2/a/manifests/sha256:baddigeststring", errs.Invalid, codeDigestInvalid, ""},
		{"bad blob digest", "GET", "/v2/a/blobs/v1", errs.Invalid, codeDigestInvalid, ""},
		{"unsupported blob digest", "GET", "/v2/a/blobs/md5:" + hex256[:32], errs.Invalid, codeDigestInvalid, ""},
		{"bad referrers digest", "GET", "/v2/a/referrers/v1", errs.Invalid, codeDigestInvalid, ""},
		{"bad alias", "PUT", "/v2/a/manifests/" + sha256 + "?tag=-", errs.Invalid, codeTagInvalid, ""},
		{"many aliases", "PUT", "/v2/a/manifests/" + sha256 + "?" + strings.Join(many, "&"), errs.Invalid, codeTagInvalid, ""},
		{"n is a word", "GET", "/v2/a/tags/list?n=x", errs.Invalid, codePageInvalid, ""},
		{"n is negative", "GET", "/v2/_catalog?n=-1", errs.Invalid, codePageInvalid, ""},
		{"n has a sign", "GET", "/v2/_catalog?n=%2B1", errs.Invalid, codePageInvalid, ""},
		{"last has a NUL", "GET", "/v2/a/tags/list?last=%00", errs.Invalid, codePageInvalid, ""},
		{"ping post", "POST", "/v2/", errs.MethodNotAllowed, codeUnsupported, "GET, HEAD"},
		{"token put", "PUT", "/v2/token", errs.MethodNotAllowed, codeUnsupported, "GET, POST"},
		{"blob put", "PUT", "/v2/a/blobs/" + sha256, errs.MethodNotAllowed, codeUnsupported, "GET, HEAD, DELETE"},
		{"manifest post", "POST", "/v2/a/manifests/v1", errs.MethodNotAllowed, codeUnsupported, "GET, HEAD, PUT, DELETE"},
		{"uploads get", "GET", "/v2/a/blobs/uploads/", errs.MethodNotAllowed, codeUnsupported, "POST"},
		{"session post", "POST", "/v2/a/blobs/uploads/x", errs.MethodNotAllowed, codeUnsupported, "GET, HEAD, PATCH, PUT, DELETE"},
		{"tags delete", "DELETE", "/v2/a/tags/list", errs.MethodNotAllowed, codeUnsupported, "GET, HEAD"},
		{"odd method", "BREW", "/v2/_catalog", errs.MethodNotAllowed, codeUnsupported, "GET, HEAD"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := resolve(tt.method, tt.target)
			e := errs.As(err)
			if err == nil || e.Kind != tt.kind || e.Code != tt.code {
				t.Fatalf("got %v (kind %d, code %q)", err, e.Kind, e.Code)
			}
			if tt.allow != "" && allowed(e) != tt.allow {
				t.Errorf("allow %q, want %q", allowed(e), tt.allow)
			}
		})
	}
}

// Whatever comes in, Resolve gives a route that is whole, or an error of a kind that is the client's.
func FuzzResolve(f *testing.F) {
	f.Add("GET", "/v2/", "")
	f.Add("GET", "/v2/a/b/blobs/"+sha256, "")
	f.Add("PUT", "/v2/a/manifests/"+sha512, "tag=1&tag=2")
	f.Add("POST", "/v2/blobs/uploads/blobs/uploads/", "mount=x&from=y")
	f.Add("PATCH", "/v2/a/blobs/uploads/id", "")
	f.Add("GET", "/v2/a/tags/list", "n=5&last=x")
	f.Add("GET", "/v2/_catalog", "n=99999999999999999999")
	f.Add("DELETE", "/v2/a/manifests/latest", "%zz")
	f.Add("GET", "/v2/a/referrers/"+sha256, "artifactType=x")
	f.Fuzz(func(t *testing.T, method, path, query string) {
		r := &http.Request{Method: method, URL: &url.URL{Path: path, RawQuery: query}, Header: http.Header{}}
		route, err := docker{}.Resolve(r, path)
		if err != nil {
			if k := errs.As(err).Kind; k != errs.NotFound && k != errs.Invalid && k != errs.MethodNotAllowed {
				t.Errorf("error of kind %d: %v", k, err)
			}
			return
		}
		if !strings.HasPrefix(route.Path, "/v2") && !strings.HasPrefix(route.Path, "/v1/") || route.Kind == "" {
			t.Errorf("route %+v", route)
		}
		if route.Name != "" && !namePattern.MatchString(route.Name) {
			t.Errorf("name %q", route.Name)
		}
		if rest, ok := strings.CutPrefix(route.Path, "/v2/"); ok && route.Name == "" && strings.Contains(rest, "/") {
			t.Errorf("a path with a name but no name: %q", route.Path)
		}
		if route.List.Limit < 0 || route.List.Limit > pageSize {
			t.Errorf("limit %d", route.List.Limit)
		}
		docker{}.ResolveRoot(r, path)
		if repo, rest := (docker{}).Enter(path); repo != "" && !strings.HasPrefix(rest, "/v2/") {
			t.Errorf("Enter(%q) = %q, %q", path, repo, rest)
		}
	})
}
