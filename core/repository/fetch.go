package repository

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"

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

	mu   sync.Mutex
	open map[place]*fetch
}

// fetch is a request to upstream, and what has come of it. It goes on when the client leaves that it was begun for.
type fetch struct {
	// invalidations is how many there had been when it began.
	invalidations int64
	// cancel ends it; shared tells that more than one wait for it. Both are under the lock of fetches.
	cancel context.CancelFunc
	shared bool

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
	return &fetches{lifetime: lifetime, open: map[place]*fetch{}}
}

func (s *fetches) underWay(p place) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open[p] != nil
}

// start returns the fetch of the route's path, which it begins if it isn't under way, or was begun before an invalidation. stale is the copy that there is; nil for none.
func (s *fetches) start(ctx context.Context, r *Repository, route format.Route, stale *content.Asset) *fetch {
	p := place{r.id, route.Path}
	s.mu.Lock()
	defer s.mu.Unlock()
	invalidations := r.invalidations.Load()
	if f := s.open[p]; f != nil && f.invalidations == invalidations {
		f.shared = true
		return f
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	f := &fetch{invalidations: invalidations, cancel: cancel, changed: make(chan struct{}), length: -1}
	s.open[p] = f
	s.running.Go(func() {
		defer cancel()
		defer context.AfterFunc(s.lifetime, cancel)()
		asset, err := r.fetch(ctx, route, stale, f)
		// Who comes from now on finds the asset in the database.
		s.mu.Lock()
		if s.open[p] == f {
			delete(s.open, p)
		}
		s.mu.Unlock()
		f.end(asset, err)
	})
	return f
}

// abandon ends a fetch that nobody but the caller waits for.
func (s *fetches) abandon(p place, f *fetch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.shared {
		return
	}
	f.cancel()
	if s.open[p] == f {
		delete(s.open, p) // who comes now begins anew
	}
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
		r.manager.log.Warn("nothing could be had from upstream", "repo", r.Name(), "path", route.Path, "err", err)
	}
	if r.invalidations.Load() != f.invalidations {
		// What upstream said before an invalidation does not hold after it.
		return a, errors.Join(err, r.doubt(ctx, a))
	}
	switch {
	case err == nil:
		r.upstream.absent.remove(route.Path)
	case errs.Is(err, errs.NotFound):
		r.learn(route, err)
		if stale != nil {
			// What upstream has no longer is kept, and not asked for again at once.
			_ = r.checked(ctx, *stale, *stale.Origin)
		}
	}
	return a, err
}

func (r *Repository) refresh(ctx context.Context, route format.Route, stale *content.Asset, f *fetch) (content.Asset, error) {
	if stale != nil && r.plugin.comparer != nil && route.Class != content.Index {
		if same, err := r.compare(ctx, route, *stale); err != nil {
			return content.Asset{}, err
		} else if same {
			return r.confirmed(ctx, *stale, *stale.Origin)
		}
	}
	res, url, err := r.askAround(ctx, http.MethodGet, route, validators(stale))
	if err != nil {
		return content.Asset{}, err
	}
	defer res.Body.Close()
	if stale != nil && res.StatusCode == http.StatusNotModified {
		// What the answer does not name is as it was (RFC 9111 section 4.3.4).
		origin := originOf(res.Header)
		origin.ETag, origin.Modified = cmp.Or(origin.ETag, stale.Origin.ETag), cmp.Or(origin.Modified, stale.Origin.Modified)
		return r.confirmed(ctx, *stale, origin)
	}
	if err := r.answered(res); err != nil {
		return content.Asset{}, err
	}
	if err := r.isFile(route, res); err != nil {
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
	if err := x.pump(ctx, route, res, stage, f); err != nil {
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

// pump moves upstream's bytes to the stage. When they break off, the rest is asked for.
func (x *exchange) pump(ctx context.Context, route format.Route, res *http.Response, stage blobstore.Stage, f *fetch) error {
	var size int64
	grown := func(n int64) {
		size = n
		f.update(func() { f.size = n })
	}
	body := res.Body
	for attempt := 1; ; attempt++ {
		err := stage.Append(ctx, body, grown)
		switch {
		case err == nil && (res.ContentLength < 0 || size == res.ContentLength):
			return nil
		case err == nil:
			return wrong(fmt.Errorf("%d bytes came of %d", size, res.ContentLength))
		}
		var broken *remote.Error
		if !errors.As(err, &broken) || attempt == attemptsOfBody || ctx.Err() != nil {
			return err
		}
		rest, again := x.rest(ctx, route, res, size)
		if again != nil {
			return errors.Join(err, again)
		}
		defer rest.Close()
		body = rest
	}
}

// rest asks for the bytes from offset on, of the same representation (RFC 9110 section 13.1.5).
func (x *exchange) rest(ctx context.Context, route format.Route, res *http.Response, offset int64) (io.ReadCloser, error) {
	h := http.Header{"Range": {"bytes=" + strconv.FormatInt(offset, 10) + "-"}}
	switch etag := res.Header.Get("ETag"); {
	case len(etag) > 0 && etag[0] == '"':
		h.Set("If-Range", etag)
	case route.Expect == "":
		return nil, errors.New("upstream's bytes can't be asked for in parts")
	}
	part, err := x.again(ctx, route, h)
	if err != nil {
		return nil, err
	}
	start := "bytes " + strconv.FormatInt(offset, 10) + "-"
	if got := part.Header.Get("Content-Range"); part.StatusCode != http.StatusPartialContent || len(got) < len(start) || got[:len(start)] != start {
		part.Body.Close()
		return nil, fmt.Errorf("upstream answers a request for the rest with status %d and Content-Range %.100q", part.StatusCode, got)
	}
	return part.Body, nil
}
