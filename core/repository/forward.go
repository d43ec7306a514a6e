package repository

import (
	"net/url"
	"strings"

	"github.com/repomgr/repomgr/core/format"
)

// forwarding is the exchange of a proxy with the query of the request in its route, where the proxy forwards it: what upstream has at a path
// with a query is an asset of its own, at the path with that query.
func (x *exchange) forwarding() (*exchange, error) {
	f := x.repo.plugin.forwarder
	if f == nil {
		return x, nil
	}
	query, ok, err := f.Forward(x.route, x.asking().query, x.repo.info())
	if err != nil || !ok || query == "" && !strings.Contains(x.route.Path, "?") {
		return x, err
	}
	inner := *x
	inner.route.Source = &url.URL{Path: x.route.Path, RawQuery: query}
	// The last question mark is where the query begins, as it has none itself: also behind a path that has one.
	inner.route.Path += "?" + query
	return &inner, nil
}

// forwards tells whether the repository is a proxy that forwards queries.
func (r *Repository) forwards() bool {
	if r.upstream == nil || r.plugin.forwarder == nil {
		return false
	}
	_, ok, err := r.plugin.forwarder.Forward(format.Route{}, "", r.info())
	return ok && err == nil
}

// forwardedLink is the relative URL of a file whose name was made by forwarding.
func forwardedLink(name string) string {
	i := strings.LastIndexByte(name, '?')
	switch {
	case i < 0:
		return ""
	case i == len(name)-1:
		return url.PathEscape(name[:i])
	}
	return url.PathEscape(name[:i]) + name[i:]
}

// escapePath is a path as upstream is asked for it. All that some server could take for something else is escaped, also where a URL need
// not: to S3 a plus is a space, to others a semicolon begins parameters.
func escapePath(path string) string {
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		segments[i] = strings.ReplaceAll(url.PathEscape(segment), "+", "%2B")
	}
	return strings.Join(segments, "/")
}
