package task

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/repomgr/repomgr/core/store"
)

// Manager starts jobs and knows where they stand.
type Manager struct {
	store *store.Store
	log   *slog.Logger
	types map[string]Type
	// templates are the types of created tasks; ids are those of all types.
	templates map[string]Template
	ids       []string

	// workers is how many runs this node has at the same time.
	workers int
	// poll is how often to look for what is due, and for what other nodes have queued.
	poll time.Duration
	// beat is how often a run says that it is alive; patience is how long it may be silent before others give it up.
	beat, patience time.Duration
	// keep is how many runs of a job are remembered.
	keep int

	wake    chan struct{}
	wg      sync.WaitGroup
	mu      sync.Mutex
	running map[int64]context.CancelCauseFunc // by run
}

// New records the jobs; templates are the types of tasks that can be created. Runs that were under way on this node when it died count as failed.
func New(ctx context.Context, st *store.Store, jobs []Recurring, log *slog.Logger, templates ...Template) (*Manager, error) {
	m := &Manager{
		store: st, log: log, types: make(map[string]Type), templates: make(map[string]Template),
		workers: 4, poll: 2 * time.Second, beat: 2 * time.Second, patience: time.Minute, keep: 100,
		wake: make(chan struct{}, 1), running: make(map[int64]context.CancelCauseFunc),
	}
	rows := make([]store.Job, len(jobs))
	for i, job := range jobs {
		if _, twice := m.types[job.ID]; twice {
			return nil, fmt.Errorf("task %s is there twice", job.ID)
		}
		m.types[job.ID], m.ids = job.Type, append(m.ids, job.ID)
		at, err := next(job.Schedule, time.Now())
		if err != nil {
			return nil, fmt.Errorf("task %s: %w", job.ID, err)
		}
		rows[i] = store.Job{Type: job.ID, Name: job.Name, Schedule: job.Schedule, Enabled: true, NextRun: at}
	}
	for _, t := range templates {
		_, twice := m.templates[t.ID]
		if _, own := m.types[t.ID]; own || twice {
			return nil, fmt.Errorf("task %s is there twice", t.ID)
		}
		m.templates[t.ID], m.ids = t, append(m.ids, t.ID)
	}
	var interrupted []Run
	err := st.Update(ctx, func(tx *store.Tx) (err error) {
		for _, row := range rows {
			if err := tx.PutJob(row); err != nil {
				return err
			}
		}
		interrupted, err = tx.InterruptRuns(st.Node, m.patience)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("record tasks: %w", err)
	}
	m.logInterrupted(interrupted)
	return m, nil
}

// Run starts what is due or asked for, until ctx ends. Then it ends all runs of this node, and waits for them.
func (m *Manager) Run(ctx context.Context) {
	for ctx.Err() == nil {
		if err := m.step(ctx); err != nil && ctx.Err() == nil {
			m.log.Warn("look for due tasks", "err", err)
		}
		timer := time.NewTimer(m.poll)
		select {
		case <-ctx.Done():
		case <-m.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
	m.mu.Lock()
	for _, cancel := range m.running {
		cancel(errShutdown)
	}
	m.mu.Unlock()
	m.wg.Wait()
}

// step gives up the runs of dead nodes, queues the jobs that are due, and starts as many queued ones as there is room for.
func (m *Manager) step(ctx context.Context) error {
	waiting, err := m.store.JobsWaiting(ctx, m.ids, m.patience)
	if err != nil || !waiting {
		return err
	}
	m.mu.Lock()
	room := m.workers - len(m.running)
	m.mu.Unlock()
	var interrupted, taken []Run
	err = m.store.Update(ctx, func(tx *store.Tx) (err error) {
		if interrupted, err = tx.InterruptRuns("", m.patience); err != nil {
			return err
		}
		if err := m.queueDue(tx); err != nil {
			return err
		}
		taken, err = tx.TakeRuns(m.ids, m.store.Node, room)
		return err
	})
	if err != nil {
		return err
	}
	m.logInterrupted(interrupted)
	for _, run := range taken {
		m.start(ctx, run)
	}
	return nil
}

// queueDue queues the jobs that are due. One that is still running is passed over until the next time.
func (m *Manager) queueDue(tx *store.Tx) error {
	due, err := tx.DueJobs(m.ids)
	if err != nil {
		return err
	}
	for _, job := range due {
		at, err := next(job.Schedule, time.Now())
		if err != nil {
			return err
		}
		if err := tx.ScheduleJob(job.ID, at); err != nil {
			return err
		}
		if _, err := tx.QueueRun(job.ID); err != nil {
			return err
		}
	}
	return nil
}

func (m *Manager) logInterrupted(runs []Run) {
	for _, run := range runs {
		m.log.Warn("task was interrupted", "task", run.Type, "run", run.ID, "node", run.Node)
	}
}
