package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// each runs a test on every database.
func each(t *testing.T, test func(t *testing.T, s *Store)) {
	eachDatabase(t, func(t *testing.T, database func() (*Store, error)) { test(t, mustOpen(t, database)) })
}

// eachDatabase runs a test on every kind of database; each call of database opens the same one, as another process would.
func eachDatabase(t *testing.T, test func(t *testing.T, database func() (*Store, error))) {
	log := slog.New(slog.DiscardHandler)
	t.Run("sqlite", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "repomgr.db")
		test(t, func() (*Store, error) { return Open(t.Context(), path, "", log) })
	})
	t.Run("postgres", func(t *testing.T) {
		url := testenv.Postgres(t)
		test(t, func() (*Store, error) { return Open(t.Context(), "", url, log) })
	})
}

func mustOpen(t testing.TB, database func() (*Store, error)) *Store {
	t.Helper()
	s, err := database()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// sqliteStore returns an empty SQLite database, for what only it does.
func sqliteStore(t testing.TB) *Store {
	t.Helper()
	path := filepath.Join(t.TempDir(), "repomgr.db")
	return mustOpen(t, func() (*Store, error) { return Open(t.Context(), path, "", slog.New(slog.DiscardHandler)) })
}

// fixture is a store with one blob store and repositories "a" and "b".
type fixture struct {
	*Store
	blobStore int64
	a, b      int64
}

func newFixture(t testing.TB, s *Store) fixture {
	t.Helper()
	f := fixture{Store: s}
	err := s.Update(t.Context(), func(tx *Tx) (err error) {
		if f.blobStore, err = tx.CreateBlobStore(BlobStore{UUID: "u", Name: "default", Type: "File", Config: "{}"}); err != nil {
			return err
		}
		if f.a, err = tx.CreateRepository(Repository{Name: "a", Format: "docker", Type: "hosted", BlobStoreID: f.blobStore, Config: "{}"}); err != nil {
			return err
		}
		f.b, err = tx.CreateRepository(Repository{Name: "b", Format: "docker", Type: "hosted", BlobStoreID: f.blobStore, Config: "{}"})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// keys makes the keys of staged bytes unique.
var keys atomic.Int64

// put stores an asset whose bytes are its body.
func (f fixture) put(t testing.TB, repository int64, kind, name, path, body string, refs ...content.Reference) content.Asset {
	t.Helper()
	asset, err := f.tryPut(t.Context(), AssetRecord{RepositoryID: repository, Path: path, Kind: kind, Name: name, ContentType: "text/plain",
		Component: &content.Component{Name: name, Version: path, Kind: kind}, References: refs}, body)
	if err != nil {
		t.Fatal(err)
	}
	return asset
}

// tryPut stores an asset as an upload does: bytes first, then in one transaction their row and what names them.
func (f fixture) tryPut(ctx context.Context, rec AssetRecord, body string) (asset content.Asset, err error) {
	rec.Digest = digest.FromString(body)
	sum := rec.Digest.Encoded()
	staged := content.Staged{StoreID: f.blobStore, Key: fmt.Sprintf("%s.%d", sum, keys.Add(1)), SHA256: sum, Size: int64(len(body))}
	err = f.Update(ctx, func(tx *Tx) error {
		blob, err := tx.PutBlob(staged)
		if err != nil {
			return err
		}
		var existing *content.Asset
		if old, err := tx.Asset(rec.RepositoryID, rec.Path); err == nil {
			existing = &old
		} else if !errs.Is(err, errs.NotFound) {
			return err
		}
		asset, err = tx.PutAsset(rec, blob, existing)
		return err
	})
	return asset, err
}

func TestAssets(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		f := newFixture(t, s)
		ctx := t.Context()
		first := f.put(t, f.a, "tag", "img", "/img/v1", "one")
		again := f.put(t, f.a, "tag", "img", "/img/v2", "one")
		if first.Blob.ID != again.Blob.ID || first.Blob.Key != again.Blob.Key {
			t.Errorf("the same bytes got two blobs: %+v, %+v", first.Blob, again.Blob)
		}
		moved := f.put(t, f.a, "tag", "img", "/img/v1", "two")
		if moved.ID != first.ID || moved.Digest == first.Digest || moved.Blob.Size != 3 {
			t.Errorf("moved tag = %+v", moved)
		}
		for _, a := range []content.Asset{again, moved} {
			stored, err := s.Asset(ctx, f.a, a.Path)
			if diff := cmp.Diff(stored, a); err != nil || diff != "" {
				t.Errorf("PutAsset returned another asset than is stored: %v\n%s", err, diff)
			}
		}
		if _, err := s.Asset(ctx, f.b, "/img/v1"); !errs.Is(err, errs.NotFound) {
			t.Errorf("asset of another repository: %v", err)
		}
		if err := s.Update(ctx, func(tx *Tx) error { return tx.DeleteAsset(moved, "me") }); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Asset(ctx, f.a, "/img/v1"); !errs.Is(err, errs.NotFound) {
			t.Errorf("deleted asset: %v", err)
		}
		if err := s.Update(ctx, func(tx *Tx) error { return tx.DeleteAsset(moved, "me") }); !errs.Is(err, errs.NotFound) {
			t.Errorf("deleted twice: %v", err)
		}
		back := f.put(t, f.a, "tag", "img", "/img/v1", "two")
		if back.ID == moved.ID {
			t.Error("a deleted asset's id was given again")
		}
	})
}

func TestPages(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		f := newFixture(t, s)
		ctx := t.Context()
		for _, tag := range []string{"b", "B", "a-1", "a", "a.1", "a_1", "10", "9"} {
			f.put(t, f.a, "tag", "img", "/img/"+tag, tag)
		}
		f.put(t, f.a, "manifest", "img", "/img/sha256:x", "x")
		var got []string
		for after, more := "", true; more; {
			page, err := s.Assets(ctx, f.a, content.List{Kind: "tag", Name: "img", After: after, Limit: 3})
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range page.Assets {
				got = append(got, strings.TrimPrefix(a.Path, "/img/"))
				after = a.Path
			}
			more = page.More
		}
		if want := "10 9 B a a-1 a.1 a_1 b"; strings.Join(got, " ") != want {
			t.Errorf("tags = %q, want %q", got, want)
		}
		if page, err := s.Assets(ctx, f.a, content.List{Kind: "tag", Name: "img", Limit: 0}); err != nil || len(page.Assets) != 0 || !page.More {
			t.Errorf("empty page = %+v, %v", page, err)
		}
		for _, name := range []string{"a", "a-b", "a/b", "a.b", "lib/redis", "redis"} {
			f.put(t, f.b, "manifest", name, "/"+name+"/x", "x")
			f.put(t, f.b, "manifest", name, "/"+name+"/y", "y")
		}
		names := func(l content.List) string {
			l.Names, l.Kind = true, "manifest"
			page, err := s.Names(ctx, f.b, l)
			if err != nil {
				t.Fatal(err)
			}
			return fmt.Sprint(page.Names, page.More)
		}
		for _, test := range []struct {
			name string
			list content.List
			want string
		}{
			{"all", content.List{Limit: 100}, "[a a-b a.b a/b lib/redis redis] false"},
			{"first page", content.List{Limit: 2}, "[a a-b] true"},
			{"next page", content.List{Limit: 4, After: "a-b"}, "[a.b a/b lib/redis redis] false"},
			{"search", content.List{Limit: 5, Contains: "REDIS"}, "[lib/redis redis] false"},
			{"search page", content.List{Limit: 1, Contains: "redis"}, "[lib/redis] true"},
			{"none", content.List{Limit: 0}, "[] true"},
		} {
			if got := names(test.list); got != test.want {
				t.Errorf("%s: %s, want %s", test.name, got, test.want)
			}
		}
	})
}

func TestRequire(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		f := newFixture(t, s)
		f.put(t, f.a, "blob", "img", "/img/blobs/1", "1")
		f.put(t, f.b, "blob", "img", "/img/blobs/2", "2")
		var missing []content.Reference
		err := s.Update(t.Context(), func(tx *Tx) (err error) {
			missing, err = tx.Require(f.a, []content.Reference{{Path: "/img/blobs/1"}, {Path: "/img/blobs/2"}, {Path: "/img/blobs/2"}})
			return err
		})
		if err != nil || len(missing) != 1 || missing[0].Path != "/img/blobs/2" {
			t.Errorf("missing = %v, %v", missing, err)
		}
	})
}

// TestTouch: what is confirmed to a client is young again, the asset and its blob.
func TestTouch(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		f := newFixture(t, s)
		a := f.put(t, f.a, "blob", "img", "/img/blobs/1", "1")
		err := s.Update(t.Context(), func(tx *Tx) error {
			if _, err := tx.exec(`UPDATE assets SET touched_at = 1`); err != nil {
				return err
			}
			_, err := tx.exec(`UPDATE blobs SET touched_at = 1`)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Update(t.Context(), func(tx *Tx) error {
			_, err := tx.Require(f.a, []content.Reference{{Path: a.Path}})
			return err
		}); err != nil {
			t.Fatal(err)
		}
		got, err := s.Asset(t.Context(), f.a, a.Path)
		if err != nil || got.TouchedAt.UnixMilli() == 1 || got.Blob.TouchedAt.UnixMilli() == 1 {
			t.Errorf("touched asset = %+v, %v", got, err)
		}
	})
}

// TestUpdateIsolation: a transaction that fails or panics leaves nothing, and does not take its neighbours with it.
func TestUpdateIsolation(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				err := s.Update(ctx, func(tx *Tx) error {
					if err := tx.SetSetting(fmt.Sprint("k", i), "v"); err != nil {
						return err
					}
					if i%3 == 1 {
						return errors.New("no")
					}
					return nil
				})
				if (err != nil) != (i%3 == 1) {
					t.Errorf("update %d: %v", i, err)
				}
			}()
		}
		wg.Wait()
		for i := range 50 {
			v, err := s.Setting(ctx, fmt.Sprint("k", i))
			if err != nil || (v == "v") != (i%3 != 1) {
				t.Errorf("setting %d = %q, %v", i, v, err)
			}
		}
	})
}

func TestUpdateContext(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Update(ctx, func(tx *Tx) error { return tx.SetSetting("k", "v") }); !errors.Is(err, context.Canceled) {
			t.Errorf("update with an ended context: %v", err)
		}
	})
}

// BenchmarkPutAsset: eight clients (two processors) that store one small asset after the other.
func BenchmarkPutAsset(b *testing.B) {
	f := newFixture(b, sqliteStore(b))
	b.SetParallelism(4)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			d := digest.FromString(fmt.Sprint(keys.Add(1)))
			if err := f.Update(b.Context(), func(tx *Tx) error {
				blob, err := tx.PutBlob(content.Staged{StoreID: f.blobStore, Key: d.Encoded(), SHA256: d.Encoded(), Size: 1})
				if err != nil {
					return err
				}
				_, err = tx.PutAsset(AssetRecord{RepositoryID: f.a, Path: "/img/blobs/" + d.String(), Kind: "blob", Name: "img", Digest: d}, blob, nil)
				return err
			}); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
