package check

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/core/blobstore/file"
	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/store"
	"github.com/repomgr/repomgr/core/store/storetest"
	"github.com/repomgr/repomgr/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// fixture is a database with the repositories "a" and "b", whose bytes are in a file store.
type fixture struct {
	t       *testing.T
	db      *store.Store
	root    string
	files   *file.Store
	id      int64
	a, b    int64
	checker *Checker
}

// each runs a test on both databases.
func each(t *testing.T, test func(f *fixture)) {
	storetest.Each(t, func(t *testing.T, open func() *store.Store) { test(newFixture(t, open())) })
}

func newFixture(t *testing.T, db *store.Store) *fixture {
	t.Helper()
	f := &fixture{t: t, db: db, root: filepath.Join(t.TempDir(), "default")}
	var err error
	f.files, err = file.Open(f.root, file.Identity{Store: "s", Installation: "i"}, file.Options{Create: true})
	f.must(err)
	t.Cleanup(func() { f.files.Close() })
	f.must(db.Update(t.Context(), func(tx *store.Tx) (err error) {
		if f.id, err = tx.CreateBlobStore(store.BlobStore{UUID: "s", Name: "default", Type: "File", Config: "{}"}); err != nil {
			return err
		}
		if f.a, err = tx.CreateRepository(store.Repository{Name: "a", Format: "plain", Type: "hosted", BlobStoreID: f.id, Config: "{}"}); err != nil {
			return err
		}
		f.b, err = tx.CreateRepository(store.Repository{Name: "b", Format: "plain", Type: "hosted", BlobStoreID: f.id, Config: "{}"})
		return err
	}))
	f.checker = New(db, func() []Place { return []Place{{f.id, "default", f.files}} }, slog.New(slog.DiscardHandler))
	f.checker.page = 3 // pages end everywhere
	return f
}

func (f *fixture) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// stage stores bytes that no row names.
func (f *fixture) stage(body string) content.Staged {
	f.t.Helper()
	info, err := f.files.Put(f.t.Context(), strings.NewReader(body))
	f.must(err)
	return content.Staged{StoreID: f.id, Key: info.Key, SHA256: info.Digests[digest.SHA256].Encoded(), Size: info.Size}
}

// put stores an asset as an upload does.
func (f *fixture) put(repository int64, path, body string) content.Asset {
	f.t.Helper()
	a, err := f.name(repository, path, f.stage(body))
	f.must(err)
	return a
}

// name records that the path names staged bytes. Bytes that turn out not to be needed are deleted.
func (f *fixture) name(repository int64, path string, staged content.Staged) (a content.Asset, err error) {
	err = f.db.Update(f.t.Context(), func(tx *store.Tx) error {
		blob, err := tx.PutBlob(staged)
		if err != nil {
			return err
		}
		var existing *content.Asset
		if old, err := tx.Asset(repository, path); err == nil {
			existing = &old
		} else if !errs.Is(err, errs.NotFound) {
			return err
		}
		a, err = tx.PutAsset(store.AssetRecord{RepositoryID: repository, Path: path, Kind: "file", Digest: digest.NewDigestFromEncoded(digest.SHA256, staged.SHA256)}, blob, existing)
		return err
	})
	if err == nil && a.Blob.Key != staged.Key {
		err = f.files.Delete(f.t.Context(), staged.Key)
	}
	return a, err
}

// fill stores n assets, in less time than put takes.
func (f *fixture) fill(n int) []content.Asset {
	f.t.Helper()
	assets := make([]content.Asset, n)
	f.must(f.db.Update(f.t.Context(), func(tx *store.Tx) error {
		for i := range assets {
			body := fmt.Sprintf("fill %d", i)
			sum := digest.FromString(body)
			key := sum.Encoded() + "." + sum.Encoded()[:32]
			if err := os.WriteFile(f.path(key), []byte(body), 0o600); err != nil {
				return err
			}
			blob, err := tx.PutBlob(content.Staged{StoreID: f.id, Key: key, SHA256: sum.Encoded(), Size: int64(len(body))})
			if err != nil {
				return err
			}
			rec := store.AssetRecord{RepositoryID: f.a, Path: fmt.Sprintf("/fill/%d", i), Kind: "file", Digest: sum}
			if assets[i], err = tx.PutAsset(rec, blob, nil); err != nil {
				return err
			}
		}
		return nil
	}))
	return assets
}

func (f *fixture) path(key string) string { return filepath.Join(f.root, "blobs", key[:2], key) }

func (f *fixture) exists(parts ...string) bool {
	f.t.Helper()
	_, err := os.Lstat(filepath.Join(append([]string{f.root}, parts...)...))
	return err == nil
}

// age makes a file older than the grace time.
func (f *fixture) age(key string) {
	f.t.Helper()
	f.must(os.Chtimes(f.path(key), time.Time{}, time.Now().Add(-store.Grace-time.Minute)))
}

// report is what a check told.
type report struct {
	found   []Finding
	summary Summary
	Result
}

func (f *fixture) check(o Options) report {
	f.t.Helper()
	var r report
	var got []string
	err := f.checker.Run(f.t.Context(), o, func(e Event) error {
		switch {
		case e.Finding != nil:
			r.found = append(r.found, *e.Finding)
		case e.Summary != nil:
			r.summary = *e.Summary
			got = append(got, "summary")
		case e.Result != nil:
			r.Result = *e.Result
			got = append(got, "result")
		}
		if e.String() == "" {
			f.t.Error("an event has no text")
		}
		return nil
	})
	f.must(err)
	if strings.Join(got, " ") != "summary result" {
		f.t.Errorf("the report ends with %v", got)
	}
	return r
}

// exits fails the test unless the report is of those kinds and that exit status.
func (f *fixture) exits(what string, r report, status int, kinds ...Kind) {
	f.t.Helper()
	var got []Kind
	for _, found := range r.found {
		got = append(got, found.Kind)
	}
	if r.Exit() != status || fmt.Sprint(got) != fmt.Sprint(kinds) {
		f.t.Errorf("%s: exit %d, found %v; want %d, %v (%+v)", what, r.Exit(), got, status, kinds, r.summary)
	}
}

// reads fails the test unless the asset at path can be relied on and has the bytes.
func (f *fixture) reads(repository int64, path, body string) {
	f.t.Helper()
	a, err := f.db.Asset(f.t.Context(), repository, path)
	f.must(err)
	if a.Blob.Suspect {
		f.t.Errorf("%s: its blob is suspect", path)
		return
	}
	r, _, err := f.files.Open(f.t.Context(), a.Blob.Key)
	if err != nil {
		f.t.Errorf("%s: %v", path, err)
		return
	}
	defer r.Close()
	if b, err := io.ReadAll(r); err != nil || !bytes.Equal(b, []byte(body)) {
		f.t.Errorf("%s: %q, %v", path, b, err)
	}
}
