package proxy

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/repomgr/repomgr/core/repository"
	"github.com/repomgr/repomgr/internal/testenv"
)

// searched are the names of the results of a search, and all of its answer.
func searched(t *testing.T, address string) ([]string, string) {
	t.Helper()
	status, _, body := call(t, "GET", address, "", "")
	var answer struct {
		NumResults int `json:"num_results"`
		Results    []struct{ Name string }
	}
	if err := json.Unmarshal([]byte(body), &answer); status != 200 || err != nil {
		t.Fatalf("%s: %d %s", address, status, body)
	}
	names := []string{}
	for _, r := range answer.Results {
		names = append(names, r.Name)
	}
	if answer.NumResults != len(names) {
		t.Errorf("%s: %s", address, body)
	}
	return names, body
}

// A search of a proxy asks the index that its settings name, that of a group the hosted members first.
func TestSearch(t *testing.T) {
	// index has one image of each of two names, and ends what it doesn't know.
	index := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/found/v1/search" || r.URL.Query().Get("n") != "100" || r.Header.Get("Authorization") != "" {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		fmt.Fprintf(w, `{"query":%q,"num_results":3,"results":[{"name":"z%[1]s","description":"the most popular","star_count":12000,"is_official":true},{"name":"team/app","star_count":3},{"name":"a/%[1]s"}]}`, r.URL.Query().Get("q"))
	}))
	t.Cleanup(index.Close)
	slow := make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-slow:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(hanging.Close)
	t.Cleanup(func() { close(slow) })

	catalog, catalogAddress := newScripted(t)
	catalog.handle(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v2/_catalog" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, `{"repositories":["team/app","other"]}`)
	})
	s := newServer(t, true)
	s.hosted(t, "local", false)
	s.hosted(t, "second", false)
	for _, name := range []string{"local/team/app", "local/x/app", "second/b/app"} {
		if code, _, body := call(t, "PUT", s.host+"/v2/"+name+"/manifests/1", typeIndex, image); code != 201 {
			t.Fatal(code, body)
		}
	}
	proxy := func(name, remoteURL, settings string) {
		t.Helper()
		s.create(t, repository.Config{
			Name: name, Type: repository.Proxy, Proxy: &repository.ProxyConfig{RemoteURL: remoteURL, ContentMaxAge: -1, MetadataMaxAge: -1},
			NegativeCache: &repository.NegativeCache{}, ProxySettings: json.RawMessage(settings),
		}, false)
	}
	custom := fmt.Sprintf(`{"indexType":"CUSTOM","indexUrl":%q}`, index.URL+"/found/")
	proxy("custom", catalogAddress.url, custom)
	proxy("teapot", catalogAddress.url, fmt.Sprintf(`{"indexType":"CUSTOM","indexUrl":%q}`, index.URL))
	proxy("registry", catalogAddress.url, `{"indexType":"REGISTRY"}`)
	proxy("own", "http://"+s.host+"/repository/local", `{"indexType":"REGISTRY"}`)
	proxy("hub", catalogAddress.url, `{"indexType":"HUB"}`)
	proxy("down", "http://127.0.0.1:1", `{"indexType":"REGISTRY"}`)
	s.group(t, "hosts", "", "local", "second")
	s.group(t, "all", "", "custom", "down", "local", "registry", "second")
	s.group(t, "dead", "", "down")

	for _, test := range []struct {
		repository string
		want       []string
	}{
		{"custom", []string{"zapp", "team/app", "a/app"}},
		{"teapot", []string{"team/app"}}, // what is not an index is asked for its catalog
		{"registry", []string{"team/app"}},
		{"own", []string{"team/app", "x/app"}},
		{"hub", []string{"team/app"}}, // it is not Docker Hub
		{"hosts", []string{"b/app", "team/app", "x/app"}},
		{"all", []string{"b/app", "team/app", "x/app", "zapp", "a/app"}},
	} {
		got, body := searched(t, s.host+"/repository/"+test.repository+"/v1/search?q=app&n=50")
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, want %q", test.repository, got, test.want)
		}
		if slices.Contains(got, "zapp") && !strings.Contains(body, `"description":"the most popular","star_count":12000,"is_official":true`) {
			t.Errorf("%s lost what the index says: %s", test.repository, body)
		}
	}
	for _, repository := range []string{"down", "dead"} {
		if code, _, body := call(t, "GET", s.host+"/repository/"+repository+"/v1/search?q=app", "", ""); code != 502 && code != 503 {
			t.Errorf("%s: %d %s", repository, code, body)
		}
	}
	t.Run("root", func(t *testing.T) {
		got, _ := searched(t, s.host+"/v1/search?q=zapp&n=100")
		if want := []string{"all/zzapp", "custom/zzapp"}; !slices.Equal(ending(got, "zzapp"), want) {
			t.Errorf("%q, want %q", got, want)
		}
	})
	t.Run("docker", func(t *testing.T) {
		engine := testenv.StartDocker(t, testenv.DockerOptions{})
		out := engine.Run(t, "search", s.host+"/zapp")
		if !strings.Contains(out, "all/zzapp") || !strings.Contains(out, "the most popular") || !strings.Contains(out, "12000") || !strings.Contains(out, "[OK]") {
			t.Errorf("docker search prints\n%s", out)
		}
	})
	proxy("hanging", hanging.URL, `{"indexType":"REGISTRY"}`)
	s.group(t, "waits", "", "hanging", "local")
	start := time.Now()
	if got, _ := searched(t, s.host+"/repository/waits/v1/search?q=app"); !slices.Equal(got, []string{"team/app", "x/app"}) || time.Since(start) > 20*time.Second {
		t.Errorf("with one that hangs: %q after %s", got, time.Since(start))
	}
}

// An index that hangs leaves time for the catalog. A server that hangs altogether is not this one's error.
func TestSearchOfSlowServer(t *testing.T) {
	for _, test := range []struct {
		name, repository, hangs, keeps string
		code                           int
		want                           string
	}{
		{"the index", "far", "/v1/search", "", 200, "team/app"},
		{"a member's index", "alone", "/v1/search", "", 200, "team/app"},
		{"all", "far", "/v1/search /v2/_catalog", "", 503, "UNAVAILABLE"},
		{"all of a member", "alone", "/v1/search /v2/_catalog", "", 503, "UNAVAILABLE"},
		{"all, with something kept", "far", "/v1/search /v2/_catalog", "own/app", 200, "own/app"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel() // they wait most of the time
			u, s := newScriptedProxy(t)
			s.group(t, "alone", "", "far")
			u.handle(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case strings.Contains(test.hangs, r.URL.Path):
					<-r.Context().Done()
				case r.URL.Path == "/v2/_catalog":
					fmt.Fprint(w, `{"repositories":["team/app"]}`)
				default:
					serve(image)(w, r)
				}
			})
			if test.keeps != "" {
				if code, _, body := call(t, "GET", s.host+"/v2/far/"+test.keeps+"/manifests/1", "", ""); code != 200 {
					t.Fatal(code, body)
				}
			}
			code, _, body := call(t, "GET", s.host+"/repository/"+test.repository+"/v1/search?q=app", "", "")
			if code != test.code || !strings.Contains(body, `"`+test.want+`"`) {
				t.Errorf("%d %s, want %d with %q", code, body, test.code, test.want)
			}
		})
	}
}

// ending are the names that end so.
func ending(names []string, end string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !strings.HasSuffix(name, end) })
}
