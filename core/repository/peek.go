package repository

import (
	"cmp"
	"context"
	"errors"
	"net/http"

	"github.com/repomgr/repomgr/core/format"
)

// peek is a HEAD of what a proxy lacks, and what has come of it.
type peek struct {
	// invalidations is how many there had been when it began.
	invalidations int64
	// done is closed at the end.
	done   chan struct{}
	header http.Header
	err    error
}

// errHeadless tells that upstream's answer to a HEAD says nothing of what it answers to a GET.
var errHeadless = errors.New("upstream does not answer HEAD")

// peek asks upstream for the header of what is at the route, once for all who want to know at the same time. It goes on when the client
// leaves for whom it was begun.
func (s *fetches) peek(ctx context.Context, r *Repository, route format.Route) (http.Header, error) {
	p := flightOf(ctx, r, route)
	s.mu.Lock()
	k := s.peeks[p]
	if invalidations := r.invalidations.Load(); k == nil || k.invalidations != invalidations {
		k = &peek{invalidations: invalidations, done: make(chan struct{})}
		s.peeks[p] = k
		inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
		s.running.Go(func() {
			defer cancel()
			defer context.AfterFunc(s.lifetime, cancel)()
			defer close(k.done)
			if k.err = r.upstream.absent.at(route.Path); k.err == nil { // another may have ended since the caller looked
				k.header, k.err = r.peek(inner, route)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.peeks[p] == k {
				delete(s.peeks, p)
			}
		})
	}
	s.mu.Unlock()
	select {
	case <-k.done:
		return k.header, k.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// peek asks upstream for the header of what is at the route.
func (r *Repository) peek(ctx context.Context, route format.Route) (http.Header, error) {
	res, _, err := r.askAround(ctx, http.MethodHead, route, nil)
	if err != nil {
		return nil, r.refused(err)
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusBadRequest, http.StatusForbidden, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return nil, errHeadless
	}
	if err := cmp.Or(r.answered(res), r.isFile(route, res)); err != nil {
		r.learn(ctx, route, err)
		return nil, err
	}
	if err := coded(res.Header, route); err != nil {
		return nil, err // as a GET will be
	}
	h := http.Header{}
	h.Set("Content-Type", typeOf(route, res.Header))
	if v := res.Header.Get("Content-Length"); v != "" {
		h.Set("Content-Length", v)
	}
	if v := originOf(res.Header).Modified; v != "" {
		h.Set("Last-Modified", v)
	}
	return h, nil
}
