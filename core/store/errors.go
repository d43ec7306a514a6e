package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"

	"github.com/repomgr/repomgr/core/errs"
)

// SQLite's primary result codes (sqlite.org/rescode.html) that tell of the machine's state rather than of a mistake.
const (
	sqliteBusy     = 5
	sqliteReadOnly = 8
	sqliteIOErr    = 10
	sqliteFull     = 13
	sqliteCantOpen = 14
)

// classify gives a database error its kind where the cause is outside the program. Errors that have one keep it.
func classify(err error) error {
	var known *errs.Error
	if err == nil || errors.As(err, &known) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	var lite *sqlite.Error
	if errors.As(err, &lite) {
		switch lite.Code() & 0xff {
		case sqliteFull:
			return errs.Wrap(errs.StorageFull, err, "the database's disk is full")
		case sqliteReadOnly:
			return errs.Wrap(errs.ReadOnly, err, "the database's disk is read-only")
		case sqliteIOErr, sqliteCantOpen, sqliteBusy:
			return errs.Wrap(errs.Unavailable, err, "the database can't be used at the moment")
		}
		return err
	}
	if busy(err) {
		return errs.Wrap(errs.Unavailable, err, "too many requests change the same content at the same time")
	}
	if disconnected(err) {
		return errs.Wrap(errs.Unavailable, err, "the database can't be reached at the moment")
	}
	return err
}

func disconnected(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		// Class 08 connection exception, 53 insufficient resources, 57P operator intervention (PostgreSQL, appendix A).
		class := pg.Code[:2]
		return class == "08" || class == "53" || class == "58" || pg.Code[:3] == "57P" || pg.Code == "25006"
	}
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) || errors.Is(err, driver.ErrBadConn) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, errClosed)
}

// errRetry makes PostgreSQL's Update run its function again: another transaction changed a row first.
var errRetry = errors.New("row was changed by another transaction")

// busy tells whether a PostgreSQL transaction gave way to another one.
func busy(err error) bool {
	var pg *pgconn.PgError
	// Serialization failure and deadlock.
	return errors.Is(err, errRetry) || errors.As(err, &pg) && (pg.Code == "40001" || pg.Code == "40P01")
}

// transient tells whether a PostgreSQL transaction may succeed when it is run again: it gave way to another one, or
// another one wrote or deleted a row after this one had looked for it.
func transient(err error) bool {
	var pg *pgconn.PgError
	// Unique and foreign key violation.
	return busy(err) || errors.As(err, &pg) && (pg.Code == "23505" || pg.Code == "23503")
}
