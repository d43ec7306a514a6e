// Package errs says what kind of failure an error is, so that each protocol can render it in its own dialect.
//
// A place that knows the meaning of a failure makes an *Error; all others wrap with operation and object and pass on.
// The text of an error without a kind is for the log only and never reaches a client.
package errs

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Kind is the meaning of a failure, apart from any protocol.
type Kind uint8

// The kinds. The zero value is Internal: an error nobody classified.
const (
	Internal Kind = iota
	Invalid
	Unauthenticated
	Forbidden
	NotFound
	MethodNotAllowed
	Conflict
	TooLarge
	UnsupportedMediaType
	RangeNotSatisfiable
	PreconditionFailed
	Unprocessable
	TooManyRequests
	Unavailable
	ReadOnly
	StorageFull
	BadGateway
)

// statuses is the one table from kinds to HTTP status codes (RFC 9110 section 15, RFC 4918 section 11.5 for 507).
var statuses = [...]int{
	Internal:             http.StatusInternalServerError,
	Invalid:              http.StatusBadRequest,
	Unauthenticated:      http.StatusUnauthorized,
	Forbidden:            http.StatusForbidden,
	NotFound:             http.StatusNotFound,
	MethodNotAllowed:     http.StatusMethodNotAllowed,
	Conflict:             http.StatusConflict,
	TooLarge:             http.StatusRequestEntityTooLarge,
	UnsupportedMediaType: http.StatusUnsupportedMediaType,
	RangeNotSatisfiable:  http.StatusRequestedRangeNotSatisfiable,
	PreconditionFailed:   http.StatusPreconditionFailed,
	Unprocessable:        http.StatusUnprocessableEntity,
	TooManyRequests:      http.StatusTooManyRequests,
	Unavailable:          http.StatusServiceUnavailable,
	ReadOnly:             http.StatusServiceUnavailable,
	StorageFull:          http.StatusInsufficientStorage,
	BadGateway:           http.StatusBadGateway,
}

// Status is the HTTP status code of the kind.
func (k Kind) Status() int { return statuses[k] }

// Error is a failure whose meaning is known.
type Error struct {
	Kind Kind
	// Code is the name a protocol gives the failure, for example BLOB_UNKNOWN; empty when the kind says enough.
	Code string
	// Field names the part of the input that is wrong, for example "storage.blobStoreName"; empty when it is the whole.
	Field string
	// Message is for the client: one sentence, no internals.
	Message string
	// Detail is optional structured data for the client; it must marshal to JSON.
	Detail any
	// RetryAfter asks the client to wait; zero says nothing.
	RetryAfter time.Duration
	// Err is the cause, for the log only.
	Err error
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Message + ": " + e.Err.Error()
	}
	return e.Message
}

func (e *Error) Unwrap() error { return e.Err }

// New returns an Error of the kind with a message for the client.
func New(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// Field returns an Invalid error about one field of the input.
func Field(field, format string, args ...any) *Error {
	return &Error{Kind: Invalid, Field: field, Message: fmt.Sprintf(format, args...)}
}

// Wrap gives cause a kind and a message for the client.
func Wrap(kind Kind, cause error, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...), Err: cause}
}

// As returns the first *Error in err's chain, or one of kind Internal without a message when there is none.
func As(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Kind: Internal, Err: err}
}

// Is tells whether err is of the kind. A nil err is of no kind.
func Is(err error, kind Kind) bool {
	return err != nil && As(err).Kind == kind
}
