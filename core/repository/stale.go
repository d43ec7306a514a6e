package repository

import (
	"context"
	"errors"

	"github.com/repomgr/repomgr/core/blobstore"
	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/remote"
)

// errSlow tells that a client is not made to wait any longer.
var errSlow = errors.New("it takes long; the fetch goes on")

// findNewer is findUpstream where there is a stale copy. It is given away in place of what upstream has now when that can't be had, or
// is not there within the time that upstream has for an answer, counted from when it was asked.
func (x *exchange) findNewer(ctx context.Context, stale *content.Asset) (found, error) {
	f := x.manager.fetches.start(ctx, x.repo, x.route, stale)
	inner, cancel := context.WithDeadline(ctx, f.began.Add(x.repo.upstream.client.Timeout()))
	defer cancel()
	now, err := f.wait(inner)
	switch {
	case err == nil:
		return found{x: x, asset: now}, nil
	case ctx.Err() != nil:
		return found{}, err
	case errors.Is(err, context.DeadlineExceeded) && inner.Err() != nil:
		err = errSlow
	}
	return x.instead(stale, err)
}

// instead is the stale copy in place of an error, whatever upstream did: what was right yesterday is better than nothing. A remote URL
// that must not be connected to is another matter: that is this server's configuration, which should be seen.
func (x *exchange) instead(stale *content.Asset, err error) (found, error) {
	var e *remote.Error
	if errors.As(err, &e) && e.Misconfigured() {
		return found{}, x.repo.refused(err)
	}
	x.manager.log.Warn("a copy that is not fresh is served: "+failing(err), "repo", x.repo.Name(), "path", x.route.Path, "err", err)
	return found{x: x, asset: *stale, stale: true}, nil
}

// failing says in a few words whose fault it is that nothing came of a fetch.
func failing(err error) string {
	var e *remote.Error
	switch {
	case errors.Is(err, errSlow):
		return "upstream is slow"
	case blobstore.Fault(err) != nil, errors.Is(err, blobstore.ErrUnavailable):
		return "what upstream has can't be stored"
	case errors.As(err, &e):
		return "upstream can't be asked"
	case errs.Is(err, errs.NotFound):
		return "upstream does not have it any more"
	case errs.Is(err, errs.Internal):
		return "what upstream has can't be taken in"
	}
	return "upstream gave a wrong answer"
}
