package repository

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
)

// codeDirectory tells in a NotFound error that upstream has a directory at the path.
const codeDirectory = "DIRECTORY"

// directory tells whether the route is that of a directory (format.Route.Index). A path with a query that is forwarded is a file of its own.
func (x *exchange) directory() bool {
	return len(x.route.Index) > 0 && strings.HasSuffix(x.route.Path, "/")
}

// findIndex is find for a directory: the first of its documents.
func (x *exchange) findIndex(ctx context.Context, method string) (found, error) {
	var refused error
	for _, name := range x.route.Index {
		inner, err := x.standing(x.route.Path + name)
		if err != nil {
			refused = cmp.Or(refused, err)
			continue
		}
		f, err := inner.findNow(ctx, method)
		if err == nil || ctx.Err() != nil || !errs.Is(err, errs.NotFound) {
			return f, err
		}
	}
	return found{}, cmp.Or(refused, x.nothing())
}

// standing is the exchange with the route of a document that stands for a directory, if the caller and the rules let it be read.
func (x *exchange) standing(path string) (*exchange, error) {
	route, err := x.repo.routeOf(path)
	if err != nil {
		return nil, err
	}
	inner, c := *x, x.asked().config
	inner.route = route
	switch {
	case !x.manager.security.Allowed(x.principal, c.Format, c.Name, route.Action, route.Path, route.Name):
		return nil, x.refusal()
	case !x.asked().shows(x.repo, inner.asking()):
		return nil, denied()
	}
	return &inner, nil
}

// nothing is the error where nothing is at the route's path.
func (x *exchange) nothing() error {
	if x.directory() {
		return errs.New(errs.NotFound, "there is no %s in %s", strings.Join(x.route.Index, " or "), x.route.Path)
	}
	return assetNotFound(nil)
}

// lacksSlash tells whether the route's path, at which no file was found, is one of a directory but for the slash at the end: upstream has
// said so, or a document of it is kept.
func (x *exchange) lacksSlash(ctx context.Context, err error) bool {
	if len(x.route.Index) == 0 || x.directory() || ctx.Err() != nil {
		return false
	}
	switch e := errs.As(err); e.Kind {
	case errs.NotFound, errs.Unavailable, errs.BadGateway, errs.TooManyRequests:
		if e.Code == codeDirectory {
			return true
		}
	default:
		return false
	}
	return slices.ContainsFunc(x.repo.showing(x.asking()), func(member *Repository) bool {
		return slices.ContainsFunc(x.route.Index, func(name string) bool {
			inner, err := x.as(member).standing(x.route.Path + "/" + name)
			if err == nil {
				_, err = member.asset(ctx, inner.canonical().route.Path)
			}
			return err == nil
		})
	})
}

// isFile checks that upstream's answer is a file, not a page about a directory: that is what it is where upstream has sent us to the same
// URL with a slash at the end, or from a document that stands for a directory to the directory itself.
func (r *Repository) isFile(route format.Route, res *http.Response) error {
	if len(route.Index) == 0 || res.Request == nil || !strings.HasSuffix(res.Request.URL.Path, "/") {
		return nil
	}
	asked := &url.URL{Path: route.Path}
	if route.Source != nil {
		asked = route.Source
	}
	whole, at := path.Join("/", r.upstream.base.Path, asked.Path), res.Request.URL
	switch {
	case strings.HasSuffix(asked.Path, "/"), at.RawQuery != asked.RawQuery:
		return nil // it is the query that makes it a file
	case path.Base(at.Path) == path.Base(whole):
		e := errs.New(errs.NotFound, "the upstream server of %s has a directory there", r.Name())
		e.Code = codeDirectory
		return e
	case slices.Contains(route.Index, path.Base(whole)) && path.Base(at.Path) == path.Base(path.Dir(whole)):
		return errs.New(errs.NotFound, "the upstream server of %s has a directory there, and no document of it", r.Name())
	}
	return nil
}

// redirectBelow sends the client to the same URL with a slash at the end. The reference is relative: it leads there whatever
// path a proxy in front has put before.
func redirectBelow(w http.ResponseWriter, r *http.Request) {
	escaped := r.URL.EscapedPath()
	location := url.URL{RawQuery: r.URL.RawQuery}
	w.Header().Set("Location", "./"+escaped[strings.LastIndexByte(escaped, '/')+1:]+"/"+location.String())
	w.WriteHeader(http.StatusFound)
}
