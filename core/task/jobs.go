package task

import (
	"context"
	"fmt"
	"time"

	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/store"
)

// List returns the jobs in order of name, of one type or, with an empty id, of all.
func (m *Manager) List(ctx context.Context, typeID string) ([]Job, error) {
	ids := m.ids
	if typeID != "" {
		ids = []string{typeID}
	}
	// In this order, so that a job shown with a run is shown as that run left it.
	runs, err := m.store.LatestRuns(ctx)
	if err != nil {
		return nil, fmt.Errorf("list tasks: %w", err)
	}
	rows, err := m.store.Jobs(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("list tasks: %w", err)
	}
	jobs := make([]Job, len(rows))
	for i, row := range rows {
		jobs[i] = Job{Job: row, TypeName: m.typeName(row.Type)}
		if jobs[i].Definition, err = definition(row); err != nil {
			return nil, err
		}
		for _, run := range runs {
			switch {
			case run.JobID != row.ID:
			case run.State.Active():
				jobs[i].Current = &run
			default:
				jobs[i].Last = &run
			}
		}
	}
	return jobs, nil
}

func (m *Manager) typeName(id string) string {
	if t, ok := m.templates[id]; ok {
		return t.Name
	}
	return m.types[id].Name
}

// Get returns one job; a NotFound error when there is none.
func (m *Manager) Get(ctx context.Context, id int64) (Job, error) {
	jobs, err := m.List(ctx, "")
	if err != nil {
		return Job{}, err
	}
	for _, job := range jobs {
		if job.ID == id {
			return job, nil
		}
	}
	return Job{}, errs.New(errs.NotFound, "Task not found")
}

// History returns the last runs of a job, the newest first.
func (m *Manager) History(ctx context.Context, id int64, limit int) ([]Run, error) {
	if _, err := m.Get(ctx, id); err != nil {
		return nil, err
	}
	return m.store.Runs(ctx, id, limit)
}

// Start asks for a run of a job now, on any node; a Conflict error when it is queued or running.
func (m *Manager) Start(ctx context.Context, id int64) error {
	if _, err := m.Get(ctx, id); err != nil {
		return err
	}
	err := m.store.Update(ctx, func(tx *store.Tx) error {
		queued, err := tx.QueueRun(id)
		if err == nil && !queued {
			err = errs.New(errs.Conflict, "Task is already running")
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("start task %d: %w", id, err)
	}
	m.nudge()
	return nil
}

// Stop asks for the end of a job's run, on whatever node it is, and does not wait for it; a Conflict error when it doesn't run.
func (m *Manager) Stop(ctx context.Context, id int64) error {
	if _, err := m.Get(ctx, id); err != nil {
		return err
	}
	var run Run
	err := m.store.Update(ctx, func(tx *store.Tx) (err error) {
		var active bool
		run, active, err = tx.StopRun(id)
		if err == nil && !active {
			err = errs.New(errs.Conflict, "Task is not running")
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("stop task %d: %w", id, err)
	}
	m.end(run.ID, errStopped)
	return nil
}

// end ends a run if it is one of this node.
func (m *Manager) end(runID int64, why error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if cancel, here := m.running[runID]; here {
		cancel(why)
	}
}

// Enable says whether a job runs when it is due. Whether or not, it can be started on request.
func (m *Manager) Enable(ctx context.Context, id int64, enabled bool) error {
	job, err := m.Get(ctx, id)
	if err != nil {
		return err
	}
	at, err := next(job.Schedule, time.Now())
	if err != nil {
		return err
	}
	if err := m.store.Update(ctx, func(tx *store.Tx) error { return tx.EnableJob(id, enabled, at) }); err != nil {
		return fmt.Errorf("enable task %d: %w", id, err)
	}
	return nil
}
