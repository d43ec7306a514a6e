package control_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/repomgr/repomgr/core/blobstore"
	"github.com/repomgr/repomgr/core/blobstore/memory"
	"github.com/repomgr/repomgr/core/check"
	"github.com/repomgr/repomgr/core/control"
	"github.com/repomgr/repomgr/core/store"
)

// walked is a blob store whose walk is something else.
type walked struct {
	blobstore.Store
	walk func(ctx context.Context) error
}

func (w walked) Walk(ctx context.Context, _ string, _ func(blobstore.Info) error) error {
	return w.walk(ctx)
}

// newChecker is a checker of two stores, each walked so.
func newChecker(t *testing.T, walk func(ctx context.Context) error) *check.Checker {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "repomgr.db"), "", log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	s := walked{memory.New(), walk}
	return check.New(db, func() []check.Place {
		return []check.Place{{ID: 1, Name: "first", Store: s}, {ID: 2, Name: "second", Store: s}}
	}, log)
}

// begin checks until the first event, and returns a channel that gets the check's error.
func begin(ctx context.Context, t *testing.T, path string, got *[]check.Event) <-chan error {
	t.Helper()
	first, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- control.Check(ctx, path, check.Options{}, func(e check.Event) error {
			*got = append(*got, e)
			if len(*got) == 1 {
				close(first)
			}
			return nil
		})
	}()
	select {
	case <-first:
	case err := <-ended:
		t.Fatalf("Check = %v", err)
	case <-time.After(time.Minute):
		t.Fatal("the first event does not come while the check goes on")
	}
	return ended
}

func TestCheck(t *testing.T) {
	path := filepath.Join(t.TempDir(), control.Socket)
	if err := control.Check(t.Context(), path, check.Options{}, nil); !errors.Is(err, control.ErrNoServer) {
		t.Errorf("without a socket: %v", err)
	}
	stop := start(t, path, newUsers(t), newChecker(t, func(context.Context) error { return nil }))
	defer stop()
	var got []check.Event
	if err := control.Check(t.Context(), path, check.Options{}, func(e check.Event) error { got = append(got, e); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(got) != 3 || got[0].Summary.Store != "first" || got[1].Summary.Store != "second" || got[2].Result.Stores != 2 {
		t.Errorf("events: %v", got)
	}
	deaf := errors.New("nobody listens")
	if err := control.Check(t.Context(), path, check.Options{}, func(check.Event) error { return deaf }); !errors.Is(err, deaf) {
		t.Errorf("Check = %v", err)
	}
}

// TestCheckEnds: a check ends when its client goes, and when the server stops; a report that was cut off is an error.
func TestCheckEnds(t *testing.T) {
	for _, tt := range []struct {
		name string
		stop bool
		want string
	}{
		{"client", false, "context canceled"},
		{"server", true, "the server ended the check early: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			walks, over := 0, make(chan struct{})
			checker := newChecker(t, func(ctx context.Context) error {
				if walks++; walks == 1 {
					return nil
				}
				defer close(over)
				<-ctx.Done()
				return ctx.Err()
			})
			path := filepath.Join(t.TempDir(), control.Socket)
			stop := start(t, path, newUsers(t), checker)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var got []check.Event
			ended := begin(ctx, t, path, &got)
			if tt.stop {
				stop()
			} else {
				defer stop()
				cancel()
			}
			select {
			case <-over:
			case <-time.After(time.Minute):
				t.Fatal("the check goes on")
			}
			if err := <-ended; err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("Check = %v, want %s", err, tt.want)
			}
			if len(got) != 1 || got[0].Summary == nil {
				t.Errorf("events: %v", got)
			}
		})
	}
}
