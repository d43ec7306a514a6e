package crash

import (
	"slices"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
)

// register is a tag that many change at the same time: it must be what an attempt wrote that no later one has overwritten for sure.
type register struct {
	mu       sync.Mutex
	clock    int
	attempts []*attempt
	// stored are manifests whose push was acknowledged.
	stored map[digest.Digest]bool
}

// attempt is a write. It may have taken effect at any moment between its begin and its end.
type attempt struct {
	value digest.Digest // empty: a deletion
	// begin and end are moments of the register's clock. end is zero for an attempt that was not acknowledged.
	begin, end int
}

// start notes an attempt that is about to be made.
func (r *register) start(value digest.Digest) *attempt {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clock++
	a := &attempt{value: value, begin: r.clock}
	r.attempts = append(r.attempts, a)
	return a
}

// finish notes that an attempt was acknowledged.
func (r *register) finish(a *attempt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clock++
	a.end = r.clock
	if a.value != "" {
		if r.stored == nil {
			r.stored = map[digest.Digest]bool{}
		}
		r.stored[a.value] = true
	}
}

// cancel notes that an attempt had no effect.
func (r *register) cancel(a *attempt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.attempts = slices.DeleteFunc(r.attempts, func(x *attempt) bool { return x == a })
}

// allows tells whether the register may have the value when nothing is under way.
func (r *register) allows(value digest.Digest) bool {
	overwritten := func(a *attempt) bool {
		return a.end > 0 && slices.ContainsFunc(r.attempts, func(later *attempt) bool { return later.end > 0 && later.begin > a.end })
	}
	if len(r.attempts) == 0 {
		return value == ""
	}
	if value == "" && !slices.ContainsFunc(r.attempts, func(a *attempt) bool { return a.end > 0 }) {
		return true // nothing was ever acknowledged
	}
	return slices.ContainsFunc(r.attempts, func(a *attempt) bool { return a.value == value && !overwritten(a) })
}

// settle makes the value that was observed the only one.
func (r *register) settle(value digest.Digest) {
	r.clock++
	r.attempts = []*attempt{{value: value, begin: r.clock, end: r.clock}}
	r.clock++
}

// TestRegister checks the rule itself.
func TestRegister(t *testing.T) {
	var r register
	check := func(value string, want bool) {
		t.Helper()
		if got := r.allows(digest.Digest(value)); got != want {
			t.Errorf("allows(%q) = %v", value, got)
		}
	}
	check("", true)
	check("a", false)
	a := r.start("a")
	check("", true)
	check("a", true)
	r.finish(a)
	check("", false)
	b, c := r.start("b"), r.start("c")
	r.finish(b)
	check("a", false)
	check("b", true)
	check("c", true) // its answer is not known
	r.finish(c)
	check("b", true) // they were under way at the same time
	check("c", true)
	d := r.start("")
	check("c", true)
	r.finish(d)
	check("c", false)
	check("", true)
	r.settle("c")
	check("c", true)
	check("", false)
}
