package formattest

import (
	"bytes"
	"net/http"
	"testing"

	"github.com/repomgr/repomgr/core/repository"
)

// TestStrictProxy: a page in place of a file is given to nobody, and another member of the group takes its place.
func TestStrictProxy(t *testing.T) {
	page, zip := bytes.Repeat([]byte("<html>sign in</html>"), 5000), append([]byte("PK\x03\x04"), make([]byte, 200_000)...)
	up := newScripted(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path[len("/repository/"+repositoryName):] {
		case "/page.jar", "/chunked.jar":
			if r.URL.Path[len(r.URL.Path)-8:] == "page.jar" {
				w.Header().Set("Content-Length", "100000")
			}
			_, _ = w.Write(page[:1])
			_ = http.NewResponseController(w).Flush()
			_, _ = w.Write(page[1:])
		case "/short.jar":
			_, _ = w.Write(page[:20])
		case "/empty":
		default:
			_, _ = w.Write(zip)
		}
	})
	s := newServer(t, typed{})
	c := proxyOf(up, Suite{})
	c.Name, c.Storage.StrictContentTypeValidation = "far", true
	s.Create(c)
	s.Create(repository.Config{Name: "near", Type: repository.Hosted, Storage: repository.Storage{WritePolicy: repository.Allow}})
	s.Create(repository.Config{Name: repositoryName, Type: repository.Group, Group: &repository.GroupConfig{MemberNames: []string{"far", "near"}, WritableMember: "near"}})
	front := s.Serve()
	for _, path := range []string{"/page.jar", "/chunked.jar", "/short.jar"} {
		for range 2 {
			if res, body, err := fetchFrom(t, front, "GET", "/../far"+path); err != nil || res.StatusCode != 502 {
				t.Errorf("%s: %d with %d bytes, %v; want 502", path, res.StatusCode, len(body), err)
			}
		}
		if r := s.Do(Admin, "PUT", path, zip); r.Status != 201 {
			t.Fatal(r.Status, string(r.Body))
		}
	}
	for _, path := range []string{"/page.jar", "/chunked.jar", "/short.jar", "/right.jar", "/page", "/empty"} {
		for range 2 {
			res, body, err := fetchFrom(t, front, "GET", path)
			if err != nil || res.StatusCode != 200 || path != "/empty" && !bytes.Equal(body, zip) || path == "/empty" && len(body) > 0 {
				t.Errorf("%s by the group: %d with %d bytes, %v", path, res.StatusCode, len(body), err)
			}
		}
	}
}
