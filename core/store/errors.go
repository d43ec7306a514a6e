package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"time"

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

// PostgreSQL's error codes (its manual, appendix A) that do.
const (
	pgDiskFull = "53100"
	pgReadOnly = "25006"
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
			e := errs.Wrap(errs.ReadOnly, err, "the database's disk is read-only")
			e.RetryAfter = retryAfter
			return e
		case sqliteIOErr, sqliteCantOpen, sqliteBusy:
			return unavailable(err, "the database can't be used at the moment")
		}
		return err
	}
	var pg *pgconn.PgError
	switch {
	case errors.As(err, &pg) && pg.Code == pgDiskFull:
		return errs.Wrap(errs.StorageFull, err, "the database's disk is full")
	case errors.As(err, &pg) && pg.Code == pgReadOnly:
		e := errs.Wrap(errs.ReadOnly, err, "the database is read-only")
		e.RetryAfter = retryAfter
		return e
	case busy(err):
		return unavailable(err, "too many requests change the same content at the same time")
	case disconnected(err):
		return unavailable(err, "the database can't be reached at the moment")
	}
	return err
}

// retryAfter is when clients are asked to come back to a database that is away.
const retryAfter = 5 * time.Second

func unavailable(err error, message string) error {
	e := errs.Wrap(errs.Unavailable, err, "%s", message)
	e.RetryAfter = retryAfter
	return e
}

func disconnected(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		// Class 08 connection exception, 53 insufficient resources, 57P operator intervention.
		class := pg.Code[:2]
		return class == "08" || class == "53" || class == "58" || pg.Code[:3] == "57P"
	}
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) || errors.Is(err, driver.ErrBadConn) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, pgconn.ErrConnClosed) ||
		errors.Is(err, errClosed)
}

// died tells whether a connection to a PostgreSQL server that there was is no more, so that another one may do.
func died(err error) bool {
	var connect *pgconn.ConnectError
	var pg *pgconn.PgError
	var network net.Error
	switch {
	case errors.As(err, &connect), errors.Is(err, errClosed):
		return false
	case errors.As(err, &pg):
		return pg.Code[:2] == "08" || pg.Code[:3] == "57P"
	}
	return errors.As(err, &network) && !network.Timeout() || errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, pgconn.ErrConnClosed)
}

// errInDoubt: nobody knows whether a commit happened.
var errInDoubt = errors.New("it is not known whether the transaction was committed")

// InDoubt tells whether a transaction whose Update failed with err may have happened all the same.
func InDoubt(err error) bool { return errors.Is(err, errInDoubt) }

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
