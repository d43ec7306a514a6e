package memory

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/core/blobstore"
)

var _ blobstore.Stager = (*Store)(nil)

// stage is a write in progress.
type stage struct {
	store *Store
	algs  []digest.Algorithm

	mu   sync.Mutex
	data []byte
}

// Stage implements blobstore.Stager.
func (s *Store) Stage(ctx context.Context, algs ...digest.Algorithm) (blobstore.Stage, error) {
	if err := check(ctx, algs); err != nil {
		return nil, err
	}
	return &stage{store: s, algs: algs}, nil
}

// Append implements blobstore.Stage.
func (g *stage) Append(ctx context.Context, r io.Reader, grown func(int64)) error {
	buf := make([]byte, 32<<10)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := r.Read(buf)
		if n > 0 {
			g.mu.Lock()
			g.data = append(g.data, buf[:n]...)
			size := int64(len(g.data))
			g.mu.Unlock()
			if grown != nil {
				grown(size)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("stage blob: read: %w", err)
		}
	}
}

// Digests implements blobstore.Stage.
func (g *stage) Digests() map[digest.Algorithm]digest.Digest { return sums(g.data, g.algs) }

// Open implements blobstore.Stage.
func (g *stage) Open() (blobstore.Reader, error) { return &stageReader{stage: g}, nil }

// Commit implements blobstore.Stage.
func (g *stage) Commit(ctx context.Context) (blobstore.Info, error) {
	if err := ctx.Err(); err != nil {
		return blobstore.Info{}, err
	}
	return g.store.add(g.data, g.Digests()), nil
}

// Close implements blobstore.Stage.
func (g *stage) Close() error { return nil }

// stageReader reads what a stage has at the time.
type stageReader struct {
	stage *stage
	at    int64
}

func (r *stageReader) ReadAt(p []byte, off int64) (int, error) {
	r.stage.mu.Lock()
	defer r.stage.mu.Unlock()
	if off < 0 || off >= int64(len(r.stage.data)) {
		return 0, io.EOF
	}
	n := copy(p, r.stage.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (r *stageReader) Read(p []byte) (int, error) {
	n, err := r.ReadAt(p, r.at)
	r.at += int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}

func (r *stageReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.at
	case io.SeekEnd:
		r.stage.mu.Lock()
		offset += int64(len(r.stage.data))
		r.stage.mu.Unlock()
	}
	r.at = offset
	return offset, nil
}

func (r *stageReader) Close() error { return nil }
