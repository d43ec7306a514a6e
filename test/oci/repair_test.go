package oci

import (
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

// damage does something to the file that holds the blob's bytes.
func (s *server) damage(t testing.TB, d digest.Digest, do func(path string) error) {
	t.Helper()
	found := false
	err := filepath.WalkDir(s.cfg.Data, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.Contains(e.Name(), d.Encoded()) {
			return err
		}
		found = true
		return do(path)
	})
	if err != nil || !found {
		t.Fatalf("the file of %s: found %v, %v", d, found, err)
	}
}

// A blob whose bytes the store has lost, or has not all of, is never served as something else, and comes back with the next push of it.
func TestPushBlob_AgainRepairs(t *testing.T) {
	t.Parallel()
	s := newServer(t, false)
	for _, tt := range []struct {
		name string
		do   func(path string) error
	}{
		{"cut off", func(path string) error { return os.Truncate(path, 10) }},
		{"lost", os.Remove},
	} {
		for _, e := range s.entries(t, open) {
			t.Run(tt.name+"/"+e.name, func(t *testing.T) {
				r := s.newRegistry(e, open)
				b := random(200_000) // more than what is kept in memory
				d := r.pushBlob(t, b)
				s.damage(t, d, tt.do)
				if res, err := r.send(http.MethodGet, r.blob(d)); err == nil && res.status/100 == 2 {
					t.Errorf("status %d, %d bytes", res.status, len(res.body))
				}
				r.pushBlob(t, b)
				r.get(t, r.blob(d)).want(t, http.StatusOK).wantBody(t, b)
			})
		}
	}
}
