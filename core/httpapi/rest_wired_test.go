package httpapi

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/repomgr/repomgr/core/network"
	"github.com/repomgr/repomgr/core/remote"
	"github.com/repomgr/repomgr/core/repository"
	"github.com/repomgr/repomgr/core/secret"
	"github.com/repomgr/repomgr/core/store"
	"github.com/repomgr/repomgr/core/task"
)

// wired is a fixture whose repositories are at work.
type wired struct {
	*fixture
	dir     string
	manager *repository.Manager
	tasks   *task.Manager
	record  *record
	stop    func()
}

// record is a log that may be read while it is written.
type record struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// noPorts is a repository.Listeners that opens nothing.
type noPorts struct{}

func (noPorts) Listen(int, bool, http.Handler) (repository.Connector, error) { return noPorts{}, nil }
func (noPorts) Secure() bool                                                 { return false }
func (noPorts) Close()                                                       {}

// newWired starts a server without repositories.
func newWired(t *testing.T) *wired {
	t.Helper()
	w := &wired{dir: t.TempDir(), record: &record{}}
	w.start(t)
	t.Cleanup(func() { w.stop() })
	return w
}

// restart stops the server and starts it again on what it left.
func (w *wired) restart(t *testing.T) {
	t.Helper()
	w.stop()
	w.start(t)
}

func (w *wired) start(t *testing.T) {
	t.Helper()
	ctx, log := t.Context(), slog.New(slog.NewTextHandler(w.record, &slog.HandlerOptions{Level: slog.LevelDebug}))
	db, err := store.Open(ctx, filepath.Join(w.dir, "repomgr.db"), "", log)
	must(err)
	stores, err := repository.OpenBlobStores(ctx, db, filepath.Join(w.dir, "blobs"), log)
	must(err)
	key, err := secret.NewKey(make([]byte, secret.KeySize))
	must(err)
	reach, err := network.New(ctx, db, key, remote.NetworkConfig{Version: "test"}, log)
	must(err)
	manager, err := repository.NewManager(ctx, db, stores, formats(), sharedSecurity(), noPorts{}, reach.Network(), key, log)
	must(err)
	tasks, err := task.New(ctx, db, ownTasks, log, echoTask)
	must(err)
	background, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tasks.Run(background)
	}()
	w.manager, w.tasks = manager, tasks
	w.fixture = newFixture(t, knownUsers, func(d *Deps) {
		d.Repositories, d.BlobStores, d.Browser, d.Tasks, d.Log = manager, stores, manager, tasks, log
		d.RoutingRules, d.Network = manager.RoutingRules(), reach
	})
	server := httptest.NewServer(Handler(manager, w.echo))
	w.Server = server
	w.stop = func() {
		server.Close()
		cancel()
		<-ended
		manager.Close()
		must(stores.Close())
		must(db.Close())
	}
}

// want sends a request and checks its status, and its body unless that is to be empty.
func (w *wired) want(t *testing.T, status int, body, method, path, send string) answer {
	t.Helper()
	got := w.in(t).do(admin, method, path, send, "Host", "nexus.test")
	if got.StatusCode != status {
		t.Errorf("%s %s: status is %d, not %d: %s", method, path, got.StatusCode, status, got.body)
	}
	if body != "" {
		checkBody(t, got, body)
	}
	return got
}

// recorded waits until a file at the root is recorded whose bytes a client may already have.
func (w *wired) recorded(t *testing.T, repo, file string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if page := w.in(t).do(admin, "GET", "/service/rest/repository/browse/"+repo+"/", "").body; strings.Contains(page, ">"+file+"<") {
			return
		}
	}
	t.Fatalf("%s is not recorded in %s", file, repo)
}

// origin is an upstream server.
type origin struct {
	*httptest.Server
	requests atomic.Int64
	// status is that of all answers.
	status atomic.Int64
	// account is the user and password that it asks for.
	account atomic.Value
}

func newOrigin(t *testing.T) *origin {
	o := &origin{}
	o.status.Store(200)
	o.account.Store("")
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.requests.Add(1)
		user, password, _ := r.BasicAuth()
		if want := o.account.Load().(string); want != "" && user+":"+password != want {
			w.Header().Set("WWW-Authenticate", "Basic realm=x")
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("RateLimit-Limit", "100;w=21600")
		w.Header().Set("RateLimit-Remaining", "76;w=21600")
		w.WriteHeader(int(o.status.Load()))
		fmt.Fprint(w, "at "+r.URL.Path)
	}))
	t.Cleanup(o.Close)
	return o
}

// rawProxy is the body for a proxy of the origin's path.
func (o *origin) rawProxy(name, path, client string) string {
	return fmt.Sprintf(`{"name":%q,"storage":{"blobStoreName":"default","strictContentTypeValidation":false},"proxy":{"remoteUrl":%q},"httpClient":%s}`,
		name, o.URL+path, client)
}

func rawHosted(name string) string {
	return fmt.Sprintf(`{"name":%q,"storage":{"blobStoreName":"default","strictContentTypeValidation":false,"writePolicy":"ALLOW"}}`, name)
}

func rawGroup(name, group string) string {
	return fmt.Sprintf(`{"name":%q,"storage":{"blobStoreName":"default","strictContentTypeValidation":false},"group":%s}`, name, group)
}
