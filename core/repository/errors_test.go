package repository

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"syscall"
	"testing"

	"github.com/repomgr/repomgr/core/blobstore"
	"github.com/repomgr/repomgr/core/errs"
)

// TestStoreError: faults of a blob store name their cause to clients, which may come back when it can pass.
func TestStoreError(t *testing.T) {
	opened := func(err error) error { return &os.PathError{Op: "open", Path: "/secret", Err: err} }
	for _, tt := range []struct {
		name    string
		err     error
		kind    errs.Kind
		status  int
		message string
		later   bool
	}{
		{"full", blobstore.ErrFull, errs.StorageFull, 507, "the blob store's disk is full", false},
		{"quota", opened(syscall.EDQUOT), errs.StorageFull, 507, "the blob store's disk is full", false},
		{"read-only", blobstore.ErrReadOnly, errs.ReadOnly, 503, "the blob store's disk is read-only", true},
		{"medium", fmt.Errorf("open blob x: %w: %w", blobstore.ErrMedium, opened(syscall.EIO)), errs.Unavailable, 503, "the blob store's disk reports errors", true},
		{"medium, of a reader", fmt.Errorf("read blob x: %w", opened(syscall.EIO)), errs.Unavailable, 503, "the blob store's disk reports errors", true},
		{"checksum", opened(syscall.EBADMSG), errs.Unavailable, 503, "the blob store's disk reports errors", true},
		{"open files", fmt.Errorf("put blob: %w: %w", blobstore.ErrExhausted, opened(syscall.EMFILE)), errs.Unavailable, 503, "the server has too many open files", true},
		{"open files of the machine", opened(syscall.ENFILE), errs.Unavailable, 503, "the server has too many open files", true},
		{"unavailable", blobstore.ErrUnavailable, errs.Unavailable, 503, "the blob store is unavailable", true},
		{"known", errs.Wrap(errs.NotFound, opened(syscall.EIO), "asset not found"), errs.NotFound, 404, "asset not found", false},
		{"body", &bodyError{syscall.EIO}, errs.Invalid, 400, "the request body ended early", false},
		{"large body", &bodyError{&http.MaxBytesError{Limit: 5}}, errs.TooLarge, 413, "the request body is larger than 5 bytes", false},
		{"given up", context.Canceled, errs.Invalid, 400, "the request was given up", false},
		{"unknown", errors.New("x"), errs.Internal, 500, "", false},
		{"permission", opened(syscall.EACCES), errs.Internal, 500, "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := errs.As(storeError(tt.err))
			if got.Kind != tt.kind || got.Kind.Status() != tt.status || got.Message != tt.message || (got.RetryAfter > 0) != tt.later {
				t.Errorf("storeError = %d %q, retry after %v; want %d %q, %t", got.Kind.Status(), got.Message, got.RetryAfter, tt.status, tt.message, tt.later)
			}
			if !errors.Is(got, tt.err) && got.Kind != errs.Internal && got.Kind != errs.NotFound {
				t.Error("the cause is lost")
			}
		})
	}
	if err := storeError(nil); err != nil {
		t.Errorf("storeError(nil) = %v", err)
	}
}
