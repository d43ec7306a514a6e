package proxy

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/repomgr/repomgr/core/remote"
	"github.com/repomgr/repomgr/core/repository"
)

// Groups of one server or of two that have each other's images by proxies find what one of them has, and what nobody has is not asked for
// in a circle.
func TestLoop(t *testing.T) {
	for _, test := range []struct {
		name string
		two  bool
	}{{"one server", false}, {"two servers", true}} {
		t.Run(test.name, func(t *testing.T) {
			a := newServer(t, true)
			b := a
			if test.two {
				b = newServer(t, true)
			}
			proxy := func(s *server, name, url string) {
				t.Helper()
				s.create(t, repository.Config{
					Name: name, Type: repository.Proxy, Proxy: &repository.ProxyConfig{RemoteURL: url},
					NegativeCache: &repository.NegativeCache{Enabled: true, TimeToLive: 10}, HTTPClient: &remote.Config{AutoBlock: true},
				}, false)
			}
			a.hosted(t, "ha", false)
			b.hosted(t, "hb", false)
			proxy(a, "pb", "http://"+b.host+"/repository/gb")
			proxy(b, "pa", "http://"+a.host+"/repository/ga")
			a.group(t, "ga", "", "ha", "pb")
			b.group(t, "gb", "", "hb", "pa")
			// The index of a registry that is reached by the root is the root's search.
			a.create(t, repository.Config{
				Name: "self", Type: repository.Proxy, Proxy: &repository.ProxyConfig{RemoteURL: "http://" + a.host + "/v2/ha"},
				ProxySettings: json.RawMessage(`{"indexType":"REGISTRY"}`),
			}, false)
			at := map[string]string{"ga": a.host, "gb": b.host}

			began := time.Now()
			var wait sync.WaitGroup
			for range 4 {
				for group, host := range at {
					wait.Go(func() {
						for _, method := range []string{"GET", "HEAD"} {
							if code, _, body := call(t, method, host+"/v2/"+group+"/none/manifests/1", "", ""); code != 404 {
								t.Errorf("%s of what nobody has: %d %s", method, code, body)
							}
						}
						if code, _, body := call(t, "GET", host+"/v2/"+group+"/none/tags/list", "", ""); code != 404 {
							t.Errorf("the tags of what nobody has: %d %s", code, body)
						}
						if code, _, body := call(t, "GET", host+"/v2/"+group+"/none/referrers/sha256:"+strings.Repeat("0", 64), "", ""); code != 200 {
							t.Errorf("the referrers of what nobody has: %d %s", code, body)
						}
						if names, body := searched(t, host+"/repository/"+group+"/v1/search?q=none"); len(names) != 0 {
							t.Error(body)
						}
						if names, body := searched(t, host+"/v1/search?q=none"); len(names) != 0 {
							t.Error(body)
						}
					})
				}
			}
			wait.Wait()
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("it took %s to find out that nobody has it", took)
			}

			for address, name := range map[string]string{a.host + "/v2/ha/": "x/app", b.host + "/v2/hb/": "y/app"} {
				if code, _, body := call(t, "PUT", address+name+"/manifests/1", typeIndex, image); code != 201 {
					t.Fatal(code, body)
				}
			}
			began = time.Now()
			for group, host := range at {
				for _, name := range []string{"x/app", "y/app"} {
					for _, method := range []string{"HEAD", "GET"} {
						if code, _, body := call(t, method, host+"/v2/"+group+"/"+name+"/manifests/1", "", ""); code != 200 {
							t.Errorf("%s of %s in %s: %d %s", method, name, group, code, body)
						}
					}
				}
				names, body := searched(t, host+"/repository/"+group+"/v1/search?q=app")
				if slices.Sort(names); strings.Join(names, " ") != "x/app y/app" {
					t.Errorf("search in %s: %s", group, body)
				}
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("it took %s to find what there is", took)
			}
			for name, s := range map[string]*server{"pb": a, "pa": b} {
				if state, err := s.manager.Upstream(t.Context(), name); err != nil || state.Status != remote.Available {
					t.Errorf("%s: %+v %v", name, state, err)
				}
			}
		})
	}
}
