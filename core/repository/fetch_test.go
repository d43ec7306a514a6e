package repository

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
	"github.com/repomgr/repomgr/core/remote"
	"github.com/repomgr/repomgr/core/secret"
	"github.com/repomgr/repomgr/core/store"
)

// files is a format of plain files.
type files struct{}

func (files) Describe() format.Descriptor { return format.Descriptor{Name: "files"} }

func (files) Resolve(_ *http.Request, path string) (format.Route, error) {
	return format.Route{Path: path, Class: content.Mutable, Kind: "file", Name: "files", Action: content.Read}, nil
}

func (files) Ingest(_ context.Context, in format.Incoming) ([]format.Record, error) {
	return []format.Record{{
		Path: in.Route.Path, Kind: in.Route.Kind, Name: in.Route.Name, Class: in.Route.Class,
		Digest: digest.NewDigestFromEncoded(digest.SHA256, in.Staged.SHA256), ContentType: in.Route.ContentType,
	}}, nil
}

// newProxy is a proxy of upstream, whose copies are fresh for so many minutes.
func newProxy(t *testing.T, upstream http.HandlerFunc, age int) *Repository {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx, log, dir := t.Context(), slog.New(slog.DiscardHandler), t.TempDir()
	web := httptest.NewServer(upstream)
	t.Cleanup(web.Close)
	db, err := store.Open(ctx, filepath.Join(dir, "repomgr.db"), "", log)
	must(err)
	t.Cleanup(func() { _ = db.Close() })
	stores, err := OpenBlobStores(ctx, db, filepath.Join(dir, "blobs"), log)
	must(err)
	t.Cleanup(func() { _ = stores.Close() })
	network, err := remote.NewNetwork(remote.NetworkConfig{Version: "test"})
	must(err)
	key, err := secret.NewKey(make([]byte, secret.KeySize))
	must(err)
	m, err := NewManager(ctx, db, stores, []format.Format{files{}}, nil, nil, network, key, log)
	must(err)
	t.Cleanup(m.Close)
	must(m.Create(ctx, Config{
		Name: "far", Format: "files", Type: Proxy, Online: true, Storage: Storage{BlobStore: DefaultBlobStore},
		Proxy: &ProxyConfig{RemoteURL: web.URL, ContentMaxAge: age, MetadataMaxAge: age},
	}))
	return m.find("far")
}

// TestFetches_Meanwhile: who looked before a fetch ended, and asks for one after it did, is given what that brought.
func TestFetches_Meanwhile(t *testing.T) {
	var asked atomic.Int32
	r := newProxy(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.URL.Path != "/there" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, "bytes")
	}, 1440)
	ctx := t.Context()
	start := func(path string, stale *content.Asset) (content.Asset, error) {
		t.Helper()
		route, err := r.routeOf(path)
		if err != nil {
			t.Fatal(err)
		}
		return r.manager.fetches.start(ctx, r, route, stale).wait(ctx)
	}
	want := func(when string, n int32) {
		t.Helper()
		if got := asked.Swap(0); got != n {
			t.Errorf("%s: upstream was asked %d times, want %d", when, got, n)
		}
	}
	for range 3 {
		if _, err := start("/absent", nil); !errs.Is(err, errs.NotFound) {
			t.Errorf("what is not there: %v", err)
		}
	}
	want("what is not there", 1)
	route, _ := r.routeOf("/absent")
	r.upstream.absent.clear()
	for range 3 {
		if _, err := r.manager.fetches.peek(ctx, r, route); !errs.Is(err, errs.NotFound) {
			t.Errorf("HEAD of what is not there: %v", err)
		}
	}
	want("HEAD of what is not there", 1)
	var first content.Asset
	for i := range 3 {
		a, err := start("/there", nil)
		if err != nil || a.Blob.Size != 5 {
			t.Errorf("what is there: %+v, %v", a, err)
		}
		if i == 0 {
			first = a
		}
	}
	want("what is there", 1)
	// The caller found the copy stale that another fetch has confirmed since.
	stale := first
	origin := *first.Origin
	origin.CheckedAt = origin.CheckedAt.Add(-1e9)
	stale.Origin = &origin
	if a, err := start("/there", &stale); err != nil || !a.Origin.CheckedAt.Equal(first.Origin.CheckedAt) {
		t.Errorf("checked meanwhile: %+v, %v", a, err)
	}
	want("checked meanwhile", 0)
	if _, err := start("/there", &first); err != nil {
		t.Error(err)
	}
	want("not checked since", 1)
	if err := r.manager.Invalidate(ctx, "far"); err != nil {
		t.Fatal(err)
	}
	if _, err := start("/there", &stale); err != nil {
		t.Error(err)
	}
	want("checked before an invalidation", 1)
}

// TestFailing: the log says whose fault it is.
func TestFailing(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"no connection", &remote.Error{Kind: remote.Unreachable}, "upstream can't be asked"},
		{"blocked", fmt.Errorf("x: %w", &remote.Error{Kind: remote.Blocked}), "upstream can't be asked"},
		{"disk full", fmt.Errorf("append: %w", syscall.ENOSPC), "what upstream has can't be stored"},
		{"disk full, in a client's words", storeError(syscall.ENOSPC), "what upstream has can't be stored"},
		{"database", errors.New("disk I/O error"), "what upstream has can't be taken in"},
		{"gone", errs.New(errs.NotFound, "x"), "upstream does not have it any more"},
		{"wrong bytes", wrong(errs.New(errs.Invalid, "x")), "upstream gave a wrong answer"},
		{"slow", errSlow, "upstream is slow"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := failing(tt.err); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}
