package repository

import (
	"net/url"
	"strings"
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
