package proxy

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/core/remote"
	"github.com/repomgr/repomgr/core/repository"
)

// A layer that upstream doesn't have is fetched from where a manifest says that it is, if the proxy is to keep such layers.
func TestForeignLayers(t *testing.T) {
	const typeForeign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
	blob := strings.Repeat("foreign ", 20<<10)
	d := digest.FromString(blob).String()

	// elsewhere is the server that has the layer.
	var mu sync.Mutex
	var asked []*http.Request
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked = append(asked, r)
		mu.Unlock()
		switch r.URL.Path {
		case "/layer":
			http.ServeContent(w, r, "", time.Time{}, strings.NewReader(blob))
		case "/broken":
			if r.Method == http.MethodGet && r.Header.Get("Range") == "" {
				w.Header().Set("Content-Length", strconv.Itoa(len(blob)))
				fmt.Fprint(w, blob[:len(blob)/2])
				return
			}
			http.ServeContent(w, r, "", time.Time{}, strings.NewReader(blob))
		case "/wrong":
			fmt.Fprint(w, strings.ToUpper(blob))
		case "/down":
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(elsewhere.Close)
	take := func() []*http.Request {
		mu.Lock()
		defer mu.Unlock()
		list := asked
		asked = nil
		return list
	}

	u, address := newScripted(t)
	s := newServer(t, true)
	for n, test := range []struct {
		name     string
		settings string
		paths    []string
		// want is the status of the layer.
		want int
	}{
		{"off", `{}`, []string{"/layer"}, 404},
		{"off in so many words", `{"cacheForeignLayers":false,"foreignLayerUrlWhitelist":[".*"]}`, []string{"/layer"}, 404},
		{"on", `{"cacheForeignLayers":true}`, []string{"/layer"}, 200},
		{"the second URL", `{"cacheForeignLayers":true}`, []string{"/none", "/layer"}, 200},
		{"on the whitelist", `{"cacheForeignLayers":true,"foreignLayerUrlWhitelist":["https://other/.*","http://127\\.0\\.0\\.1:[0-9]+/.*"]}`, []string{"/layer"}, 200},
		{"not on the whitelist", `{"cacheForeignLayers":true,"foreignLayerUrlWhitelist":["http://127"]}`, []string{"/layer"}, 404},
		{"not there either", `{"cacheForeignLayers":true}`, []string{"/none"}, 404},
		{"down", `{"cacheForeignLayers":true}`, []string{"/down"}, 503},
		{"other bytes", `{"cacheForeignLayers":true}`, []string{"/wrong"}, 0},
		{"broken off", `{"cacheForeignLayers":true}`, []string{"/broken"}, 200},
	} {
		t.Run(test.name, func(t *testing.T) {
			urls := make([]string, len(test.paths))
			for i, path := range test.paths {
				urls[i] = elsewhere.URL + path
			}
			list, _ := json.Marshal(urls)
			image := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json","config":{"mediaType":"application/vnd.docker.container.image.v1+json","digest":%q,"size":2},"layers":[{"mediaType":%q,"digest":%q,"size":%d,"urls":%s}]}`,
				digest.FromString("{}"), typeForeign, d, len(blob), list)
			u.handle(func(w http.ResponseWriter, r *http.Request) {
				if strings.Contains(r.URL.Path, "/manifests/") {
					w.Header().Set("Content-Type", "application/vnd.docker.distribution.manifest.v2+json")
					fmt.Fprint(w, image)
					return
				}
				http.NotFound(w, r)
			})
			far := fmt.Sprintf("far%d", n)
			zero := 0
			s.create(t, repository.Config{
				Name: far, Type: repository.Proxy, Proxy: &repository.ProxyConfig{RemoteURL: address.url, ContentMaxAge: -1, MetadataMaxAge: -1},
				NegativeCache: &repository.NegativeCache{Enabled: true, TimeToLive: -1}, ProxySettings: json.RawMessage(test.settings),
				HTTPClient: &remote.Config{Connection: &remote.Connection{Retries: &zero}, Authentication: &remote.Authentication{Type: remote.TypeUsername, Username: user, Password: password}},
			}, false)
			s.group(t, "all"+far, "", far)
			at := s.host + "/v2/" + far + "/a/blobs/" + d
			// As long as no manifest says where it is nobody knows.
			if code, _, body := call(t, "GET", at, "", ""); code != 404 {
				t.Fatalf("without a manifest: %d %s", code, body)
			}
			if code, _, body := call(t, "GET", s.host+"/v2/all"+far+"/a/manifests/1", "", ""); code != 200 || body != image {
				t.Fatal(code, body)
			}
			take()
			code, h, _ := call(t, "HEAD", at, "", "")
			if want := test.want; code != want && want != 0 || code == 200 && h.Get("Docker-Content-Digest") != d {
				t.Errorf("HEAD: %d, want %d: %s", code, want, h)
			}
			if test.want == 0 {
				res, err := http.Get("http://" + at)
				if err != nil {
					return
				}
				defer res.Body.Close()
				if body, err := io.ReadAll(res.Body); err == nil && res.StatusCode == 200 || len(body) == len(blob) {
					t.Errorf("wrong bytes were sent: %d, %d bytes", res.StatusCode, len(body))
				}
				return
			}
			code, h, body := call(t, "GET", s.host+"/v2/all"+far+"/a/blobs/"+d, "", "")
			if code != test.want || code == 200 && (body != blob || h.Get("Docker-Content-Digest") != d) {
				t.Errorf("GET: %d of %d bytes, want %d: %s", code, len(body), test.want, h)
			}
			for _, r := range take() {
				if r.Header.Get("Authorization") != "" {
					t.Errorf("%s %s was sent upstream's credentials", r.Method, r.URL)
				}
			}
			if code, _, _ := call(t, "GET", at, "", ""); code != test.want {
				t.Errorf("again: %d", code)
			}
			if n := len(take()); test.want == 200 && n > 0 {
				t.Errorf("what is kept was asked for %d times", n)
			}
			// Another image doesn't know it.
			if code, _, _ := call(t, "GET", s.host+"/v2/"+far+"/b/blobs/"+d, "", ""); code != 404 {
				t.Errorf("in another image: %d", code)
			}
		})
	}
}
