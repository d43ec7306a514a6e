package repository

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
	"github.com/repomgr/repomgr/core/remote"
	"github.com/repomgr/repomgr/core/security"
	"github.com/repomgr/repomgr/core/store"
)

// taskUser is the user who stores what a task stores, as in Nexus.
const taskUser = "*TASK"

// mirror mirrors one version, and then what is about it. What is about it is not a part of what it is about: parts name one another by
// digest, so that they have an end, whereas lists of what is about something may hold anything.
func (p *prefetch) mirror(ctx context.Context, v version) error {
	route, err := p.mirrorer.Begin(v.name, v.version)
	if err != nil {
		return err
	}
	about, err := p.visit(ctx, route, false, 0)
	for distance, left := 1, maxAboutParts; distance <= maxAbout && len(about) > 0 && ctx.Err() == nil; distance++ {
		var next []format.Part
		for _, part := range about {
			if left--; left < 0 {
				return errors.Join(err, errs.New(errs.BadGateway, "there is too much about it"))
			}
			more, e := p.visit(ctx, part.Route, true, 0)
			if e != nil && !errs.Is(e, errs.NotFound) && err == nil {
				err = e
			}
			next = append(next, more...)
		}
		about = next
	}
	return err
}

// visit mirrors what is at the route, and its parts. It returns those that are about them. What was visited in this run is not again.
func (p *prefetch) visit(ctx context.Context, route format.Route, about bool, depth int) ([]format.Part, error) {
	p.mu.Lock()
	v := p.visits[route.Path]
	if v != nil {
		p.mu.Unlock()
		select {
		case <-v.done:
			return nil, v.err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	v = &visit{done: make(chan struct{})}
	p.visits[route.Path] = v
	p.mu.Unlock()
	defer close(v.done)
	var parts []format.Part
	parts, v.err = p.take(ctx, route, about, depth)
	return parts, v.err
}

// take fetches what is at the route, then its parts, and last puts it into the hosted repository: there it may require them.
func (p *prefetch) take(ctx context.Context, route format.Route, about bool, depth int) ([]format.Part, error) {
	if depth > maxNesting {
		return nil, errs.New(errs.BadGateway, "its parts have parts, and so on, %d times", depth)
	}
	a, doc, kept, err := p.obtain(ctx, route, about)
	if err != nil {
		return nil, err
	}
	parts, err := p.mirrorer.Next(route, doc, p.order.Want)
	if err != nil {
		return nil, wrong(err)
	}
	var (
		group errgroup.Group
		mu    sync.Mutex
		later []format.Part
	)
	group.SetLimit(askedAtOnce)
	for _, part := range parts {
		if part.About {
			mu.Lock()
			later = append(later, part)
			mu.Unlock()
			continue
		}
		group.Go(func() error {
			more, err := p.visit(ctx, part.Route, about, depth+1)
			mu.Lock()
			defer mu.Unlock()
			later = append(later, more...)
			if errs.Is(err, errs.NotFound) {
				// What is about something may be missing as a whole, but not in part.
				err = errs.Wrap(errs.BadGateway, err, "the upstream server lacks %s", part.Route.Path)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return later, err
	}
	if p.source != p.target && !kept && route.Class != content.Index {
		return later, p.record(ctx, route, a)
	}
	return later, nil
}

// obtain is what is at the route, and, if it is a document, its bytes; kept tells that the hosted repository has it already.
func (p *prefetch) obtain(ctx context.Context, route format.Route, about bool) (a content.Asset, doc format.Document, kept bool, err error) {
	r, err := p.proxy()
	if err != nil {
		return a, doc, false, err
	}
	x := &exchange{manager: p.manager, repo: r, route: route, mirror: &asking{p, about}}
	if route.Class == content.Index {
		doc, err = x.remoteDocument(ctx)
		return a, doc, false, err
	}
	if target := p.manager.byID(p.target); p.source != p.target && route.Class == content.Immutable && target != nil {
		if a, err = target.asset(ctx, route.Path); err == nil && target.present(ctx, a.Blob) == nil {
			kept, x.repo = true, target
		}
	}
	if !kept {
		if a, err = x.mirror.get(ctx, route); err != nil {
			return a, doc, false, err
		}
	}
	if route.MaxSize > 0 {
		doc, err = x.read(ctx, a)
	}
	return a, doc, kept, err
}

// record puts what the proxy has fetched into the hosted repository, under its write policy. Where both have the same blob store the
// bytes get a second name, else they are copied.
func (p *prefetch) record(ctx context.Context, route format.Route, a content.Asset) error {
	source, target := p.manager.byID(p.source), p.manager.byID(p.target)
	if source == nil || target == nil {
		return errs.New(errs.NotFound, "the repository is gone")
	}
	if err := target.writable(); err != nil {
		return err
	}
	route.ContentType = a.ContentType
	x := &exchange{manager: p.manager, repo: target, route: route, principal: security.Principal{User: taskUser}}
	if a.Blob.StoreID == target.store.id {
		return x.link(ctx, source, a)
	}
	f, err := source.openBlob(ctx, a.Blob)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = x.receive(ctx, route, f)
	return err
}

// link records at the exchange's route the bytes of another repository's asset, as if they had been uploaded.
func (x *exchange) link(ctx context.Context, from *Repository, a content.Asset) error {
	staged := content.Staged{
		StoreID: a.Blob.StoreID, Key: a.Blob.Key, Size: a.Blob.Size,
		SHA256: a.Blob.SHA256, SHA512: a.Blob.SHA512, SHA1: a.Blob.SHA1, MD5: a.Blob.MD5,
	}
	records, err := x.ingest(ctx, x.route, staged, func() (io.ReadCloser, error) { return from.openBlob(ctx, a.Blob) })
	if err != nil {
		return err
	}
	rows, err := x.assetRecords(records)
	if err != nil {
		return err
	}
	return x.manager.db.Update(ctx, func(tx *store.Tx) error {
		if err := tx.RepositoryExists(x.repo.id); err != nil {
			return err
		}
		if err := tx.Touch(a); err != nil {
			return err
		}
		for i := range records {
			if _, err := x.record(tx, records[i], rows[i], a.Blob, conditions{}); err != nil {
				return err
			}
		}
		return nil
	})
}

// asking is how a prefetch asks a proxy: about tells that what it asks for need not be there.
type asking struct {
	*prefetch
	about bool
}

// get is what upstream has at the route now; what can't change is not asked for when it is there. It waits while upstream asks to be left
// alone.
func (q *asking) get(ctx context.Context, route format.Route) (content.Asset, error) {
	waited := time.Duration(0)
	for attempt := 1; ; attempt++ {
		a, err := q.try(ctx, route)
		pause := q.judge(err, attempt, waited)
		if pause == 0 {
			return a, err
		}
		q.to.Message("waits until " + time.Now().Add(pause).UTC().Format(time.RFC3339) + ": " + err.Error())
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return a, ctx.Err()
		case <-timer.C:
		}
		waited += pause
	}
}

// try is get, once.
func (q *asking) try(ctx context.Context, route format.Route) (content.Asset, error) {
	select {
	case q.slots <- struct{}{}:
		defer func() { <-q.slots }()
	case <-ctx.Done():
		return content.Asset{}, ctx.Err()
	}
	r, err := q.proxy()
	if err != nil {
		return content.Asset{}, err
	}
	if r.denies(question{path: route.Path}) {
		return content.Asset{}, denied()
	}
	route = r.canonicalRoute(route)
	a, err := r.asset(ctx, route.Path)
	var stale *content.Asset
	switch {
	case err == nil && route.Class == content.Immutable && r.fresh(route, a) && r.present(ctx, a.Blob) == nil:
		return a, nil
	case err == nil && a.Origin != nil && route.Class != content.Immutable && r.present(ctx, a.Blob) == nil:
		stale = &a
	case err != nil && !errs.Is(err, errs.NotFound):
		return a, err
	}
	if absent := r.upstream.absent.at(route.Path); q.about && absent != nil {
		return a, absent
	}
	r.upstream.absent.remove(route.Path) // it wants to know what upstream has now
	f := r.manager.fetches.start(ctx, r, route, stale)
	now, err := f.wait(ctx)
	if ctx.Err() != nil {
		r.manager.fetches.abandon(f)
		return now, ctx.Err()
	}
	if err != nil {
		return now, r.refused(err)
	}
	if route.Class != content.Index && (stale == nil || stale.Blob.SHA256 != now.Blob.SHA256) {
		q.fetched(now.Blob.Size)
	}
	return now, nil
}

// How long one request waits for an upstream server.
const (
	// longestHold is how long in all, for one that asks to be left alone.
	longestHold = 12 * time.Hour
	// shortPause and longPause are the times between tries where it doesn't say how long.
	shortPause, longPause = time.Second, time.Minute
	// maxTries is how often one that can't be had is tried; maxOutages after how many that failed in a row none waits any more.
	maxTries, maxOutages = 3, 3
)

// judge decides what an error means: how long to wait before another try; zero for none.
func (p *prefetch) judge(err error, attempt int, waited time.Duration) time.Duration {
	var e *remote.Error
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil || !errors.As(err, &e) || !e.Outage() {
		p.outages = 0
		return 0
	}
	pause := min(shortPause<<min(attempt-1, 6), longPause)
	switch {
	case e.Kind == remote.TooManyRequests && waited < longestHold:
		return max(pause, e.RetryAfter)
	case e.Kind == remote.Blocked && e.RetryAfter == 0, e.Kind == remote.Unauthorized, e.Kind == remote.TLS:
		return 0 // time doesn't change it
	case attempt < maxTries && p.outages < maxOutages:
		return max(pause, min(e.RetryAfter, longPause))
	}
	p.outages++
	return 0
}
