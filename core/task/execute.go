package task

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/repomgr/repomgr/core/store"
)

// Why a run's context ended.
var (
	errStopped  = errors.New("stopped on request")
	errShutdown = errors.New("the server was stopped")
	errLost     = errors.New("given up by another node")
)

func (m *Manager) start(ctx context.Context, run Run) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	m.mu.Lock()
	m.running[run.ID] = cancel
	m.mu.Unlock()
	m.wg.Go(func() {
		defer m.ended(run.ID)
		defer cancel(nil)
		m.execute(ctx, cancel, run)
	})
}

// ended makes room for another run.
func (m *Manager) ended(runID int64) {
	m.mu.Lock()
	delete(m.running, runID)
	m.mu.Unlock()
	m.nudge()
}

// nudge makes Run look for work now.
func (m *Manager) nudge() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// execute does a run and records how it ended.
func (m *Manager) execute(ctx context.Context, cancel context.CancelCauseFunc, run Run) {
	begin, p := time.Now(), new(Progress)
	log := m.log.With("task", run.Type, "run", run.ID)
	log.Debug("task started")
	over, beaten := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(beaten)
		m.beatUntil(ctx, over, cancel, run.ID, p)
	}()
	result, err := m.work(ctx, run, p)
	close(over)
	<-beaten

	at := p.get()
	run.State, run.Done, run.Total, run.Message, run.Result = store.RunOK, at.Done, at.Total, at.Message, result
	if err != nil {
		run.State, run.Message = store.RunFailed, err.Error()
		if cause := context.Cause(ctx); cause != nil {
			run.State, run.Message = store.RunCancelled, cause.Error()
		}
		log = log.With("err", err)
	}
	level := slog.LevelInfo
	if run.State == store.RunFailed {
		level = slog.LevelWarn
	}
	log.Log(ctx, level, "task ended", "state", run.State, "took", time.Since(begin).Round(time.Millisecond))
	if err := m.store.Update(context.WithoutCancel(ctx), func(tx *store.Tx) error { return tx.FinishRun(run, m.store.Node, m.keep) }); err != nil {
		m.log.Error("record the end of a task", "task", run.Type, "run", run.ID, "err", err)
	}
}

// work runs the function of the run's type; a panic is an error.
func (m *Manager) work(ctx context.Context, run Run, p *Progress) (result string, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	t, created := m.templates[run.Type]
	if !created {
		return m.types[run.Type].Run(ctx, p)
	}
	row, err := m.store.Job(ctx, run.JobID)
	if err != nil {
		return "", err
	}
	d, err := definition(row)
	if err != nil {
		return "", err
	}
	return t.Run(ctx, d.Properties, p)
}

// beatUntil keeps saying that the run is alive until it is over, and ends it when it must.
func (m *Manager) beatUntil(ctx context.Context, over <-chan struct{}, cancel context.CancelCauseFunc, runID int64, p *Progress) {
	ticker := time.NewTicker(m.beat)
	defer ticker.Stop()
	for {
		select {
		case <-over:
			return
		case <-ticker.C:
		}
		stop, lost, err := m.store.BeatRun(context.WithoutCancel(ctx), runID, m.store.Node, p.get())
		switch {
		case err != nil:
			m.log.Warn("record the progress of a task", "run", runID, "err", err)
		case lost:
			cancel(errLost)
			return
		case stop:
			cancel(errStopped)
		}
	}
}
