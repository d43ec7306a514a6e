// Package task does work in the background: on a schedule or on request, once at a time over all nodes, with progress,
// an end on request, and a history.
package task

import (
	"context"
	"sync"

	"github.com/repomgr/repomgr/core/store"
)

// Type is a kind of work.
type Type struct {
	// ID is unique, and stays the same over releases, for example "repository.purge".
	ID string
	// Name is for people.
	Name string
	// Run does the work. It returns soon after ctx has ended, with an error unless the work is done. result says in a few words what
	// came of it. Work is begun again from the start after a crash, possibly on another node: it has to bear that.
	Run func(ctx context.Context, p *Progress) (result string, err error)
}

// Recurring is a type and when it is due.
type Recurring struct {
	Type
	// Schedule is Manual; "@every " and a duration such as "10m"; or a cron expression, in the server's time zone: minute,
	// hour, day of the month, month, day of the week, or a name such as "@daily".
	Schedule string
}

// Job is a scheduled or requestable piece of work and where it stands.
type Job struct {
	store.Job
	// TypeName is the type's name for people.
	TypeName string
	// Definition is what an administrator said of it; of the server's own ones it is what one would have said.
	Definition Definition
	// Current is the run that is queued or running, Last the latest one that is over; nil when there is none.
	Current, Last *Run
}

// Run is one run of a job.
type Run = store.JobRun

// Progress is how a run tells how far it is. It is safe for concurrent use.
type Progress struct {
	mu sync.Mutex
	at store.RunProgress
}

// Set says that done of total are done, in any unit; total is zero when it is unknown.
func (p *Progress) Set(done, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at.Done, p.at.Total = done, total
}

// Add says that n more are done.
func (p *Progress) Add(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at.Done += n
}

// Message says what is being done.
func (p *Progress) Message(s string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at.Message = s
}

func (p *Progress) get() store.RunProgress {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.at
}
