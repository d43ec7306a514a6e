package memory

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/core/blobstore"
)

// patience is how long a second writer of an upload waits for the first one.
const patience = 3 * time.Second

type upload struct {
	id, owner string
	algs      []digest.Algorithm
	// turn holds a value while somebody writes.
	turn chan struct{}
	// data and modTime are written by the turn's holder, under Store.mu.
	data    []byte
	modTime time.Time
}

// state is the upload as callers see it, under Store.mu.
func (u *upload) state() blobstore.Upload {
	return blobstore.Upload{ID: u.id, Owner: u.owner, Size: int64(len(u.data)), ModTime: u.modTime}
}

// Begin implements blobstore.Uploader.
func (s *Store) Begin(ctx context.Context, owner string, algs ...digest.Algorithm) (blobstore.Upload, error) {
	if err := check(ctx, algs); err != nil {
		return blobstore.Upload{}, err
	}
	u := &upload{id: rand.Text(), owner: owner, algs: algs, turn: make(chan struct{}, 1), modTime: time.Now()}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.uploads[u.id] = u
	return u.state(), nil
}

// Upload implements blobstore.Uploader.
func (s *Store) Upload(ctx context.Context, owner, id string) (blobstore.Upload, error) {
	u, err := s.lookup(ctx, owner, id)
	if err != nil {
		return blobstore.Upload{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return u.state(), nil
}

// Append implements blobstore.Uploader.
func (s *Store) Append(ctx context.Context, owner, id string, at int64, r io.Reader) (blobstore.Upload, error) {
	u, err := s.acquire(ctx, owner, id)
	if err != nil {
		return blobstore.Upload{}, err
	}
	defer u.release()
	if at >= 0 && at != int64(len(u.data)) {
		return u.state(), fmt.Errorf("upload %s: append at %d of %d bytes: %w", id, at, len(u.data), blobstore.ErrOffset)
	}
	data, err := read(ctx, r)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(data) > 0 {
		u.data, u.modTime = append(u.data, data...), time.Now()
	}
	if err != nil {
		return u.state(), fmt.Errorf("upload %s: append: read: %w", id, err)
	}
	return u.state(), nil
}

// Finish implements blobstore.Uploader.
func (s *Store) Finish(ctx context.Context, owner, id string, want digest.Digest) (blobstore.Info, error) {
	u, err := s.acquire(ctx, owner, id)
	if err != nil {
		return blobstore.Info{}, err
	}
	defer u.release()
	algs := u.algs
	if want != "" {
		if err := want.Validate(); err != nil {
			return blobstore.Info{}, fmt.Errorf("upload %s: digest %.200q: %w", id, want, err)
		}
		algs = append([]digest.Algorithm{want.Algorithm()}, algs...)
	}
	sums := sums(u.data, algs)
	if want != "" && sums[want.Algorithm()] != want {
		return blobstore.Info{}, fmt.Errorf("upload %s: %w", id, &blobstore.DigestError{Want: want, Got: sums[want.Algorithm()]})
	}
	s.drop(u)
	return s.add(u.data, sums), nil
}

// Reopen implements blobstore.Uploader.
func (s *Store) Reopen(ctx context.Context, owner, id, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.blobs[key]
	if _, open := s.uploads[id]; !ok || open {
		return fmt.Errorf("upload %s: %w", id, blobstore.ErrNotFound)
	}
	algs := slices.Collect(maps.Keys(b.info.Digests))
	s.uploads[id] = &upload{id: id, owner: owner, algs: algs, turn: make(chan struct{}, 1), data: b.data, modTime: time.Now()}
	delete(s.blobs, key)
	return nil
}

// Cancel implements blobstore.Uploader.
func (s *Store) Cancel(ctx context.Context, owner, id string) error {
	u, err := s.acquire(ctx, owner, id)
	if err != nil {
		return err
	}
	defer u.release()
	s.drop(u)
	return nil
}

// Expire implements blobstore.Uploader. An upload that is being written is not expired.
func (s *Store) Expire(ctx context.Context, before time.Time) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for id, u := range s.uploads {
		if u.modTime.Before(before) && len(u.turn) == 0 {
			delete(s.uploads, id)
			n++
		}
	}
	return n, nil
}

func (s *Store) drop(u *upload) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.uploads, u.id)
}

func (s *Store) lookup(ctx context.Context, owner, id string) (*upload, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.uploads[id]
	if u == nil || u.owner != owner {
		return nil, fmt.Errorf("upload %.200q: %w", id, blobstore.ErrNotFound)
	}
	return u, nil
}

// acquire waits for the upload's turn; the caller releases it.
func (s *Store) acquire(ctx context.Context, owner, id string) (*upload, error) {
	u, err := s.lookup(ctx, owner, id)
	if err != nil {
		return nil, err
	}
	wait := time.NewTimer(patience)
	defer wait.Stop()
	select {
	case u.turn <- struct{}{}:
	case <-wait.C:
		return nil, fmt.Errorf("upload %s: %w", id, blobstore.ErrBusy)
	case <-ctx.Done():
		return nil, fmt.Errorf("upload %s: %w: %w", id, blobstore.ErrBusy, ctx.Err())
	}
	if _, err := s.lookup(ctx, owner, id); err != nil { // it ended meanwhile
		u.release()
		return nil, err
	}
	return u, nil
}

func (u *upload) release() { <-u.turn }
