package store

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/repomgr/repomgr/core/content"
)

func TestEpochs(t *testing.T) {
	e := NewEpochs()
	before, ok := e.Mark(7)
	if !ok {
		t.Fatal("no mark for a slot that nobody writes to")
	}
	e.begin(7)
	e.begin(7)
	if _, ok := e.Mark(7); ok {
		t.Error("a valid mark while two writers are open")
	}
	e.end(7)
	if _, ok := e.Mark(7); ok {
		t.Error("a valid mark while a writer is open")
	}
	e.end(7)
	if after, ok := e.Mark(7); !ok || after == before {
		t.Errorf("mark after the writes = %d, %v; before %d", after, ok, before)
	}
	if other, ok := e.Mark(8); !ok || other != before {
		t.Errorf("mark of another slot = %d, %v", other, ok)
	}
}

// TestEpochsEnd: whatever becomes of a transaction, its slots are closed again, and marked as written.
func TestEpochsEnd(t *testing.T) {
	s := sqliteStore(t)
	f := newFixture(t, s)
	a := f.put(t, f.a, "tag", "img", "/img/v1", "one")
	for name, end := range map[string]func() error{
		"committed": func() error { return nil },
		"failed":    func() error { return fmt.Errorf("no") },
		"panicked":  func() error { panic("no") },
	} {
		slot := PathSlot(f.a, a.Path)
		before, _ := s.Epochs.Mark(slot)
		_ = s.Update(t.Context(), func(tx *Tx) error {
			if err := tx.Touch(a); err != nil {
				t.Error(err)
			}
			if _, ok := s.Epochs.Mark(slot); ok {
				t.Errorf("%s: a valid mark inside the transaction", name)
			}
			return end()
		})
		if after, ok := s.Epochs.Mark(slot); !ok || after == before {
			t.Errorf("%s: mark = %d, %v; before %d", name, after, ok, before)
		}
	}
}

// assetCache is a cache of assets such as the read path keeps.
type assetCache struct {
	store   *Store
	entries sync.Map // path -> entry
	hits    atomic.Int64
}

type entry struct {
	mark  uint64
	asset content.Asset
}

func (c *assetCache) asset(t *testing.T, repository int64, path string) (content.Asset, error) {
	slot := PathSlot(repository, path)
	mark, ok := c.store.Epochs.Mark(slot)
	if e, found := c.entries.Load(path); found && ok && e.(entry).mark == mark {
		c.hits.Add(1)
		return e.(entry).asset, nil
	}
	a, err := c.store.Asset(t.Context(), repository, path)
	if err == nil && ok {
		c.entries.Store(path, entry{mark, a})
	}
	return a, err
}

// TestEpochsCache: tags move while many read them through a cache. No read begins after a move was acknowledged and
// returns what was there before it.
func TestEpochsCache(t *testing.T) {
	s := sqliteStore(t)
	f := newFixture(t, s)
	cache := &assetCache{store: s}
	const tags, moves = 2, 100
	var acked [tags]atomic.Int64
	var movers, readers sync.WaitGroup
	done := make(chan struct{})
	for tag := range tags {
		path := fmt.Sprint("/img/", tag)
		f.put(t, f.a, "tag", "img", path, "0")
		movers.Go(func() {
			for n := 1; n <= moves; n++ {
				rec := AssetRecord{RepositoryID: f.a, Path: path, Kind: "tag", Name: "img", ContentType: fmt.Sprint(n)}
				if _, err := f.tryPut(t.Context(), rec, fmt.Sprint(n)); err != nil {
					t.Error(err)
					return
				}
				acked[tag].Store(int64(n))
			}
		})
		for range 2 {
			readers.Go(func() {
				for {
					select {
					case <-done:
						return
					case <-time.After(20 * time.Microsecond):
					}
					floor := acked[tag].Load()
					a, err := cache.asset(t, f.a, path)
					var n int64
					if _, e := fmt.Sscan(a.ContentType, &n); err != nil || (e != nil && a.ContentType != "text/plain") {
						t.Errorf("read: %v, %v", err, e)
						return
					}
					if n < floor {
						t.Errorf("tag %d: read move %d after move %d was acknowledged", tag, n, floor)
						return
					}
				}
			})
		}
	}
	movers.Wait()
	close(done)
	readers.Wait()
	if cache.hits.Load() == 0 {
		t.Error("the cache was never used: the test proves nothing")
	}
}
