package formattest

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/repomgr/repomgr/core/remote"
	"github.com/repomgr/repomgr/core/repository"
)

// TestRetryAfter: clients are told when the proxy asks again, also by the answer that makes it leave upstream alone.
func TestRetryAfter(t *testing.T) {
	var fault atomic.Pointer[http.HandlerFunc]
	up := newScripted(t, func(w http.ResponseWriter, r *http.Request) { (*fault.Load())(w, r) })
	zero := 0
	for _, tt := range []struct {
		name        string
		fault       http.HandlerFunc
		status      int
		least, most int
	}{
		{"429 for 1000 days", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "86400000")
			w.WriteHeader(429)
		}, 429, 3590, 3600},
		{"500", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, 503, 8, 10},
		{"hangs up", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 502, 8, 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fault.Store(&tt.fault)
			s, _ := newProxy(t, up, func(c *repository.Config) { c.HTTPClient.Connection = &remote.Connection{Retries: &zero} })
			r := s.Do(Admin, "GET", "/f", nil)
			after, err := strconv.Atoi(r.Header.Get("Retry-After"))
			if r.Status != tt.status || err != nil || after < tt.least || after > tt.most {
				t.Errorf("%d, Retry-After %q", r.Status, r.Header.Get("Retry-After"))
			}
		})
	}
}
