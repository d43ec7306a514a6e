package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/repomgr/repomgr/core/errs"
)

// TestOpenTogether: several processes can open a database at the same moment. On PostgreSQL it may be an empty one: they
// wait for one of them to make the schema. (A SQLite database has one server.)
func TestOpenTogether(t *testing.T) {
	eachDatabase(t, func(t *testing.T, database func() (*Store, error)) {
		if strings.HasSuffix(t.Name(), "sqlite") {
			mustOpen(t, database)
		}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				s, err := database()
				if err != nil {
					t.Error(err)
					return
				}
				defer s.Close()
				if err := s.Update(t.Context(), func(tx *Tx) error { return tx.SetSetting("k", "v") }); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	})
}

// TestNewerSchema: a binary that is older than the schema says so, in one line, and touches nothing.
func TestNewerSchema(t *testing.T) {
	eachDatabase(t, func(t *testing.T, database func() (*Store, error)) {
		s := mustOpen(t, database)
		err := s.Update(t.Context(), func(tx *Tx) error {
			_, err := tx.exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, ?)`, true)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		newer, err := database()
		if err == nil {
			newer.Close()
			t.Fatal("a newer schema was accepted")
		}
		if text := err.Error(); !strings.Contains(text, "version 99999") || !strings.Contains(text, "use a newer repomgr") || strings.Contains(text, "\n") {
			t.Errorf("error = %q", text)
		}
	})
}

func TestUpdatePanic(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		err := s.Update(t.Context(), func(tx *Tx) error {
			if err := tx.SetSetting("k", "v"); err != nil {
				return err
			}
			panic("boom")
		})
		if err == nil || !strings.Contains(err.Error(), "boom") || !strings.Contains(err.Error(), "open_test.go") {
			t.Errorf("error = %v", err)
		}
		if v, err := s.Setting(t.Context(), "k"); err != nil || v != "" {
			t.Errorf("the transaction left %q, %v", v, err)
		}
		if err := s.Update(t.Context(), func(tx *Tx) error { return tx.SetSetting("k", "w") }); err != nil {
			t.Errorf("the next transaction: %v", err)
		}
	})
}

// TestClose: whoever waits while the database is closed gets an answer, and it is true.
func TestClose(t *testing.T) {
	eachDatabase(t, func(t *testing.T, database func() (*Store, error)) {
		s := mustOpen(t, database)
		var acked sync.Map
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for n := 0; ; n++ {
					key := fmt.Sprint(i, ".", n)
					err := s.Update(t.Context(), func(tx *Tx) error { return tx.SetSetting(key, "v") })
					if err != nil {
						if !errs.Is(err, errs.Unavailable) {
							t.Errorf("update of a closed database: %v", err)
						}
						return
					}
					if acked.Store(key, true); n == 5 && i == 0 {
						wg.Go(func() { _ = s.Close() })
					}
				}
			})
		}
		wg.Wait()
		again := mustOpen(t, database)
		acked.Range(func(key, _ any) bool {
			v, err := again.Setting(t.Context(), key.(string))
			if err != nil || v != "v" {
				t.Errorf("acknowledged %s = %q, %v", key, v, err)
			}
			return true
		})
	})
}

// TestDiskFull: SQLite rolls everything back when the disk is full. Nobody is told otherwise, transactions that still fit
// go through, and the database works on when there is room again.
func TestDiskFull(t *testing.T) {
	s := sqliteStore(t)
	pages := func(n int) {
		t.Helper()
		err := s.Update(t.Context(), func(tx *Tx) error {
			_, err := tx.exec(fmt.Sprintf("PRAGMA max_page_count = %d", n))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	var used int
	if _, err := s.scan(t.Context(), &used, "PRAGMA page_count"); err != nil {
		t.Fatal(err)
	}
	pages(used + 100)
	const n = 400
	results := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		size := 1
		if i%2 == 1 {
			size = 3000
		}
		wg.Go(func() {
			results[i] = s.Update(t.Context(), func(tx *Tx) error {
				err := tx.SetSetting(fmt.Sprint("k", i), strings.Repeat("v", size))
				if i%4 == 3 {
					return nil // an error that is not looked at changes nothing
				}
				return err
			})
		})
	}
	wg.Wait()
	full := 0
	for i, result := range results {
		v, err := s.Setting(t.Context(), fmt.Sprint("k", i))
		if err != nil || (v != "") != (result == nil) {
			t.Errorf("update %d: %v, stored %d bytes, %v", i, result, len(v), err)
		}
		if result != nil {
			full++
			if i%4 != 3 && !errs.Is(result, errs.StorageFull) {
				t.Errorf("update %d: %v", i, result)
			}
		}
	}
	if full == 0 || full == n {
		t.Errorf("%d of %d updates failed: the test proves nothing", full, n)
	}
	pages(1 << 30)
	if err := s.Update(t.Context(), func(tx *Tx) error { return tx.SetSetting("k", strings.Repeat("v", 3000)) }); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

// TestCommitterContext: a transaction whose caller left before it began does not happen; one that runs is finished.
func TestCommitterContext(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx, cancel := context.WithCancel(t.Context())
		err := s.Update(ctx, func(tx *Tx) error {
			cancel()
			return tx.SetSetting("k", "v")
		})
		if v, e := s.Setting(t.Context(), "k"); err != nil || v != "v" || e != nil {
			t.Errorf("a running transaction: %v; stored %q, %v", err, v, e)
		}
		if err := s.Update(ctx, func(tx *Tx) error { return tx.SetSetting("l", "v") }); !errors.Is(err, context.Canceled) {
			t.Errorf("a transaction that came too late: %v", err)
		}
	})
}

// TestCloseSQLite: a database that was closed is one file, which can be copied.
func TestCloseSQLite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "repomgr.db")
	s := mustOpen(t, func() (*Store, error) { return Open(t.Context(), path, "", slog.New(slog.DiscardHandler)) })
	newFixture(t, s).put(t, 1, "tag", "img", "/img/v1", "one")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) != 1 {
		t.Errorf("files = %v, %v", files, err)
	}
}
