package store

import (
	"context"
	"database/sql"
	"errors"
	"sync"
)

// preparer is a *sql.DB or a *sql.Conn.
type preparer interface {
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// statements runs queries as prepared statements and keeps those: compiling is most of what a short query costs in
// SQLite. There are as many as there are different texts of queries in this package. (pgx does the same for PostgreSQL.
// gorm's own cache closes statements a day later, under whoever is using them.) It is a gorm.ConnPool.
type statements struct {
	preparer
	mu       sync.RWMutex
	prepared map[string]*sql.Stmt
}

// prepare returns a pool that Close closes.
func (s *Store) prepare(p preparer) *statements {
	st := &statements{preparer: p, prepared: make(map[string]*sql.Stmt)}
	s.opened = append(s.opened, st)
	return st
}

func (s *statements) get(ctx context.Context, query string) (*sql.Stmt, error) {
	s.mu.RLock()
	stmt := s.prepared[query]
	s.mu.RUnlock()
	if stmt != nil {
		return stmt, nil
	}
	stmt, err := s.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if other := s.prepared[query]; other != nil {
		return other, stmt.Close()
	}
	s.prepared[query] = stmt
	return stmt, nil
}

// ExecContext runs a statement.
func (s *statements) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	stmt, err := s.get(ctx, query)
	if err != nil {
		return nil, err
	}
	return stmt.ExecContext(ctx, args...)
}

// QueryContext runs a query.
func (s *statements) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	stmt, err := s.get(ctx, query)
	if err != nil {
		return nil, err
	}
	return stmt.QueryContext(ctx, args...)
}

// Close closes the statements.
func (s *statements) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var failed []error
	for _, stmt := range s.prepared {
		failed = append(failed, stmt.Close())
	}
	clear(s.prepared)
	return errors.Join(failed...)
}
