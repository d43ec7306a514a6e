package store

import (
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/repomgr/repomgr/internal/testenv"
)

// TestForget: connections that nobody uses are closed, as often as anybody wants it, and none that is in use.
func TestForget(t *testing.T) {
	url := testenv.Postgres(t)
	s := mustOpen(t, func() (*Store, error) { return Open(t.Context(), "", url, slog.New(slog.DiscardHandler)) })
	end := time.Now().Add(2 * time.Second)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for time.Now().Before(end) {
				var n int
				if _, err := s.scan(t.Context(), &n, "SELECT 1"); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 4 {
		wg.Go(func() {
			for time.Now().Before(end) {
				s.forget()
			}
		})
	}
	wg.Wait()
}
