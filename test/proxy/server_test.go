// Package proxy checks proxy and group repositories of images against real registries upstream: Debian's docker-registry and a second
// repomgr, each with the ways of signing in that it has.
package proxy

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/repomgr/repomgr/core/format"
	"github.com/repomgr/repomgr/core/remote"
	"github.com/repomgr/repomgr/core/repository"
	"github.com/repomgr/repomgr/core/secret"
	"github.com/repomgr/repomgr/core/security"
	"github.com/repomgr/repomgr/core/store"
	"github.com/repomgr/repomgr/formats/docker"
	"github.com/repomgr/repomgr/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// The account of all servers.
const (
	user     = "admin"
	password = "proxy-admin"
)

// server is a repomgr whose repositories are reached by paths.
type server struct {
	// host is "127.0.0.1:port".
	host    string
	manager *repository.Manager
	db      *store.Store
	stores  *repository.BlobStores
	// stop stops it; it may be called twice.
	stop func()
}

// newServer starts a repomgr.
func newServer(t *testing.T, anonymous bool) *server {
	t.Helper()
	return newServerWith(t, anonymous, remote.NetworkConfig{Version: "test"})
}

// newServerWith is newServer with settings of the requests to upstream servers.
func newServerWith(t *testing.T, anonymous bool, settings remote.NetworkConfig) *server {
	t.Helper()
	dir := t.TempDir()
	ctx, log := context.Background(), slog.New(slog.NewTextHandler(t.Output(), nil))
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	db, err := store.Open(ctx, filepath.Join(dir, "repomgr.db"), "", log)
	must(err)
	users, err := security.New(ctx, db.Directory(), security.Options{DataDir: dir, Log: log})
	must(err)
	_, err = users.EnsureAdmin(ctx, password, anonymous)
	must(err)
	stores, err := repository.OpenBlobStores(ctx, db, filepath.Join(dir, "blobs"), log)
	must(err)
	network, err := remote.NewNetwork(settings)
	must(err)
	key, err := secret.NewKey(make([]byte, secret.KeySize))
	must(err)
	s := &server{db: db, stores: stores}
	s.manager, err = repository.NewManager(ctx, db, stores, []format.Format{docker.New()}, users, nil, network, key, log)
	must(err)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.manager.ServeMain(w, r) {
			http.NotFound(w, r)
		}
	}))
	s.host = web.Listener.Addr().String()
	stopped := false
	s.stop = func() {
		if stopped {
			return
		}
		stopped = true
		web.Close()
		s.manager.Close()
		if err := stores.Close(); err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(s.stop)
	return s
}

// create makes a repository of images that is reached by its path.
func (s *server) create(t *testing.T, c repository.Config, forceBasic bool) {
	t.Helper()
	c.Format, c.Online = "docker", true
	if c.Storage.BlobStore == "" {
		c.Storage.BlobStore = repository.DefaultBlobStore
	}
	if c.Type == repository.Hosted {
		c.Storage.WritePolicy = repository.Allow
	}
	c.Settings = json.RawMessage(fmt.Sprintf(`{"forceBasicAuth": %t, "pathEnabled": true}`, forceBasic))
	if err := s.manager.Create(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

func (s *server) hosted(t *testing.T, name string, forceBasic bool) {
	t.Helper()
	s.create(t, repository.Config{Name: name, Type: repository.Hosted}, forceBasic)
}

// proxy makes a proxy that asks upstream each time whether what can change has changed.
func (s *server) proxy(t *testing.T, name string, u upstream) {
	t.Helper()
	c := repository.Config{
		Name: name, Type: repository.Proxy,
		Proxy:         &repository.ProxyConfig{RemoteURL: u.url, ContentMaxAge: -1},
		NegativeCache: &repository.NegativeCache{},
		HTTPClient:    &remote.Config{Connection: &remote.Connection{Retries: new(int)}},
	}
	if u.credentials {
		c.HTTPClient.Authentication = &remote.Authentication{Type: remote.TypeUsername, Username: user, Password: password}
	}
	s.create(t, c, false)
}

// group makes a group; writable is empty for one that takes no uploads.
func (s *server) group(t *testing.T, name, writable string, members ...string) {
	t.Helper()
	s.create(t, repository.Config{Name: name, Type: repository.Group, Group: &repository.GroupConfig{MemberNames: members, WritableMember: writable}}, false)
}

// upstream is a registry.
type upstream struct {
	// host and prefix are what clients write before the names of images; url is the remote URL of a proxy of it.
	host, prefix, url string
	// credentials tells that it wants to know who asks; referrers that it has the referrers API.
	credentials, referrers bool
	stop                   func()
}

// newRegistry starts Debian's docker-registry, with an account or without.
func newRegistry(t *testing.T, o testenv.RegistryOptions) upstream {
	t.Helper()
	r := testenv.StartRegistry(t, o)
	u := upstream{host: r.Host, prefix: r.Host, url: "http://" + r.Host, credentials: o.User != "", stop: r.Stop}
	if o.Tokens { // crane takes tokens only of the registry's own host and port
		u.host, u.prefix = r.Open, r.Open
	}
	return u
}

// newRepomgr starts a repomgr whose repository asks for basic authentication, or for tokens.
func newRepomgr(t *testing.T, forceBasic bool) upstream {
	t.Helper()
	s := newServer(t, false)
	s.hosted(t, "images", forceBasic)
	return upstream{
		host: s.host, prefix: s.host + "/images", url: "http://" + s.host + "/repository/images/", credentials: true, referrers: true, stop: s.stop,
	}
}

// crane is the client, signed in to some hosts.
type crane struct {
	t    *testing.T
	path string
	home string
}

func newCrane(t *testing.T, hosts ...string) crane {
	t.Helper()
	c := crane{t, testenv.Tool(t, "crane"), t.TempDir()}
	for _, host := range hosts {
		c.run("auth", "login", host, "-u", user, "-p", password)
	}
	return c
}

func (c crane) try(args ...string) (string, error) {
	cmd := exec.CommandContext(c.t.Context(), c.path, append(args, "--insecure")...)
	cmd.Dir = c.home
	cmd.Env = []string{"HOME=" + c.home, "DOCKER_CONFIG=" + c.home, "HTTP_PROXY=http://127.0.0.1:1", "NO_PROXY=127.0.0.0/8"}
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// run runs a command that must succeed, and returns what it printed.
func (c crane) run(args ...string) string {
	c.t.Helper()
	out, err := c.try(args...)
	if err != nil {
		c.t.Fatalf("crane %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// fails runs a command that must fail, and returns what it printed.
func (c crane) fails(args ...string) string {
	c.t.Helper()
	out, err := c.try(args...)
	if err == nil {
		c.t.Fatalf("crane %s: succeeded\n%s", strings.Join(args, " "), out)
	}
	return out
}

// call sends a request as the administrator, to "host/v2/...", and returns the status, the header and the body.
func call(t *testing.T, method, address, contentType, body string) (int, http.Header, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth(user, password)
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(text)
}
