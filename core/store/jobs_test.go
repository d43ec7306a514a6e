package store

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// queueJobs records n jobs of a type each, with a queued run, and returns the types.
func queueJobs(t *testing.T, s *Store, n int) (types []string) {
	t.Helper()
	err := s.Update(t.Context(), func(tx *Tx) error {
		for i := range n {
			name := fmt.Sprint("job", i)
			if err := tx.PutJob(Job{Type: name, Name: name, Enabled: true, NextRun: time.Now().Add(-time.Minute)}); err != nil {
				return err
			}
			types = append(types, name)
		}
		due, err := tx.DueJobs(types)
		if err != nil || len(due) != n {
			t.Errorf("%d jobs are due, %v, want %d", len(due), err, n)
		}
		for _, job := range due {
			if queued, err := tx.QueueRun(job.ID); err != nil || !queued {
				t.Errorf("queue job %d: %v, %v", job.ID, queued, err)
			}
			if queued, err := tx.QueueRun(job.ID); err != nil || queued {
				t.Errorf("queue job %d again: %v, %v", job.ID, queued, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return types
}

// TestTakeRuns: nodes that look for work at the same time never take the same run, and leave none.
func TestTakeRuns(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		const n = 40
		types := queueJobs(t, s, n)
		var mu sync.Mutex
		taken := make(map[int64]string)
		var wg sync.WaitGroup
		for i := range 8 {
			node := fmt.Sprint("node", i)
			wg.Go(func() {
				for range n {
					var runs []JobRun
					err := s.Update(t.Context(), func(tx *Tx) (err error) {
						runs, err = tx.TakeRuns(types, node, 2)
						return err
					})
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					for _, run := range runs {
						if other, twice := taken[run.ID]; twice {
							t.Errorf("run %d was taken by %s and %s", run.ID, other, node)
						}
						taken[run.ID] = run.Node
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if len(taken) != n {
			t.Errorf("%d runs were taken, want %d", len(taken), n)
		}
	})
}

// TestTakeRunsDoesNotWait: a node passes over what another one is just taking, on PostgreSQL.
func TestTakeRunsDoesNotWait(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		if s.committer != nil {
			t.Skip("SQLite's writers take turns")
		}
		types := queueJobs(t, s, 3)
		take := func(node string, limit int, then func()) (ids []int64) {
			err := s.Update(t.Context(), func(tx *Tx) error {
				runs, err := tx.TakeRuns(types, node, limit)
				for _, run := range runs {
					ids = append(ids, run.ID)
				}
				then()
				return err
			})
			if err != nil {
				t.Error(err)
			}
			return ids
		}
		var second []int64
		first := take("first", 1, func() { second = take("second", 10, func() {}) })
		if len(first) != 1 || len(second) != 2 {
			t.Errorf("first took %v, second %v", first, second)
		}
	})
}
