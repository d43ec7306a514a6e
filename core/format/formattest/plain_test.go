package formattest

import (
	"context"
	"net/http"
	"path"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
)

// plain is the smallest format there can be: files at paths. That it passes the suite shows that the core asks no more of a
// format than this.
type plain struct{}

func (plain) Describe() format.Descriptor { return format.Descriptor{Name: "plain"} }

func (plain) Resolve(r *http.Request, p string) (format.Route, error) {
	if p == "/" || !strings.HasPrefix(p, "/") || path.Clean(p) != p || strings.ContainsFunc(p, func(c rune) bool { return c < ' ' || c == '\\' }) {
		return format.Route{}, errs.New(errs.NotFound, "not found")
	}
	route := format.Route{Path: p, Class: content.Mutable, Kind: "file", Name: path.Dir(p), ContentType: r.Header.Get("Content-Type")}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		route.Action = content.Read
	case http.MethodPut:
		route.Action = content.Edit
	case http.MethodDelete:
		route.Action = content.Delete
	default:
		return format.Route{}, errs.New(errs.MethodNotAllowed, "method %s is not allowed", r.Method)
	}
	return route, nil
}

func (plain) Ingest(_ context.Context, in format.Incoming) ([]format.Record, error) {
	return []format.Record{{
		Path: in.Route.Path, Kind: in.Route.Kind, Name: in.Route.Name, Class: in.Route.Class,
		Digest: digest.NewDigestFromEncoded(digest.SHA256, in.Staged.SHA256), ContentType: in.Route.ContentType,
	}}, nil
}

func TestPlain(t *testing.T) {
	files := []Stored{
		{Path: "/a.txt", Body: []byte("hello"), ContentType: "text/plain", Deletable: true},
		{Path: "/dir/empty", Body: []byte{}, ContentType: "application/x-empty", Deletable: true},
		{Path: "/dir/large.bin", Body: []byte(strings.Repeat("0123456789", 50_000)), ContentType: "application/octet-stream", Deletable: true},
	}
	Run(t, plain{}, Suite{
		Fill: func(s *Server, user string) ([]Stored, *Response) {
			for _, f := range files {
				if r := s.Do(user, "PUT", f.Path, f.Body, "Content-Type", f.ContentType); r.Status != http.StatusCreated {
					return nil, r
				}
			}
			return files, nil
		},
		Absent:  []string{"/b.txt", "/dir", "/dir/"},
		Hostile: []string{"/../x", "/a/../b", "//x", "/\x00"},
	})
}

// TestOverwrite: what a write policy allows of a path that names other bytes already.
func TestOverwrite(t *testing.T) {
	s := NewServer(t, plain{}, nil)
	put := func(body string) int {
		return s.Do(Admin, "PUT", "/f", []byte(body), "Content-Type", "text/plain").Status
	}
	if got := []int{put("one"), put("two")}; got[0] != 201 || got[1] != 201 {
		t.Errorf("ALLOW: %v", got)
	}
	s.Configure(allowOnce)
	if got := put("three"); got != http.StatusBadRequest {
		t.Errorf("ALLOW_ONCE: %d", got)
	}
	if r := s.Do(Admin, "GET", "/f", nil); string(r.Body) != "two" {
		t.Errorf("after a refused upload: %q", r.Body)
	}
}
