package blobstore

import (
	"errors"
	"syscall"
)

// faults are the errors of the operating system that mean something to every caller.
var faults = []struct{ cause, meaning error }{
	{syscall.ENOSPC, ErrFull},
	{syscall.EDQUOT, ErrFull},
	{syscall.EROFS, ErrReadOnly},
	{syscall.EIO, ErrMedium},
	{syscall.EBADMSG, ErrMedium}, // what file systems with checksums report
	{syscall.EMFILE, ErrExhausted},
	{syscall.ENFILE, ErrExhausted},
}

// Fault is the error of every store that an error means; nil when it means none. It also knows the errors that a Reader returns, which
// are those of the operating system.
func Fault(err error) error {
	for _, f := range faults {
		if errors.Is(err, f.cause) || errors.Is(err, f.meaning) {
			return f.meaning
		}
	}
	return nil
}
