package task

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/store"
	"github.com/repomgr/repomgr/core/store/storetest"
)

// echo is a template whose tasks answer with their properties.
func echo(run func(ctx context.Context, p Properties, progress *Progress) (string, error)) Template {
	return Template{
		ID: "echo", Name: "Echo", Run: run,
		Properties: []Property{
			{ID: "word", Name: "Word", Kind: Text, Required: true}, {ID: "times", Name: "Times", Kind: Number}, {ID: "loud", Name: "Loud", Kind: Boolean, Default: "false"},
		},
		Check: func(_ context.Context, p Properties) error {
			if p["word"] == "bad" {
				return errs.Field("word", "is bad")
			}
			return nil
		},
	}
}

func newTemplates(t *testing.T, st *store.Store, templates ...Template) *Manager {
	t.Helper()
	m, err := New(t.Context(), st, []Recurring{manual("own", func(context.Context, *Progress) (string, error) { return "", nil })}, slog.New(slog.DiscardHandler), templates...)
	if err != nil {
		t.Fatal(err)
	}
	m.poll, m.beat = 20*time.Millisecond, 20*time.Millisecond
	return m
}

func awaitID(t *testing.T, m *Manager, id int64, want func(Job) bool) Job {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		j, err := m.Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if want(j) {
			return j
		}
		if time.Now().After(end) {
			t.Fatalf("after a long time: %+v, current %+v, last %+v", j.Job, j.Current, j.Last)
		}
	}
}

// TestCreate: several tasks of one type, each with its properties, beside the server's own; they outlive the server.
func TestCreate(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func() *store.Store) {
		st := open()
		template := echo(func(_ context.Context, p Properties, _ *Progress) (string, error) {
			return p["word"] + p["times"] + p["loud"], errors.New("failed after all")
		})
		m := newTemplates(t, st, template)
		one := Definition{Type: "echo", Name: "one", Enabled: true, Frequency: Frequency{Schedule: Manual}, Properties: Properties{"word": " a "}, AlertEmail: "a@example.org", NotificationCondition: "FAILURE"}
		two := Definition{Type: "echo", Name: "two", Enabled: true, Frequency: Frequency{Schedule: Daily}, Properties: Properties{"word": "b", "times": "07", "loud": "TRUE"}}
		first, err := m.Create(t.Context(), one)
		if err != nil {
			t.Fatal(err)
		}
		second, err := m.Create(t.Context(), two)
		if err != nil {
			t.Fatal(err)
		}
		want := one
		want.Properties = Properties{"word": "a", "times": "", "loud": "false"}
		if diff := cmp.Diff(want, first.Definition); diff != "" || first.TypeName != "Echo" || first.Own || !first.NextRun.IsZero() {
			t.Errorf("created: %+v\n%s", first, diff)
		}
		if second.NextRun.IsZero() {
			t.Errorf("a daily task is never due: %+v", second)
		}

		m = newTemplates(t, st, template)
		start(t, m)
		for id, result := range map[int64]string{first.ID: "afalse", second.ID: "b7true"} {
			if err := m.Start(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			if j := awaitID(t, m, id, over); j.Last.Result != result || j.Last.State != store.RunFailed || j.Last.Message != "failed after all" {
				t.Errorf("run: %+v", j.Last)
			}
		}
		if jobs, err := m.List(t.Context(), "echo"); err != nil || len(jobs) != 2 {
			t.Errorf("tasks of the type: %+v, %v", jobs, err)
		}

		one.Name, one.Type, one.Properties = "other", "", Properties{"word": "c"}
		if err := m.Update(t.Context(), first.ID, one); err != nil {
			t.Fatal(err)
		}
		if j, err := m.Get(t.Context(), first.ID); err != nil || j.Name != "other" || j.Definition.Properties["word"] != "c" || j.Type != "echo" {
			t.Errorf("changed: %+v, %v", j, err)
		}
		if err := m.Delete(t.Context(), first.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Get(t.Context(), first.ID); !errs.Is(err, errs.NotFound) {
			t.Errorf("deleted: %v", err)
		}
		own := job(t, m, "own")
		if err := m.Delete(t.Context(), own.ID); !errs.Is(err, errs.Conflict) {
			t.Errorf("deletion of one of the server's own: %v", err)
		}
		if err := m.Update(t.Context(), own.ID, Definition{Enabled: false}); err != nil || job(t, m, "own").Enabled || !own.Own {
			t.Errorf("one of the server's own can't be disabled: %v", err)
		}
	})
}

func TestCreateRefuses(t *testing.T) {
	m := newTemplates(t, openStore(t), echo(nil))
	good := Definition{Type: "echo", Name: "a", Frequency: Frequency{Schedule: Manual}, Properties: Properties{"word": "w"}}
	for _, test := range []struct {
		name, field string
		change      func(d *Definition)
	}{
		{"unknown type", "type", func(d *Definition) { d.Type = "other" }},
		{"one of the server's own", "type", func(d *Definition) { d.Type = "own" }},
		{"no name", "name", func(d *Definition) { d.Name = " " }},
		{"frequency", "frequency.schedule", func(d *Definition) { d.Frequency.Schedule = "" }},
		{"once in the past", "frequency.startDate", func(d *Definition) { d.Frequency = Frequency{Schedule: Once, StartDate: time.Unix(1e9, 0)} }},
		{"missing property", "properties.word", func(d *Definition) { d.Properties = nil }},
		{"unknown property", "properties.wrod", func(d *Definition) { d.Properties = Properties{"word": "a", "wrod": "b"} }},
		{"no number", "properties.times", func(d *Definition) { d.Properties = Properties{"word": "a", "times": "-1"} }},
		{"no boolean", "properties.loud", func(d *Definition) { d.Properties = Properties{"word": "a", "loud": "very"} }},
		{"the type's own check", "properties.word", func(d *Definition) { d.Properties = Properties{"word": "bad"} }},
	} {
		d := good
		test.change(&d)
		if _, err := m.Create(t.Context(), d); !errs.Is(err, errs.Invalid) || errs.As(err).Field != test.field {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	j, err := m.Create(t.Context(), good)
	if err != nil {
		t.Fatal(err)
	}
	good.Type = "other"
	if err := m.Update(t.Context(), j.ID, good); !errs.Is(err, errs.Invalid) {
		t.Errorf("another type: %v", err)
	}
	if err := m.Delete(t.Context(), 99999); !errs.Is(err, errs.NotFound) {
		t.Errorf("deletion of none: %v", err)
	}
}

// TestOnce: a task that runs once does so when it is due, and never again.
func TestOnce(t *testing.T) {
	var runs atomic.Int64
	m := newTemplates(t, openStore(t), echo(func(context.Context, Properties, *Progress) (string, error) { runs.Add(1); return "", nil }))
	start(t, m)
	j, err := m.Create(t.Context(), Definition{Type: "echo", Name: "once", Enabled: true, Properties: Properties{"word": "a"},
		Frequency: Frequency{Schedule: Once, StartDate: time.Now().Add(2 * time.Second)}})
	if err != nil {
		t.Fatal(err)
	}
	if j = awaitID(t, m, j.ID, over); runs.Load() != 1 || !j.NextRun.IsZero() {
		t.Errorf("after %d runs: %+v", runs.Load(), j)
	}
}

// TestDeleteRunning: the run of a task that is deleted ends.
func TestDeleteRunning(t *testing.T) {
	begun, ended := make(chan struct{}, 1), make(chan struct{})
	m := newTemplates(t, openStore(t), echo(func(ctx context.Context, _ Properties, p *Progress) (string, error) {
		defer close(ended)
		return block(begun)(ctx, p)
	}))
	m.beat = time.Hour
	start(t, m)
	j, err := m.Create(t.Context(), Definition{Type: "echo", Name: "a", Enabled: true, Frequency: Frequency{Schedule: Manual}, Properties: Properties{"word": "a"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Start(t.Context(), j.ID); err != nil {
		t.Fatal(err)
	}
	<-begun
	if err := m.Delete(t.Context(), j.ID); err != nil {
		t.Fatal(err)
	}
	<-ended
}

func openStore(t *testing.T) *store.Store {
	t.Helper()
	st, err := store.Open(t.Context(), t.TempDir()+"/repomgr.db", "", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	return st
}
