package proxy

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/repomgr/repomgr/core/format"
	"github.com/repomgr/repomgr/core/remote"
	"github.com/repomgr/repomgr/core/repository"
)

// rule makes a routing rule, or changes it.
func (s *server) rule(t *testing.T, name, mode string, matchers ...string) {
	t.Helper()
	rules, r := s.manager.RoutingRules(), repository.RoutingRule{Name: name, Mode: mode, Matchers: matchers}
	save := rules.Update
	if _, err := rules.Get(t.Context(), name); err != nil {
		save = rules.Create
	}
	if err := save(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}

// A prefetch asks upstream for nothing of a name that the proxy's routing rule blocks, and takes the others.
func TestPrefetchRule(t *testing.T) {
	u, at := newScripted(t)
	g := newRegistryScript()
	u.handle(func(w http.ResponseWriter, r *http.Request) {
		switch name, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v2/"), "/"); name {
		case "_catalog":
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"repositories":["a","blocked"]}`))
		case "a", "blocked":
			r.URL.Path = "/v2/a/" + path
			g.ServeHTTP(w, r)
		default:
			http.NotFound(w, r)
		}
	})
	s := newServer(t, true)
	s.rule(t, "rule", repository.RuleBlock, "/v2/blocked/.*")
	s.create(t, repository.Config{
		Name: "far", Type: repository.Proxy, RoutingRule: "rule",
		Proxy: &repository.ProxyConfig{RemoteURL: at.url, ContentMaxAge: -1}, HTTPClient: &remote.Config{Connection: &remote.Connection{Retries: new(int)}},
	}, false)
	s.hosted(t, "copy", false)
	for _, order := range []repository.Prefetch{
		{Repository: "far", Names: "blocked"}, {Repository: "far", Names: "*"},
		{Repository: "far", Names: "blocked", Versions: "1"}, {Repository: "copy", Source: "far", Names: "*"},
	} {
		order.Want.Platforms = []string{"linux/amd64"}
		if result, err := s.prefetch(t, order); err == nil || !strings.Contains(err.Error()+result, "blocked: Routing rules block") && order.Versions == "" {
			t.Errorf("%+v: %s, %v", order, result, err)
		}
		for _, request := range u.take() {
			if strings.Contains(request, "/blocked/") {
				t.Errorf("%+v: upstream was asked %s", order, request)
			}
		}
	}
	for _, repo := range []string{"far", "copy"} {
		if !s.has(t, repo, "/v2/a/manifests/1") || s.has(t, repo, "/v2/blocked/manifests/1") {
			t.Errorf("%s has other images than the rule lets through", repo)
		}
	}
	// Without the rule there is something to be had.
	s.rule(t, "rule", repository.RuleBlock, "/v2/none/.*")
	s.mustPrefetch(t, repository.Prefetch{Repository: "far", Names: "blocked", Want: format.Wanted{Platforms: []string{"linux/amd64"}}})
	if !s.has(t, "far", "/v2/blocked/manifests/1") {
		t.Error("without the rule nothing was mirrored")
	}
}

// A rule about an official image of Docker Hub's by its whole name holds for its short name, too, whether it is the proxy's or that of
// a group. Docker Hub is played by an outbound proxy.
func TestOfficialRule(t *testing.T) {
	u, address := newScripted(t)
	at, err := url.Parse(address.url)
	if err != nil {
		t.Fatal(err)
	}
	port, _ := strconv.Atoi(at.Port())
	g := newRegistryScript()
	u.handle(func(w http.ResponseWriter, r *http.Request) {
		path, ok := strings.CutPrefix(r.URL.Path, "/v2/library/")
		_, path, _ = strings.Cut(path, "/")
		if !ok || r.URL.Host != "registry-1.docker.io" {
			http.NotFound(w, r)
			return
		}
		r.URL.Path = "/v2/a/" + path
		g.ServeHTTP(w, r)
	})
	s := newServerWith(t, true, remote.NetworkConfig{Version: "test", HTTPProxy: &remote.OutboundProxy{Host: at.Hostname(), Port: port}})
	s.rule(t, "rule", repository.RuleBlock, "/v2/library/x/.*")
	hub := repository.Config{
		Name: "ruled", Type: repository.Proxy, RoutingRule: "rule",
		Proxy:         &repository.ProxyConfig{RemoteURL: "http://registry-1.docker.io", ContentMaxAge: -1, MetadataMaxAge: -1},
		NegativeCache: &repository.NegativeCache{}, HTTPClient: &remote.Config{Connection: &remote.Connection{Retries: new(int)}},
	}
	s.create(t, hub, false)
	hub.Name, hub.RoutingRule = "free", ""
	s.create(t, hub, false)
	s.create(t, repository.Config{Name: "group", Type: repository.Group, RoutingRule: "rule", Group: &repository.GroupConfig{MemberNames: []string{"free"}}}, false)
	s.group(t, "around", "", "ruled")
	// want reads an image in all ways by both of its names.
	want := func(when, image string, status map[string]int) {
		t.Helper()
		for repo, status := range status {
			for _, name := range []string{image, "library/" + image} {
				for path := range g.paths() {
					for _, method := range []string{"HEAD", "GET"} {
						code, _, body := call(t, method, s.host+"/v2/"+repo+"/"+name+"/"+path, "", "")
						// By the short name it is the group's members that must not answer: it is not there.
						if code != status && !(status == 403 && code == 404 && repo == "group" && name == image) {
							t.Errorf("%s: %s %s/%s/%s: %d %s, want %d", when, method, repo, name, path, code, body, status)
						}
					}
				}
			}
		}
	}
	want("blocked", "x", map[string]int{"ruled": 403, "group": 403, "around": 404})
	if asked := u.take(); len(asked) > 0 {
		t.Errorf("upstream was asked %q", asked)
	}
	want("another", "y", map[string]int{"ruled": 200, "group": 200, "around": 200})
	s.rule(t, "rule", repository.RuleAllow, "/v2/library/x/.*")
	want("allowed", "x", map[string]int{"ruled": 200, "group": 200, "around": 200})
	u.take()
	want("not allowed", "z", map[string]int{"ruled": 403, "group": 403, "around": 404})
	if asked := u.take(); len(asked) > 0 {
		t.Errorf("upstream was asked %q", asked)
	}
}
