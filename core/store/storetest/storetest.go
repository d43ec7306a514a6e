// Package storetest gives tests real databases.
package storetest

import (
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/repomgr/repomgr/core/store"
	"github.com/repomgr/repomgr/internal/testenv"
)

// Each runs a test on SQLite and on PostgreSQL, as subtests. Each call of open opens the same database, empty at first, as
// one more process; the stores are closed when the test ends. The package needs a TestMain that calls testenv.Main.
func Each(t *testing.T, test func(t *testing.T, open func() *store.Store)) {
	t.Run("sqlite", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "repomgr.db")
		test(t, func() *store.Store { return open(t, path, "") })
	})
	t.Run("postgres", func(t *testing.T) {
		url := testenv.Postgres(t)
		test(t, func() *store.Store { return open(t, "", url) })
	})
}

func open(t *testing.T, path, url string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), path, url, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
