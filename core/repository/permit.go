package repository

import (
	"context"

	"golang.org/x/sync/semaphore"
)

// maxGenerating is how many documents are made at once: a large one may take 30 MB while it is.
const maxGenerating = 2

// permit is the right to make a document. It is given back while an upstream server is waited for: others' documents must not wait for that, the
// less as it may be them that the upstream server waits for. A nil one is for what needs none.
type permit struct {
	of   *semaphore.Weighted
	held bool
}

// take waits for the permit.
func (p *permit) take(ctx context.Context) error {
	if p == nil || p.held {
		return nil
	}
	err := p.of.Acquire(ctx, 1)
	p.held = err == nil
	return err
}

// give gives it back, if it is held.
func (p *permit) give() (held bool) {
	if p == nil || !p.held {
		return false
	}
	p.of.Release(1)
	p.held = false
	return true
}
