package httpapi

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/repomgr/repomgr/core/security"
)

// call is what the operations need to know of a request beside its parameters and body.
type call struct {
	security.Principal
	// base is the server's address as the client sees it, without a slash at the end.
	base string
}

type callKey struct{}

func withCall(ctx context.Context, c call) context.Context {
	return context.WithValue(ctx, callKey{}, c)
}

// callOf returns the call that the guard of every operation put into the context.
func callOf(ctx context.Context) call { return ctx.Value(callKey{}).(call) }

// repositoryURL is where the content of a repository is.
func (c call) repositoryURL(name string) string {
	return c.base + "/repository/" + url.PathEscape(name)
}

// hostPattern is what a host with a port can be made of; anything else in a header is not passed on.
var hostPattern = regexp.MustCompile(`^[A-Za-z0-9._:\[\]-]+$`)

// baseURL is the server's address as the client sees it, also through a reverse proxy that sets X-Forwarded-Proto and
// X-Forwarded-Host. With several proxies the first value is the one that the client sees.
func baseURL(r *http.Request) string {
	scheme, host := "http", r.Host
	if r.TLS != nil {
		scheme = "https"
	}
	if forwarded := strings.ToLower(first(r.Header.Get("X-Forwarded-Proto"))); forwarded == "http" || forwarded == "https" {
		scheme = forwarded
	}
	if forwarded := first(r.Header.Get("X-Forwarded-Host")); hostPattern.MatchString(forwarded) {
		host = forwarded
	}
	return scheme + "://" + host
}

// first is the first of a header's comma-separated values.
func first(header string) string {
	value, _, _ := strings.Cut(header, ",")
	return strings.TrimSpace(value)
}
