package formattest

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/repomgr/repomgr/core/repository"
)

// TestCoding: bytes in a content coding that nobody asked for are not given away as the file, nor kept; a copy that there is, is.
func TestCoding(t *testing.T) {
	var coding atomic.Value
	coding.Store("")
	up := newScripted(t, func(w http.ResponseWriter, r *http.Request) {
		body := "plain"
		if c := coding.Load().(string); c != "" {
			w.Header().Set("Content-Encoding", c)
			body = "coded"
		}
		if got := r.Header.Get("Accept-Encoding"); got != "identity" {
			t.Errorf("asks for %q", got)
		}
		_, _ = w.Write([]byte(body))
	})
	s, get := newProxy(t, up, func(c *repository.Config) { c.Proxy.ContentMaxAge, c.HTTPClient.AutoBlock = 0, false })
	if res, body, err := get("/copied"); err != nil || res.StatusCode != 200 || string(body) != "plain" {
		t.Fatalf("%q, %v", body, err)
	}
	coding.Store("gzip")
	for _, tt := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"GET", "/copied", 200, "plain"},
		{"GET", "/new", 502, "content coding gzip"},
		{"HEAD", "/new", 502, ""},
		{"GET", "/new.tar.gz", 200, "coded"},
		{"GET", "/new.tar.gz", 200, "coded"},
	} {
		if r := s.Do(Admin, tt.method, tt.path, nil); r.Status != tt.status || !strings.Contains(string(r.Body), tt.body) || r.Header.Get("Content-Encoding") != "" {
			t.Errorf("%s %s: %d %q %v", tt.method, tt.path, r.Status, r.Body, r.Header)
		}
	}
	coding.Store("")
	if r := s.Do(Admin, "GET", "/new", nil); r.Status != 200 || string(r.Body) != "plain" {
		t.Errorf("afterwards: %d %q", r.Status, r.Body)
	}
}
