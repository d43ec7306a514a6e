package remote

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Kind is what went wrong between this server and an upstream.
type Kind uint8

// The kinds of an Error.
const (
	// Blocked: the upstream was not asked, because an admin blocked it or because it failed a short time ago.
	Blocked Kind = iota + 1
	// Unreachable: no connection, or one that ended before an answer. Also an outbound proxy that refuses.
	Unreachable
	// Timeout: no connection and answer header within the configured time.
	Timeout
	// TLS: no encrypted connection, for example because the certificate is not trusted.
	TLS
	// ServerError: an answer with a 5xx status.
	ServerError
	// TooManyRequests: an answer with status 429, or the time that one asked to wait for is not over.
	TooManyRequests
	// Unauthorized: an answer with status 401 to all credentials there are, or no token to be had.
	Unauthorized
	// Redirect: too many redirects, a loop, or one that leads nowhere.
	Redirect
	// Refused: the address is one that this server must not connect to.
	Refused
	// Stalled: nothing came of a body for a while.
	Stalled
	// Truncated: a body ended before its end.
	Truncated
	// Denied: an answer with status 401 to a token that was given for the very request, or no token for it where others are given. It
	// may not be there: many servers don't tell those who may not see it.
	Denied
	// Malformed: an answer that can't be read, for example because its header is wrong or too large. It says nothing of others.
	Malformed
)

var kinds = [...]string{
	Blocked: "blocked", Unreachable: "unreachable", Timeout: "timeout", TLS: "TLS error", ServerError: "server error",
	TooManyRequests: "too many requests", Unauthorized: "unauthorized", Redirect: "bad redirect", Refused: "address refused",
	Stalled: "stalled", Truncated: "truncated", Denied: "denied", Malformed: "malformed answer",
}

// String is a word or two for logs.
func (k Kind) String() string {
	if int(k) >= len(kinds) || kinds[k] == "" {
		return "unknown"
	}
	return kinds[k]
}

// Error is a failure to get something from an upstream. Its text names hosts and reasons, never credentials nor query strings
// (which hold the signatures of presigned URLs).
type Error struct {
	Kind Kind
	// Host is where it failed, as host or host:port. After a redirect it is not the upstream's own.
	Host string
	// Status is the HTTP status of the answer; zero if there was none.
	Status int
	// RetryAfter is how long the upstream should be left alone, and is: at most an hour. Zero says nothing.
	RetryAfter time.Duration
	// Elsewhere tells that the upstream led there, by a redirect or for a token.
	Elsewhere bool
	Err       error
}

func (e *Error) Error() string {
	text := e.Host + ": " + e.Kind.String()
	if e.Status != 0 {
		text += fmt.Sprintf(" (status %d)", e.Status)
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }

// Outage tells whether the upstream can't be had for now, so that what was stored of it earlier may be served in its place. A
// configured address that is refused is none: that is a matter of this server's configuration, which should be seen; nor is what is
// denied while all else goes on.
func (e *Error) Outage() bool { return !e.Misconfigured() && e.Kind != Denied }

// Misconfigured tells whether the address that is refused is the one that was configured or asked for, not one that the upstream named.
func (e *Error) Misconfigured() bool { return e.Kind == Refused && !e.Elsewhere }

// transient tells whether the same request may well succeed a moment later.
func (e *Error) transient() bool {
	switch e.Kind {
	case Unreachable:
		return e.Status != http.StatusProxyAuthRequired
	case Malformed:
		return true // a header that was cut off is one, too
	case ServerError:
		return e.Status == http.StatusBadGateway || e.Status == http.StatusServiceUnavailable || e.Status == http.StatusGatewayTimeout
	}
	return false
}

// The reasons for which a client ends an exchange.
var (
	errNoAnswer = errors.New("no answer in time")
	errStalled  = errors.New("no data in time")
)

// classify gives an error of the transport its kind.
func classify(host string, err error) *Error {
	var known *Error
	var refused *refusal
	var timeout net.Error
	e := &Error{Kind: Unreachable, Host: host, Err: err}
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &refused):
		e.Kind, e.Err = Refused, refused
	case errors.Is(err, errNoAnswer), errors.As(err, &timeout) && timeout.Timeout():
		e.Kind = Timeout
	case isTLS(err):
		e.Kind = TLS
	}
	return e
}

func isTLS(err error) bool {
	var (
		verify    *tls.CertificateVerificationError
		record    tls.RecordHeaderError
		alert     tls.AlertError
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
		invalid   x509.CertificateInvalidError
		operation *net.OpError
	)
	switch {
	case errors.As(err, &verify), errors.As(err, &record), errors.As(err, &alert), errors.As(err, &authority),
		errors.As(err, &hostname), errors.As(err, &invalid), errors.Is(err, http.ErrSchemeMismatch):
		return true
	case errors.As(err, &operation):
		// crypto/tls names the alerts it gets and sends by these operations.
		return operation.Op == "remote error" || operation.Op == "local error"
	}
	return false
}
