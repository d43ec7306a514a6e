package formattest

import (
	"bytes"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/repomgr/repomgr/core/remote"
	"github.com/repomgr/repomgr/core/repository"
)

// TestRestart: a body that breaks off before a client has any of it is asked for anew, as often as the proxy retries.
func TestRestart(t *testing.T) {
	tests := []struct {
		name      string
		size, cut int
		sized     bool
		etag      string
		broken    int64 // answers in a row
		retries   int
		asked     int64
		ok        bool
	}{
		{"small", 2000, 1000, true, "", 1, 2, 2, true},
		{"small, with an ETag", 2000, 1000, true, `"e"`, 1, 2, 2, true},
		{"small, twice", 2000, 1000, true, "", 2, 2, 3, true},
		{"small, once too often", 2000, 1000, true, "", 3, 2, 3, false},
		{"small, no retries", 2000, 1000, true, "", 1, 0, 1, false},
		{"nothing of a large one", 500_000, 0, true, "", 1, 1, 2, true},
		{"length not known", 500_000, 1000, false, "", 1, 1, 2, true},
		{"when clients have some of it", 500_000, 1000, true, "", 1, 2, 1, false},
		{"when clients have some of it, length not known", 500_000, 100_000, false, "", 1, 2, 1, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			content := bytes.Repeat([]byte("x"), tt.size)
			var asked atomic.Int64
			up := newScripted(t, func(w http.ResponseWriter, r *http.Request) {
				n := asked.Add(1)
				if r.Header.Get("Range") != "" {
					t.Error("a part is asked for")
				}
				if tt.etag != "" {
					w.Header().Set("ETag", tt.etag)
				}
				if tt.sized {
					w.Header().Set("Content-Length", strconv.Itoa(tt.size))
				}
				if n <= tt.broken {
					breakOff(w, content[:tt.cut])
				}
				_, _ = w.Write(content)
			})
			_, get := newProxy(t, up, func(c *repository.Config) { c.HTTPClient.Connection = &remote.Connection{Retries: &tt.retries} })
			res, body, err := get("/f")
			if ok := err == nil && res.StatusCode == 200; ok != tt.ok || ok && !bytes.Equal(body, content) {
				t.Errorf("%d bytes, %v", len(body), err)
			}
			if n := asked.Load(); n != tt.asked {
				t.Errorf("upstream was asked %d times, want %d", n, tt.asked)
			}
		})
	}
}
