package store

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Position is a place in the outbox. The zero value is the beginning.
type Position struct {
	// xid is the number of the transaction, on PostgreSQL only.
	xid, id int64
}

func (p Position) before(q Position) bool {
	return p.xid < q.xid || p.xid == q.xid && p.id < q.id
}

// Event is a row of the outbox: something that a committed transaction did.
type Event struct {
	// ID is unique, and no measure of order.
	ID           int64
	Position     Position
	At           time.Time
	Topic        string
	RepositoryID int64
	// Payload is JSON.
	Payload string
}

// Events returns the next events after a position, at most limit. Of two transactions of which the second began after the
// first was committed, the first one's events come first; those of transactions that ran at the same time may come in
// either order. An event never appears before a position where events were already read: on PostgreSQL that takes waiting
// until all transactions as old as the event's are over.
func (s *Store) Events(ctx context.Context, after Position, limit int) ([]Event, error) {
	query := `SELECT 0 AS xid, id, at, topic, repository_id, payload FROM outbox WHERE id > ? ORDER BY id LIMIT ?`
	args := []any{after.id, limit}
	if s.dialect.name == dialectPostgres.name {
		query = `SELECT xid::text::bigint AS xid, id, at, topic, repository_id, payload FROM outbox
 WHERE (xid, id) > (?::text::xid8, ?) AND xid < pg_snapshot_xmin(pg_current_snapshot()) ORDER BY outbox.xid, id LIMIT ?`
		args = []any{fmt.Sprint(after.xid), after.id, limit}
	}
	var rows []struct {
		Xid, ID, At, RepositoryID int64
		Topic, Payload            string
	}
	if _, err := s.scan(ctx, &rows, query, args...); err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	events := make([]Event, len(rows))
	for i, r := range rows {
		events[i] = Event{ID: r.ID, Position: Position{r.Xid, r.ID}, At: millis(r.At), Topic: r.Topic, RepositoryID: r.RepositoryID, Payload: r.Payload}
	}
	return events, nil
}

// Emitted returns a channel that is closed after the next commit, by this process, of a transaction with events.
func (s *Store) Emitted() <-chan struct{} { return s.emitted.wait() }

// Cursor returns up to where a consumer has handled events.
func (s *Store) Cursor(ctx context.Context, consumer string) (Position, error) {
	var row struct{ Xid, Position int64 }
	_, err := s.scan(ctx, &row, `SELECT xid, position FROM outbox_cursors WHERE consumer = ?`, consumer)
	return Position{row.Xid, row.Position}, err
}

// LeaseCursor gives this node the consumer for a while, so that nodes do not all handle the same events. ok is false
// while another node has it.
func (s *Store) LeaseCursor(ctx context.Context, consumer string, lease time.Duration) (at Position, ok bool, err error) {
	var row struct{ Xid, Position int64 }
	err = s.Update(ctx, func(tx *Tx) error {
		n, err := tx.scan(&row, `INSERT INTO outbox_cursors (consumer, position, owner, leased_until) VALUES (?, 0, ?, $NOW + ?)
 ON CONFLICT (consumer) DO UPDATE SET owner = excluded.owner, leased_until = excluded.leased_until
 WHERE outbox_cursors.owner = excluded.owner OR outbox_cursors.leased_until < $NOW RETURNING xid, position`,
			consumer, s.Node, lease.Milliseconds())
		ok = n > 0
		return err
	})
	if err != nil {
		return at, false, fmt.Errorf("lease cursor %s: %w", consumer, err)
	}
	return Position{row.Xid, row.Position}, ok, nil
}

// MoveCursor records up to where a consumer has handled events; false when this node does not have the consumer any more.
func (s *Store) MoveCursor(ctx context.Context, consumer string, to Position) (ok bool, err error) {
	err = s.Update(ctx, func(tx *Tx) error {
		n, err := tx.exec(`UPDATE outbox_cursors SET xid = ?, position = ? WHERE consumer = ? AND owner = ?`, to.xid, to.id, consumer, s.Node)
		ok = n > 0
		return err
	})
	if err != nil {
		return false, fmt.Errorf("move cursor %s: %w", consumer, err)
	}
	return ok, nil
}

// ReleaseCursors lets other nodes have the consumers of this one.
func (s *Store) ReleaseCursors(ctx context.Context) error {
	return s.Update(ctx, func(tx *Tx) error {
		_, err := tx.exec(`UPDATE outbox_cursors SET leased_until = 0 WHERE owner = ?`, s.Node)
		return err
	})
}

// trimBatch is how many events a trim deletes in one transaction.
const trimBatch = 1000

// TrimEvents deletes the events older than retention that all the named consumers have handled, and tells how many.
func (s *Store) TrimEvents(ctx context.Context, retention time.Duration, consumers []string) (int64, error) {
	var total int64
	for {
		events, err := s.Events(ctx, Position{}, trimBatch)
		if err != nil {
			return total, err
		}
		passed, err := s.handled(ctx, events, consumers)
		if err != nil {
			return total, err
		}
		old := 0
		for old < passed && time.Since(events[old].At) > retention {
			old++
		}
		if old == 0 {
			return total, nil
		}
		n, err := s.deleteEvents(ctx, events[old-1].Position)
		total += n
		if err != nil || old < trimBatch {
			return total, err
		}
	}
}

// handled tells how many of the events, from the first on, all consumers have handled.
func (s *Store) handled(ctx context.Context, events []Event, consumers []string) (int, error) {
	n := len(events)
	for _, consumer := range consumers {
		cursor, err := s.Cursor(ctx, consumer)
		if err != nil {
			return 0, err
		}
		for n > 0 && cursor.before(events[n-1].Position) {
			n--
		}
	}
	return n, nil
}

func (s *Store) deleteEvents(ctx context.Context, upTo Position) (n int64, err error) {
	statement, args := `DELETE FROM outbox WHERE id <= ?`, []any{upTo.id}
	if s.dialect.name == dialectPostgres.name {
		statement, args = `DELETE FROM outbox WHERE (xid, id) <= (?::text::xid8, ?)`, []any{fmt.Sprint(upTo.xid), upTo.id}
	}
	err = s.Update(ctx, func(tx *Tx) (err error) {
		n, err = tx.exec(statement, args...)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("trim events: %w", err)
	}
	return n, nil
}

// signal wakes all who wait for something to happen.
type signal struct {
	mu      sync.Mutex
	waiting chan struct{}
}

// wait returns a channel that the next notify closes.
func (s *signal) wait() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting == nil {
		s.waiting = make(chan struct{})
	}
	return s.waiting
}

func (s *signal) notify() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting != nil {
		close(s.waiting)
		s.waiting = nil
	}
}
