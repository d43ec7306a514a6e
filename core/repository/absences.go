package repository

import (
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// absences are paths that upstream was found not to have. A nil one remembers nothing.
type absences struct {
	since *lru.Cache[string, time.Time]
	// ttl is how long an absence is remembered; negative is for ever.
	ttl time.Duration
}

// maxAbsences is how many paths a proxy remembers.
const maxAbsences = 10_000

func newAbsences(ttl time.Duration) *absences {
	c, err := lru.New[string, time.Time](maxAbsences)
	if err != nil {
		panic(err) // the number is not positive
	}
	return &absences{c, ttl}
}

func (a *absences) has(path string) bool {
	if a == nil {
		return false
	}
	since, ok := a.since.Get(path)
	return ok && (a.ttl < 0 || time.Since(since) < a.ttl)
}

func (a *absences) add(path string) {
	if a != nil {
		a.since.Add(path, time.Now())
	}
}

func (a *absences) remove(path string) {
	if a != nil {
		a.since.Remove(path)
	}
}

func (a *absences) clear() {
	if a != nil {
		a.since.Purge()
	}
}
