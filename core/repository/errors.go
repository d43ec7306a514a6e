package repository

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/repomgr/repomgr/core/blobstore"
	"github.com/repomgr/repomgr/core/errs"
)

// bodyError is an error of a request's body, as opposed to one of the place where it was to be stored.
type bodyError struct{ err error }

func (e *bodyError) Error() string { return "read request body: " + e.err.Error() }
func (e *bodyError) Unwrap() error { return e.err }

// body marks the errors of a request's body.
type body struct{ r io.Reader }

func (b body) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = &bodyError{err}
	}
	return n, err
}

// storeError gives an error of a blob store its kind.
func storeError(err error) error {
	var known *errs.Error
	var broken *bodyError
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil || errors.As(err, &known):
		return err
	case errors.As(err, &tooLarge):
		return errs.Wrap(errs.TooLarge, err, "the request body is larger than %d bytes", tooLarge.Limit)
	case errors.As(err, &broken):
		return errs.Wrap(errs.Invalid, err, "the request body ended early")
	case blobstore.Fault(err) != nil:
		return storeFault(err)
	case errors.Is(err, blobstore.ErrUnavailable):
		return later(errs.Wrap(errs.Unavailable, err, "the blob store is unavailable"))
	case errors.Is(err, blobstore.ErrOffset):
		return errs.Wrap(errs.RangeNotSatisfiable, err, "the range does not start where the upload ends")
	case errors.Is(err, blobstore.ErrBusy):
		return errs.Wrap(errs.Conflict, err, "another request is writing to this upload")
	case errors.Is(err, context.Canceled):
		return errs.Wrap(errs.Invalid, err, "the request was given up")
	}
	return err
}

// storeFault gives an error that blobstore.Fault knows its kind.
func storeFault(err error) error {
	switch fault := blobstore.Fault(err); {
	case errors.Is(fault, blobstore.ErrFull):
		return errs.Wrap(errs.StorageFull, err, "the blob store's disk is full")
	case errors.Is(fault, blobstore.ErrReadOnly):
		return later(errs.Wrap(errs.ReadOnly, err, "the blob store's disk is read-only"))
	case errors.Is(fault, blobstore.ErrExhausted):
		return later(errs.Wrap(errs.Unavailable, err, "the server has too many open files"))
	}
	return later(errs.Wrap(errs.Unavailable, err, "the blob store's disk reports errors"))
}

// later asks the client to come again.
func later(e *errs.Error) *errs.Error {
	e.RetryAfter = 10 * time.Second
	return e
}
