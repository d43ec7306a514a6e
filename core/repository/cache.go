package repository

import (
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
	"github.com/repomgr/repomgr/core/store"
)

// place is a path in a repository.
type place struct {
	repository int64
	path       string
}

// marked is a value that is right as long as its slot shows the mark.
type marked[T any] struct {
	value T
	mark  uint64
}

// current caches what the database says about places. It never answers with what is no longer so (see store.Epochs).
type current[T any] struct {
	epochs *store.Epochs
	lru    *lru.Cache[place, marked[T]]
	// fits tells whether a value is small enough to be kept.
	fits func(T) bool
	// absent are the NotFound errors of places at which nothing is; nil when they are not kept. A group asks its members in vain over and
	// over. They have their own bound: who guesses names must not drive out what is there.
	absent *lru.Cache[place, marked[error]]
}

// newCurrent returns a cache of so many entries that fit. With nil epochs it keeps nothing.
func newCurrent[T any](epochs *store.Epochs, entries int, fits func(T) bool) *current[T] {
	c, err := lru.New[place, marked[T]](entries)
	if err != nil {
		panic(err) // entries is not positive
	}
	return &current[T]{epochs: epochs, lru: c, fits: fits}
}

// withAbsences has c keep up to so many absences, too.
func (c *current[T]) withAbsences(entries int) *current[T] {
	absent, err := lru.New[place, marked[error]](entries)
	if err != nil {
		panic(err) // entries is not positive
	}
	c.absent = absent
	return c
}

// get returns the value at p, from load when the cache has none that is right. Of errors only NotFound is kept, and that by a cache
// with absences.
func (c *current[T]) get(p place, slot int, load func() (T, error)) (T, error) {
	if c.epochs == nil {
		return load()
	}
	mark, ok := c.epochs.Mark(slot)
	if ok {
		if m, hit := c.lru.Get(p); hit && m.mark == mark {
			return m.value, nil
		}
		if err := c.absence(p, mark); err != nil {
			var none T
			return none, err
		}
	}
	value, err := load()
	switch {
	case !ok:
	case err == nil && c.fits(value):
		c.lru.Add(p, marked[T]{value, mark})
	case c.absent != nil && len(p.path) <= maxAbsentPath && errs.Is(err, errs.NotFound):
		c.absent.Add(p, marked[error]{err, mark})
	}
	return value, err
}

// absence is the error of a place at which nothing is; nil when that is not known.
func (c *current[T]) absence(p place, mark uint64) error {
	if c.absent == nil {
		return nil
	}
	if m, hit := c.absent.Get(p); hit && m.mark == mark {
		return m.value
	}
	return nil
}

// caches are what a Manager keeps in memory.
type caches struct {
	assets    *current[content.Asset]
	documents *current[format.Document]
	pages     *current[content.Page]
	bodies    *bodies
}

// Bounds of the caches. Most assets take about 1 KB with what they point to.
const (
	maxAssets = 8192
	// maxAttributes is the most bytes of attributes of an asset that is kept.
	maxAttributes = 4 << 10
	// maxAbsent is how many places are kept at which no asset is, maxAbsentPath how long their paths may be, in bytes: a client makes
	// them up.
	maxAbsent     = 8192
	maxAbsentPath = 512
	// A document that is kept has at most maxDocument bytes, and all that they may be is 32 MiB.
	maxDocuments = 256
	maxDocument  = 128 << 10
	// maxPages is how many pages of lists are kept, maxPage how many items one of them may have.
	maxPages  = 64
	maxPage   = 200
	maxBodies = 24 << 20
	// maxBody is the largest body that is kept; larger ones go out by sendfile.
	maxBody = 64 << 10
)

func newCaches(epochs *store.Epochs) caches {
	return caches{
		assets:    newCurrent(epochs, maxAssets, func(a content.Asset) bool { return len(a.Attributes) <= maxAttributes }).withAbsences(maxAbsent),
		documents: newCurrent(epochs, maxDocuments, func(d format.Document) bool { return len(d.Body) <= maxDocument }),
		pages:     newCurrent(epochs, maxPages, func(p content.Page) bool { return len(p.Assets) <= maxPage }),
		bodies:    newBodies(maxBodies),
	}
}

// bodies keeps the bytes of small blobs, which never change, up to a number of bytes.
type bodies struct {
	mu   sync.Mutex
	lru  *simplelru.LRU[int64, []byte]
	size int
	max  int
}

func newBodies(limit int) *bodies {
	b := &bodies{max: limit}
	l, err := simplelru.NewLRU(limit, func(_ int64, body []byte) { b.size -= len(body) + bodyOverhead })
	if err != nil {
		panic(err) // limit is not positive
	}
	b.lru = l
	return b
}

// bodyOverhead is about what an entry costs beside its bytes.
const bodyOverhead = 128

func (b *bodies) get(blob int64) ([]byte, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lru.Get(blob)
}

func (b *bodies) add(blob int64, body []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lru.Contains(blob) {
		return
	}
	b.size += len(body) + bodyOverhead
	b.lru.Add(blob, body)
	for b.size > b.max {
		b.lru.RemoveOldest()
	}
}
