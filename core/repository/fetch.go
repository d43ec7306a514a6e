package repository

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/core/blobstore"
	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
	"github.com/repomgr/repomgr/core/remote"
	"github.com/repomgr/repomgr/core/store"
)

// fetches are the requests to upstream servers that are under way: one for each path, however many clients wait for it.
type fetches struct {
	// lifetime ends when the manager is closed.
	lifetime context.Context
	running  sync.WaitGroup

	mu    sync.Mutex
	open  map[flight]*fetch
	peeks map[flight]*peek
	// left are those that nobody waits for, by the repository's id, the ones first that were left first.
	left map[int64][]*fetch
}

// flight is what a fetch is one of a kind by.
type flight struct {
	place
	// depth is how many other servers have asked for it. Where servers ask one another, each of two fetches could wait for the other if
	// they were shared by requests that have come by more servers: what a fetch waits for is always deeper than it is itself.
	depth int
}

func flightOf(ctx context.Context, r *Repository, route format.Route) flight {
	return flight{place{r.id, route.Path}, remote.Depth(ctx)}
}

// fetch is a request to upstream, and what has come of it. It goes on when the client leaves that it was begun for.
type fetch struct {
	// began is when it did, invalidations how many there had been then.
	began         time.Time
	invalidations int64
	// place is where it belongs.
	place flight
	// cancel ends it.
	cancel context.CancelCauseFunc
	// shared tells that more than one have waited for it; waiting are those who do, each with what ends the watch over its context, by
	// a number that joined counts. They are under the lock of fetches.
	shared  bool
	waiting map[int]func() bool
	joined  int

	mu sync.Mutex
	// changed is closed, and replaced, when one of the following changes.
	changed chan struct{}
	// stage has the bytes; nil as long as there are none to give away. Clients may have the first size ones.
	stage blobstore.Stage
	size  int64
	// length is how many there will be; -1 when upstream doesn't say.
	length      int64
	contentType string
	modified    string
	// complete tells that all bytes are there, and that they are right.
	complete bool
	// done tells that asset or err is the end.
	done  bool
	asset content.Asset
	err   error
}

// tail is how many of the last bytes are held back until all are verified, so that no client takes wrong bytes for a whole file. Of a
// file whose length is not known any byte may be among the last.
const tail = 32 << 10

// attemptsOfBody is how often the rest of a body is asked for that broke off.
const attemptsOfBody = 3

func newFetches(lifetime context.Context) *fetches {
	return &fetches{lifetime: lifetime, open: map[flight]*fetch{}, peeks: map[flight]*peek{}, left: map[int64][]*fetch{}}
}

func (s *fetches) underWay(p flight) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open[p] != nil
}

// start returns the fetch of the route's path, which it begins if it isn't under way, or was begun before an invalidation. stale is the copy that there is; nil for none.
// The caller waits for it until ctx ends.
func (s *fetches) start(ctx context.Context, r *Repository, route format.Route, stale *content.Asset) *fetch {
	p := flightOf(ctx, r, route)
	s.mu.Lock()
	defer s.mu.Unlock()
	invalidations := r.invalidations.Load()
	if f := s.open[p]; f != nil && f.invalidations == invalidations {
		f.shared = true
		s.join(ctx, f)
		return f
	}
	own, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	f := &fetch{began: time.Now(), invalidations: invalidations, place: p, cancel: cancel, waiting: map[int]func() bool{}, changed: make(chan struct{}), length: -1}
	s.open[p] = f
	s.join(ctx, f)
	s.running.Go(func() {
		defer cancel(nil)
		defer context.AfterFunc(s.lifetime, func() { cancel(nil) })()
		// A fetch may have ended since the caller looked.
		asset, known, err := r.meanwhile(own, route, stale)
		if !known {
			asset, err = r.fetch(own, route, stale, f)
		}
		// Who comes from now on finds the asset in the database.
		s.mu.Lock()
		s.settle(f)
		s.mu.Unlock()
		f.end(asset, err)
	})
	return f
}

// meanwhile is what came of another fetch after the caller of start found the stale copy, or none; known tells that there is such.
func (r *Repository) meanwhile(ctx context.Context, route format.Route, stale *content.Asset) (a content.Asset, known bool, err error) {
	a, err = r.asset(ctx, route.Path)
	switch {
	case err == nil && stale == nil:
		return a, r.fresh(route, a), nil
	case err == nil:
		return a, a.Origin != nil && a.Origin.CheckedAt.After(stale.Origin.CheckedAt) && a.Origin.CheckedAt.UnixMilli() > r.invalidated.Load(), nil
	case errs.Is(err, errs.NotFound) && stale == nil:
		err = r.upstream.absent.at(route.Path)
		return a, err != nil, err
	}
	return a, false, nil // whatever it is, it is met again
}

// abandon ends a fetch that nobody but the caller waits for.
func (s *fetches) abandon(f *fetch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.shared {
		return
	}
	f.cancel(nil)
	s.forget(f)
}

// update changes the fetch, and tells those who wait.
func (f *fetch) update(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *fetch) end(a content.Asset, err error) {
	f.update(func() { f.asset, f.err, f.done = a, err, true })
}

// begun tells whether clients may have some of the bytes.
func (f *fetch) begun() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.available(1)
}

// restart forgets what has come, unless clients may have some of it.
func (f *fetch) restart() (ok bool) {
	f.update(func() {
		if ok = !f.available(1); ok {
			f.stage, f.size, f.length = nil, 0, -1
		}
	})
	return ok
}

// await waits until what it is told to wait for is so. It reads the fetch under its lock.
func (f *fetch) await(ctx context.Context, so func() bool) error {
	for {
		f.mu.Lock()
		ok, changed := so(), f.changed
		f.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// wait waits for the end.
func (f *fetch) wait(ctx context.Context) (content.Asset, error) {
	if err := f.await(ctx, func() bool { return f.done }); err != nil {
		return content.Asset{}, err
	}
	return f.asset, f.err
}

// fetch asks upstream for what is at the route, unless it still is the stale copy, and stores it.
func (r *Repository) fetch(ctx context.Context, route format.Route, stale *content.Asset, f *fetch) (content.Asset, error) {
	a, err := r.refresh(ctx, route, stale, f)
	if err != nil && !errs.Is(err, errs.NotFound) {
		r.manager.log.Warn("nothing could be had from upstream: "+failing(err), "repo", r.Name(), "path", route.Path, "err", err)
	}
	if r.invalidations.Load() != f.invalidations {
		// What upstream said before an invalidation does not hold after it.
		return a, errors.Join(err, r.doubt(ctx, a))
	}
	switch {
	case err == nil && route.Class == content.Index && remote.Depth(ctx) > 0:
		// A list may lack what the servers have that the request came by: the next who wants it asks again.
		return a, r.doubt(ctx, a)
	case err == nil:
		r.upstream.absent.remove(route.Path)
	case errs.Is(err, errs.NotFound):
		if stale == nil {
			r.learn(ctx, route, err)
		} else if remote.Depth(ctx) == 0 {
			// What upstream has no longer is kept, and asked for again when it is too old again.
			_ = r.checked(ctx, *stale, r.origin(*stale))
		}
	}
	return a, err
}

// refresh is fetch without what is learned from it. When a body breaks off of which no client has a byte yet, it asks anew, as for a
// connection that fails before there is an answer.
func (r *Repository) refresh(ctx context.Context, route format.Route, stale *content.Asset, f *fetch) (content.Asset, error) {
	for n := 1; ; n++ {
		a, err := r.refreshOnce(ctx, route, stale, f)
		if err == nil || !brokeOff(err) || !f.restart() || !r.upstream.client.Again(ctx, n) {
			return a, err
		}
	}
}

// brokeOff tells whether an error is that of a body that ended early, or came no further.
func brokeOff(err error) bool {
	var e *remote.Error
	return errors.As(err, &e) && (e.Kind == remote.Truncated || e.Kind == remote.Stalled)
}

func (r *Repository) refreshOnce(ctx context.Context, route format.Route, stale *content.Asset, f *fetch) (content.Asset, error) {
	if stale != nil && r.plugin.comparer != nil && route.Class != content.Index {
		if same, err := r.compare(ctx, route, *stale); err != nil {
			return content.Asset{}, err
		} else if same {
			return r.confirmed(ctx, *stale, r.origin(*stale))
		}
	}
	res, url, err := r.askAround(ctx, http.MethodGet, route, r.validators(stale))
	if err != nil {
		return content.Asset{}, err
	}
	defer res.Body.Close()
	if stale != nil && res.StatusCode == http.StatusNotModified {
		// What the answer does not name is as it was (RFC 9111 section 4.3.4).
		origin := originOf(res.Header)
		was := r.origin(*stale)
		origin.ETag, origin.Modified = cmp.Or(origin.ETag, was.ETag), cmp.Or(origin.Modified, was.Modified)
		return r.confirmed(ctx, *stale, origin)
	}
	if err := r.answered(res); err != nil {
		return content.Asset{}, err
	}
	if err := cmp.Or(coded(res.Header, route), r.isFile(route, res)); err != nil {
		return content.Asset{}, err
	}
	if route.ContentType == "" {
		route.ContentType = typeOf(route, res.Header)
	}
	if sums, err := checksums(res.Header); err == nil { // who can't write a checksum hasn't named any
		route.Checksums = append(slices.Clone(route.Checksums), sums...)
	}
	x := &exchange{manager: r.manager, repo: r, route: route, origin: new(content.Origin), kept: keptOf(res.Header), elsewhere: url}
	*x.origin = originOf(res.Header)
	if route.MaxSize > 0 {
		return x.takeDocument(ctx, route, res)
	}
	return x.take(ctx, route, res, f)
}

// compare asks upstream by a HEAD whether it has the bytes of the stale copy.
func (r *Repository) compare(ctx context.Context, route format.Route, stale content.Asset) (same bool, err error) {
	res, err := r.ask(ctx, http.MethodHead, route, nil)
	if err != nil {
		return false, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return false, nil // a GET tells what that means: not all servers know HEAD everywhere
	}
	same, known := r.plugin.comparer.Same(res.Header, stale)
	return same && known, nil
}

// confirmed is the stale copy, fresh again.
func (r *Repository) confirmed(ctx context.Context, a content.Asset, origin content.Origin) (content.Asset, error) {
	if err := r.checked(ctx, a, origin); err != nil {
		return content.Asset{}, err
	}
	return r.asset(ctx, a.Path)
}

// doubt makes an asset stale, if there is one.
func (r *Repository) doubt(ctx context.Context, a content.Asset) error {
	if a.ID == 0 {
		return nil
	}
	return r.manager.db.Update(ctx, func(tx *store.Tx) error { return tx.Doubt(a) })
}

func (r *Repository) checked(ctx context.Context, a content.Asset, origin content.Origin) error {
	return r.manager.db.Update(ctx, func(tx *store.Tx) error { return tx.Checked(a, origin) })
}

// takeDocument stores a document, which is looked into before anybody gets it.
func (x *exchange) takeDocument(ctx context.Context, route format.Route, res *http.Response) (content.Asset, error) {
	doc, err := io.ReadAll(io.LimitReader(res.Body, route.MaxSize+1))
	if err != nil {
		return content.Asset{}, err
	}
	if int64(len(doc)) > route.MaxSize {
		return content.Asset{}, wrong(fmt.Errorf("it has more than %d bytes", route.MaxSize))
	}
	if c := x.repo.plugin.comparer; c != nil {
		sum := content.Asset{Blob: content.Blob{SHA256: digest.FromBytes(doc).Encoded(), SHA512: digest.SHA512.FromBytes(doc).Encoded()}}
		if same, known := c.Same(res.Header, sum); known && !same {
			return content.Asset{}, wrong(errors.New("its bytes are not those that its header names"))
		}
	}
	assets, err := x.receiveSmall(ctx, route, doc)
	if err != nil {
		return content.Asset{}, wrong(err)
	}
	return assets[0], nil
}

// wrong is the error for bytes of upstream's that are not what they should be: that is not the client's fault.
func wrong(err error) error {
	var known *errs.Error
	if errors.As(err, &known) && known.Kind == errs.Invalid {
		return errs.Wrap(errs.BadGateway, err, "the upstream server sent what can't be right: %s", known.Message)
	}
	if errors.As(err, &known) {
		return err
	}
	return errs.Wrap(errs.BadGateway, err, "the upstream server sent what can't be right")
}

// take stores what may be large, and lets clients have it as it comes.
func (x *exchange) take(ctx context.Context, route format.Route, res *http.Response, f *fetch) (content.Asset, error) {
	body, err := x.plausible(route, res.Body)
	if err != nil {
		return content.Asset{}, err
	}
	stage, err := x.repo.store.Stage(ctx, x.algorithms(route)...)
	if err != nil {
		return content.Asset{}, err
	}
	defer stage.Close()
	length := res.ContentLength
	f.update(func() {
		f.stage, f.length, f.contentType = stage, length, route.ContentType
		f.modified = x.origin.Modified
	})
	if err := x.pump(ctx, route, res, body, stage, f); err != nil {
		return content.Asset{}, err
	}
	if err := verify(route, stage.Digests()); err != nil {
		return content.Asset{}, wrong(err)
	}
	f.update(func() { f.complete = true })
	info, err := stage.Commit(ctx)
	if err != nil {
		return content.Asset{}, storeError(err)
	}
	staged := x.staged(info)
	records, err := x.ingest(ctx, route, staged, func() (io.ReadCloser, error) { r, err := stage.Open(); return r, err })
	if err != nil {
		x.discard(ctx, staged.Key)
		return content.Asset{}, wrong(err)
	}
	assets, err := x.commit(ctx, staged, records, x.discard)
	if err != nil {
		return content.Asset{}, err
	}
	return assets[0], nil
}

// pump moves body, which is upstream's answer res, to the stage. When it breaks off, the rest is asked for.
func (x *exchange) pump(ctx context.Context, route format.Route, res *http.Response, body io.Reader, stage blobstore.Stage, f *fetch) error {
	var size int64
	grown := func(n int64) {
		size = n
		f.update(func() { f.size = n })
	}
	length, end := res.ContentLength, res.ContentLength
	for attempt := 1; ; attempt++ {
		err := stage.Append(ctx, body, grown)
		switch {
		case err == nil && (end < 0 || size == end && end == length):
			return nil
		case err == nil && size != end:
			return wrong(fmt.Errorf("%d bytes came of %d", size, end))
		}
		var broken *remote.Error
		if err != nil && !errors.As(err, &broken) || ctx.Err() != nil {
			return err
		}
		if err == nil { // a part, as was said
			err = wrong(fmt.Errorf("%d bytes came of %d", size, length))
		}
		if attempt == attemptsOfBody || !f.begun() {
			return err
		}
		more, again := x.rest(ctx, route, res, size, length)
		if again != nil {
			return errors.Join(err, again)
		}
		defer more.Close()
		body, end = more, more.end
		if length < 0 {
			length = more.total
			f.update(func() { f.length = length })
		}
	}
}
