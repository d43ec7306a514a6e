// Package store is the database: the truth about what is stored. It is the only user of gorm, and runs on SQLite (one
// node, the default) and on PostgreSQL. Writes go through Update; everything else reads.
package store

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"strings"
	"time"

	sqlite "github.com/glebarez/sqlite"
	"github.com/pressly/goose/v3"
	"gorm.io/driver/postgres"
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
	// read is a pool for queries; write is where transactions run: the committer's one connection on SQLite, the same
	// pool as read on PostgreSQL.
	read, write *gorm.DB
	committer   *committer
	// Epochs tells caches of assets when what they hold is outdated. It is nil where other nodes may write: assets
	// can't be cached there.
	Epochs *Epochs
	log    *slog.Logger
}

// dialect is what differs between the databases, beside the migrations.
type dialect struct {
	name string
	// now is the SQL expression for the time in Unix milliseconds.
	now string
}

var (
	dialectSQLite   = dialect{name: "sqlite", now: "CAST(unixepoch('subsec') * 1000 AS INTEGER)"}
	dialectPostgres = dialect{name: "postgres", now: "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"}
)

// readers is how many connections read a SQLite database at the same time.
const readers = 8

// Open opens the database and brings its schema up to date. With an empty databaseURL it is the SQLite file at path,
// created when absent; otherwise a PostgreSQL one (postgres://user:password@host:port/name?options). A schema newer
// than this binary's is refused.
func Open(ctx context.Context, path, databaseURL string, log *slog.Logger) (*Store, error) {
	if databaseURL != "" {
		return openPostgres(ctx, databaseURL, log)
	}
	return openSQLite(ctx, path, log)
}

func openSQLite(ctx context.Context, path string, log *slog.Logger) (*Store, error) {
	dsn := func(options ...string) string {
		q := url.Values{"_txlock": {"immediate"}, "_pragma": append([]string{
			"journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "busy_timeout(10000)", "temp_store(MEMORY)", "cache_size(-8000)",
		}, options...)}
		return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
	}
	write, err := open(sqlite.Open(dsn()), 1)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	s := &Store{dialect: dialectSQLite, write: write, Epochs: NewEpochs(), log: log}
	if err := s.migrate(ctx); err != nil {
		closeDB(write)
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	s.read, err = open(sqlite.Open(dsn("query_only(1)", "cache_size(-2000)")), readers)
	if err != nil {
		closeDB(write)
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	s.committer = newCommitter(write)
	return s, nil
}

func openPostgres(ctx context.Context, databaseURL string, log *slog.Logger) (*Store, error) {
	db, err := open(postgres.Open(databaseURL), 32)
	if err != nil {
		return nil, fmt.Errorf("open PostgreSQL database: %w", err)
	}
	s := &Store{dialect: dialectPostgres, read: db, write: db, log: log}
	if err := s.migrate(ctx); err != nil {
		closeDB(db)
		return nil, fmt.Errorf("open PostgreSQL database: %w", err)
	}
	return s, nil
}

func open(d gorm.Dialector, conns int) (*gorm.DB, error) {
	db, err := gorm.Open(d, &gorm.Config{
		SkipDefaultTransaction: true,
		PrepareStmt:            true,
		Logger:                 logger.Discard,
	})
	if err != nil {
		return nil, err
	}
	pool, err := db.DB()
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(conns)
	pool.SetMaxIdleConns(conns)
	return db, nil
}

func closeDB(db *gorm.DB) error {
	pool, err := db.DB()
	if err != nil {
		return err
	}
	return pool.Close()
}

// migrate brings the schema up to date, each migration in one transaction.
func (s *Store) migrate(ctx context.Context) error {
	files, err := fs.Sub(migrations, "migrations/"+s.dialect.name)
	if err != nil {
		return err
	}
	pool, err := s.write.DB()
	if err != nil {
		return err
	}
	d := goose.DialectSQLite3
	if s.dialect.name == dialectPostgres.name {
		d = goose.DialectPostgres
	}
	provider, err := goose.NewProvider(d, pool, files, goose.WithSlog(slog.New(slog.DiscardHandler)))
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
	if s.committer != nil {
		s.committer.stop()
	}
	err := closeDB(s.write)
	if s.read != s.write {
		if e := closeDB(s.read); err == nil {
			err = e
		}
	}
	return err
}

// Ping tells whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	return classify(s.read.WithContext(ctx).Exec("SELECT 1").Error)
}

// Tx is a running write transaction. It is valid until the function given to Update returns.
type Tx struct {
	db      *gorm.DB
	dialect dialect
	epochs  *Epochs
	dirty   []int
}

// Update runs fn in a transaction, which is committed, durably, when Update returns nil, and has not happened
// otherwise. fn may run more than once and must not do anything but use tx: on SQLite it holds up all other writers.
// fn runs on when ctx ends; only a transaction that has not begun is given up.
func (s *Store) Update(ctx context.Context, fn func(tx *Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	run := func(db *gorm.DB) (done func(), err error) {
		tx := &Tx{db: db, dialect: s.dialect, epochs: s.Epochs}
		return tx.end, fn(tx)
	}
	if s.committer != nil {
		return classify(s.committer.do(ctx, run))
	}
	return classify(s.updatePostgres(ctx, run))
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

// attempts is how often a transaction is run that others got in the way of.
const attempts = 10

func (s *Store) updatePostgres(ctx context.Context, run func(*gorm.DB) (func(), error)) error {
	for attempt := 1; ; attempt++ {
		err := s.write.WithContext(context.WithoutCancel(ctx)).Transaction(func(db *gorm.DB) error {
			_, err := run(db)
			return err
		}, &sql.TxOptions{})
		if err == nil || attempt == attempts || !transient(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(attempt) * 5 * time.Millisecond):
		}
	}
}

// sql puts the dialect's expression for the time in place of $NOW in query.
func (d dialect) sql(query string) string { return strings.ReplaceAll(query, "$NOW", d.now) }

func (tx *Tx) exec(query string, args ...any) (int64, error) {
	r := tx.db.Exec(tx.dialect.sql(query), args...)
	return r.RowsAffected, r.Error
}

func (tx *Tx) scan(dest any, query string, args ...any) (int64, error) {
	r := tx.db.Raw(tx.dialect.sql(query), args...).Scan(dest)
	return r.RowsAffected, r.Error
}

func (s *Store) scan(ctx context.Context, dest any, query string, args ...any) (int64, error) {
	r := s.read.WithContext(ctx).Raw(s.dialect.sql(query), args...).Scan(dest)
	return r.RowsAffected, classify(r.Error)
}

func millis(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
