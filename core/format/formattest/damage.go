package formattest

import (
	"bytes"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/repomgr/repomgr/core/format"
)

// damage: what has lost its bytes is not there for clients, whether they ask by GET or by HEAD, so that they store it again;
// and that mends it, also where nothing may be overwritten.
func damage(t *testing.T, f format.Format, suite Suite) {
	for _, d := range []struct {
		name string
		do   func(path string) error
	}{
		{"missing", os.Remove},
		{"truncated", func(path string) error {
			i, err := os.Stat(path)
			if err != nil || i.Size() == 0 {
				return err
			}
			return os.Truncate(path, i.Size()-1)
		}},
	} {
		t.Run(d.name, func(t *testing.T) {
			s, stored := filled(t, f, suite)
			s.Configure(allowOnce)
			s.eachFile(d.do)
			s.Restart() // what is in memory is right still
			for _, a := range stored {
				get := s.Do(Admin, "GET", a.Path, nil)
				if get.Status == http.StatusOK && bytes.Equal(get.Body, a.Body) {
					continue // it is not of bytes that are stored
				}
				if get.Status != http.StatusNotFound || get.Header.Get("Etag") != "" {
					t.Errorf("GET %s: %d, ETag %q; want 404 and none", a.Path, get.Status, get.Header.Get("Etag"))
				}
				for _, header := range []string{"Range", "If-None-Match"} {
					if r := s.Do(Admin, "GET", a.Path, nil, header, "bytes=0-0"); r.Status != http.StatusNotFound {
						t.Errorf("GET %s with %s: %d, want 404", a.Path, header, r.Status)
					}
				}
				if r := s.Do(Admin, "HEAD", a.Path, nil); r.Status != http.StatusNotFound {
					t.Errorf("HEAD %s: %d, want 404", a.Path, r.Status)
				}
			}
			if _, failed := suite.Fill(s, Admin); failed != nil {
				t.Fatalf("fill again: %d %s", failed.Status, failed.Body)
			}
			for _, a := range stored {
				checkRead(t, s, a)
			}
		})
	}
}

// eachFile calls do with the path of each stored blob.
func (s *Server) eachFile(do func(path string) error) {
	s.t.Helper()
	files, err := fs.Glob(os.DirFS(s.dir), "blobs/*/blobs/??/*")
	if err != nil || len(files) == 0 {
		s.t.Fatalf("files of blobs: %v, %v", files, err)
	}
	for _, file := range files {
		if err := do(filepath.Join(s.dir, file)); err != nil {
			s.t.Fatal(err)
		}
	}
}
