package proxy

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/core/repository"
)

// registry is an upstream with one image, a, of two platforms, of which it has one: the tag is 1, it has a referrer, and the rest is
// absent.
type registry struct {
	layer, config          string
	platform, index, about string
	other                  string
}

func newRegistryScript() registry {
	g := registry{layer: strings.Repeat("layer ", 10<<10), config: "{}", other: digest.FromString("another platform").String()}
	g.platform = fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/x","digest":%q,"size":2},"layers":[{"mediaType":"application/x","digest":%q,"size":%d}]}`,
		typeManifest, digest.FromString(g.config), digest.FromString(g.layer), len(g.layer))
	child := func(d string, arch string) string {
		return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d,"platform":{"os":"linux","architecture":%q}}`, typeManifest, d, len(g.platform), arch)
	}
	g.index = fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[%s,%s]}`, typeIndex, child(digest.FromString(g.platform).String(), "amd64"), child(g.other, "arm64"))
	g.about = fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"digest":%q,"size":1,"artifactType":"x"}]}`, typeIndex, typeManifest, digest.FromString("sbom"))
	return g
}

func (g registry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	content := func(contentType, body string) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Docker-Content-Digest", digest.FromString(body).String())
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		fmt.Fprint(w, body)
	}
	switch strings.TrimPrefix(r.URL.Path, "/v2/a/") {
	case "manifests/1", "manifests/" + digest.FromString(g.index).String():
		content(typeIndex, g.index)
	case "manifests/" + digest.FromString(g.platform).String():
		content(typeManifest, g.platform)
	case "blobs/" + digest.FromString(g.layer).String():
		content("application/octet-stream", g.layer)
	case "blobs/" + digest.FromString(g.config).String():
		content("application/octet-stream", g.config)
	case "tags/list":
		content("application/json", `{"name":"a","tags":["1"]}`)
	case "referrers/" + digest.FromString(g.index).String():
		content(typeIndex, g.about)
	default:
		http.NotFound(w, r)
	}
}

// paths are the ones of all that can be read of the image, with what is there.
func (g registry) paths() map[string]string {
	at := func(kind, body string) string { return kind + "/" + digest.FromString(body).String() }
	return map[string]string{
		"manifests/1": g.index, at("manifests", g.index): g.index, at("manifests", g.platform): g.platform,
		at("blobs", g.layer): g.layer, at("blobs", g.config): g.config,
		"tags/list": `["1"]`, at("referrers", g.index): digest.FromString("sbom").String(),
	}
}

// methods are those of requests, in order: "GET GET".
func methods(requests []string) string {
	var list []string
	for _, r := range requests {
		method, _, _ := strings.Cut(r, " ")
		list = append(list, method)
	}
	return strings.Join(list, " ")
}

// containerd says whose mirror it takes a repository for, at every request. That leads to the same, and upstream is not told.
func TestNamespace(t *testing.T) {
	u, s := newScriptedProxy(t)
	g := newRegistryScript()
	u.handle(g.ServeHTTP)
	for path, want := range g.paths() {
		for _, repository := range []string{"/v2/lasting", "/v2/all", "/repository/far/v2"} {
			for _, method := range []string{"HEAD", "GET"} {
				code, h, body := call(t, method, s.host+repository+"/a/"+path+"?ns=docker.io", "", "")
				if code != 200 || method == "GET" && !strings.Contains(body, want) {
					t.Errorf("%s %s/a/%s: %d %s", method, repository, path, code, body)
				}
				if !strings.HasPrefix(path, "tags") && !strings.HasPrefix(path, "referrers") && h.Get("Docker-Content-Digest") != digest.FromString(want).String() {
					t.Errorf("%s %s/a/%s: digest %q", method, repository, path, h.Get("Docker-Content-Digest"))
				}
			}
		}
	}
	for _, request := range u.take() {
		if strings.Contains(request, "ns=") {
			t.Errorf("upstream was asked %s", request)
		}
	}
	// What was read with it is there without it, and with another one.
	for path := range g.paths() {
		for _, query := range []string{"", "?ns=ghcr.io"} {
			if code, _, body := call(t, "GET", s.host+"/v2/lasting/a/"+path+query, "", ""); code != 200 {
				t.Errorf("%s%s: %d %s", path, query, code, body)
			}
		}
	}
	if requests := u.take(); len(requests) > 0 {
		t.Errorf("upstream was asked %q", requests)
	}
}

// What a digest names is asked for once, whatever the ages; what can change after its age only, a tag by HEAD.
func TestFreshness(t *testing.T) {
	u, address := newScripted(t)
	s := newServer(t, true)
	for name, age := range map[string]int{"always": 0, "later": 60, "never": -1} {
		s.create(t, repository.Config{
			Name: name, Type: repository.Proxy, Proxy: &repository.ProxyConfig{RemoteURL: address.url, ContentMaxAge: 0, MetadataMaxAge: age},
		}, false)
	}
	g := newRegistryScript()
	u.handle(g.ServeHTTP)
	for path := range g.paths() {
		immutable := strings.Contains(path, "sha256:") && !strings.HasPrefix(path, "referrers")
		for _, repository := range []string{"always", "later", "never"} {
			at := s.host + "/v2/" + repository + "/a/" + path
			if code, _, body := call(t, "GET", at, "", ""); code != 200 {
				t.Fatalf("%s: %d %s", at, code, body)
			}
			// An index comes with its tag.
			if got := methods(u.take()); got != "GET" && !(got == "" && strings.HasSuffix(path, digest.FromString(g.index).String())) {
				t.Errorf("the first read of %s: upstream was asked by %s", path, got)
			}
			want := ""
			switch {
			case immutable || repository != "always":
			case path == "manifests/1":
				want = "HEAD"
			default:
				want = "GET" // a list has no digest
			}
			for _, method := range []string{"GET", "HEAD"} {
				if code, _, body := call(t, method, at, "", ""); code != 200 {
					t.Errorf("%s %s: %d %s", method, at, code, body)
				}
				if got := methods(u.take()); got != want {
					t.Errorf("%s of %s in %s: upstream was asked by %q, want %q", method, path, repository, got, want)
				}
			}
		}
	}
	// While upstream is down all is there.
	u.handle(status(http.StatusInternalServerError))
	for path, want := range g.paths() {
		for _, repository := range []string{"always", "later", "never"} {
			for _, method := range []string{"GET", "HEAD"} {
				if code, _, body := call(t, method, s.host+"/v2/"+repository+"/a/"+path, "", ""); code != 200 || method == "GET" && !strings.Contains(body, want) {
					t.Errorf("%s %s in %s while upstream is down: %d %s", method, path, repository, code, body)
				}
			}
		}
	}
}

// Of an index for many platforms those are fetched that somebody asks for; it is there without the others, and stays so.
func TestPlatforms(t *testing.T) {
	u, s := newScriptedProxy(t)
	g := newRegistryScript()
	u.handle(g.ServeHTTP)
	get := func(path string, want int) string {
		t.Helper()
		code, _, body := call(t, "GET", s.host+"/v2/all/a/"+path, "", "")
		if code != want {
			t.Errorf("%s: %d %s, want %d", path, code, body, want)
		}
		return body
	}
	if body := get("manifests/1", 200); body != g.index {
		t.Errorf("index %s", body)
	}
	if requests := u.take(); !slices.Equal(requests, []string{"GET /v2/a/manifests/1"}) {
		t.Errorf("for an index upstream was asked %q", requests)
	}
	// The manifest comes without its layers.
	platform := "manifests/" + digest.FromString(g.platform).String()
	if body := get(platform, 200); body != g.platform {
		t.Errorf("manifest %s", body)
	}
	if requests := u.take(); !slices.Equal(requests, []string{"GET /v2/a/" + platform}) {
		t.Errorf("for a platform upstream was asked %q", requests)
	}
	get("manifests/"+g.other, 404)
	get("manifests/1", 200)
	u.handle(status(http.StatusInternalServerError))
	for _, path := range []string{"manifests/1", platform, "manifests/" + digest.FromString(g.index).String()} {
		get(path, 200)
	}
	// A layer that was never fetched can't be had now; what there is stays.
	if code, _, body := call(t, "GET", s.host+"/v2/far/a/blobs/"+digest.FromString(g.layer).String(), "", ""); code != 503 {
		t.Errorf("a layer: %d %s", code, body)
	}
	get(platform, 200)
	// An index that was pulled is pushed to a group as it is: its platforms may be absent.
	s.group(t, "writable", "local", "far", "local")
	if code, _, body := call(t, "PUT", s.host+"/v2/writable/a/manifests/mine", typeIndex, g.index); code != 201 {
		t.Errorf("push of the index: %d %s", code, body)
	}
}
