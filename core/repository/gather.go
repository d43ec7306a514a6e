package repository

import (
	"context"
	"net/http"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
	"github.com/repomgr/repomgr/core/security"
)

// gatherers is how many of the things that one upload requires are fetched at once.
const gatherers = 4

// gather sees to it that adopt finds what the records require, where they came to a group and its writable member lacks it. The client
// did not upload it since a HEAD said that the group has it: that is so when a member could get it from upstream, or has it in another
// blob store. What can't be had now is the error of the member that could not be asked; what no member has is left to adopt.
//
// The document's share of the parsing is given back meanwhile: others must not wait for an upstream server.
func (x *exchange) gather(ctx context.Context, route format.Route, size int64, records []format.Record) error {
	if x.front == nil {
		return nil
	}
	var lacking []content.Reference
	for _, rec := range records {
		for _, ref := range rec.References {
			if ref.Kind != content.Requires {
				continue
			}
			_, err := x.repo.asset(ctx, ref.Path)
			if errs.Is(err, errs.NotFound) {
				lacking = append(lacking, ref)
			} else if err != nil {
				return err
			}
		}
	}
	if len(lacking) == 0 {
		return nil
	}
	x.parsed(route, size)
	err := x.bring(ctx, lacking)
	if again := x.retake(ctx, route, size); err == nil {
		err = again
	}
	return err
}

// retake takes back the share of the parsing that parsed has given away. It waits for it whether or not the client does: the share is
// given away once more by the caller.
func (x *exchange) retake(ctx context.Context, route format.Route, size int64) error {
	if route.MaxSize == 0 {
		return nil
	}
	return x.manager.parsing.Acquire(context.WithoutCancel(ctx), parsingWeight(size))
}

// maxLacking is how many of the things that one upload requires are found to be absent before the others are not looked for.
const maxLacking = 100

// bring brings what the references name to where adopt finds it.
func (x *exchange) bring(ctx context.Context, lacking []content.Reference) error {
	var mu sync.Mutex
	var absent []content.Reference
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(gatherers)
	for _, ref := range lacking {
		group.Go(func() error {
			mu.Lock()
			enough := len(absent) == maxLacking
			mu.Unlock()
			if err := ctx.Err(); enough || err != nil {
				return err
			}
			err := x.bringOne(ctx, ref)
			if !errs.Is(err, errs.NotFound) {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			if len(absent) < maxLacking {
				absent = append(absent, ref)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if len(absent) > 0 {
		return missing(absent)
	}
	return nil
}

// bringOne is bring for one; a NotFound error tells that no member has it, or none that the caller may read.
func (x *exchange) bringOne(ctx context.Context, ref content.Reference) error {
	route, err := x.repo.routeOf(ref.Path)
	if err != nil {
		return err
	}
	if !x.mayRead(x.front, route.Path, route.Name) {
		return assetNotFound(nil)
	}
	group := *x
	group.repo, group.front, group.route, group.conditions = x.front, nil, route, conditions{}
	f, err := group.findMember(ctx, http.MethodGet)
	if err == nil && f.fetch != nil {
		if f.asset, err = f.fetch.wait(ctx); err != nil {
			err = f.x.repo.refused(err)
		}
	}
	switch {
	case err != nil:
		return err
	case f.asset.Digest != ref.To:
		return assetNotFound(nil)
	case f.asset.Blob.StoreID == x.repo.store.id:
		return nil
	}
	return x.copyHere(ctx, route, f)
}

// copyHere stores what another member has in another blob store.
func (x *exchange) copyHere(ctx context.Context, route format.Route, f found) error {
	r, err := f.x.repo.openBlob(ctx, f.asset.Blob)
	if err != nil {
		return err
	}
	defer r.Close()
	inner := *x
	inner.route, inner.conditions = route, conditions{}
	_, err = inner.receive(ctx, route, r)
	return err
}

// mayRead tells whether the caller, or everybody, may read what is at the path of the repository.
func (x *exchange) mayRead(repo *Repository, path, name string) bool {
	c := repo.config
	for _, p := range []security.Principal{x.principal, security.Nobody()} {
		if !(p.Anonymous && repo.access.NoAnonymous) && x.manager.security.Allowed(p, c.Format, c.Name, content.Read, path, name) {
			return true
		}
	}
	return false
}
