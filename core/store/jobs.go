package store

import (
	"context"
	"fmt"
	"time"

	"github.com/repomgr/repomgr/core/errs"
)

// Job is work that is done again and again.
type Job struct {
	ID int64
	// Type says what is done; Name is for people.
	Type, Name string
	// Own tells that it is one of the server's own, of which there is one of each type; the others were created.
	Own bool
	// Properties and Settings are JSON objects, which core/task knows.
	Properties, Settings string
	// Schedule is core/task's.
	Schedule string
	Enabled  bool
	// NextRun is when the job is due; zero when it runs on request only.
	NextRun time.Time
}

// RunState is where a run of a job stands.
type RunState string

// The states of a run. Queued and running ones are active: a job has one active run at most.
const (
	RunQueued    RunState = "queued"
	RunRunning   RunState = "running"
	RunOK        RunState = "ok"
	RunFailed    RunState = "failed"
	RunCancelled RunState = "cancelled"
)

// Active tells whether the run is not over.
func (s RunState) Active() bool { return s == RunQueued || s == RunRunning }

// JobRun is one run of a job.
type JobRun struct {
	ID, JobID int64
	// Type is the job's.
	Type  string
	State RunState
	// Done of Total is the progress, in the job's own unit; Total is zero when it is unknown.
	Done, Total int64
	// Message says what is being done, or why the run failed; Result what came out of it.
	Message, Result string
	// Node is where it runs; empty while it is queued.
	Node string
	// StartedAt and FinishedAt are zero before.
	QueuedAt, StartedAt, FinishedAt time.Time
}

// interrupted is the message of a run that was given up, since its node was gone.
const interrupted = "interrupted"

// Interrupted tells whether the run was given up, since its node was gone.
func (r JobRun) Interrupted() bool { return r.State == RunFailed && r.Message == interrupted }

// RunProgress is how far a run is.
type RunProgress struct {
	Done, Total int64
	Message     string
}

type jobRow struct {
	ID                   int64
	Type, Name, Schedule string
	Own                  bool
	Properties, Settings string
	Enabled              bool
	NextRun              *int64
}

func (r jobRow) job() Job {
	return Job{ID: r.ID, Type: r.Type, Name: r.Name, Own: r.Own, Properties: r.Properties, Settings: r.Settings, Schedule: r.Schedule,
		Enabled: r.Enabled, NextRun: orZero(r.NextRun)}
}

type runRow struct {
	ID, JobID             int64
	Type                  string
	State                 RunState
	Done, Total           int64
	Message, Result, Node string
	QueuedAt              int64
	StartedAt, FinishedAt *int64
}

func (r runRow) run() JobRun {
	return JobRun{ID: r.ID, JobID: r.JobID, Type: r.Type, State: r.State, Done: r.Done, Total: r.Total, Message: r.Message, Result: r.Result,
		Node: r.Node, QueuedAt: millis(r.QueuedAt), StartedAt: orZero(r.StartedAt), FinishedAt: orZero(r.FinishedAt)}
}

func orZero(ms *int64) time.Time {
	if ms == nil {
		return time.Time{}
	}
	return millis(*ms)
}

func orNull(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	ms := t.UnixMilli()
	return &ms
}

const (
	jobColumns = `id, type, name, own, properties, settings, schedule, enabled, next_run`
	runColumns = `id, job_id, (SELECT type FROM jobs WHERE jobs.id = job_runs.job_id) AS type, state, done, total, message, result, node, queued_at, started_at, finished_at`
)

// Jobs returns the jobs of the types, in order of name.
func (s *Store) Jobs(ctx context.Context, types []string) ([]Job, error) {
	var rows []jobRow
	_, err := s.scan(ctx, &rows, `SELECT `+jobColumns+` FROM jobs WHERE type IN (?) ORDER BY name, type, id`, types)
	return jobsOf(rows), err
}

func jobsOf(rows []jobRow) []Job {
	jobs := make([]Job, len(rows))
	for i, r := range rows {
		jobs[i] = r.job()
	}
	return jobs
}

// LatestRuns returns of each job the active run, if there is one, and the last one that is over.
func (s *Store) LatestRuns(ctx context.Context) ([]JobRun, error) {
	var rows []runRow
	_, err := s.scan(ctx, &rows, `SELECT `+runColumns+` FROM job_runs WHERE id IN
 (SELECT max(id) FROM job_runs GROUP BY job_id, CASE WHEN state IN ('queued', 'running') THEN 1 ELSE 0 END)`)
	return runsOf(rows), err
}

// Runs returns the last runs of a job, the newest first.
func (s *Store) Runs(ctx context.Context, jobID int64, limit int) ([]JobRun, error) {
	var rows []runRow
	_, err := s.scan(ctx, &rows, `SELECT `+runColumns+` FROM job_runs WHERE job_id = ? ORDER BY id DESC LIMIT ?`, jobID, limit)
	return runsOf(rows), err
}

func runsOf(rows []runRow) []JobRun {
	runs := make([]JobRun, len(rows))
	for i, r := range rows {
		runs[i] = r.run()
	}
	return runs
}

// Job returns a job; a NotFound error when there is none.
func (s *Store) Job(ctx context.Context, id int64) (Job, error) {
	var row jobRow
	n, err := s.scan(ctx, &row, `SELECT `+jobColumns+` FROM jobs WHERE id = ?`, id)
	if err == nil && n == 0 {
		err = noJob()
	}
	return row.job(), err
}

func noJob() error { return errs.New(errs.NotFound, "Task not found") }

// CreateJob records a job, and returns its id.
func (tx *Tx) CreateJob(j Job) (id int64, err error) {
	_, err = tx.scan(&id, `INSERT INTO jobs (type, name, own, properties, settings, schedule, enabled, next_run, created_at)
 VALUES (?, ?, ?, ?, ?, ?, ?, ?, $NOW) RETURNING id`, j.Type, j.Name, false, j.Properties, j.Settings, j.Schedule, j.Enabled, orNull(j.NextRun))
	if err != nil {
		return 0, fmt.Errorf("create job %s: %w", j.Type, err)
	}
	return id, nil
}

// UpdateJob changes all of a created job but its type.
func (tx *Tx) UpdateJob(j Job) error {
	n, err := tx.exec(`UPDATE jobs SET name = ?, properties = ?, settings = ?, schedule = ?, enabled = ?, next_run = ? WHERE id = ? AND own = ?`,
		j.Name, j.Properties, j.Settings, j.Schedule, j.Enabled, orNull(j.NextRun), j.ID, false)
	if err == nil && n == 0 {
		err = noJob()
	}
	return err
}

// DeleteJob deletes a created job and its runs.
func (tx *Tx) DeleteJob(id int64) error {
	n, err := tx.exec(`DELETE FROM jobs WHERE id = ? AND own = ?`, id, false)
	if err == nil && n == 0 {
		err = noJob()
	}
	return err
}

// PutJob records the server's own job of a type. If there is one, whether it is enabled stays, and when it is due unless the schedule is
// another.
func (tx *Tx) PutJob(j Job) error {
	_, err := tx.exec(`INSERT INTO jobs (type, name, own, schedule, enabled, next_run, created_at) VALUES (?, ?, ?, ?, ?, ?, $NOW)
 ON CONFLICT (type) WHERE own DO UPDATE SET name = excluded.name, schedule = excluded.schedule,
 next_run = CASE WHEN jobs.schedule = excluded.schedule THEN jobs.next_run ELSE excluded.next_run END`,
		j.Type, j.Name, true, j.Schedule, j.Enabled, orNull(j.NextRun))
	if err != nil {
		return fmt.Errorf("record job %s: %w", j.Type, err)
	}
	return nil
}

// EnableJob says whether a job runs when it is due.
func (tx *Tx) EnableJob(id int64, enabled bool, next time.Time) error {
	n, err := tx.exec(`UPDATE jobs SET enabled = ?, next_run = ? WHERE id = ?`, enabled, orNull(next), id)
	if err == nil && n == 0 {
		err = noJob()
	}
	return err
}

// JobsWaiting tells whether there may be something to do for TakeJobs.
func (s *Store) JobsWaiting(ctx context.Context, types []string, patience time.Duration) (bool, error) {
	var one int
	n, err := s.scan(ctx, &one, `SELECT 1 FROM jobs WHERE enabled AND next_run <= $NOW AND type IN (?)
 UNION ALL SELECT 1 FROM job_runs WHERE state = 'queued' OR state = 'running' AND heartbeat_at < $NOW - ? LIMIT 1`,
		types, patience.Milliseconds())
	return n > 0, err
}

// DueJobs returns jobs of the types that are due and that no other node is about to start.
func (tx *Tx) DueJobs(types []string) ([]Job, error) {
	var rows []jobRow
	_, err := tx.scan(&rows, `SELECT `+jobColumns+` FROM jobs WHERE enabled AND next_run <= $NOW AND type IN (?)
 ORDER BY next_run LIMIT 100`+tx.dialect.take, types)
	return jobsOf(rows), err
}

// ScheduleJob sets when a job is due next.
func (tx *Tx) ScheduleJob(id int64, next time.Time) error {
	_, err := tx.exec(`UPDATE jobs SET next_run = ? WHERE id = ?`, orNull(next), id)
	return err
}

// QueueRun asks for a run of the job; false when it has an active one.
func (tx *Tx) QueueRun(jobID int64) (bool, error) {
	n, err := tx.exec(`INSERT INTO job_runs (job_id, state, queued_at) VALUES (?, 'queued', $NOW)
 ON CONFLICT (job_id) WHERE state IN ('queued', 'running') DO NOTHING`, jobID)
	return n > 0, err
}

// TakeRuns gives queued runs of jobs of the types to a node, at most limit.
func (tx *Tx) TakeRuns(types []string, node string, limit int) ([]JobRun, error) {
	var rows []runRow
	_, err := tx.scan(&rows, `UPDATE job_runs SET state = 'running', node = ?, started_at = $NOW, heartbeat_at = $NOW WHERE id IN
 (SELECT id FROM job_runs WHERE state = 'queued' AND job_id IN (SELECT id FROM jobs WHERE type IN (?)) ORDER BY id LIMIT ?`+tx.dialect.take+`)
 RETURNING `+runColumns, node, types, limit)
	return runsOf(rows), err
}

// BeatRun says that a run is alive and how far it is. stop tells that somebody asks for its end; lost that it was given up
// meanwhile, as its node was silent for too long.
func (s *Store) BeatRun(ctx context.Context, id int64, node string, p RunProgress) (stop, lost bool, err error) {
	err = s.Update(ctx, func(tx *Tx) error {
		n, err := tx.scan(&stop, `UPDATE job_runs SET heartbeat_at = $NOW, done = ?, total = ?, message = ?
 WHERE id = ? AND state = 'running' AND node = ? RETURNING stop`, p.Done, p.Total, p.Message, id, node)
		lost = n == 0
		return err
	})
	return stop, lost, err
}

// FinishRun records how a run ended, unless it was given up, and forgets all but the last keep runs of its job.
func (tx *Tx) FinishRun(run JobRun, node string, keep int) error {
	_, err := tx.exec(`UPDATE job_runs SET state = ?, done = ?, total = ?, message = ?, result = ?, finished_at = $NOW
 WHERE id = ? AND state = 'running' AND node = ?`, run.State, run.Done, run.Total, run.Message, run.Result, run.ID, node)
	if err != nil {
		return err
	}
	_, err = tx.exec(`DELETE FROM job_runs WHERE job_id = ? AND id <=
 (SELECT id FROM job_runs WHERE job_id = ? ORDER BY id DESC LIMIT 1 OFFSET ?)`, run.JobID, run.JobID, keep)
	return err
}

// StopRun asks for the end of the job's active run, which it returns: a queued one is over at once. false when there is none.
func (tx *Tx) StopRun(jobID int64) (run JobRun, ok bool, err error) {
	var row runRow
	n, err := tx.scan(&row, `UPDATE job_runs SET stop = ?,
 state = CASE WHEN state = 'queued' THEN 'cancelled' ELSE state END,
 finished_at = CASE WHEN state = 'queued' THEN $NOW END
 WHERE job_id = ? AND state IN ('queued', 'running') RETURNING `+runColumns, true, jobID)
	return row.run(), n > 0, err
}

// InterruptRuns gives up the runs that belong to node, or whose node was silent for longer than patience, and tells
// which. They count as failed.
func (tx *Tx) InterruptRuns(node string, patience time.Duration) ([]JobRun, error) {
	var rows []runRow
	_, err := tx.scan(&rows, `UPDATE job_runs SET state = 'failed', message = '`+interrupted+`', finished_at = $NOW
 WHERE state = 'running' AND (node = ? OR heartbeat_at < $NOW - ?) RETURNING `+runColumns, node, patience.Milliseconds())
	return runsOf(rows), err
}
