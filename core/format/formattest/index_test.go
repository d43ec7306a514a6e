package formattest

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/repository"
)

// TestIndex: a directory is its document, in repositories of each type; what clients see of a directory doesn't differ.
func TestIndex(t *testing.T) {
	tests := []struct {
		name, path string
		status     int
		want       string // body or Location
	}{
		{"root", "/", 200, "/index.html"},
		{"root without a slash", "", 302, "./test/"},
		{"second choice", "/a b/", 200, "/a b/index.htm"},
		{"first choice", "/both/", 200, "/both/index.html"},
		{"slash is missing", "/both", 302, "./both/"},
		{"slash is missing after a space", "/a b", 302, "./a%20b/"},
		{"slash is missing after a colon", "/x:y", 302, "./x:y/"},
		{"slash is missing before a query", "/both?a=b", 302, "./both/?a=b"},
		{"file beside a directory", "/file", 200, "/file"},
		{"directory beside a file", "/file/", 200, "/file/index.html"},
		{"no document", "/none/", 404, "there is no index.html or index.htm in /none/\n"},
		{"no document, slash is missing", "/none", 404, "asset not found\n"},
		{"no directory", "/nowhere/", 404, "there is no index.html or index.htm in /nowhere/\n"},
	}
	upstream := NewServer(t, typed{}, nil)
	put := func(s *Server) {
		t.Helper()
		for _, path := range []string{"/index.html", "/a b/index.htm", "/both/index.html", "/both/index.htm", "/file/index.html", "/file", "/x:y/index.html", "/none/a"} {
			if r := s.Do(Admin, "PUT", path, []byte(path)); r.Status != 201 {
				t.Fatal(r.Status)
			}
		}
	}
	put(upstream)
	web := upstream.Serve()
	group := func(s *Server, name string, members ...string) {
		s.Create(repository.Config{Name: name, Type: repository.Group, Group: &repository.GroupConfig{MemberNames: members}})
	}
	hosted := func(s *Server, name string) {
		s.Create(repository.Config{Name: name, Type: repository.Hosted, Storage: repository.Storage{WritePolicy: repository.Allow}})
	}
	proxy := func(s *Server, name string) {
		c := proxyOf(web, Suite{})
		c.Name = name
		s.Create(c)
	}
	types := []struct {
		name  string
		setup func(s *Server)
	}{
		{"hosted", func(s *Server) { hosted(s, repositoryName); put(s) }},
		{"proxy", func(s *Server) { proxy(s, repositoryName) }},
		{"group of a hosted one", func(s *Server) {
			hosted(s, "near")
			hosted(s, "empty")
			s.Create(repository.Config{Name: repositoryName, Type: repository.Group,
				Group: &repository.GroupConfig{MemberNames: []string{"empty", "near"}, WritableMember: "near"}})
			put(s)
		}},
		{"group of a proxy", func(s *Server) { hosted(s, "empty"); proxy(s, "far"); group(s, repositoryName, "empty", "far") }},
		{"group in a group", func(s *Server) { proxy(s, "far"); group(s, "inner", "far"); group(s, repositoryName, "inner") }},
	}
	for _, of := range types {
		t.Run(of.name, func(t *testing.T) {
			for _, methods := range [][]string{{"GET", "HEAD", "GET"}, {"HEAD", "GET", "HEAD"}} { // each the first that a proxy sees
				s := newServer(t, typed{})
				of.setup(s)
				for _, tt := range tests {
					for _, method := range methods {
						r := s.Do(Admin, method, tt.path, nil)
						got := string(r.Body)
						if tt.status == 302 {
							got = r.Header.Get("Location")
						}
						same := got == tt.want || tt.status == 404 && of.name != "hosted" // a proxy says that it is upstream's
						if r.Status != tt.status || !same && (method == "GET" || tt.status == 302) {
							t.Errorf("%s: %s: %d %q, want %d %q", tt.name, method, r.Status, got, tt.status, tt.want)
						}
					}
				}
			}
		})
	}
}

// TestIndex_Upstream: pages that an upstream server makes about directories are not taken for files.
func TestIndex_Upstream(t *testing.T) {
	var asked atomic.Int64
	page := func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(strings.Repeat("<a href=x>x</a>\n", 10_000)))
	}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		switch path := strings.TrimPrefix(r.URL.Path, "/repository/test"); path {
		case "/", "/list/", "/loop/", "/sub/site/":
			page(w)
		case "/list", "/sub/site":
			http.Redirect(w, r, r.URL.Path+"/", http.StatusMovedPermanently)
		case "/loop/index.html": // as net/http does, whether or not there is one
			http.Redirect(w, r, "./", http.StatusMovedPermanently)
		case "/sub/site/index.html", "/moved/x/":
			_, _ = w.Write([]byte("site"))
		case "/moved":
			http.Redirect(w, r, "/repository/test/moved/x/", http.StatusFound)
		case "/gone/":
			w.WriteHeader(http.StatusInternalServerError)
		default:
			http.NotFound(w, r)
		}
	}))
	defer web.Close()
	s := newServer(t, typed{})
	s.Create(proxyOf(web, Suite{}))
	tests := []struct {
		name, path string
		status     int
	}{
		{"list of the root", "/", 404},
		{"list", "/list/", 404},
		{"list, without a slash", "/list", 302},
		{"document that leads to the list", "/loop/", 404},
		{"the same by its name", "/loop/index.html", 404},
		{"site", "/sub/site/", 200},
		{"site, without a slash", "/sub/site", 302},
		{"file that is elsewhere", "/moved", 200},
	}
	for _, tt := range tests {
		for round := range 2 {
			if r := s.Do(Admin, "GET", tt.path, nil); r.Status != tt.status {
				t.Errorf("%s: %d, want %d", tt.name, r.Status, tt.status)
			}
			if round == 0 {
				asked.Store(0)
			}
		}
		if n := asked.Load(); n != 0 {
			t.Errorf("%s: upstream was asked %d times again", tt.name, n)
		}
	}
	var kept []string
	for _, directory := range []string{"/", "/sub/", "/sub/site/"} {
		kept = append(kept, s.browse(Admin, directory)...)
	}
	if got := strings.Join(kept, " "); got != "moved sub/ site/ index.html" {
		t.Errorf("kept is %s", got)
	}
	// What is kept does not depend on upstream.
	web.Close()
	s.Restart()
	if r := s.Do(Admin, "GET", "/sub/site", nil); r.Status != 302 {
		t.Errorf("directory with upstream gone: %d", r.Status)
	}
	if r := s.Do(Admin, "GET", "/sub/site/", nil); r.Status != 200 || string(r.Body) != "site" {
		t.Errorf("its document: %d %q", r.Status, r.Body)
	}
}

// TestIndex_Rules: a rule that keeps the document back keeps it back as the directory, too.
func TestIndex_Rules(t *testing.T) {
	hosted := NewServer(t, typed{}, nil)
	if r := hosted.Do(Admin, "PUT", "/d/index.html", []byte("x")); r.Status != 201 {
		t.Fatal(r.Status)
	}
	web := hosted.Serve()
	s := newServer(t, typed{})
	if err := s.manager.RoutingRules().Create(t.Context(), repository.RoutingRule{Name: "none", Mode: repository.RuleBlock, Matchers: []string{`.*/index\.html`}}); err != nil {
		t.Fatal(err)
	}
	far := proxyOf(web, Suite{})
	far.Name, far.RoutingRule = "far", "none"
	s.Create(far)
	s.Create(repository.Config{Name: repositoryName, Type: repository.Group, Group: &repository.GroupConfig{MemberNames: []string{"far"}}})
	if r := s.Do(Admin, "GET", "/d/", nil); r.Status != http.StatusNotFound && r.Status != http.StatusForbidden {
		t.Errorf("directory whose document a rule keeps back: %d", r.Status)
	}
}

// TestBrowse: a group's directory is those of its members, merged, page by page.
func TestBrowse(t *testing.T) {
	s := newServer(t, typed{})
	members := map[string][]string{
		"one": {"/a", "/b/x", "/c", "/e/y/z", "/g", "/x"},
		"two": {"/a", "/a/b", "/b/y", "/d", "/e", "/e/y/a", "/f", "/h", "/i"},
	}
	for _, name := range []string{"one", "two"} {
		// Uploads go by a group, whose member is then put into another one.
		s.Create(repository.Config{Name: name, Type: repository.Hosted, Storage: repository.Storage{WritePolicy: repository.Allow}})
		c := repository.Config{Name: repositoryName, Type: repository.Group, Group: &repository.GroupConfig{MemberNames: []string{name}, WritableMember: name}}
		s.Create(c)
		for _, path := range members[name] {
			if r := s.Do(Admin, "PUT", path, []byte(name)); r.Status != 201 {
				t.Fatal(r.Status)
			}
		}
		if err := s.manager.Delete(t.Context(), repositoryName); err != nil {
			t.Fatal(err)
		}
	}
	s.Create(repository.Config{Name: "inner", Type: repository.Group, Group: &repository.GroupConfig{MemberNames: []string{"two"}}})
	s.Create(repository.Config{Name: repositoryName, Type: repository.Group, Group: &repository.GroupConfig{MemberNames: []string{"one", "inner"}}})
	tests := []struct{ name, directory, want string }{
		{"root", "/", "a a/ b/ c d e e/ f g h i x"},
		{"of both", "/b/", "x y"},
		{"of one", "/a/", "b"},
		{"below", "/e/", "y/"},
		{"further below", "/e/y/", "a z"},
	}
	for _, tt := range tests {
		if got := strings.Join(s.browse(Admin, tt.directory), " "); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	if _, _, err := s.manager.Browse(t.Context(), s.principal(Admin), repositoryName, "/nowhere/", "", 10); !errs.Is(err, errs.NotFound) {
		t.Errorf("a directory that is in no member: %v", err)
	}
	nobody := s.principal(Nobody)
	if _, err := s.Security.SetAnonymous(t.Context(), disabled(s)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.manager.Browse(t.Context(), nobody, repositoryName, "/", "", 10); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("nobody: %v", err)
	}
}
