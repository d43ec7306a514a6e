package store

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"gorm.io/gorm"
)

// committer runs SQLite's write transactions. SQLite has one writer at a time, and a durable commit costs a disk flush;
// so all transactions that wait at the same moment share one commit. Each runs in a savepoint of its own: one that fails
// leaves the others.
type committer struct {
	db    *gorm.DB
	queue chan *transaction
	quit  chan struct{}
	done  chan struct{}
	once  sync.Once
}

type transaction struct {
	ctx context.Context
	run func(*gorm.DB) (end func(), err error)
	end func()
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

func (c *committer) do(ctx context.Context, run func(*gorm.DB) (func(), error)) error {
	t := &transaction{ctx: ctx, run: run, result: make(chan error, 1)}
	select {
	case c.queue <- t:
	case <-ctx.Done():
		return ctx.Err()
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

// commit runs the transactions and answers each. Caches are told that a transaction is over before its caller is.
func (c *committer) commit(ts []*transaction) {
	var ran []*transaction
	db := c.db.Begin()
	err := db.Error
	if err == nil {
		for _, t := range ts {
			if e := c.savepoint(db, t); e != nil {
				t.finish(e)
				continue
			}
			ran = append(ran, t)
		}
		if len(ran) == 0 {
			db.Rollback()
			return
		}
		if err = db.Commit().Error; err != nil {
			db.Rollback()
			err = fmt.Errorf("commit: %w", err)
		}
	} else {
		ran, err = ts, fmt.Errorf("begin: %w", err)
	}
	for _, t := range ran {
		t.finish(err)
	}
}

func (c *committer) savepoint(db *gorm.DB, t *transaction) (err error) {
	if err := t.ctx.Err(); err != nil {
		return err
	}
	if err := db.Exec("SAVEPOINT t").Error; err != nil {
		return fmt.Errorf("savepoint: %w", err)
	}
	if err := t.guarded(db); err != nil {
		if e := db.Exec("ROLLBACK TO t").Error; e != nil {
			return errors.Join(err, fmt.Errorf("roll back: %w", e))
		}
		db.Exec("RELEASE t")
		return err
	}
	if err := db.Exec("RELEASE t").Error; err != nil {
		return fmt.Errorf("release savepoint: %w", err)
	}
	return nil
}

// guarded turns a panic of the caller's function into an error: it must not end the committer, which serves everybody.
func (t *transaction) guarded(db *gorm.DB) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in transaction: %v", p)
		}
	}()
	t.end, err = t.run(db)
	return err
}

func (t *transaction) finish(err error) {
	if t.end != nil {
		t.end()
	}
	t.result <- err
}
