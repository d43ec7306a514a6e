package formattest

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/repomgr/repomgr/core/format"
	"github.com/repomgr/repomgr/core/remote"
	"github.com/repomgr/repomgr/core/repository"
)

// proxyOf is the configuration of a proxy of the repository that upstream serves.
func proxyOf(upstream *httptest.Server, suite Suite) repository.Config {
	return repository.Config{
		Name: repositoryName, Type: repository.Proxy, Settings: suite.Settings,
		Proxy: &repository.ProxyConfig{RemoteURL: upstream.URL + "/repository/" + repositoryName, ContentMaxAge: 1440, MetadataMaxAge: 1440},
		HTTPClient: &remote.Config{
			AutoBlock: true, Authentication: &remote.Authentication{Type: remote.TypeUsername, Username: Admin, Password: Admin},
		},
	}
}

// proxied: what upstream has can be read by way of a proxy, also when upstream is gone; what it does not have is not found.
func proxied(t *testing.T, f format.Format, suite Suite) {
	hosted, stored := filled(t, f, suite)
	upstream := hosted.Serve()
	s := newServer(t, f)
	s.Create(proxyOf(upstream, suite))
	for i, a := range stored {
		method := "GET"
		if i%2 == 1 {
			method = "HEAD" // the first request for it
		}
		if r := s.Do(Admin, method, a.Path, nil); r.Status != 200 || method == "GET" && !bytes.Equal(r.Body, a.Body) {
			t.Errorf("%s %s: %d with %d bytes, want 200 with %d", method, a.Path, r.Status, len(r.Body), len(a.Body))
		}
		if r := s.Do(Admin, "GET", a.Path, nil); r.Status != 200 || !bytes.Equal(r.Body, a.Body) {
			t.Errorf("GET %s: %d with %d bytes, want 200 with %d", a.Path, r.Status, len(r.Body), len(a.Body))
		}
		checkRead(t, s, a)
	}
	for _, path := range suite.Absent {
		if r := s.Do(Admin, "GET", path, nil); r.Status != http.StatusNotFound {
			t.Errorf("GET %s: %d", path, r.Status)
		}
	}
	for _, path := range suite.Hostile {
		if r := s.Do(Admin, "GET", path, nil); r.Status != http.StatusNotFound && r.Status != http.StatusBadRequest {
			t.Errorf("GET %q: %d", path, r.Status)
		}
	}
	if _, failed := suite.Fill(s, Admin); failed == nil || failed.Status != http.StatusMethodNotAllowed || failed.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("something was stored in a proxy: %+v", failed)
	}
	if r := s.Do(Nobody, "GET", stored[0].Path, nil); r.Status != 200 && r.Status != http.StatusUnauthorized {
		t.Errorf("nobody GET %s: %d", stored[0].Path, r.Status)
	}

	upstream.Close()
	for _, a := range stored {
		checkRead(t, s, a)
	}
	s.Restart()
	for _, a := range stored {
		checkRead(t, s, a)
	}
	for _, path := range suite.Absent {
		if r := s.Do(Admin, "GET", path, nil); r.Status != http.StatusNotFound && r.Status < 500 {
			t.Errorf("GET %s with upstream gone: %d", path, r.Status)
		}
	}
	// What is too old is better than nothing.
	s.Configure(func(c *repository.Config) { c.Proxy.ContentMaxAge, c.Proxy.MetadataMaxAge = 0, 0 })
	for _, a := range stored {
		if r := s.Do(Admin, "GET", a.Path, nil); r.Status != 200 || !bytes.Equal(r.Body, a.Body) {
			t.Errorf("GET %s, stale: %d with %d bytes", a.Path, r.Status, len(r.Body))
		}
	}
}

// grouped: a group shows what its members have, the first one's where several have it, and takes uploads for one of them.
func grouped(t *testing.T, f format.Format, suite Suite) {
	hosted, stored := filled(t, f, suite)
	var asked atomic.Int64
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		hosted.handler.ServeHTTP(w, r)
	}))
	t.Cleanup(upstream.Close)
	s := newServer(t, f)
	settings := suite.Settings
	member := proxyOf(upstream, suite)
	member.Name = "far"
	s.Create(repository.Config{Name: "near", Type: repository.Hosted, Storage: repository.Storage{WritePolicy: repository.Allow}, Settings: settings})
	s.Create(member)
	s.Create(repository.Config{Name: "inner", Type: repository.Group, Group: &repository.GroupConfig{MemberNames: []string{"far"}}, Settings: settings})
	s.Create(repository.Config{Name: repositoryName, Type: repository.Group, Settings: settings,
		Group: &repository.GroupConfig{MemberNames: []string{"near", "inner"}, WritableMember: "near"}})

	// All at once: upstream is asked no more often than for each of them once.
	var wg sync.WaitGroup
	for range 4 {
		for _, a := range stored {
			wg.Go(func() {
				if r := s.Do(Admin, "GET", a.Path, nil); r.Status != 200 || !bytes.Equal(r.Body, a.Body) {
					t.Errorf("GET %s: %d with %d bytes, want 200 with %d", a.Path, r.Status, len(r.Body), len(a.Body))
				}
			})
		}
	}
	wg.Wait()
	for _, a := range stored {
		checkRead(t, s, a)
	}
	before := asked.Load()
	// Now the first member has it, and upstream is not asked.
	if again, failed := suite.Fill(s, Admin); failed != nil {
		t.Errorf("the group takes no uploads: %d %s", failed.Status, failed.Body)
	} else {
		for _, a := range again {
			checkRead(t, s, a)
		}
	}
	if n := asked.Load() - before; n > 0 {
		t.Logf("upstream was asked %d times after the upload", n)
	}
	for _, path := range suite.Absent {
		if r := s.Do(Admin, "GET", path, nil); r.Status != http.StatusNotFound {
			t.Errorf("GET %s: %d", path, r.Status)
		}
	}
	upstream.Close()
	for _, path := range suite.Absent {
		// The member that is away might have it, unless it said that it does not.
		if r := s.Do(Admin, "GET", path, nil); r.Status != http.StatusNotFound && r.Status < 500 {
			t.Errorf("GET %s with a member away: %d", path, r.Status)
		}
	}
	for _, a := range stored {
		checkRead(t, s, a)
	}
}
