package store

import (
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/repomgr/repomgr/core/errs"
)

func TestRoutingRules(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		f := newFixture(t, s)
		change := func(fn func(tx *Tx) error) error { return s.Update(t.Context(), fn) }
		create := func(name string) error {
			return change(func(tx *Tx) error { return tx.CreateRoutingRule(RoutingRule{name, `{"n":1}`}) })
		}
		use := func(id int64, name string) error {
			return change(func(tx *Tx) error { return tx.SetRoutingRule(id, name) })
		}
		remove := func(name string) error { return change(func(tx *Tx) error { return tx.DeleteRoutingRule(name) }) }
		f.update(t, func(tx *Tx) error { return tx.CreateRoutingRule(RoutingRule{"b", "{}"}) })
		steps := []struct {
			name string
			err  error
			want errs.Kind
		}{
			{"create", create("a"), 0},
			{"twice", create("a"), errs.Invalid},
			{"in another case", create("B"), errs.Invalid},
			{"use", use(f.a, "a"), 0},
			{"use what is missing", use(f.b, "none"), errs.Invalid},
			{"use in another case", use(f.b, "A"), errs.Invalid},
			{"use again", use(f.a, "a"), 0},
			{"delete in use", remove("a"), errs.Conflict},
			{"use another one", use(f.a, "b"), 0},
			{"delete when not in use", remove("a"), 0},
			{"delete what is missing", remove("a"), errs.NotFound},
			{"delete in use again", remove("b"), errs.Conflict},
			{"update", change(func(tx *Tx) error { return tx.UpdateRoutingRule(RoutingRule{"b", `{"n":2}`}) }), 0},
			{"update what is missing", change(func(tx *Tx) error { return tx.UpdateRoutingRule(RoutingRule{"a", `{}`}) }), errs.NotFound},
		}
		for _, step := range steps {
			if got := errs.As(step.err); (step.err == nil) != (step.want == 0) || step.err != nil && got.Kind != step.want {
				t.Errorf("%s: %v", step.name, step.err)
			}
		}
		if err := remove("b"); errs.As(err).Message != "Routing rule is still in use by 1 repositories." {
			t.Errorf("in use: %v", err)
		}
		rules, err := s.RoutingRules(t.Context())
		if diff := cmp.Diff([]RoutingRule{{"b", `{"n":2}`}}, rules); err != nil || diff != "" {
			t.Error(err, diff)
		}
		if _, err := s.RoutingRule(t.Context(), "a"); !errs.Is(err, errs.NotFound) {
			t.Errorf("a rule that is gone: %v", err)
		}
		// A repository that is deleted, and not purged yet, doesn't hold a rule.
		f.update(t, func(tx *Tx) error { return tx.DeleteRepository(f.a) })
		if err := remove("b"); err != nil {
			t.Error(err)
		}
	})
}

// TestRoutingRuleRace: of those who delete a rule and those who begin to use it, some are told that they came too late, and no repository
// is left with a rule that isn't there.
func TestRoutingRuleRace(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		f := newFixture(t, s)
		for i := range 30 {
			name := fmt.Sprint("rule", i)
			f.update(t, func(tx *Tx) error { return tx.CreateRoutingRule(RoutingRule{name, "{}"}) })
			var used, removed error
			var both sync.WaitGroup
			both.Go(func() { used = s.Update(t.Context(), func(tx *Tx) error { return tx.SetRoutingRule(f.a, name) }) })
			both.Go(func() { removed = s.Update(t.Context(), func(tx *Tx) error { return tx.DeleteRoutingRule(name) }) })
			both.Wait()
			_, err := s.RoutingRule(t.Context(), name)
			there := err == nil
			if there != (used == nil) || there != errs.Is(removed, errs.Conflict) || !there && (removed != nil || !errs.Is(used, errs.Invalid)) {
				t.Fatalf("there: %v; to use it: %v; to delete it: %v", there, used, removed)
			}
			f.update(t, func(tx *Tx) error { return tx.SetRoutingRule(f.a, "") })
		}
	})
}
