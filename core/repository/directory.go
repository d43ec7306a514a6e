package repository

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
)

// index finds the document that stands for the directory at the route's path (format.Route.Index), and makes its path the
// route's. It answers with a redirection, and returns no asset, where just the slash is missing at the end.
func (x *exchange) index(w http.ResponseWriter, r *http.Request) (content.Asset, error) {
	directory := strings.TrimSuffix(x.route.Path, "/") + "/"
	for _, name := range x.route.Index {
		a, err := x.Asset(r.Context(), directory+name)
		if errs.Is(err, errs.NotFound) {
			continue
		}
		if err != nil {
			return content.Asset{}, err
		}
		c := x.repo.config
		if !x.manager.security.Allowed(x.principal, c.Format, c.Name, x.route.Action, a.Path, a.Name) {
			return content.Asset{}, x.refusal()
		}
		if !strings.HasSuffix(r.URL.Path, "/") {
			redirectBelow(w, r)
			return content.Asset{}, nil
		}
		x.route.Path, x.route.Name = a.Path, a.Name
		return a, nil
	}
	if strings.HasSuffix(x.route.Path, "/") {
		return content.Asset{}, errs.New(errs.NotFound, "there is no %s in %s", strings.Join(x.route.Index, " or "), directory)
	}
	return content.Asset{}, assetNotFound(nil)
}

// redirectBelow sends the client to the same URL with a slash at the end. The reference is relative: it leads there whatever
// path a proxy in front has put before.
func redirectBelow(w http.ResponseWriter, r *http.Request) {
	escaped := r.URL.EscapedPath()
	location := url.URL{RawQuery: r.URL.RawQuery}
	w.Header().Set("Location", "./"+escaped[strings.LastIndexByte(escaped, '/')+1:]+"/"+location.String())
	w.WriteHeader(http.StatusFound)
}
