package proxy

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/core/repository"
)

// scripted is an upstream that does what none that can be started here does.
type scripted struct {
	mu sync.Mutex
	// handler answers; requests are those it got, as "GET /path?query".
	handler  http.HandlerFunc
	requests []string
}

func newScripted(t *testing.T) (*scripted, upstream) {
	t.Helper()
	s := &scripted{}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.requests = append(s.requests, r.Method+" "+r.URL.RequestURI())
		handler := s.handler
		s.mu.Unlock()
		handler(w, r)
	}))
	t.Cleanup(web.Close)
	return s, upstream{url: web.URL}
}

func (s *scripted) handle(h http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handler = h
}

// take returns the requests since the last call.
func (s *scripted) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.requests
	s.requests = nil
	return r
}

const image = `{"schemaVersion":2,"mediaType":"` + typeIndex + `","manifests":[]}`

// serve answers with a manifest.
func serve(manifest string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", typeIndex)
		w.Header().Set("Docker-Content-Digest", digest.FromString(manifest).String())
		fmt.Fprint(w, manifest)
	}
}

func status(code int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
	}
}

// newScriptedProxy is a server with the proxy far, which always asks again, the proxy lasting, which never does, and the group all.
func newScriptedProxy(t *testing.T) (*scripted, *server) {
	t.Helper()
	u, at := newScripted(t)
	s := newServer(t, true)
	s.proxy(t, "far", at)
	s.create(t, repository.Config{Name: "lasting", Type: repository.Proxy, Proxy: &repository.ProxyConfig{RemoteURL: at.url, ContentMaxAge: -1, MetadataMaxAge: -1}}, false)
	s.hosted(t, "local", false)
	s.group(t, "all", "", "far", "local")
	return u, s
}

// A tag costs upstream a HEAD as long as it stays where it is, a GET when it moves or where HEAD is not known.
func TestRevalidation(t *testing.T) {
	u, s := newScriptedProxy(t)
	moved := strings.Replace(image, "[]", "[ ]", 1)
	for _, step := range []struct {
		name    string
		handler http.HandlerFunc
		asks    string
		want    string
	}{
		{"first", serve(image), "GET", image},
		{"unchanged", serve(image), "HEAD", image},
		{"moved", serve(moved), "HEAD GET", moved},
		{"no HEAD", func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodHead {
				w.WriteHeader(http.StatusMethodNotAllowed)
				return
			}
			serve(image)(w, r)
		}, "HEAD GET", image},
		{"down", status(500), "HEAD", image},
		{"too many requests", status(429, "Retry-After", "0"), "HEAD", image},
		{"gone", status(404), "HEAD GET", image},
	} {
		u.handle(step.handler)
		u.take()
		code, _, body := call(t, "GET", s.host+"/v2/far/a/manifests/1", "", "")
		var methods []string
		for _, request := range u.take() {
			method, _, _ := strings.Cut(request, " ")
			methods = append(methods, method)
		}
		if got := strings.Join(methods, " "); code != 200 || body != step.want || got != step.asks {
			t.Errorf("%s: %d %q after %q, want %q after %q", step.name, code, body, got, step.want, step.asks)
		}
	}
}

// What upstream refuses is told in the words of the format.
func TestRefusals(t *testing.T) {
	for _, test := range []struct {
		name    string
		handler http.HandlerFunc
		code    int
		word    string
		again   string
	}{
		{"absent", status(404), 404, "MANIFEST_UNKNOWN", ""},
		{"too many requests", status(429, "Retry-After", "120"), 429, "TOOMANYREQUESTS", "120"},
		{"server error", status(500), 503, "UNAVAILABLE", ""},
		{"forbidden", status(403), 503, "UNAVAILABLE", ""},
		{"sign in", status(401, "WWW-Authenticate", `Basic realm="x"`), 503, "UNAVAILABLE", ""},
		{"nonsense", status(200, "Content-Type", "text/html"), 502, "UNAVAILABLE", ""},
		{"a strange status", status(418), 502, "UNAVAILABLE", ""},
		{"other bytes than its header says", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Docker-Content-Digest", digest.FromString("x").String())
			w.Header().Set("Content-Type", typeIndex)
			fmt.Fprint(w, image)
		}, 502, "UNAVAILABLE", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			u, s := newScriptedProxy(t)
			u.handle(test.handler)
			for _, repository := range []string{"far", "all"} {
				code, h, body := call(t, "GET", s.host+"/v2/"+repository+"/a/manifests/1", "", "")
				if code != test.code || !strings.Contains(body, `"`+test.word+`"`) || h.Get("Retry-After") < test.again || h.Get("Content-Type") != "application/json" {
					t.Errorf("%s: %d %s, Retry-After %q", repository, code, body, h.Get("Retry-After"))
				}
			}
			if test.again != "" {
				return // it is left alone
			}
			u.handle(serve(image))
			if code, _, body := call(t, "GET", s.host+"/v2/far/a/manifests/1", "", ""); code != 200 || body != image {
				t.Errorf("afterwards: %d %s", code, body)
			}
		})
	}
}

// A registry that refuses its own token says that there is no such image, or that it is not for us.
func TestDenied(t *testing.T) {
	u, s := newScriptedProxy(t)
	u.handle(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			fmt.Fprint(w, `{"token":"t"}`)
			return
		}
		problem := ""
		if r.Header.Get("Authorization") != "" {
			problem = `,error="insufficient_scope"`
		}
		w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+r.Host+`/token",scope="repository:a:pull"`+problem)
		w.WriteHeader(http.StatusUnauthorized)
	})
	for _, repository := range []string{"far", "all"} {
		for _, path := range []string{"a/manifests/1", "a/blobs/" + digest.FromString("x").String(), "a/tags/list"} {
			if code, _, body := call(t, "GET", s.host+"/v2/"+repository+"/"+path, "", ""); code != 404 || !strings.Contains(body, "_UNKNOWN") {
				t.Errorf("%s/%s: %d %s", repository, path, code, body)
			}
		}
	}
}

// A token server that is not where it should be says nothing of the image: the proxy finds it when the way to the tokens is right again.
func TestTokenServerAway(t *testing.T) {
	u, s := newScriptedProxy(t)
	var away atomic.Bool
	away.Store(true)
	u.handle(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/token" && away.Load():
			http.NotFound(w, r)
		case r.URL.Path == "/token":
			fmt.Fprint(w, `{"token":"t"}`)
		case r.Header.Get("Authorization") == "":
			w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+r.Host+`/token",scope="repository:a:pull"`)
			w.WriteHeader(http.StatusUnauthorized)
		default:
			w.Header().Set("Content-Type", typeIndex)
			fmt.Fprint(w, image)
		}
	})
	for _, want := range []int{503, 200} {
		for _, repository := range []string{"far", "all"} {
			if code, _, body := call(t, "GET", s.host+"/v2/"+repository+"/a/manifests/1", "", ""); code != want {
				t.Errorf("%s: %d %s, not %d", repository, code, body, want)
			}
		}
		away.Store(false)
	}
}

// Upstream's lists come in pages that lead on by what only upstream understands. Clients get pages of the sizes that they want.
func TestPages(t *testing.T) {
	u, s := newScriptedProxy(t)
	const all, size = 25, 10
	u.handle(func(w http.ResponseWriter, r *http.Request) {
		first, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Query().Get("token"), "page "))
		last := min(first+size, all)
		if last < all {
			w.Header().Set("Link", fmt.Sprintf(`<http://elsewhere.example%s?token=page+%d>; rel="next"`, r.URL.Path, last))
		}
		answer := map[string]any{"name": "a"}
		var items, descriptors []any
		for n := first; n < last; n++ {
			items = append(items, fmt.Sprintf("v%03d", n))
			descriptors = append(descriptors, map[string]any{"mediaType": typeManifest, "digest": fmt.Sprintf("sha256:%064x", n), "size": 1})
		}
		switch {
		case strings.HasSuffix(r.URL.Path, "/_catalog"):
			answer["repositories"] = items
		case strings.Contains(r.URL.Path, "/referrers/"):
			w.Header().Set("Content-Type", typeIndex)
			answer["manifests"] = descriptors
		default:
			answer["tags"] = items
		}
		json.NewEncoder(w).Encode(answer)
	})
	// walk follows Links and returns all items.
	walk := func(path string) []string {
		t.Helper()
		var got []string
		for n := 0; path != ""; n++ {
			code, h, body := call(t, "GET", s.host+path, "", "")
			var answer struct {
				Tags, Repositories []string
				Manifests          []struct{ Digest string }
			}
			if err := json.Unmarshal([]byte(body), &answer); code != 200 || err != nil || n > 2*all {
				t.Fatalf("%s: %d %s", path, code, body)
			}
			got = append(append(got, answer.Tags...), answer.Repositories...)
			for _, m := range answer.Manifests {
				got = append(got, m.Digest)
			}
			path, _, _ = strings.Cut(strings.TrimPrefix(h.Get("Link"), "<"), ">")
		}
		return got
	}
	for _, repository := range []string{"lasting", "far", "all"} {
		for _, list := range []string{"a/tags/list", "a/referrers/" + digest.FromString("x").String()} {
			u.take()
			for _, n := range []int{all + 1, all, 7, 1} {
				got := walk(fmt.Sprintf("/v2/%s/%s?n=%d", repository, list, n))
				if len(got) != all || !slices.IsSorted(got) {
					t.Errorf("%s/%s by %d: %q", repository, list, n, got)
				}
			}
			if n := len(u.take()); repository == "lasting" && n != 3 {
				t.Errorf("%s: upstream was asked %d times for its 3 pages", list, n)
			}
		}
	}
	if got := walk("/repository/lasting/v2/_catalog?n=4"); len(got) != all || !slices.IsSorted(got) {
		t.Errorf("catalog: %q", got)
	}
	// Searches look through all of it.
	if code, _, body := call(t, "GET", s.host+"/repository/lasting/v1/search?q=V024", "", ""); code != 200 || !strings.Contains(body, `"num_results":1,`) {
		t.Errorf("search: %d %s", code, body)
	}
	// A group that has more than upstream's first page goes on where that ends.
	for _, tag := range []string{"a", "v005x", "v024x", "z"} {
		if code, _, body := call(t, "PUT", s.host+"/v2/local/a/manifests/"+tag, typeIndex, image); code != 201 {
			t.Fatal(code, body)
		}
	}
	for _, n := range []int{100, 11, 3, 1} {
		if got := walk(fmt.Sprintf("/v2/all/a/tags/list?n=%d", n)); len(got) != all+4 || !slices.IsSorted(got) {
			t.Errorf("group by %d: %q", n, got)
		}
	}
}

// What upstream calls a manifest doesn't count where the manifest says what it is. Its bytes stay.
func TestTypes(t *testing.T) {
	u, s := newScriptedProxy(t)
	for n, contentType := range []string{"application/json", "text/plain; charset=utf-8", "application/octet-stream", typeManifest} {
		for _, body := range []string{image, strings.Replace(strings.Replace(image, `"mediaType":"`+typeIndex+`",`, "", 1), `[]`, `[{"mediaType":"`+typeManifest+`","digest":"`+digest.FromString("x").String()+`","size":1}]`, 1)} {
			if body != image && contentType == typeManifest {
				continue // nobody can know
			}
			u.handle(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", contentType)
				w.Header().Set("Docker-Content-Digest", digest.FromString(body).String())
				fmt.Fprint(w, body)
			})
			for _, at := range []string{fmt.Sprintf("far/a%d/manifests/1", n), "all/b/manifests/" + digest.FromString(body).String()} {
				for _, method := range []string{"HEAD", "GET"} {
					code, h, got := call(t, method, s.host+"/v2/"+at, "", "")
					if code != 200 || method == "GET" && got != body || h.Get("Content-Type") != typeIndex || h.Get("Docker-Content-Digest") != digest.FromString(body).String() {
						t.Errorf("%s of %s as %s: %d %s %s", method, at, contentType, code, h.Get("Content-Type"), got)
					}
				}
			}
		}
	}
}

// A schema 1 manifest is as good as none, and the client is told why; upstream is not asked for it again and again.
func TestSchema1(t *testing.T) {
	u, address := newScripted(t)
	s := newServer(t, true)
	s.create(t, repository.Config{Name: "far", Type: repository.Proxy, Proxy: &repository.ProxyConfig{RemoteURL: address.url, ContentMaxAge: -1}}, false)
	s.hosted(t, "local", false)
	s.group(t, "all", "", "far", "local")
	u.handle(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/vnd.docker.distribution.manifest.v1+prettyjws")
		w.Header().Set("Docker-Content-Digest", digest.FromString("without signatures").String())
		fmt.Fprint(w, `{"schemaVersion":1,"name":"a","tag":"1","fsLayers":[{"blobSum":"`+digest.FromString("x").String()+`"}],"signatures":[{}]}`)
	})
	for _, repository := range []string{"far", "all", "far"} {
		code, _, body := call(t, "GET", s.host+"/v2/"+repository+"/a/manifests/1", "", "")
		if code != 404 || !strings.Contains(body, `"MANIFEST_INVALID"`) || !strings.Contains(body, "schema 1") {
			t.Errorf("%s: %d %s", repository, code, body)
		}
	}
	if requests := u.take(); len(requests) != 1 {
		t.Errorf("upstream was asked %q", requests)
	}
	if code, _, body := call(t, "PUT", s.host+"/v2/local/a/manifests/1", typeIndex, image); code != 201 {
		t.Fatal(code, body)
	}
	if code, _, body := call(t, "GET", s.host+"/v2/all/a/manifests/1", "", ""); code != 200 || body != image {
		t.Errorf("what another member has: %d %s", code, body)
	}
}
