package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"os"
	"time"

	"gorm.io/driver/postgres"
)

// connections is how many connections to a PostgreSQL server one process opens at most.
const connections = 32

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
	pool, err := s.connect("pgx", databaseURL, connections)
	if err != nil {
		return nil, err
	}
	if err := s.migrate(ctx, pool); err != nil {
		return nil, err
	}
	s.db, err = open(postgres.New(postgres.Config{Conn: pool}))
	return s, err
}

// attempts is how often a transaction is run that others got in the way of.
const attempts = 10

func (s *Store) updatePostgres(ctx context.Context, fn func(*Tx) error) error {
	for attempt := 1; ; attempt++ {
		err := s.transact(context.WithoutCancel(ctx), fn)
		if err == nil || attempt == attempts || !transient(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(attempt)*5*time.Millisecond + mathrand.N(5*time.Millisecond)):
		}
	}
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
		return fmt.Errorf("commit: %w", err)
	}
	if tx.emitted {
		s.emitted.notify()
	}
	return nil
}
