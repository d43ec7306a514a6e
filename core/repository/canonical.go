package repository

import (
	"context"
	"net/http"
	"net/url"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/format"
)

// canonicalRoute is the route by which the repository keeps what the route leads to: of proxies it may have another name than it was
// asked for by.
func (r *Repository) canonicalRoute(route format.Route) format.Route {
	p := r.plugin.canonicalizer
	if p == nil || r.upstream == nil {
		return route
	}
	if name := p.Canonical(route.Name, r.upstream.base); name != route.Name {
		route.Path, route.Name = p.Rename(route.Path, route.Name, name), name
	}
	return route
}

// canonical is the exchange with its route as the repository keeps it. Rights were checked on the one that was asked for.
func (x *exchange) canonical() *exchange {
	route := x.repo.canonicalRoute(x.route)
	if route.Path == x.route.Path {
		return x
	}
	inner := *x
	inner.route = route
	return &inner
}

// keptList is local for a proxy: what it keeps under a canonical name is listed by the one that was asked for.
func (r *Repository) keptList(ctx context.Context, l content.List) (content.Page, error) {
	p, asked := r.plugin.canonicalizer, l.Name
	if p == nil || l.Names || p.Canonical(asked, r.upstream.base) == asked {
		return r.local(ctx, l)
	}
	l.Name = p.Canonical(asked, r.upstream.base)
	l.After = p.Rename(l.After, asked, l.Name)
	page, err := r.local(ctx, l)
	assets := make([]content.Asset, len(page.Assets)) // the page may be a cached one
	for i, a := range page.Assets {
		a.Path, a.Name = p.Rename(a.Path, a.Name, asked), asked
		assets[i] = a
	}
	page.Assets = assets
	return page, err
}

// routeOf is how a client would ask for what is at the path.
func (r *Repository) routeOf(path string) (format.Route, error) {
	return r.plugin.Resolve(&http.Request{Method: http.MethodGet, URL: &url.URL{Path: path}, Header: http.Header{}}, path)
}

// named is an asset as clients know it who ask by the route.
func named(a content.Asset, route format.Route) content.Asset {
	a.Path, a.Name = route.Path, route.Name
	return a
}
