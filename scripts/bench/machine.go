package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// disk is the entrant that writes and fsyncs files, with no server.
const disk = "write + fsync"

// disk measures what the disk takes: files of 100 MB, written in pieces of 1 MiB, fsynced each.
func (b *bench) disk(connections int) entrant {
	return entrant{disk, func(ctx context.Context) (sample, error) {
		dir, err := os.MkdirTemp(b.dir, "disk")
		if err != nil {
			return sample{}, err
		}
		write := func() (int64, error) { return bigSize, writeSynced(dir, b.contents.large.common, 1<<20) }
		result, err := b.load(ctx, job{connections: connections, most: mostPushes, worker: only(write)})
		return result, errors.Join(err, os.RemoveAll(dir))
	}}
}

func only(do func() (int64, error)) func(*conn) (worker, error) {
	return func(*conn) (worker, error) { return worker{do: do}, nil }
}

// writeSynced writes content to a new file in dir and makes it durable.
func writeSynced(dir string, content []byte, piece int) error {
	file, err := os.CreateTemp(dir, "")
	if err != nil {
		return err
	}
	for at := 0; at < len(content) && err == nil; at += piece {
		_, err = file.Write(content[at:min(at+piece, len(content))])
	}
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// hashing is the entrant that computes sha256 digests on one core, with no server.
const hashing = "sha256"

// hashing measures what a core takes: digests of 100 MB.
func (b *bench) hashing() entrant {
	return entrant{hashing, func(ctx context.Context) (sample, error) {
		return b.load(ctx, job{connections: 1, worker: only(func() (int64, error) {
			sum := sha256.Sum256(b.contents.large.common)
			_ = sum
			return int64(len(b.contents.large.common)), nil
		})})
	}}
}

// machineScenario says what the machine can do at the time of the run.
func (b *bench) machineScenario() scenario {
	const files = "10 KB files"
	absolute := func(of, name string, m metric) claim { return claim{name: name, metric: m, of: of} }
	return scenario{
		name: "machine",
		entrants: []entrant{
			b.hashing(),
			b.disk(1),
			{files, func(ctx context.Context) (sample, error) {
				dir, err := os.MkdirTemp(b.dir, "files")
				if err != nil {
					return sample{}, err
				}
				write := func() (int64, error) { return layerSize, writeSynced(dir, b.contents.small.common, layerSize) }
				result, err := b.load(ctx, job{connections: 1, worker: only(write)})
				return result, errors.Join(err, os.RemoveAll(dir))
			}},
		},
		claims: []claim{
			absolute(hashing, ": sha256, one core", megabytes),
			absolute(disk, ": files of 100 MB, write and fsync", megabytes),
			absolute(files, ": files of 10 KB, create, write and fsync", perSecond),
		},
	}
}

// memoryScenarios look at what repomgr holds in memory while it streams. It is started again before each: Go gives memory back
// late, so that else they would show what the scenarios before have left.
func (b *bench) memoryScenarios() []scenario {
	const connections = 64
	under100 := []claim{
		{name: ": most resident memory", metric: peakMB, of: subject, bar: bar{most: 100}},
		{name: ": rate", metric: megabytes, of: subject},
	}
	return []scenario{
		{name: "64 GETs of 100 MB at once", rounds: 1, claims: under100, entrants: []entrant{{subject, func(ctx context.Context) (sample, error) {
			s := b.subject()
			if err := errors.Join(b.contents.needImages(ctx, s), b.contents.needBig(ctx, s)); err != nil {
				return sample{}, err
			}
			if _, err := restarted(ctx, s); err != nil {
				return sample{}, err
			}
			big := b.contents.big
			f := fetch{method: "GET", path: blobPath(imageName, big.digest), size: int64(big.size()), digest: big.digest, named: true}
			verified := false // one is enough: to hash 64 of them takes longer than to send them
			return b.load(ctx, job{server: s, connections: connections, once: true, worker: func(c *conn) (worker, error) {
				if verified {
					return f.unverified(c), nil
				}
				verified = true
				return f.worker(c)
			}})
		}}}},
		{name: "64 pushes of 100 MB at once", rounds: 1, claims: under100, entrants: []entrant{{subject, func(ctx context.Context) (sample, error) {
			s := b.subject()
			if err := b.contents.needImages(ctx, s); err != nil {
				return sample{}, err
			}
			if _, err := restarted(ctx, s); err != nil {
				return sample{}, err
			}
			return b.pushes(ctx, s, job{connections: connections, once: true}, streamed)
		}}}},
	}
}

// rest is how long a server is left alone before its idle memory is read.
const rest = 2 * time.Second

// startScenarios measure how soon a server answers, and what it holds in memory then.
func (b *bench) startScenarios() []scenario {
	claims := []claim{
		{name: ": ready", metric: readyMS, of: subject, base: peer, absolute: true, bar: bar{most: 500}},
		{name: ": idle resident memory", metric: idleMB, of: subject, base: peer, absolute: true, bar: bar{most: 60}},
	}
	return []scenario{
		{name: "first start", claims: claims, entrants: b.each(func(ctx context.Context, s *server) (sample, error) {
			dir := filepath.Join(b.dir, "first-start")
			fresh, err := b.create(s.name, dir)
			if err != nil {
				return sample{}, err
			}
			result, err := started(ctx, fresh, fresh.main, fresh.health)
			fresh.stop()
			return result, errors.Join(err, os.RemoveAll(dir))
		})},
		{name: "start with the data of this run", claims: claims, entrants: b.each(func(ctx context.Context, s *server) (sample, error) {
			if err := b.contents.needImages(ctx, s); err != nil {
				return sample{}, err
			}
			return restarted(ctx, s)
		})},
	}
}

// restarted stops a server that has the fixture's images and starts it again.
func restarted(ctx context.Context, s *server) (sample, error) {
	s.stop()
	return started(ctx, s, s.registry, manifestPath(imageName, tagOf(0)))
}

// started starts a server, which is ready when it answers a path with 200, and leaves it alone for a while.
func started(ctx context.Context, s *server, address, path string) (sample, error) {
	took, err := s.start(ctx, address, path)
	if err != nil {
		return sample{}, err
	}
	select {
	case <-time.After(rest):
	case <-ctx.Done():
		return sample{}, context.Cause(ctx)
	}
	m, err := memoryOf(s.pids)
	if err != nil {
		return sample{}, fmt.Errorf("%s after its start: %w", s.name, err)
	}
	return sample{Server: s.name, Ready: took.Seconds(), Idle: m.now, Peak: m.peak}, nil
}
