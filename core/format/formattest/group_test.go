package formattest

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/repomgr/repomgr/core/repository"
)

// TestGroup_Offline: an administrator who takes a member offline has decided that it isn't there; a member whose upstream server is away
// leaves open what it has.
func TestGroup_Offline(t *testing.T) {
	up := httptest.NewServer(http.NotFoundHandler())
	s := newServer(t, plain{})
	far := proxyOf(up, Suite{})
	far.Name, far.NegativeCache, far.HTTPClient.AutoBlock = "far", &repository.NegativeCache{}, false
	s.Create(far)
	s.Create(repository.Config{Name: "near", Type: repository.Hosted})
	s.Create(repository.Config{Name: repositoryName, Type: repository.Group, Group: &repository.GroupConfig{MemberNames: []string{"near", "far"}}})
	want := func(when string, status int) {
		t.Helper()
		if r := s.Do(Admin, "GET", "/f", nil); r.Status != status {
			t.Errorf("%s: %d, want %d", when, r.Status, status)
		}
	}
	want("none has it", 404)
	up.Close()
	want("one is away", 502)
	for _, name := range []string{"far", "near"} {
		c, err := s.manager.Get(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		c.Online = false
		if err := s.manager.Update(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		want(name+" is offline", 404)
	}
	for _, name := range []string{"far", "near"} {
		if err := s.manager.Delete(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	want("it is empty", 404)
}

// TestGroup_Closed: a group without a writable member says what can be done instead (RFC 9110 section 15.5.6).
func TestGroup_Closed(t *testing.T) {
	s := newServer(t, plain{})
	s.Create(repository.Config{Name: "near", Type: repository.Hosted})
	s.Create(repository.Config{Name: repositoryName, Type: repository.Group, Group: &repository.GroupConfig{MemberNames: []string{"near"}}})
	for _, method := range []string{"PUT", "DELETE"} {
		if r := s.Do(Admin, method, "/f", []byte("x")); r.Status != http.StatusMethodNotAllowed || r.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: %d, allowed %q", method, r.Status, r.Header.Get("Allow"))
		}
	}
}
