package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
)

// TestPutSamePath: of uploads to one path at the same time one creates the asset, the others replace it, one after the
// other: what each of them read is what it replaces. All have the same bytes, so that only the row tells them apart.
func TestPutSamePath(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		f := newFixture(t, s)
		const writers = 12
		type counter struct{ N int }
		var wg sync.WaitGroup
		for range writers {
			wg.Go(func() {
				// A transaction is run again as often as others are faster; it gives up only when that never ends.
				for {
					err := s.Update(t.Context(), func(tx *Tx) error {
						d := digest.FromString("same")
						blob, err := tx.PutBlob(content.Staged{StoreID: f.blobStore, Key: fmt.Sprint(keys.Add(1)), SHA256: d.Encoded(), Size: 4})
						if err != nil {
							return err
						}
						var c counter
						var existing *content.Asset
						if a, err := tx.Asset(f.a, "/p"); err == nil {
							existing = &a
							if err := json.Unmarshal(a.Attributes, &c); err != nil {
								return err
							}
						} else if !errs.Is(err, errs.NotFound) {
							return err
						}
						c.N++
						attributes, err := json.Marshal(c)
						if err != nil {
							return err
						}
						_, err = tx.PutAsset(AssetRecord{RepositoryID: f.a, Path: "/p", Kind: "file", Digest: d, Attributes: attributes,
							Component: &content.Component{Name: "p", Version: "1"}}, blob, existing)
						return err
					})
					if errors.Is(err, errRetry) {
						continue
					}
					if err != nil {
						t.Error(err)
					}
					return
				}
			})
		}
		wg.Wait()
		a, err := s.Asset(t.Context(), f.a, "/p")
		if err != nil || string(a.Attributes) != fmt.Sprintf(`{"N":%d}`, writers) {
			t.Errorf("after %d writers: %s, %v", writers, a.Attributes, err)
		}
		var topics []string
		if _, err := s.scan(t.Context(), &topics, `SELECT topic FROM outbox WHERE topic LIKE 'asset.%' ORDER BY topic`); err != nil {
			t.Fatal(err)
		}
		if len(topics) != writers || topics[0] != "asset.created" || topics[1] != "asset.updated" {
			t.Errorf("events = %v", topics)
		}
	})
}

// condemn is the statement with which garbage collection takes blobs: state, age and references in one.
const condemn = `UPDATE blobs SET state = 'condemned' WHERE state = 'live' AND touched_at < $NOW - %d
 AND NOT EXISTS (SELECT 1 FROM assets WHERE blob_id = blobs.id AND deleted_at IS NULL)`

// TestCollector is the contract that makes garbage collection safe while clients work: bytes that a client was told of, by a
// confirmation or by naming them, are not condemned within the grace time, though their names are deleted meanwhile.
func TestCollector(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		f := newFixture(t, s)
		ctx := t.Context()
		condemned := 0
		for round := range 10 {
			// Blobs as old as can be, each with a name.
			const n = 12
			assets := make([]content.Asset, n)
			for i := range assets {
				assets[i] = f.put(t, f.a, "blob", "img", fmt.Sprint("/img/", round, "/", i), fmt.Sprint(round, i))
			}
			for _, table := range []string{"assets", "blobs"} {
				if err := s.Update(ctx, func(tx *Tx) error { _, err := tx.exec("UPDATE " + table + " SET touched_at = 1"); return err }); err != nil {
					t.Fatal(err)
				}
			}
			var confirmed [n]atomic.Int64 // the blob that a client may rely on
			var wg sync.WaitGroup
			start := make(chan struct{})
			step := func(fn func() error) {
				wg.Go(func() {
					<-start
					if err := fn(); err != nil && !errs.Is(err, errs.NotFound) {
						t.Error(err)
					}
				})
			}
			for i, a := range assets {
				step(func() error { return s.Update(ctx, func(tx *Tx) error { return tx.DeleteAsset(a, "me") }) })
				switch i % 3 {
				case 0: // HEAD
					step(func() error {
						err := s.Update(ctx, func(tx *Tx) error { return tx.Touch(a) })
						if err == nil {
							confirmed[i].Store(a.Blob.ID)
						}
						return err
					})
				case 1: // a manifest that requires it
					step(func() error {
						var missing []content.Reference
						err := s.Update(ctx, func(tx *Tx) (err error) {
							missing, err = tx.Require(f.a, []content.Reference{{Path: a.Path}})
							return err
						})
						if err == nil && len(missing) == 0 {
							confirmed[i].Store(a.Blob.ID)
						}
						return err
					})
				case 2: // the same bytes again, elsewhere, and deleted again
					step(func() error {
						b, err := f.tryPut(ctx, AssetRecord{RepositoryID: f.b, Path: a.Path, Kind: "blob", Name: "img"}, fmt.Sprint(round, i))
						if err != nil {
							return err
						}
						confirmed[i].Store(b.Blob.ID)
						return s.Update(ctx, func(tx *Tx) error { return tx.DeleteAsset(b, "me") })
					})
				}
			}
			collector, stop := context.WithCancel(ctx)
			var collected sync.WaitGroup
			collect := func() error {
				return s.Update(ctx, func(tx *Tx) error {
					_, err := tx.exec(fmt.Sprintf(condemn, Grace.Milliseconds()))
					return err
				})
			}
			collected.Go(func() {
				<-start
				for collector.Err() == nil {
					if err := collect(); err != nil {
						t.Error(err)
					}
				}
			})
			close(start)
			wg.Wait()
			stop()
			collected.Wait()
			if err := collect(); err != nil {
				t.Fatal(err)
			}
			for i := range assets {
				id := confirmed[i].Load()
				if id == 0 {
					condemned++ // nobody was told of it
					continue
				}
				var state string
				if _, err := s.scan(ctx, &state, `SELECT state FROM blobs WHERE id = ?`, id); err != nil || state != "live" {
					t.Errorf("round %d: blob %d (%s) was confirmed and is %q, %v", round, i, []string{"HEAD", "required", "put"}[i%3], state, err)
				}
			}
		}
		if condemned == 0 {
			t.Log("each confirmation came before the deletion: the test proved little this time")
		}
	})
}

// TestPutWaitsForCollector: an upload of bytes that a collection is just taking gets a row of its own.
func TestPutWaitsForCollector(t *testing.T) {
	eachDatabase(t, func(t *testing.T, database func() (*Store, error)) {
		s := mustOpen(t, database)
		other := mustOpen(t, database)
		f := newFixture(t, s)
		a := f.put(t, f.a, "blob", "img", "/img/1", "1")
		if err := s.Update(t.Context(), func(tx *Tx) error {
			if _, err := tx.exec(`UPDATE blobs SET touched_at = 1`); err != nil {
				return err
			}
			return tx.DeleteAsset(a, "me")
		}); err != nil {
			t.Fatal(err)
		}
		taken, finish := make(chan struct{}), make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			err := other.Update(t.Context(), func(tx *Tx) error {
				_, err := tx.exec(fmt.Sprintf(condemn, Grace.Milliseconds()))
				close(taken)
				<-finish
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
		<-taken
		time.AfterFunc(100*time.Millisecond, func() { close(finish) })
		b := f.put(t, f.a, "blob", "img", "/img/1", "1")
		wg.Wait()
		var state string
		if _, err := s.scan(t.Context(), &state, `SELECT state FROM blobs WHERE id = ?`, b.Blob.ID); err != nil || state != "live" || b.Blob.ID == a.Blob.ID {
			t.Errorf("blob %d, before %d, is %q, %v", b.Blob.ID, a.Blob.ID, state, err)
		}
	})
}

// TestRequireOrDelete: of a manifest that requires a blob and a deletion of that blob at the same time, one is refused.
func TestRequireOrDelete(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		f := newFixture(t, s)
		refused := errs.New(errs.Conflict, "refused")
		for i := range 30 {
			layer := f.put(t, f.a, "blob", "img", fmt.Sprint("/img/blobs/", i), fmt.Sprint("layer", i))
			var pushed, deleted error
			var wg sync.WaitGroup
			wg.Go(func() {
				ref := content.Reference{Kind: content.Requires, To: layer.Digest, Path: layer.Path}
				d := digest.FromString(fmt.Sprint("manifest", i))
				pushed = s.Update(t.Context(), func(tx *Tx) error {
					if missing, err := tx.Require(f.a, []content.Reference{ref}); err != nil || len(missing) > 0 {
						return errors.Join(err, refused)
					}
					blob, err := tx.PutBlob(content.Staged{StoreID: f.blobStore, Key: fmt.Sprint(keys.Add(1)), SHA256: d.Encoded(), Size: 1})
					if err != nil {
						return err
					}
					_, err = tx.PutAsset(AssetRecord{RepositoryID: f.a, Path: fmt.Sprint("/img/manifests/", i), Kind: "manifest", Name: "img", Digest: d,
						References: []content.Reference{ref}}, blob, nil)
					return err
				})
			})
			wg.Go(func() {
				time.Sleep(time.Duration(i%10) * 300 * time.Microsecond)
				deleted = s.Update(t.Context(), func(tx *Tx) error {
					if err := tx.DeleteAsset(layer, "me"); err != nil {
						return err
					}
					if required, err := tx.Required(layer); err != nil || required {
						return errors.Join(err, refused)
					}
					return nil
				})
			})
			wg.Wait()
			if (pushed == nil) == (deleted == nil) {
				t.Errorf("round %d: push: %v, delete: %v", i, pushed, deleted)
			}
		}
	})
}
