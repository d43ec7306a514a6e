package task

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/store"
	"github.com/repomgr/repomgr/core/store/storetest"
	"github.com/repomgr/repomgr/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// newManager returns a manager that is as quick as a test wants it.
func newManager(t *testing.T, st *store.Store, jobs ...Recurring) *Manager {
	t.Helper()
	m, err := New(t.Context(), st, jobs, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	m.poll, m.beat, m.keep = 20*time.Millisecond, 20*time.Millisecond, 3
	return m
}

// start runs a manager; stop ends it, and waits.
func start(t *testing.T, m *Manager) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.Run(ctx)
	}()
	stop = func() {
		cancel()
		<-done
	}
	t.Cleanup(stop)
	return stop
}

func manual(id string, run func(ctx context.Context, p *Progress) (string, error)) Recurring {
	return Recurring{Type: Type{ID: id, Name: "Task " + id, Run: run}, Schedule: Manual}
}

// block is a task that says that it has begun and runs until it is told to end.
func block(begun chan<- struct{}) func(context.Context, *Progress) (string, error) {
	return func(ctx context.Context, _ *Progress) (string, error) {
		begun <- struct{}{}
		<-ctx.Done()
		return "", ctx.Err()
	}
}

// job returns the job of a type.
func job(t *testing.T, m *Manager, typeID string) Job {
	t.Helper()
	jobs, err := m.List(t.Context(), typeID)
	if err != nil || len(jobs) != 1 {
		t.Fatalf("jobs of %s: %v, %v", typeID, jobs, err)
	}
	return jobs[0]
}

// await waits until the job of a type is as wanted.
func await(t *testing.T, m *Manager, typeID string, want func(Job) bool) Job {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		j := job(t, m, typeID)
		if want(j) {
			return j
		}
		if time.Now().After(end) {
			t.Fatalf("after a long time: %+v, current %+v, last %+v", j.Job, j.Current, j.Last)
		}
	}
}

func over(j Job) bool { return j.Current == nil && j.Last != nil }

func mustStart(t *testing.T, m *Manager, typeID string) {
	t.Helper()
	if err := m.Start(t.Context(), job(t, m, typeID).ID); err != nil {
		t.Fatal(err)
	}
}

func TestOutcomes(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func() *store.Store) {
		m := newManager(t, open(),
			manual("ok", func(_ context.Context, p *Progress) (string, error) {
				p.Set(1, 3)
				p.Add(2)
				p.Message("at it")
				return "3 things", nil
			}),
			manual("failing", func(_ context.Context, p *Progress) (string, error) { return "", errors.New("no luck") }),
			manual("panicking", func(_ context.Context, p *Progress) (string, error) { panic("oh no") }))
		start(t, m)
		for _, test := range []struct {
			id              string
			state           store.RunState
			message, result string
			done, total     int64
		}{
			{"ok", store.RunOK, "at it", "3 things", 3, 3},
			{"failing", store.RunFailed, "no luck", "", 0, 0},
			{"panicking", store.RunFailed, "oh no", "", 0, 0},
		} {
			if j := job(t, m, test.id); j.Current != nil || j.Last != nil || !j.NextRun.IsZero() || j.Name != "Task "+test.id {
				t.Errorf("before: %+v", j)
			}
			mustStart(t, m, test.id)
			j := await(t, m, test.id, over)
			run := *j.Last
			if run.State != test.state || !strings.Contains(run.Message, test.message) || run.Result != test.result ||
				run.Done != test.done || run.Total != test.total {
				t.Errorf("%s: %+v", test.id, run)
			}
			if run.Node == "" || run.QueuedAt.IsZero() || run.StartedAt.Before(run.QueuedAt) || run.FinishedAt.Before(run.StartedAt) {
				t.Errorf("%s: node and times: %+v", test.id, run)
			}
			history, err := m.History(t.Context(), j.ID, 10)
			if err != nil || len(history) != 1 || history[0] != run {
				t.Errorf("%s: history = %+v, %v", test.id, history, err)
			}
		}
		if jobs, err := m.List(t.Context(), ""); err != nil || len(jobs) != 3 {
			t.Errorf("all jobs = %v, %v", jobs, err)
		}
		if jobs, err := m.List(t.Context(), "other"); err != nil || len(jobs) != 0 {
			t.Errorf("jobs of no type = %v, %v", jobs, err)
		}
		for name, call := range map[string]func() error{
			"get":     func() error { _, err := m.Get(t.Context(), 99999); return err },
			"start":   func() error { return m.Start(t.Context(), 99999) },
			"stop":    func() error { return m.Stop(t.Context(), 99999) },
			"history": func() error { _, err := m.History(t.Context(), 99999, 1); return err },
			"enable":  func() error { return m.Enable(t.Context(), 99999, true) },
		} {
			if err := call(); !errs.Is(err, errs.NotFound) {
				t.Errorf("%s of no job: %v", name, err)
			}
		}
	})
}

// TestSchedule: a recurring job runs again and again, never beside itself, and its history is bounded.
func TestSchedule(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func() *store.Store) {
		var runs, now atomic.Int64
		tick := Recurring{Schedule: "@every 10ms", Type: Type{ID: "tick", Name: "Tick", Run: func(context.Context, *Progress) (string, error) {
			if now.Add(1) > 1 {
				t.Error("the job runs beside itself")
			}
			defer now.Add(-1)
			time.Sleep(15 * time.Millisecond)
			return fmt.Sprint(runs.Add(1)), nil
		}}}
		m := newManager(t, open(), tick)
		stop := start(t, m)
		await(t, m, "tick", func(Job) bool { return runs.Load() >= 6 })
		id := job(t, m, "tick").ID
		if err := m.Enable(t.Context(), id, false); err != nil {
			t.Fatal(err)
		}
		await(t, m, "tick", over)
		ended := runs.Load()
		time.Sleep(100 * time.Millisecond)
		if n := runs.Load(); n != ended {
			t.Errorf("a disabled job ran %d times", n-ended)
		}
		history, err := m.History(t.Context(), id, 10)
		if err != nil || len(history) != m.keep || history[0].Result != fmt.Sprint(ended) || history[2].Result != fmt.Sprint(ended-2) {
			t.Errorf("history after %d runs = %+v, %v", ended, history, err)
		}
		mustStart(t, m, "tick")
		await(t, m, "tick", func(Job) bool { return runs.Load() == ended+1 })
		stop()

		// Another start of the server finds it disabled still.
		m = newManager(t, m.store, tick)
		if j := job(t, m, "tick"); j.Enabled || j.ID != id {
			t.Errorf("after the restart: %+v", j)
		}
		if err := m.Enable(t.Context(), id, true); err != nil {
			t.Fatal(err)
		}
		start(t, m)
		await(t, m, "tick", func(Job) bool { return runs.Load() > ended+1 })
	})
}

// TestRestart: what was due while the server was down runs when it is back; a new schedule counts from now.
func TestRestart(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func() *store.Store) {
		var runs atomic.Int64
		daily := Recurring{Schedule: "@daily", Type: Type{ID: "daily", Name: "Daily", Run: func(context.Context, *Progress) (string, error) {
			runs.Add(1)
			return "", nil
		}}}
		st := open()
		m := newManager(t, st, daily)
		j := job(t, m, "daily")
		if wait := time.Until(j.NextRun); wait <= 0 || wait > 25*time.Hour {
			t.Errorf("next run in %v", wait)
		}
		late := func(tx *store.Tx) error { return tx.ScheduleJob(j.ID, time.Now().Add(-time.Hour)) }
		if err := st.Update(t.Context(), late); err != nil {
			t.Fatal(err)
		}
		m = newManager(t, st, daily)
		stop := start(t, m)
		j = await(t, m, "daily", over)
		if wait := time.Until(j.NextRun); wait <= 0 || runs.Load() != 1 {
			t.Errorf("after %d runs the next one is in %v", runs.Load(), wait)
		}
		stop()
		if err := st.Update(t.Context(), late); err != nil {
			t.Fatal(err)
		}
		daily.Schedule, daily.Name = "@every 100h", "Not daily"
		if j := job(t, newManager(t, st, daily), "daily"); time.Until(j.NextRun) < 99*time.Hour || j.Name != "Not daily" {
			t.Errorf("with another schedule: %+v", j)
		}
	})
}

// TestStop: a run ends on request, and is told why; one that is queued never begins.
func TestStop(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func() *store.Store) {
		begun := make(chan struct{}, 1)
		m := newManager(t, open(), manual("block", block(begun)))
		id := job(t, m, "block").ID
		if err := m.Stop(t.Context(), id); !errs.Is(err, errs.Conflict) {
			t.Errorf("stop of a job that doesn't run: %v", err)
		}
		mustStart(t, m, "block")
		if err := m.Start(t.Context(), id); !errs.Is(err, errs.Conflict) {
			t.Errorf("start of a job that is queued: %v", err)
		}
		if j := job(t, m, "block"); j.Current == nil || j.Current.State != store.RunQueued {
			t.Errorf("started job: %+v", j)
		}
		if err := m.Stop(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if j := job(t, m, "block"); !over(j) || j.Last.State != store.RunCancelled || j.Last.FinishedAt.IsZero() {
			t.Errorf("stopped before it began: %+v", j)
		}
		m.beat = time.Hour // it must not take a beat to end a run of the same node
		start(t, m)
		mustStart(t, m, "block")
		<-begun
		if err := m.Start(t.Context(), id); !errs.Is(err, errs.Conflict) {
			t.Errorf("start of a job that runs: %v", err)
		}
		if err := m.Stop(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if j := await(t, m, "block", over); j.Last.State != store.RunCancelled || j.Last.Message != errStopped.Error() {
			t.Errorf("stopped: %+v", j.Last)
		}
	})
}

// TestShutdown: the end of the server ends its runs, and waits for them.
func TestShutdown(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func() *store.Store) {
		begun := make(chan struct{}, 1)
		var ended atomic.Bool
		m := newManager(t, open(), manual("slow", func(ctx context.Context, p *Progress) (string, error) {
			_, _ = block(begun)(ctx, p)
			time.Sleep(50 * time.Millisecond)
			ended.Store(true)
			return "", ctx.Err()
		}))
		stop := start(t, m)
		mustStart(t, m, "slow")
		<-begun
		stop()
		if !ended.Load() {
			t.Error("the manager did not wait for its run")
		}
		if j := job(t, m, "slow"); !over(j) || j.Last.State != store.RunCancelled || j.Last.Message != errShutdown.Error() {
			t.Errorf("after the end: %+v", j.Last)
		}
	})
}

// TestProgress: how far a run is can be seen while it runs.
func TestProgress(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func() *store.Store) {
		begun := make(chan struct{}, 1)
		m := newManager(t, open(), manual("block", func(ctx context.Context, p *Progress) (string, error) {
			p.Set(5, 10)
			p.Message("half")
			return block(begun)(ctx, p)
		}))
		start(t, m)
		mustStart(t, m, "block")
		<-begun
		await(t, m, "block", func(j Job) bool {
			return j.Current != nil && j.Current.State == store.RunRunning && j.Current.Done == 5 && j.Current.Total == 10 && j.Current.Message == "half"
		})
	})
}

// take makes a node take the queued run of a job, and do nothing.
func take(t *testing.T, m *Manager, typeID, node string) {
	t.Helper()
	mustStart(t, m, typeID)
	var taken []Run
	err := m.store.Update(t.Context(), func(tx *store.Tx) (err error) {
		taken, err = tx.TakeRuns([]string{typeID}, node, 10)
		return err
	})
	if err != nil || len(taken) != 1 || taken[0].Type != typeID {
		t.Fatalf("taken runs = %+v, %v", taken, err)
	}
}

// TestInterrupted: a run whose node died counts as failed, and the job can run again: at once when the node is
// started again under its name, after a time when it isn't.
func TestInterrupted(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func() *store.Store) {
		st := open()
		var runs atomic.Int64
		quick := manual("quick", func(context.Context, *Progress) (string, error) { runs.Add(1); return "", nil })
		m := newManager(t, st, quick)
		take(t, m, "quick", st.Node)
		m = newManager(t, st, quick)
		if j := job(t, m, "quick"); !over(j) || j.Last.State != store.RunFailed || j.Last.Message != "interrupted" || j.Last.FinishedAt.IsZero() {
			t.Errorf("after a restart: current %+v, last %+v", j.Current, j.Last)
		}

		take(t, m, "quick", "elsewhere")
		m = newManager(t, st, quick)
		if j := job(t, m, "quick"); j.Current == nil {
			t.Errorf("another node's run was given up at once: %+v", j.Last)
		}
		stop := start(t, m)
		time.Sleep(60 * time.Millisecond)
		if j := job(t, m, "quick"); j.Current == nil {
			t.Errorf("another node's run was given up too early: %+v", j.Last)
		}
		stop()
		m.patience = 50 * time.Millisecond
		start(t, m)
		if j := await(t, m, "quick", over); j.Last.State != store.RunFailed || j.Last.Message != "interrupted" {
			t.Errorf("run of a dead node: %+v", j.Last)
		}
		mustStart(t, m, "quick")
		if j := await(t, m, "quick", over); j.Last.State != store.RunOK || runs.Load() != 1 {
			t.Errorf("run after that: %+v", j.Last)
		}
	})
}

// TestLost: a run that was given up by others ends, and what came of it is not recorded.
func TestLost(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func() *store.Store) {
		st := open()
		begun := make(chan struct{}, 1)
		m := newManager(t, st, manual("block", block(begun)))
		start(t, m)
		mustStart(t, m, "block")
		<-begun
		err := st.Update(t.Context(), func(tx *store.Tx) error {
			_, err := tx.InterruptRuns(st.Node, time.Hour)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		await(t, m, "block", func(Job) bool {
			m.mu.Lock()
			defer m.mu.Unlock()
			return len(m.running) == 0
		})
		if j := job(t, m, "block"); j.Last.State != store.RunFailed || j.Last.Message != "interrupted" {
			t.Errorf("given up run: %+v", j.Last)
		}
	})
}

// TestNodes: several nodes share the work: each run is done once, on one of them, and can be ended from any.
func TestNodes(t *testing.T) {
	url := testenv.Postgres(t)
	var runs, now atomic.Int64
	begun := make(chan struct{}, 1)
	jobs := []Recurring{
		{Schedule: "@every 10ms", Type: Type{ID: "tick", Name: "Tick", Run: func(context.Context, *Progress) (string, error) {
			if now.Add(1) > 1 {
				t.Error("the job runs beside itself")
			}
			defer now.Add(-1)
			runs.Add(1)
			time.Sleep(5 * time.Millisecond)
			return "", nil
		}}},
		manual("block", block(begun)),
	}
	var managers []*Manager
	for range 3 {
		st, err := store.Open(t.Context(), "", url, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = st.Close() })
		m := newManager(t, st, jobs...)
		m.keep = 1000
		managers = append(managers, m)
	}
	for _, m := range managers {
		start(t, m)
	}
	await(t, managers[0], "tick", func(Job) bool { return runs.Load() >= 30 })
	for _, m := range managers {
		if err := m.Enable(t.Context(), job(t, m, "tick").ID, false); err != nil {
			t.Fatal(err)
		}
	}
	j := await(t, managers[0], "tick", over)
	history, err := managers[0].History(t.Context(), j.ID, 1000)
	if err != nil || int64(len(history)) != runs.Load() {
		t.Errorf("%d runs were done, %d recorded, %v", runs.Load(), len(history), err)
	}
	nodes := make(map[string]int)
	for _, run := range history {
		nodes[run.Node]++
	}
	if len(nodes) < 2 {
		t.Errorf("one node did all the work: %v", nodes)
	}

	mustStart(t, managers[0], "block")
	<-begun
	current := job(t, managers[0], "block").Current
	for _, m := range managers {
		if m.store.Node != current.Node {
			if err := m.Stop(t.Context(), current.JobID); err != nil {
				t.Fatal(err)
			}
			break
		}
	}
	if j := await(t, managers[0], "block", over); j.Last.State != store.RunCancelled || j.Last.Message != errStopped.Error() {
		t.Errorf("ended from another node: %+v", j.Last)
	}
}

func TestNewRefuses(t *testing.T) {
	st, err := store.Open(t.Context(), t.TempDir()+"/repomgr.db", "", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	for name, jobs := range map[string][]Recurring{
		"twice":    {manual("a", nil), manual("a", nil)},
		"schedule": {{Type: Type{ID: "a", Name: "A"}, Schedule: "sometimes"}},
	} {
		if _, err := New(t.Context(), st, jobs, slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
