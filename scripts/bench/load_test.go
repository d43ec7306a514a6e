package main

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"
)

func TestLoad(t *testing.T) {
	if _, err := onDisk(t.TempDir()); err != nil {
		t.Skip(err)
	}
	broken := errors.New("status 500")
	tests := []struct {
		name        string
		job         job
		fails       int64 // the operation that fails; 0 for none
		least, most int
	}{
		{name: "as many as there is time for", job: job{connections: 2}, least: 4, most: 400},
		{name: "at most", job: job{connections: 4, most: 6}, least: 6, most: 6},
		{name: "fewer than connections", job: job{connections: 4, most: 1}, least: 1, most: 1},
		{name: "once each", job: job{connections: 5, once: true}, least: 5, most: 5},
		{name: "one fails", job: job{connections: 3}, fails: 5},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := &bench{options: options{time: 100 * time.Millisecond}, dir: t.TempDir()}
			var count, checks atomic.Int64
			tt.job.worker = func(*conn) (worker, error) {
				return worker{
					do: func() (int64, error) {
						time.Sleep(time.Millisecond)
						if n := count.Add(1); n == tt.fails {
							return 0, broken
						}
						return 10, nil
					},
					check: func() error { checks.Add(1); return nil },
				}, nil
			}
			began := time.Now()
			s, err := b.load(t.Context(), tt.job)
			if tt.fails > 0 {
				if !errors.Is(err, broken) {
					t.Errorf("error %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if s.Operations < tt.least || s.Operations > tt.most || s.Bytes != int64(10*s.Operations) || int64(s.Operations) != count.Load() {
				t.Errorf("%d operations, %d bytes, want %d to %d operations", s.Operations, s.Bytes, tt.least, tt.most)
			}
			if int(checks.Load()) != tt.job.connections {
				t.Errorf("%d checks of %d connections", checks.Load(), tt.job.connections)
			}
			if whole := time.Since(began).Seconds(); s.Seconds <= 0 || s.Seconds > whole {
				t.Errorf("%v seconds of %v", s.Seconds, whole)
			}
		})
	}
}

// TestLoadCancelled shows that a run ends when it is told to.
func TestLoadCancelled(t *testing.T) {
	if _, err := onDisk(t.TempDir()); err != nil {
		t.Skip(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	b := &bench{options: options{time: time.Minute}, dir: t.TempDir()}
	_, err := b.load(ctx, job{connections: 2, worker: only(func() (int64, error) { cancel(); return 0, nil })})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
