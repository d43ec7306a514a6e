package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"os"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/driver/postgres"
)

// connections is how many connections to a PostgreSQL server one process opens at most.
const connections = 32

// A server that is gone without a word is waited for no longer than this. Every query is for a page, or for less.
const (
	connectTime  = 5 * time.Second // unless the URL has a connect_timeout
	queryTime    = 15 * time.Second
	transactTime = 30 * time.Second
)

func openPostgres(ctx context.Context, databaseURL string, log *slog.Logger) (_ *Store, err error) {
	host, err := os.Hostname()
	if err != nil {
		host = "node"
	}
	s := &Store{dialect: dialectPostgres, Node: host + "-" + rand.Text()[:8], log: log}
	defer func() {
		if err != nil {
			_ = s.Close()
			err = fmt.Errorf("open PostgreSQL database: %w", err)
		}
	}()
	config, err := pgx.ParseConfig(databaseURL)
	if err != nil {
		return nil, err
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTime
	}
	pool := s.keep(stdlib.OpenDB(*config), connections)
	var forgetting sync.Mutex
	s.forget = func() {
		// SetMaxIdleConns closes what it took out of the pool's list with the list unlocked, in the same array: were the
		// limit raised meanwhile, a connection put back there would be closed in its next user's hands.
		forgetting.Lock()
		defer forgetting.Unlock()
		pool.SetMaxIdleConns(0)
		pool.SetMaxIdleConns(connections)
	}
	if err := s.migrate(ctx, pool); err != nil {
		return nil, err
	}
	s.db, err = open(postgres.New(postgres.Config{Conn: pool}))
	return s, err
}

// scanPostgres runs a query, and runs it again when it met a connection that had died since it was last used.
func (s *Store) scanPostgres(ctx context.Context, dest any, query string, args ...any) (n int64, err error) {
	for attempt := 1; ; attempt++ {
		err = within(ctx, queryTime, func(ctx context.Context) error {
			r := s.db.WithContext(ctx).Raw(s.dialect.sql(query), args...).Scan(dest)
			n = r.RowsAffected
			return r.Error
		})
		if err == nil || attempt == revivals || !died(err) {
			return n, err
		}
		s.forget()
	}
}

const (
	// attempts is how often a transaction is run that others got in the way of.
	attempts = 10
	// revivals is how often something is done whose connection dies.
	revivals = 3
)

func (s *Store) updatePostgres(ctx context.Context, fn func(*Tx) error) error {
	deaths := 0
	for attempt := 1; ; attempt++ {
		err := within(context.WithoutCancel(ctx), transactTime, func(ctx context.Context) error { return s.transact(ctx, fn) })
		if err == nil || attempt == attempts {
			return err
		}
		if !transient(err) {
			if deaths++; InDoubt(err) || !died(err) || deaths == revivals {
				return err
			}
			s.forget()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(attempt)*5*time.Millisecond + mathrand.N(5*time.Millisecond)):
		}
	}
}

// within calls fn with a context that ends after a time, and classifies its error.
func within(ctx context.Context, limit time.Duration, fn func(context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := classify(fn(limited))
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return unavailable(fmt.Errorf("no answer within %v: %w", limit, err), "the database does not answer at the moment")
	}
	return err
}

func (s *Store) transact(ctx context.Context, fn func(*Tx) error) error {
	db := s.db.WithContext(ctx).Begin(&sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if s.closed.Load() && db.Error != nil {
		return errClosed
	}
	if db.Error != nil {
		return fmt.Errorf("begin: %w", db.Error)
	}
	tx := &Tx{db: db, dialect: s.dialect}
	if err := tx.run(fn); err != nil {
		db.Rollback()
		return err
	}
	if err := db.Commit().Error; err != nil {
		return fmt.Errorf("commit: %w: %w", errInDoubt, err)
	}
	if tx.emitted {
		s.emitted.notify()
	}
	return nil
}
