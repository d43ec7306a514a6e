package repository

import (
	"context"
	"net/http"

	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
	"github.com/repomgr/repomgr/core/remote"
)

// askAround is ask that goes on elsewhere where upstream does not have it and the format knows other places. url is the place's that
// answered; empty for upstream's own.
func (r *Repository) askAround(ctx context.Context, method string, route format.Route, h http.Header) (res *http.Response, url string, err error) {
	if res, err = r.ask(ctx, method, route, h); err != nil && !errs.Is(err, errs.NotFound) {
		return nil, "", err
	}
	if r.plugin.locator == nil || route.Expect == "" || err == nil && !errs.Is(r.answered(res), errs.NotFound) {
		return res, "", err
	}
	view := &exchange{manager: r.manager, repo: r, route: route}
	urls, failed := r.plugin.locator.Locate(ctx, route, r.info(), view)
	if failed != nil || len(urls) == 0 {
		if failed != nil {
			r.manager.log.Warn("it can't be found out where else something is", "repo", r.Name(), "path", route.Path, "err", failed)
		}
		return res, "", err
	}
	if res != nil {
		res.Body.Close()
	}
	res, url, err = r.askFor(ctx, method, urls)
	if err != nil && outage(err) {
		return nil, "", err
	}
	if err != nil {
		return nil, "", errs.Wrap(errs.NotFound, err, "neither the upstream server of %s nor those named in its place have it", r.Name())
	}
	return res, url, nil
}

// askFor is the answer of the first of the URLs that has something, else an error of the last one.
func (r *Repository) askFor(ctx context.Context, method string, urls []string) (res *http.Response, url string, err error) {
	for _, url = range urls {
		if res, err = r.upstream.client.Do(ctx, remote.Request{Method: method, URL: url}); err != nil {
			continue
		}
		if err = r.answered(res); err == nil {
			return res, url, nil
		}
		res.Body.Close()
	}
	return nil, "", err
}

// again asks once more for what is coming in.
func (x *exchange) again(ctx context.Context, route format.Route, h http.Header) (*http.Response, error) {
	if x.elsewhere == "" {
		return x.repo.ask(ctx, http.MethodGet, route, h)
	}
	return x.repo.upstream.client.Do(ctx, remote.Request{URL: x.elsewhere, Header: h})
}

// expect forgets that upstream did not have what documents name that came from it now.
func (u *upstream) expect(records []format.Record) {
	for _, rec := range records {
		for _, ref := range rec.References {
			u.absent.remove(ref.Path)
		}
	}
}
