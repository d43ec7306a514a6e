package app

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/repomgr/repomgr/core/config"
	"github.com/repomgr/repomgr/core/event"
	"github.com/repomgr/repomgr/core/repository"
	"github.com/repomgr/repomgr/core/store"
	"github.com/repomgr/repomgr/core/task"
)

// keepEvents is how long events stay in the outbox that everybody has seen.
const keepEvents = 7 * 24 * time.Hour

// jobs starts what the server does by itself. stop ends the tasks, and waits for them: what they work on must still be there.
func (a *App) jobs(ctx, background context.Context, cfg config.Config, db *store.Store, stores *repository.BlobStores,
	repositories *repository.Manager, log *slog.Logger) (tasks *task.Manager, stop func(), err error) {
	bus := event.New(db, log)
	tasks, err = task.New(ctx, db, []task.Recurring{
		{Schedule: "@every 1h", Type: task.Type{ID: "uploads.expire", Name: "Give up upload sessions that rest", Run: func(ctx context.Context, _ *task.Progress) (string, error) {
			n, err := stores.ExpireUploads(ctx, time.Now().Add(-cfg.UploadsExpiry))
			return fmt.Sprintf("%d upload sessions", n), err
		}}},
		{Schedule: "@every 10m", Type: task.Type{ID: "repositories.purge", Name: "Remove the content of deleted repositories", Run: func(ctx context.Context, _ *task.Progress) (string, error) {
			n, err := db.PurgeRepositories(ctx)
			return fmt.Sprintf("%d assets", n), err
		}}},
		{Schedule: "@daily", Type: task.Type{ID: "outbox.trim", Name: "Remove old events", Run: func(ctx context.Context, _ *task.Progress) (string, error) {
			n, err := bus.Trim(ctx, keepEvents)
			return fmt.Sprintf("%d events", n), err
		}}},
	}, log, prefetch(repositories))
	if err != nil {
		return nil, nil, err
	}
	running, cancel := context.WithCancel(background)
	ended := make(chan struct{})
	a.background(running, "tasks", func(ctx context.Context) error {
		defer close(ended)
		tasks.Run(ctx)
		return nil
	})
	a.background(background, "events", func(ctx context.Context) error { bus.Run(ctx); return nil })
	return tasks, func() { cancel(); <-ended }, nil
}
