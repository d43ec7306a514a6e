// Package store is the database: the truth about what is stored. It is the only user of gorm, and runs on SQLite (one
// node, the default) and on PostgreSQL. Writes go through Update; everything else reads.
package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

// Grace is how long bytes are safe from garbage collection after a client was told that they are there. Whoever names
// or confirms bytes refreshes their time when it is older than half of it.
const Grace = 24 * time.Hour

//go:embed migrations
var migrations embed.FS

// Store is an open database.
type Store struct {
	dialect dialect
	// db runs queries, and on PostgreSQL transactions too.
	db *gorm.DB
	// committer runs the transactions on SQLite; nil on PostgreSQL.
	committer *committer
	// forget closes the connections to PostgreSQL that nobody uses: when one has died, they are likely to be dead, too.
	forget func()
	// opened is what Close closes, in reverse order.
	opened []io.Closer
	// Epochs tells caches of assets when what they hold is outdated. It is nil where other nodes may write: assets
	// can't be cached there.
	Epochs *Epochs
	// Node names this process among those that share the database.
	Node    string
	emitted signal
	closed  atomic.Bool
	log     *slog.Logger
}

// dialect is what differs between the databases, beside the migrations.
type dialect struct {
	name string
	// now is the SQL expression for the time in Unix milliseconds.
	now string
	// share ends a query for assets, as "a", that nobody may delete before the transaction ends.
	share string
	// aside before a column says that no index is to be chosen for it; PostgreSQL has statistics to choose by.
	aside string
	// find is the SQL function of where a string has another one, from 1; 0 for nowhere.
	find string
	// take is the SQL clause by which nodes take rows and pass over those that another one is taking.
	take string
}

var (
	dialectSQLite   = dialect{name: "sqlite", now: "CAST(unixepoch('subsec') * 1000 AS INTEGER)", aside: "+", find: "instr"}
	dialectPostgres = dialect{name: "postgres", now: "(extract(epoch FROM clock_timestamp()) * 1000)::bigint",
		share: " FOR SHARE OF a", find: "strpos", take: " FOR UPDATE SKIP LOCKED"}
)

// Open opens the database and brings its schema up to date. With an empty databaseURL it is the SQLite file at path,
// created when absent; otherwise a PostgreSQL one (postgres://user:password@host:port/name?options). A schema newer
// than this binary's is refused.
func Open(ctx context.Context, path, databaseURL string, log *slog.Logger) (*Store, error) {
	if databaseURL != "" {
		return openPostgres(ctx, databaseURL, log)
	}
	return openSQLite(ctx, path, log)
}

// connect opens a pool of connections, which Close closes.
func (s *Store) connect(driver, dsn string, size int) (*sql.DB, error) {
	pool, err := sql.Open(driver, dsn)
	if err != nil {
		return nil, err
	}
	return s.keep(pool, size), nil
}

// keep has Close close a pool, which opens at most so many connections and keeps them.
func (s *Store) keep(pool *sql.DB, size int) *sql.DB {
	pool.SetMaxOpenConns(size)
	pool.SetMaxIdleConns(size)
	s.opened = append(s.opened, pool)
	return pool
}

// open leaves preparing statements to the pool: gorm would prepare them anew in each transaction.
func open(d gorm.Dialector) (*gorm.DB, error) {
	return gorm.Open(d, &gorm.Config{SkipDefaultTransaction: true, DisableAutomaticPing: true, Logger: logger.Discard})
}

// migrate brings the schema up to date, each migration in one transaction.
func (s *Store) migrate(ctx context.Context, pool *sql.DB) error {
	files, err := fs.Sub(migrations, "migrations/"+s.dialect.name)
	if err != nil {
		return err
	}
	d, options := goose.DialectSQLite3, []goose.ProviderOption{goose.WithSlog(slog.New(slog.DiscardHandler))}
	if s.dialect.name == dialectPostgres.name {
		// Nodes may start at the same moment.
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300)) // ask each second, 300 times
		if err != nil {
			return err
		}
		d, options = goose.DialectPostgres, append(options, goose.WithSessionLocker(locker))
	}
	provider, err := goose.NewProvider(d, pool, files, options...)
	if err != nil {
		return err
	}
	current, err := provider.GetDBVersion(ctx)
	if err != nil {
		return err
	}
	newest := int64(0)
	for _, source := range provider.ListSources() {
		newest = max(newest, source.Version)
	}
	if current > newest {
		return fmt.Errorf("its schema has version %d, this binary knows versions up to %d: use a newer repomgr", current, newest)
	}
	if current == newest {
		return nil
	}
	_, err = provider.Up(ctx)
	return err
}

// Close ends the running transactions and closes the database.
func (s *Store) Close() error {
	s.closed.Store(true)
	if s.committer != nil {
		s.committer.stop()
	}
	var failed []error
	for _, c := range slices.Backward(s.opened) {
		failed = append(failed, c.Close())
	}
	return errors.Join(failed...)
}

// pingTime is how long Ping waits for an answer.
const pingTime = 5 * time.Second

// Ping tells whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	return within(ctx, pingTime, func(ctx context.Context) error { return s.db.WithContext(ctx).Exec("SELECT 1").Error })
}

// Tx is a running write transaction. It is valid until the function given to Update returns.
type Tx struct {
	db      *gorm.DB
	dialect dialect
	epochs  *Epochs
	dirty   []int
	// emitted tells that the transaction wrote an event.
	emitted bool
}

// Update runs fn in a transaction, which is committed, durably, when Update returns nil, and has not happened
// otherwise. fn may run more than once and must not do anything but use tx: on SQLite it holds up all other writers.
// fn runs on when ctx ends; only a transaction that has not begun is given up. A panic of fn is returned as an error.
func (s *Store) Update(ctx context.Context, fn func(tx *Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.committer == nil {
		return classify(s.updatePostgres(ctx, fn))
	}
	t := &transaction{ctx: ctx, tx: &Tx{db: s.committer.db, dialect: s.dialect, epochs: s.Epochs}, fn: fn, result: make(chan error, 1)}
	if err := s.committer.do(t); err != nil {
		return classify(err)
	}
	if t.tx.emitted {
		s.emitted.notify()
	}
	return nil
}

// run calls fn, and turns a panic into an error: one caller's mistake must not end the process, nor the committer, which
// serves everybody.
func (tx *Tx) run(fn func(*Tx) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in transaction: %v\n%s", p, debug.Stack())
		}
	}()
	return fn(tx)
}

// begin makes tx ready for a run of its function, which may not be the first.
func (tx *Tx) begin() {
	tx.end()
	tx.emitted = false
}

// end says that the transaction is over, committed or not, and that caches may be filled again.
func (tx *Tx) end() {
	for _, slot := range tx.dirty {
		tx.epochs.end(slot)
	}
	tx.dirty = nil
}

// change says that tx changes the asset at path and what is made from the assets of that name.
func (tx *Tx) change(repositoryID int64, path, name string) {
	if tx.epochs == nil {
		return
	}
	for _, slot := range []int{PathSlot(repositoryID, path), NameSlot(repositoryID, name)} {
		tx.epochs.begin(slot)
		tx.dirty = append(tx.dirty, slot)
	}
}

// sql puts the dialect's expression for the time in place of $NOW, and its function to find a string in place of $FIND.
func (d dialect) sql(query string) string {
	return strings.ReplaceAll(strings.ReplaceAll(query, "$NOW", d.now), "$FIND", d.find)
}

func (tx *Tx) exec(query string, args ...any) (int64, error) {
	r := tx.db.Exec(tx.dialect.sql(query), args...)
	return r.RowsAffected, r.Error
}

func (tx *Tx) scan(dest any, query string, args ...any) (int64, error) {
	r := tx.db.Raw(tx.dialect.sql(query), args...).Scan(dest)
	return r.RowsAffected, r.Error
}

func (s *Store) scan(ctx context.Context, dest any, query string, args ...any) (int64, error) {
	if s.committer == nil {
		return s.scanPostgres(ctx, dest, query, args...)
	}
	r := s.db.WithContext(ctx).Raw(s.dialect.sql(query), args...).Scan(dest)
	return r.RowsAffected, classify(r.Error)
}

func millis(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
