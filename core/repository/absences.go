package repository

import (
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// absences are paths that upstream was found not to have. A nil one remembers nothing.
type absences struct {
	list *lru.Cache[string, absence]
	// ttl is how long an absence is remembered; negative is for ever.
	ttl time.Duration
}

// absence is when something was found to be absent, and the error that says so.
type absence struct {
	since time.Time
	err   error
}

// maxAbsences is how many paths a proxy remembers.
const maxAbsences = 10_000

func newAbsences(ttl time.Duration) *absences {
	c, err := lru.New[string, absence](maxAbsences)
	if err != nil {
		panic(err) // the number is not positive
	}
	return &absences{c, ttl}
}

// at is the error that is remembered for a path; nil for none.
func (a *absences) at(path string) error {
	if a == nil {
		return nil
	}
	if found, ok := a.list.Get(path); ok && (a.ttl < 0 || time.Since(found.since) < a.ttl) {
		return found.err
	}
	return nil
}

func (a *absences) add(path string, err error) {
	if a != nil {
		a.list.Add(path, absence{time.Now(), err})
	}
}

func (a *absences) remove(path string) {
	if a != nil {
		a.list.Remove(path)
	}
}

func (a *absences) clear() {
	if a != nil {
		a.list.Purge()
	}
}
