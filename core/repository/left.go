package repository

import (
	"context"
	"errors"
	"slices"
)

// maxLeft is how many fetches of a repository go on that nobody waits for. Each holds a connection and a file for as long as upstream
// likes: when there are more, the one ends that was left first.
const maxLeft = 64

// errLeft is why such a fetch ended.
var errLeft = errors.New("nobody waits for it, and too many others go on that nobody waits for")

// join counts the caller among those who wait for the fetch, until ctx ends. The lock is held.
func (s *fetches) join(ctx context.Context, f *fetch) {
	s.unlist(f)
	f.joined++
	id := f.joined
	f.waiting[id] = context.AfterFunc(ctx, func() { s.leave(f, id) })
}

// leave is what becomes of a fetch when one who waited has gone.
func (s *fetches) leave(f *fetch, id int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.waiting[id] == nil {
		return // it has ended
	}
	delete(f.waiting, id)
	if len(f.waiting) > 0 {
		return
	}
	// Those that have all from upstream only have to be stored.
	list := append(slices.DeleteFunc(s.left[f.place.repository], (*fetch).whole), f)
	if len(list) > maxLeft {
		first := list[0]
		list = slices.Delete(list, 0, 1)
		first.cancel(errLeft)
		s.forget(first)
	}
	s.left[f.place.repository] = list
}

// unlist takes a fetch from those that nobody waits for. The lock is held.
func (s *fetches) unlist(f *fetch) {
	id := f.place.repository
	list := slices.DeleteFunc(s.left[id], func(one *fetch) bool { return one == f })
	if s.left[id] = list; len(list) == 0 {
		delete(s.left, id)
	}
}

// settle is the end of a fetch for those who wait. The lock is held.
func (s *fetches) settle(f *fetch) {
	s.forget(f)
	s.unlist(f)
	for id, stop := range f.waiting {
		stop()
		delete(f.waiting, id)
	}
}

// forget lets who comes now begin anew. The lock is held.
func (s *fetches) forget(f *fetch) {
	if s.open[f.place] == f {
		delete(s.open, f.place)
	}
}

// whole tells whether all has come.
func (f *fetch) whole() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.complete
}
