package store

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"

	"gorm.io/gorm"
	"gorm.io/gorm/callbacks"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/schema"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

// readers is how many connections read a SQLite database at the same time.
const readers = 8

// private makes the database file, and with it those that SQLite puts beside it, readable by the owner only: it holds hashes
// of passwords and the key of tokens.
func private(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Chmod(0o600)
}

func openSQLite(ctx context.Context, path string, log *slog.Logger) (_ *Store, err error) {
	s := &Store{dialect: dialectSQLite, Epochs: NewEpochs(), Node: "local", log: log}
	defer func() {
		if err != nil {
			_ = s.Close()
			err = fmt.Errorf("open database %s: %w", path, err)
		}
	}()
	if err := private(path); err != nil {
		return nil, err
	}
	writer, err := s.connect("sqlite", sqliteURL(path), 1)
	if err != nil {
		return nil, err
	}
	if err := s.migrate(ctx, writer); err != nil {
		return nil, err
	}
	// The committer keeps its connection, and with it the compiled statements.
	conn, err := writer.Conn(ctx)
	if err != nil {
		return nil, err
	}
	s.opened = append(s.opened, conn)
	write, err := open(sqliteDialector{s.prepare(conn)})
	if err != nil {
		return nil, err
	}
	pool, err := s.connect("sqlite", sqliteURL(path, "query_only(1)", "cache_size(-2000)"), readers)
	if err != nil {
		return nil, err
	}
	if s.db, err = open(sqliteDialector{s.prepare(pool)}); err != nil {
		return nil, err
	}
	s.committer = newCommitter(write)
	return s, nil
}

func sqliteURL(path string, pragmas ...string) string {
	q := url.Values{"_txlock": {"immediate"}, "_pragma": append([]string{
		"journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "busy_timeout(10000)", "temp_store(MEMORY)", "cache_size(-8000)",
	}, pragmas...)}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

// sqliteDialector is gorm's dialect for SQLite, as far as plain SQL needs one. The driver behind it is modernc.org/sqlite
// itself: it keeps prepared statements compiled, which others in pure Go do not, and compiling is most of a short
// statement's cost.
type sqliteDialector struct{ pool gorm.ConnPool }

func (sqliteDialector) Name() string { return "sqlite" }

func (d sqliteDialector) Initialize(db *gorm.DB) error {
	db.ConnPool = d.pool
	callbacks.RegisterDefaultCallbacks(db, &callbacks.Config{})
	return nil
}

func (sqliteDialector) BindVarTo(w clause.Writer, _ *gorm.Statement, _ any) { _ = w.WriteByte('?') }

func (sqliteDialector) QuoteTo(w clause.Writer, name string) { _, _ = w.WriteString(`"` + name + `"`) }

// Explain is for gorm's log, which is off.
func (sqliteDialector) Explain(query string, _ ...any) string { return query }

// The schema is goose's, and rows are written by SQL alone: gorm asks for none of these.

// Migrator has nothing to return. gorm calls it for db.Migrator and db.AutoMigrate only: no code outside this package gets
// hold of the db, and none in it asks.
func (sqliteDialector) Migrator(*gorm.DB) gorm.Migrator { return nil }

func (sqliteDialector) DataTypeOf(*schema.Field) string { return "" }

func (sqliteDialector) DefaultValueOf(*schema.Field) clause.Expression {
	return clause.Expr{SQL: "NULL"}
}
