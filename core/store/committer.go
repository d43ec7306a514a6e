package store

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"gorm.io/gorm"

	"github.com/repomgr/repomgr/core/errs"
)

// committer runs SQLite's write transactions, on a connection of its own. SQLite has one writer at a time, and a durable
// commit costs a disk flush; so all transactions that wait at the same moment share one commit. Each runs in a savepoint
// of its own: one that fails leaves the others.
type committer struct {
	db    *gorm.DB
	queue chan *transaction
	quit  chan struct{}
	done  chan struct{}
	once  sync.Once
}

type transaction struct {
	ctx context.Context
	tx  *Tx
	fn  func(*Tx) error
	// result is sent once.
	result chan error
}

// batch is the most transactions that share a commit: it bounds how long the first of them waits.
const batch = 128

var errClosed = errors.New("database is closed")

func newCommitter(db *gorm.DB) *committer {
	c := &committer{db: db, queue: make(chan *transaction, batch), quit: make(chan struct{}), done: make(chan struct{})}
	go c.loop()
	return c
}

func (c *committer) do(t *transaction) error {
	select {
	case c.queue <- t:
	case <-t.ctx.Done():
		return t.ctx.Err()
	case <-c.quit:
		return errClosed
	}
	select {
	case err := <-t.result:
		return err
	case <-c.done:
		// The loop ended: either it answered just before, or it never took t.
		select {
		case err := <-t.result:
			return err
		default:
			return errClosed
		}
	}
}

// stop ends the loop after the transactions that it has begun.
func (c *committer) stop() {
	c.once.Do(func() { close(c.quit) })
	<-c.done
}

func (c *committer) loop() {
	defer close(c.done)
	for {
		select {
		case <-c.quit:
			return
		case first := <-c.queue:
			c.commit(c.gather(first))
		}
	}
}

func (c *committer) gather(first *transaction) []*transaction {
	ts := []*transaction{first}
	for len(ts) < batch {
		select {
		case t := <-c.queue:
			ts = append(ts, t)
		default:
			return ts
		}
	}
	return ts
}

// commit runs the transactions and answers each, after the commit: what one of them found may have been another's work.
// Caches are told that a transaction is over before its caller is.
func (c *committer) commit(ts []*transaction) {
	results, err := c.together(ts)
	if err != nil && len(ts) > 1 && !InDoubt(err) {
		// Whoever caused it, for example by filling the disk, shall be alone with it.
		for _, t := range ts {
			c.commit([]*transaction{t})
		}
		return
	}
	for i, t := range ts {
		t.tx.end()
		if err != nil {
			results[i] = err
		}
		t.result <- results[i]
	}
}

// together runs the transactions in one of SQLite's. It returns each one's own error, or one error for all of them when
// nothing was committed.
func (c *committer) together(ts []*transaction) (results []error, err error) {
	results = make([]error, len(ts))
	if err := c.exec("BEGIN IMMEDIATE"); err != nil {
		return results, err
	}
	for i, t := range ts {
		if results[i], err = c.savepoint(t); err != nil {
			break
		}
	}
	if err == nil {
		if err = c.exec("COMMIT"); err != nil && !errs.Is(classify(err), errs.StorageFull) {
			// When the disk is full the last frame was not written; else it may have been, and may be found after a crash.
			err = fmt.Errorf("%w: %w", errInDoubt, err)
		}
	}
	if err != nil {
		_ = c.exec("ROLLBACK") // an error means that SQLite did it before
	}
	return results, err
}

// savepoint runs a transaction. lost is set when that took everybody's work: SQLite rolls back all of it when, for
// example, the disk is full (sqlite.org/lang_transaction.html, section 3).
func (c *committer) savepoint(t *transaction) (result, lost error) {
	if err := t.ctx.Err(); err != nil {
		return err, nil
	}
	if err := c.exec("SAVEPOINT t"); err != nil {
		return nil, err
	}
	t.tx.begin()
	if err := t.tx.run(t.fn); err != nil {
		if c.exec("ROLLBACK TO t") != nil || c.exec("RELEASE t") != nil {
			return nil, err
		}
		return err, nil
	}
	return nil, c.exec("RELEASE t")
}

func (c *committer) exec(statement string) error {
	if err := c.db.Exec(statement).Error; err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	return nil
}
