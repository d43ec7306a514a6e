package docker

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/format"
)

func TestRemote(t *testing.T) {
	for _, test := range []struct {
		name, base, target string
		want               string // path and query below the base
		accept             string
	}{
		{"manifest", "https://registry.example", "/v2/a/manifests/v1", "/v2/a/manifests/v1", "application/vnd.oci.image.index.v1+json"},
		{"manifest by digest", "https://registry.example/", "/v2/a/manifests/" + sha256, "/v2/a/manifests/" + sha256, "application/vnd.docker.distribution.manifest.list.v2+json"},
		{"blob", "https://registry.example", "/v2/a/blobs/" + sha256, "/v2/a/blobs/" + sha256, ""},
		{"referrers", "https://registry.example", "/v2/a/referrers/" + sha256 + "?artifactType=x", "/v2/a/referrers/" + sha256, "application/vnd.oci.image.index.v1+json"},
		{"path", "https://host.example/repository/docker/", "/v2/a/manifests/v1", "/v2/a/manifests/v1", "*/*"},
		{"path with /v2", "https://host.example/v2/", "/v2/a/manifests/v1", "/a/manifests/v1", ""},
		{"path that ends in /v2", "https://host.example/repository/docker/v2", "/v2/a/manifests/v1", "/a/manifests/v1", ""},
		{"path that starts with /v2", "https://host.example/v2/project", "/v2/a/manifests/v1", "/a/manifests/v1", ""},
		{"path that looks like it", "https://host.example/v2x", "/v2/a/manifests/v1", "/v2/a/manifests/v1", ""},
		{"hub", "https://registry-1.docker.io", "/v2/alpine/manifests/latest", "/v2/library/alpine/manifests/latest", ""},
		{"hub in capitals, with /v2", "https://Registry-1.Docker.io:443/v2/", "/v2/alpine/blobs/" + sha256, "/library/alpine/blobs/" + sha256, ""},
		{"hub, library", "https://index.docker.io", "/v2/library/alpine/manifests/latest", "/v2/library/alpine/manifests/latest", ""},
		{"hub, somebody's", "https://docker.io", "/v2/some/image/manifests/latest", "/v2/some/image/manifests/latest", ""},
		{"hub, referrers", "https://hub.docker.com", "/v2/alpine/referrers/" + sha256, "/v2/library/alpine/referrers/" + sha256, ""},
		{"no hub", "https://docker.io.example", "/v2/alpine/manifests/latest", "/v2/alpine/manifests/latest", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			base, err := url.Parse(test.base)
			if err != nil {
				t.Fatal(err)
			}
			route, err := resolve("GET", test.target)
			if err != nil {
				t.Fatal(err)
			}
			got := docker{}.Remote(route, base)
			if got.Path != test.want || got.Query != "" || !strings.Contains(got.Header.Get("Accept"), test.accept) {
				t.Errorf("%+v, want %s", got, test.want)
			}
		})
	}
	t.Run("lists", func(t *testing.T) {
		hub := &url.URL{Scheme: "https", Host: "registry-1.docker.io"}
		for want, l := range map[string]content.List{
			"/v2/library/alpine/tags/list n=1000": {Kind: kindTag, Name: "alpine", Brief: true, Limit: 5, After: "/v2/alpine/manifests/3"},
			"/v2/_catalog n=1000":                 {Kind: kindManifest, Names: true, Contains: "x"},
		} {
			route, ok := docker{}.Ask(l)
			if r := (docker{}).Remote(route, hub); !ok || r.Path+" "+r.Query != want {
				t.Errorf("%+v, want %s", r, want)
			}
		}
		for _, l := range []content.List{{Kind: kindTag, Name: "a"}, {Kind: kindManifest, Name: "a", Subject: digest.Digest(sha256)}, {Kind: kindBlob, Names: true}, {Kind: kindTag, Name: "a", Brief: true, Digest: digest.Digest(sha256)}} {
			if route, ok := (docker{}).Ask(l); ok {
				t.Errorf("%+v is asked for as %s", l, route.Path)
			}
		}
	})
}

func TestCanonical(t *testing.T) {
	for _, test := range []struct {
		name, image, host string
		want              string
	}{
		{"official", "alpine", "registry-1.docker.io", "library/alpine"},
		{"official, whole", "library/alpine", "registry-1.docker.io", "library/alpine"},
		{"somebody's", "grafana/grafana", "docker.io", "grafana/grafana"},
		{"no image", "", "docker.io", ""},
		{"elsewhere", "alpine", "quay.io", "alpine"},
	} {
		if got := (docker{}).Canonical(test.image, &url.URL{Scheme: "https", Host: test.host}); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
	for _, test := range []struct{ path, from, to, want string }{
		{"/v2/alpine/manifests/1", "alpine", "library/alpine", "/v2/library/alpine/manifests/1"},
		{"/v2/library/alpine/tags/list?n=1", "library/alpine", "alpine", "/v2/alpine/tags/list?n=1"},
		{"/v2/alpine/manifests/1", "alp", "x", "/v2/alpine/manifests/1"},
		{"/v2/alpine/", "alpine", "x", "/v2/x/"},
		{"", "", "", ""},
		{"/v2//x", "", "", "/v2//x"},
	} {
		if got := (docker{}).Rename(test.path, test.from, test.to); got != test.want {
			t.Errorf("%s from %s to %s: %s, want %s", test.path, test.from, test.to, got, test.want)
		}
	}
}

func TestSame(t *testing.T) {
	d256, d512 := digest.FromString("x"), digest.SHA512.FromString("x")
	asset := content.Asset{Digest: d256, Blob: content.Blob{SHA256: d256.Encoded()}}
	both := content.Asset{Digest: d512, Blob: content.Blob{SHA256: d256.Encoded(), SHA512: d512.Encoded()}}
	for _, test := range []struct {
		name        string
		header      string
		asset       content.Asset
		same, known bool
	}{
		{"the same", d256.String(), asset, true, true},
		{"another", digest.FromString("y").String(), asset, false, true},
		{"sha512 of a sha256 asset", d512.String(), asset, false, false},
		{"sha512", d512.String(), both, true, true},
		{"sha512 that only the asset knows", d512.String(), content.Asset{Digest: d512, Blob: content.Blob{SHA256: d256.Encoded()}}, true, true},
		{"another sha512", digest.SHA512.FromString("y").String(), both, false, true},
		{"sha256 of a sha512 asset", d256.String(), both, true, true},
		{"none", "", asset, false, false},
		{"no digest", "sha256:x", asset, false, false},
		{"another algorithm", "md5:d41d8cd98f00b204e9800998ecf8427e", asset, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := http.Header{}
			if test.header != "" {
				h.Set("Docker-Content-Digest", test.header)
			}
			if same, known := (docker{}).Same(h, test.asset); same != test.same || known != test.known {
				t.Errorf("same %v, known %v", same, known)
			}
		})
	}
}

func TestPage(t *testing.T) {
	const tags = `{"name":"a","tags":["b","a","B","a","-bad","_1","c",""]}`
	for _, test := range []struct {
		name, body, next string
		list             content.List
		want             []string
		more             bool
	}{
		{name: "sorted, once, valid", body: tags, list: content.List{Limit: 10}, want: []string{"B", "_1", "a", "b", "c"}},
		{name: "limit", body: tags, list: content.List{Limit: 2}, want: []string{"B", "_1"}, more: true},
		{name: "just the limit", body: tags, list: content.List{Limit: 5}, want: []string{"B", "_1", "a", "b", "c"}},
		{name: "after", body: tags, list: content.List{Limit: 2, After: "/v2/a/manifests/_1"}, want: []string{"a", "b"}, more: true},
		{name: "after all, with a next page", body: tags, next: "last=c", list: content.List{Limit: 2, After: "/v2/a/manifests/c"}},
		{name: "after all", body: tags, list: content.List{Limit: 2, After: "/v2/a/manifests/c"}},
		{name: "next page", body: tags, next: "last=c", list: content.List{Limit: 10}, want: []string{"B", "_1", "a", "b", "c"}},
		{name: "limit zero", body: tags, next: "last=c"},
		{name: "null", body: `{"name":"a","tags":null}`, list: content.List{Limit: 2}},
		{name: "names", body: `{"repositories":["b/x","A","a","b/x","a//b"]}`, list: content.List{Names: true, Limit: 10}, want: []string{"a", "b/x"}},
		{name: "names that contain", body: `{"repositories":["b/xY","b/xy","a"]}`, list: content.List{Names: true, Limit: 10, Contains: "XY"}, want: []string{"b/xy"}},
		{name: "names after", body: `{"repositories":["c","a","b"]}`, list: content.List{Names: true, Limit: 1, After: "a"}, want: []string{"b"}, more: true},
		{name: "names, null", body: `{"repositories":null}`, list: content.List{Names: true, Limit: 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if !test.list.Names {
				test.list.Kind, test.list.Name = kindTag, "a"
			}
			page, _, err := docker{}.Page(test.list, format.Document{Body: []byte(test.body), Next: test.next})
			if err != nil || !page.Known {
				t.Fatalf("known %v, error %v", page.Known, err)
			}
			got := page.Names
			for _, a := range page.Assets {
				if a.Kind != kindTag || a.Name != "a" || a.Path != "/v2/a/manifests/"+tagOf(a.Path) {
					t.Errorf("asset %+v", a)
				}
				got = append(got, tagOf(a.Path))
			}
			if !slices.Equal(got, test.want) || page.More != test.more {
				t.Errorf("%q, more %v; want %q, %v", got, page.More, test.want, test.more)
			}
		})
	}
	for _, body := range []string{"", "<html>", `[]`, `{"tags":"x"}`, `{"tags":[1]}`} {
		if _, _, err := (docker{}).Page(content.List{Kind: kindTag, Name: "a"}, format.Document{Body: []byte(body)}); err == nil {
			t.Errorf("%q is a list", body)
		}
	}
}

// Where a page is in upstream's list, and whether those that follow can be left for later.
func TestSpan(t *testing.T) {
	for _, test := range []struct {
		name, tags, next string
		want             format.Span
	}{
		{"the only page", `["a","b"]`, "", format.Span{First: "a", Last: "b", Sorted: true}},
		{"the only page, in another order", `["b","a"]`, "", format.Span{First: "a", Last: "b"}},
		{"by name", `["a","b"]`, "n=2&last=b", format.Span{First: "a", Last: "b", Sorted: true}},
		{"by an escaped name", `["a","b/c"]`, "last=b%2Fc", format.Span{First: "a", Last: "b/c", Sorted: true}},
		{"by name, in another order", `["B","a","C"]`, "last=C", format.Span{First: "B", Last: "a"}},
		{"by a number", `["a","b"]`, "page=2", format.Span{First: "a", Last: "b"}},
		{"by what looks like a name", `["a","b"]`, "last=YmFzZTY0", format.Span{First: "a", Last: "b"}},
		{"no query", `["a","b"]`, "last=%zz", format.Span{First: "a", Last: "b"}},
		{"nothing", `[]`, "last=b", format.Span{Sorted: true}},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, l := range []content.List{{Kind: kindTag, Name: "a", Limit: 1}, {Kind: kindTag, Name: "a", Limit: 1, After: "/z"}, {Names: true, Contains: "z"}} {
				_, got, err := docker{}.Page(l, format.Document{Body: []byte(`{"tags":` + test.tags + `,"repositories":` + test.tags + `}`), Next: test.next})
				if err != nil || got != test.want {
					t.Errorf("%+v: %+v, %v; want %+v", l, got, err, test.want)
				}
			}
		})
	}
}
