package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// options are what the flags say.
type options struct {
	rounds  int
	time    time.Duration
	only    *regexp.Regexp
	json    string
	parent  string // of the run's directory
	repomgr string
	alone   bool
	list    bool
}

// bench is a run: the servers, side by side in one file system, and what is asked of them.
type bench struct {
	options
	// dir holds all that the run writes.
	dir string
	// servers are those that run: repomgr first, then the peer and nginx, if they are wanted.
	servers  []*server
	contents *contents
	// helpers are servers that only some scenarios need, by name.
	helpers map[string]*server
	// up is upstream of the proxies, once it runs.
	up *upstream
	// unique numbers what is new in a run.
	unique atomic.Int64
	// say reports progress.
	say func(format string, args ...any)
}

// create makes a server that is not started, in a new directory.
func (b *bench) create(name, dir string) (*server, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	switch name {
	case subject:
		return newRepomgr(b.repomgr, dir)
	case peer:
		return newPeer(peer, dir, "")
	}
	return newStatic(dir)
}

// start starts all servers.
func (b *bench) start(ctx context.Context) error {
	names := []string{subject, peer, static}
	if b.alone {
		names = names[:1]
	}
	for _, name := range names {
		s, err := b.create(name, filepath.Join(b.dir, name))
		if err != nil {
			return fmt.Errorf("prepare %s: %w", name, err)
		}
		if _, err := s.start(ctx, s.main, s.health); err != nil {
			s.stop()
			return err
		}
		b.servers = append(b.servers, s)
		b.say("%s runs on %s, pid %d\n", name, s.registry, s.process.cmd.Process.Pid)
	}
	return b.subject().createRepository(ctx)
}

// subject is repomgr.
func (b *bench) subject() *server { return b.servers[0] }

// stop stops all servers, in reverse order.
func (b *bench) stop() {
	for _, s := range slices.Backward(b.servers) {
		s.stop()
	}
	for _, s := range b.helpers {
		s.stop()
	}
}

// helper is a server that only some scenarios need. It is started when the first of them asks for it.
func (b *bench) helper(ctx context.Context, name string, create func(dir string) (*server, error)) (*server, error) {
	if s := b.helpers[name]; s != nil {
		return s, nil
	}
	dir := filepath.Join(b.dir, strings.ReplaceAll(name, " ", "-"))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	s, err := create(dir)
	if err != nil {
		return nil, fmt.Errorf("prepare %s: %w", name, err)
	}
	if _, err := s.start(ctx, s.main, s.health); err != nil {
		s.stop()
		return nil, err
	}
	if b.helpers == nil {
		b.helpers = map[string]*server{}
	}
	b.helpers[name] = s
	return s, nil
}

// each makes entrants of the registries.
func (b *bench) each(measure func(ctx context.Context, s *server) (sample, error)) []entrant {
	var entrants []entrant
	for _, s := range b.servers {
		if s.name != static {
			entrants = append(entrants, entrant{s.name, func(ctx context.Context) (sample, error) { return measure(ctx, s) }})
		}
	}
	return entrants
}

// scenarios are all that the flags leave, in the order of the run: what restarts servers comes last.
func (b *bench) scenarios() []scenario {
	all := slices.Concat([]scenario{b.machineScenario()}, b.readScenarios(), b.writeScenarios(), b.proxyScenarios(), b.memoryScenarios(), b.startScenarios())
	return slices.DeleteFunc(all, func(s scenario) bool { return !b.only.MatchString(s.name) })
}

// result is what a scenario gave.
type result struct {
	scenario
	samples map[string][]sample // by entrant, one a round
	errs    map[string]error    // by entrant
}

// measure runs the scenarios. An entrant that fails is out of its scenario, and the run goes on; only an end of ctx ends it.
func (b *bench) measure(ctx context.Context) ([]result, error) {
	var results []result
	scenarios := b.scenarios()
	for n, s := range scenarios {
		b.say("[%d/%d] %s\n", n+1, len(scenarios), s.name)
		r := result{scenario: s, samples: map[string][]sample{}, errs: map[string]error{}}
		rounds := b.rounds
		if s.rounds > 0 {
			rounds = min(rounds, s.rounds)
		}
		for range rounds {
			b.round(ctx, r)
			if ctx.Err() != nil {
				return results, context.Cause(ctx)
			}
		}
		results = append(results, r)
	}
	return results, nil
}

func (b *bench) round(ctx context.Context, r result) {
	var line []string
	for _, e := range r.entrants {
		if r.errs[e.name] != nil || ctx.Err() != nil {
			continue
		}
		s, err := e.measure(ctx)
		if err != nil {
			r.errs[e.name] = err
			line = append(line, fmt.Sprintf("%s: %v", e.name, err))
			continue
		}
		r.samples[e.name] = append(r.samples[e.name], s)
		line = append(line, e.name+" "+s.String())
	}
	b.say("        %s\n", strings.Join(line, "; "))
}

// String is the sample in short, for the progress.
func (s sample) String() string {
	if s.Ready > 0 {
		return fmt.Sprintf("%s ms, %s MB", figure(readyMS.of(s)), figure(idleMB.of(s)))
	}
	if s.large() {
		return figure(megabytes.of(s)) + " MB/s"
	}
	return figure(perSecond.of(s)) + "/s"
}

// large tells whether it is bytes that count, not operations.
func (s sample) large() bool { return s.Bytes > 1<<20*int64(s.Operations) }

// failures joins what went wrong.
func failures(results []result) error {
	var errs []error
	for _, r := range results {
		for _, e := range r.entrants {
			if err := r.errs[e.name]; err != nil {
				errs = append(errs, fmt.Errorf("%s: %s: %w", r.name, e.name, err))
			}
		}
	}
	return errors.Join(errs...)
}
