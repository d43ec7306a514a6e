package store

import (
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
)

func (f fixture) suspect(t testing.TB, a content.Asset) bool {
	t.Helper()
	return f.inTx(t, func(tx *Tx) (bool, error) { return tx.Suspect(a.Blob.ID) })
}

func (f fixture) acquit(t testing.TB, a content.Asset) bool {
	t.Helper()
	return f.inTx(t, func(tx *Tx) (bool, error) { return tx.Acquit(a.Blob.ID) })
}

func (f fixture) inTx(t testing.TB, do func(tx *Tx) (bool, error)) (done bool) {
	t.Helper()
	if err := f.Update(t.Context(), func(tx *Tx) (err error) { done, err = do(tx); return err }); err != nil {
		t.Fatal(err)
	}
	return done
}

func (f fixture) asset(t testing.TB, repository int64, path string) content.Asset {
	t.Helper()
	a, err := f.Asset(t.Context(), repository, path)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// rows are the blob store's, by key.
func (f fixture) rows(t testing.TB) []BlobRow {
	t.Helper()
	rows, err := f.BlobRows(t.Context(), f.blobStore, "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// TestSuspect: a suspect blob can't be relied on, and the next upload of its bytes takes its place for all.
func TestSuspect(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		f := newFixture(t, s)
		one := f.put(t, f.a, "blob", "app", "/one", "bytes")
		f.put(t, f.b, "blob", "app", "/two", "bytes")
		gone := f.put(t, f.b, "blob", "app", "/gone", "bytes")
		other := f.put(t, f.a, "blob", "app", "/other", "other bytes")
		if err := f.Update(t.Context(), func(tx *Tx) error { return tx.DeleteAsset(gone, "") }); err != nil {
			t.Fatal(err)
		}
		mark, _ := f.mark(f.b, "/two")

		if !f.suspect(t, one) || f.suspect(t, one) {
			t.Error("a blob becomes suspect once")
		}
		if now, ok := f.mark(f.b, "/two"); f.Epochs != nil && (!ok || now == mark) {
			t.Error("what is cached of an asset that names the blob still counts")
		}
		if !f.asset(t, f.a, "/one").Blob.Suspect || !f.asset(t, f.b, "/two").Blob.Suspect || f.asset(t, f.a, "/other").Blob.Suspect {
			t.Error("not those assets that name the blob are suspect")
		}
		err := f.Update(t.Context(), func(tx *Tx) error { return tx.Touch(one) })
		if !errs.Is(err, errs.NotFound) {
			t.Errorf("Touch = %v, want not found", err)
		}
		f.inTx(t, func(tx *Tx) (bool, error) {
			missing, err := tx.Require(f.a, []content.Reference{{Path: "/one"}, {Path: "/other"}})
			if len(missing) != 1 || missing[0].Path != "/one" {
				t.Errorf("Require misses %v, want /one", missing)
			}
			return false, err
		})

		mark, _ = f.mark(f.b, "/two")
		three := f.put(t, f.b, "blob", "app", "/three", "bytes")
		if now, ok := f.mark(f.b, "/two"); f.Epochs != nil && (!ok || now == mark) {
			t.Error("what is cached of an asset that was mended still counts")
		}
		for _, a := range []content.Asset{f.asset(t, f.a, "/one"), f.asset(t, f.b, "/two")} {
			if diff := cmp.Diff(f.asset(t, f.b, "/three").Blob, a.Blob); diff != "" {
				t.Errorf("%s does not name the new bytes: %s", a.Path, diff)
			}
		}
		if a := f.asset(t, f.a, "/one"); !a.UpdatedAt.Equal(one.UpdatedAt) || a.ID != one.ID {
			t.Errorf("the asset is another one: %+v, was %+v", a, one)
		}
		want := map[string]BlobState{three.Blob.Key: Live, other.Blob.Key: Live}
		got := map[string]BlobState{}
		for _, row := range f.rows(t) {
			got[row.Key] = row.State
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("rows: %s", diff)
		}
	})
}

// mark is the mark of what is cached of the asset at path.
func (f fixture) mark(repository int64, path string) (uint64, bool) {
	if f.Epochs == nil {
		return 0, false
	}
	return f.Epochs.Mark(PathSlot(repository, path))
}

func TestAcquit(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		f := newFixture(t, s)
		a := f.put(t, f.a, "blob", "app", "/one", "bytes")
		if f.acquit(t, a) {
			t.Error("a live blob is acquitted")
		}
		f.suspect(t, a)
		mark, _ := f.mark(f.a, "/one")
		if !f.acquit(t, a) {
			t.Error("a suspect blob is not acquitted")
		}
		if now, ok := f.mark(f.a, "/one"); f.Epochs != nil && (!ok || now == mark) {
			t.Error("what is cached of an asset that names the blob still counts")
		}
		if got := f.asset(t, f.a, "/one"); got.Blob.Suspect || got.Blob.Key != a.Blob.Key {
			t.Errorf("after: %+v", got.Blob)
		}
		// Its row is gone once others took its place.
		f.suspect(t, a)
		f.put(t, f.b, "blob", "app", "/two", "bytes")
		if f.acquit(t, a) {
			t.Error("a blob is acquitted that was replaced")
		}
	})
}

// TestMendSHA512: what is known of the bytes stays known.
func TestMendSHA512(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		f := newFixture(t, s)
		put := func(key, sha512 string) (blob content.Blob) {
			t.Helper()
			err := f.Update(t.Context(), func(tx *Tx) (err error) {
				blob, err = tx.PutBlob(content.Staged{StoreID: f.blobStore, Key: key, SHA256: "aa", SHA512: sha512, Size: 1})
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return blob
		}
		f.suspect(t, content.Asset{Blob: put("k1", "bb")})
		if got := put("k2", ""); got.SHA512 != "bb" {
			t.Errorf("sha512 = %q, want that of the same bytes before", got.SHA512)
		}
		if got := put("k3", ""); got.SHA512 != "bb" || got.Key != "k2" {
			t.Errorf("then %+v", got)
		}
	})
}

// TestSuspectConcurrent: blobs become suspect while others push, name and mount their bytes. Each push that names them after
// finds live bytes, and no row is left that nobody needs.
func TestSuspectConcurrent(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		f := newFixture(t, s)
		const writers, rounds = 6, 25
		f.put(t, f.a, "blob", "app", "/mount", "bytes")
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				for i := range rounds {
					path := fmt.Sprintf("/%d/%d", w, i)
					switch w % 3 {
					case 0:
						a, err := f.Asset(t.Context(), f.a, "/mount")
						if err != nil {
							t.Error(err)
							return
						}
						if err := f.Update(t.Context(), func(tx *Tx) error { _, err := tx.Suspect(a.Blob.ID); return err }); err != nil {
							t.Error(err)
						}
					case 1:
						if _, err := f.tryPut(t.Context(), AssetRecord{RepositoryID: f.b, Path: path, Kind: "blob", Name: "app"}, "bytes"); err != nil {
							t.Error(err)
						}
					case 2:
						err := f.Update(t.Context(), func(tx *Tx) error {
							source, err := tx.Asset(f.a, "/mount")
							if err != nil {
								return err
							}
							if err := tx.Touch(source); err != nil {
								return err
							}
							_, err = tx.PutAsset(AssetRecord{RepositoryID: f.b, Path: path, Kind: "blob", Name: "app", Digest: source.Digest}, source.Blob, nil)
							return err
						})
						if err != nil && !errs.Is(err, errs.NotFound) {
							t.Error(err)
						}
					}
				}
			})
		}
		wg.Wait()
		f.put(t, f.a, "blob", "app", "/last", "bytes")
		rows := f.rows(t)
		if len(rows) != 1 || rows[0].State != Live {
			t.Errorf("rows: %+v, want one live", rows)
		}
		places, total, err := f.Named(t.Context(), rows[0].ID, 10)
		if err != nil || len(places) != 10 || total < 2+2*rounds {
			t.Errorf("it is named by %d assets, %d of them told, %v", total, len(places), err)
		}
	})
}

// TestManyNames: a slot of the caches counts its writers, and few; a blob may have more names than that.
func TestManyNames(t *testing.T) {
	s := sqliteStore(t)
	f := newFixture(t, s)
	a := f.put(t, f.a, "tag", "app", "/0", "bytes")
	many := make([]named, 1<<17)
	for i := range many {
		many[i] = named{f.a, "/0", "app"}
	}
	err := f.Update(t.Context(), func(tx *Tx) error {
		tx.changeAll(many)
		if _, ok := f.mark(f.a, a.Path); ok {
			t.Error("there is a mark while the asset is being changed")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := f.mark(f.a, a.Path); !ok {
		t.Error("there is no mark after the change")
	}
}

func TestBlobRows(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		f := newFixture(t, s)
		err := f.Update(t.Context(), func(tx *Tx) error {
			for _, key := range []string{"b", "B", "a", "é", "0", "a.1", "A"} {
				if _, err := tx.PutBlob(content.Staged{StoreID: f.blobStore, Key: key, SHA256: key, Size: 1}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for after := ""; ; {
			rows, err := f.BlobRows(t.Context(), f.blobStore, after, 2)
			if err != nil {
				t.Fatal(err)
			}
			for _, row := range rows {
				got, after = append(got, row.Key), row.Key
			}
			if len(rows) < 2 {
				break
			}
		}
		if diff := cmp.Diff([]string{"0", "A", "B", "a", "a.1", "b", "é"}, got); diff != "" {
			t.Errorf("keys in pages: %s", diff)
		}
		if _, ok, err := f.BlobRow(t.Context(), f.blobStore, "c"); ok || err != nil {
			t.Errorf("a row that is not there: %v, %v", ok, err)
		}
		row, ok, err := f.BlobRow(t.Context(), f.blobStore, "a.1")
		if want := (BlobRow{ID: row.ID, Key: "a.1", SHA256: "a.1", Size: 1, State: Live}); !ok || err != nil || row != want {
			t.Errorf("BlobRow = %+v, %v, %v", row, ok, err)
		}
		if rows, err := f.BlobRows(t.Context(), f.blobStore+1, "", 10); len(rows) != 0 || err != nil {
			t.Errorf("rows of another store: %v, %v", rows, err)
		}
	})
}
