// Package formattest is the contract suite that every format passes, on a whole server: the real core over SQLite and files.
package formattest

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
	"github.com/repomgr/repomgr/core/remote"
	"github.com/repomgr/repomgr/core/repository"
	secrets "github.com/repomgr/repomgr/core/secret" // secret is a password here
	"github.com/repomgr/repomgr/core/security"
	"github.com/repomgr/repomgr/core/store"
)

// The users of a test server, each with its name as password.
const (
	Admin  = "admin"
	Writer = "writer"
	Reader = "reader"
	Nobody = "" // sends no credentials
)

// Server is a server with the repository "test".
type Server struct {
	t        *testing.T
	dir      string
	format   format.Format
	handler  http.Handler
	manager  *repository.Manager
	Security *security.Service
	stop     func()
}

// repositoryName is the name of the one repository.
const repositoryName = "test"

// NewServer starts a server whose repository has the settings (nil for a format without).
func NewServer(t *testing.T, f format.Format, settings json.RawMessage) *Server {
	t.Helper()
	s := newServer(t, f)
	s.Configure(func(c *repository.Config) { c.Settings = settings })
	return s
}

// newServer starts a server without repositories.
func newServer(t *testing.T, f format.Format) *Server {
	t.Helper()
	s := &Server{t: t, dir: t.TempDir(), format: f}
	s.start()
	t.Cleanup(func() { s.stop() })
	return s
}

// Create makes a repository.
func (s *Server) Create(c repository.Config) {
	s.t.Helper()
	c.Format, c.Online, c.Storage.BlobStore = s.format.Describe().Name, true, repository.DefaultBlobStore
	if err := s.manager.Create(s.t.Context(), c); err != nil {
		s.t.Fatal(err)
	}
}

// Serve opens the server to others, and returns the URL of the repository.
func (s *Server) Serve() *httptest.Server {
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }))
	s.t.Cleanup(front.Close)
	return front
}

// start opens everything on the server's directory.
func (s *Server) start() {
	s.t.Helper()
	ctx, log := s.t.Context(), slog.New(slog.NewTextHandler(s.t.Output(), nil))
	must := func(err error) {
		s.t.Helper()
		if err != nil {
			s.t.Fatal(err)
		}
	}
	db, err := store.Open(ctx, filepath.Join(s.dir, "repomgr.db"), "", log)
	must(err)
	s.Security, err = security.New(ctx, db.Directory(), security.Options{DataDir: s.dir, Log: log})
	must(err)
	_, err = s.Security.EnsureAdmin(ctx, Admin, true)
	must(err)
	stores, err := repository.OpenBlobStores(ctx, db, filepath.Join(s.dir, "blobs"), log)
	must(err)
	network, err := remote.NewNetwork(remote.NetworkConfig{Version: "test"})
	must(err)
	key, err := secrets.NewKey(make([]byte, secrets.KeySize))
	must(err)
	s.manager, err = repository.NewManager(ctx, db, stores, []format.Format{s.format}, s.Security, s, network, key, log)
	must(err)
	s.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.manager.ServeMain(w, r) {
			http.NotFound(w, r)
		}
	})
	s.stop = func() {
		s.manager.Close()
		if err := stores.Close(); err != nil {
			s.t.Error(err)
		}
		if err := db.Close(); err != nil {
			s.t.Error(err)
		}
	}
}

// Restart stops the server and starts it again on what it left.
func (s *Server) Restart() {
	s.t.Helper()
	s.stop()
	s.start()
}

// Listen makes Server the repository.Listeners of its manager: there are no ports to open here.
func (s *Server) Listen(int, bool, http.Handler) (repository.Connector, error) {
	return connector{}, nil
}

type connector struct{}

func (connector) Close() {}

func (connector) Secure() bool { return false }

// AddUser makes a user with the role, whose password is its name.
func (s *Server) AddUser(name, role string) {
	s.t.Helper()
	_, err := s.Security.CreateUser(s.t.Context(), security.User{ID: name, FirstName: name, LastName: name, Email: name + "@example.org",
		Status: security.Active, Roles: []string{role}}, name)
	if err != nil {
		s.t.Fatal(err)
	}
}

// Configure changes the repository's configuration; the first call creates the repository, with everything allowed.
func (s *Server) Configure(change func(*repository.Config)) {
	s.t.Helper()
	ctx := s.t.Context()
	c, err := s.manager.Get(ctx, repositoryName)
	save := s.manager.Update
	if errs.Is(err, errs.NotFound) {
		save = s.manager.Create
		c = repository.Config{
			Name: repositoryName, Format: s.format.Describe().Name, Type: repository.Hosted, Online: true,
			Storage: repository.Storage{BlobStore: repository.DefaultBlobStore, WritePolicy: repository.Allow},
		}
	} else if err != nil {
		s.t.Fatal(err)
	}
	change(&c)
	if err := save(ctx, c); err != nil {
		s.t.Fatal(err)
	}
}

// invalidate makes all stale that the repository keeps of upstream's, and waits until what comes from now on is not of the same moment.
func (s *Server) invalidate() {
	s.t.Helper()
	if err := s.manager.Invalidate(s.t.Context(), repositoryName); err != nil {
		s.t.Fatal(err)
	}
	time.Sleep(5 * time.Millisecond)
}

// Do sends a request as the user to a path below the repository's URL.
func (s *Server) Do(user, method, path string, body []byte, header ...string) *Response {
	s.t.Helper()
	r := httptest.NewRequest(method, "/", bytes.NewReader(body))
	path, query, _ := strings.Cut(path, "?")
	r.URL.Path, r.URL.RawQuery = "/repository/"+repositoryName+path, query
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	if user != Nobody {
		r.SetBasicAuth(user, user)
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	result := w.Result()
	b, err := io.ReadAll(result.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return &Response{result.StatusCode, result.Header, b}
}

// browse lists the keys of what is in a directory of the repository, as the user sees it, page by page.
func (s *Server) browse(user, directory string) (keys []string) {
	s.t.Helper()
	p := s.principal(user)
	for after := ""; ; {
		children, next, err := s.manager.Browse(s.t.Context(), p, repositoryName, directory, after, browsePage)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, c := range children {
			keys = append(keys, c.Key())
		}
		if after = next; next == "" {
			return keys
		}
	}
}

func (s *Server) principal(user string) security.Principal {
	s.t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	if user != Nobody {
		r.SetBasicAuth(user, user)
	}
	p, err := s.Security.Authenticate(s.t.Context(), r)
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

// browsePage is how much of a directory is asked for at once.
const browsePage = 3

// Response is an answer.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// disabled are the anonymous settings with anonymous access off.
func disabled(s *Server) security.Anonymous {
	a := s.Security.Anonymous()
	a.Enabled = false
	return a
}

func allowOnce(c *repository.Config) { c.Storage.WritePolicy = repository.AllowOnce }
