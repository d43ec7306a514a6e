package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/core/blobstore"
)

var _ blobstore.Stager = (*Store)(nil)

// stage is a file in tmp that is being written.
type stage struct {
	store    *Store
	f        *os.File
	size     int64
	digester digester

	// mu guards path, which Commit changes.
	mu        sync.Mutex
	path      string
	committed bool
}

// Stage implements blobstore.Stager.
func (s *Store) Stage(ctx context.Context, algs ...digest.Algorithm) (blobstore.Stage, error) {
	if err := s.here(ctx); err != nil {
		return nil, err
	}
	d, err := newDigester(algs)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(s.root, tmpDir, random())
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, filePerm)
	if err != nil {
		return nil, s.fault("stage blob", err)
	}
	return &stage{store: s, path: path, f: f, digester: d}, nil
}

// Append implements blobstore.Stage.
func (g *stage) Append(ctx context.Context, r io.Reader, grown func(int64)) error {
	if grown == nil {
		grown = func(int64) {}
	}
	n, readErr, writeErr := g.store.buffers.receive(ctx, r, g.f, g.size, g.digester, grown)
	g.size += n
	if writeErr != nil {
		return g.store.fault("stage blob", writeErr)
	}
	if readErr != nil {
		return fmt.Errorf("stage blob: read: %w", readErr)
	}
	return nil
}

// Digests implements blobstore.Stage.
func (g *stage) Digests() map[digest.Algorithm]digest.Digest { return g.digester.sums() }

// Open implements blobstore.Stage. It waits for a Commit that has begun.
func (g *stage) Open() (blobstore.Reader, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f, err := os.Open(g.path)
	if err != nil {
		return nil, g.store.fault("read staged blob", err)
	}
	return f, nil
}

// Commit implements blobstore.Stage.
func (g *stage) Commit(ctx context.Context) (blobstore.Info, error) {
	if err := g.store.here(ctx); err != nil {
		return blobstore.Info{}, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	info, err := g.store.publish(g.f, g.path, g.size, g.digester.sums())
	if err != nil {
		return blobstore.Info{}, g.store.fault("stage blob", err)
	}
	g.path, g.committed = g.store.blobPath(info.Key), true
	return info, nil
}

// Close implements blobstore.Stage.
func (g *stage) Close() error {
	g.f.Close() // everything that could fail has been synced
	if g.committed {
		return nil
	}
	if err := os.Remove(g.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return g.store.fault("drop staged blob", err)
	}
	return nil
}
