package repository

import (
	"errors"
	"strings"
	"testing"

	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/store"
)

// TestCurrentLoads: what is asked of the database again, and what is not.
func TestCurrentLoads(t *testing.T) {
	absent, broken := errs.New(errs.NotFound, "nothing here"), errors.New("broken")
	long := strings.Repeat("p", maxAbsentPath+1)
	tests := []struct {
		name  string
		keep  bool // absences
		path  string
		err   error
		loads int // of three calls
	}{
		{"a value", true, "/p", nil, 1},
		{"a value, without absences", false, "/p", nil, 1},
		{"a value at a long path", true, long, nil, 1},
		{"nothing", true, "/p", absent, 1},
		{"nothing, without absences", false, "/p", absent, 3},
		{"nothing at a long path", true, long, absent, 3},
		{"an error", true, "/p", broken, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newCurrent(store.NewEpochs(), 4, func(int) bool { return true })
			if tt.keep {
				c.withAbsences(4)
			}
			loads := 0
			for range 3 {
				v, err := c.get(place{1, tt.path}, 0, func() (int, error) {
					loads++
					if tt.err != nil {
						return 0, tt.err
					}
					return 7, nil
				})
				if !errors.Is(err, tt.err) || (err == nil) != (v == 7) {
					t.Errorf("got %d, %v", v, err)
				}
			}
			if loads != tt.loads {
				t.Errorf("%d loads, want %d", loads, tt.loads)
			}
		})
	}
}

// TestCurrentAbsencesHaveTheirOwnBound: names that are made up drive out nothing that is there.
func TestCurrentAbsencesHaveTheirOwnBound(t *testing.T) {
	c := newCurrent(store.NewEpochs(), 4, func(int) bool { return true }).withAbsences(4)
	there := func() (int, error) { return 7, nil }
	if _, err := c.get(place{1, "/there"}, 0, there); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		_, _ = c.get(place{1, strings.Repeat("x", i)}, 0, func() (int, error) { return 0, errs.New(errs.NotFound, "nothing") })
	}
	if _, err := c.get(place{1, "/there"}, 0, func() (int, error) { t.Error("loaded again"); return 0, nil }); err != nil {
		t.Error(err)
	}
	if n := c.absent.Len(); n != 4 {
		t.Errorf("%d absences are kept, want 4", n)
	}
}
