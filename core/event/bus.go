package event

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/repomgr/repomgr/core/store"
)

// Bus carries the events from the database to the consumers.
type Bus struct {
	store     *store.Store
	consumers []Consumer
	log       *slog.Logger

	// batch is how many events a consumer is given at once.
	batch int
	// poll is how often to look for events of other nodes.
	poll time.Duration
	// A consumer that fails is left alone for minPause, then for twice as long each time, up to maxPause.
	minPause, maxPause time.Duration
	// patience is how long a consumer may take for a batch. Its node keeps it for twice as long.
	patience time.Duration
}

// New returns a bus for the consumers, whose names differ.
func New(st *store.Store, log *slog.Logger, consumers ...Consumer) *Bus {
	return &Bus{
		store: st, consumers: consumers, log: log,
		batch: 100, poll: time.Second, minPause: time.Second, maxPause: 5 * time.Minute, patience: time.Minute,
	}
}

// Run feeds the consumers until ctx ends, and returns when none of them is running any more.
func (b *Bus) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, c := range b.consumers {
		wg.Go(func() { b.follow(ctx, c) })
	}
	wg.Wait()
	if len(b.consumers) == 0 {
		return
	}
	// Without this other nodes wait until the leases run out.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := b.store.ReleaseCursors(ctx); err != nil {
		b.log.Warn("event consumers stay leased for a while", "err", err)
	}
}

// Trim deletes events that are older than retention and that all consumers have handled, and tells how many.
func (b *Bus) Trim(ctx context.Context, retention time.Duration) (int64, error) {
	names := make([]string, len(b.consumers))
	for i, c := range b.consumers {
		names[i] = c.Name
	}
	return b.store.TrimEvents(ctx, retention, names)
}

func (b *Bus) follow(ctx context.Context, c Consumer) {
	pause := b.minPause
	for ctx.Err() == nil {
		wake := b.store.Emitted()
		more, err := b.deliver(ctx, c)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			b.log.Warn("event consumer failed and will try again", "consumer", c.Name, "pause", pause, "err", err)
			sleep(ctx, nil, pause)
			pause = min(2*pause, b.maxPause)
		case more:
			pause = b.minPause
		default:
			sleep(ctx, wake, b.poll)
		}
	}
}

// sleep waits until ctx ends, something comes from wake, or d is over.
func sleep(ctx context.Context, wake <-chan struct{}, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-wake:
	case <-timer.C:
	}
}

// deliver gives a consumer its next events, and tells whether there may be more.
func (b *Bus) deliver(ctx context.Context, c Consumer) (more bool, err error) {
	// Looking first spares idle consumers the write of a lease.
	at, err := b.store.Cursor(ctx, c.Name)
	if err != nil {
		return false, err
	}
	if rows, err := b.store.Events(ctx, at, 1); err != nil || len(rows) == 0 {
		return false, err
	}
	at, ok, err := b.store.LeaseCursor(ctx, c.Name, 2*b.patience)
	if err != nil || !ok {
		return false, err
	}
	rows, err := b.store.Events(ctx, at, b.batch)
	if err != nil || len(rows) == 0 {
		return false, err
	}
	events := make([]Event, len(rows))
	for i, row := range rows {
		events[i] = Event{ID: row.ID, At: row.At, Topic: row.Topic, Repository: row.RepositoryID, Payload: json.RawMessage(row.Payload)}
	}
	if err := b.handle(ctx, c, events); err != nil {
		return false, err
	}
	// What was handled is noted even when the server is stopping.
	_, err = b.store.MoveCursor(context.WithoutCancel(ctx), c.Name, rows[len(rows)-1].Position)
	return true, err
}

// handle calls the consumer; a panic is an error.
func (b *Bus) handle(ctx context.Context, c Consumer, events []Event) (err error) {
	ctx, cancel := context.WithTimeout(ctx, b.patience)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return c.Handle(ctx, events)
}
