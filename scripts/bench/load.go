package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// sample is what one measurement gave. Times are in seconds, memory is in bytes.
type sample struct {
	// Server is the one that was measured; empty for the machine.
	Server     string  `json:"server,omitempty"`
	Operations int     `json:"operations,omitempty"`
	Bytes      int64   `json:"bytes,omitempty"`
	Seconds    float64 `json:"seconds,omitempty"`
	// User and System are the CPU time of the server, Client that of this process.
	User   float64 `json:"user,omitempty"`
	System float64 `json:"system,omitempty"`
	Client float64 `json:"client,omitempty"`
	// Peak is the server's resident memory at its most during the measurement, Idle that of a server with nothing to do.
	Peak int64 `json:"peak,omitempty"`
	Idle int64 `json:"idle,omitempty"`
	// Ready is the time from the start of the process to the first answer.
	Ready float64 `json:"ready,omitempty"`
	// First is the time from a request to the first byte of content, the median over the operations.
	First float64 `json:"first,omitempty"`
	// Fetches is how many requests reached the upstream server.
	Fetches int `json:"fetches,omitempty"`
}

// job is work that is done over and over, on several connections at once.
type job struct {
	// server is whose CPU and memory count; nil for what is done in this process, which then has no connections.
	server      *server
	connections int
	// address is host:port to connect to; empty for the server's registry.
	address string
	// auth is the value of the Authorization header.
	auth string
	// worker prepares a connection, before the clock starts.
	worker func(c *conn) (worker, error)
	// most is how many operations are done at most, in all; 0 for as many as there is time for.
	most int
	// once: each connection does one operation, however long it takes.
	once bool
}

// worker is what one connection does.
type worker struct {
	// do does one operation, checks the response, and returns how many bytes of content went over.
	do func() (int64, error)
	// check looks closer at the last operation, after the clock has stopped; it may be nil.
	check func() error
}

// grace is how long operations may take that were begun before the time was over. A server that hangs is an error, not a
// benchmark that never ends.
const grace = 3 * time.Minute

// load does a job for the time given, and measures.
func (b *bench) load(ctx context.Context, j job) (sample, error) {
	if err := settle(b.dir); err != nil {
		return sample{}, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	workers := make([]worker, j.connections)
	for i := range workers {
		var c *conn
		var err error
		if j.server != nil {
			if c, err = dial(ctx, cmp.Or(j.address, j.server.registry), j.auth, time.Now().Add(b.time+grace)); err != nil {
				return sample{}, err
			}
			defer c.close()
			defer context.AfterFunc(ctx, c.close)()
		}
		if workers[i], err = j.worker(c); err != nil {
			return sample{}, err
		}
	}
	s, err := b.clocked(ctx, cancel, j, workers)
	if err != nil {
		return sample{}, err
	}
	for _, w := range workers {
		if w.check != nil {
			if err := w.check(); err != nil {
				return sample{}, err
			}
		}
	}
	return s, nil
}

func (b *bench) clocked(ctx context.Context, cancel context.CancelCauseFunc, j job, workers []worker) (sample, error) {
	if j.server != nil {
		if err := resetPeak(j.server.pids); err != nil {
			return sample{}, err
		}
	}
	before, err := readMeter(j.server)
	if err != nil {
		return sample{}, err
	}
	var begun, done, bytes atomic.Int64
	var wait sync.WaitGroup
	end := before.at.Add(b.time)
	for _, w := range workers {
		wait.Go(func() {
			var operations, sum int64
			for ctx.Err() == nil && (j.most == 0 || begun.Add(1) <= int64(j.most)) {
				n, err := w.do()
				if err != nil {
					cancel(err)
					return
				}
				operations, sum = operations+1, sum+n
				if j.once || time.Now().After(end) {
					break
				}
			}
			done.Add(operations)
			bytes.Add(sum)
		})
	}
	wait.Wait()
	if ctx.Err() != nil {
		return sample{}, context.Cause(ctx)
	}
	after, err := readMeter(j.server)
	if err != nil {
		return sample{}, err
	}
	s := after.since(before)
	s.Operations, s.Bytes = int(done.Load()), bytes.Load()
	if s.Operations == 0 {
		return sample{}, errors.New("nothing was done")
	}
	if j.server != nil {
		m, err := memoryOf(j.server.pids)
		if err != nil {
			return sample{}, err
		}
		s.Server, s.Peak = j.server.name, m.peak
	}
	return s, nil
}

// meter is what the clocks show at a time.
type meter struct {
	at          time.Time
	server, own usage
}

func readMeter(s *server) (meter, error) {
	var m meter
	var err error
	if s != nil {
		if m.server, err = cpuOf(s.pids); err != nil {
			return m, fmt.Errorf("%s has ended: %w\n%s", s.name, err, s.logTail())
		}
	}
	if m.own, err = ownCPU(); err != nil {
		return m, err
	}
	m.at = time.Now()
	return m, nil
}

func (m meter) since(before meter) sample {
	server, own := m.server.minus(before.server), m.own.minus(before.own)
	return sample{
		Seconds: m.at.Sub(before.at).Seconds(),
		User:    server.user.Seconds(), System: server.system.Seconds(), Client: (own.user + own.system).Seconds(),
	}
}
