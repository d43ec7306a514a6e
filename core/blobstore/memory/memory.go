// Package memory keeps blobs in memory. It is for tests: bytes "survive" nothing, and a store has no limit.
package memory

import (
	"bytes"
	"context"
	"crypto/rand"
	_ "crypto/sha256" // available to go-digest
	_ "crypto/sha512" // available to go-digest
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/core/blobstore"
)

// Store is a blobstore.Uploader in memory.
type Store struct {
	mu      sync.Mutex
	blobs   map[string]blob
	uploads map[string]*upload
}

type blob struct {
	info blobstore.Info
	data []byte
}

var _ blobstore.Uploader = (*Store)(nil)

// New returns an empty store.
func New() *Store {
	return &Store{blobs: map[string]blob{}, uploads: map[string]*upload{}}
}

// Put implements blobstore.Store.
func (s *Store) Put(ctx context.Context, r io.Reader, algs ...digest.Algorithm) (blobstore.Info, error) {
	if err := check(ctx, algs); err != nil {
		return blobstore.Info{}, err
	}
	data, err := read(ctx, r)
	if err != nil {
		return blobstore.Info{}, fmt.Errorf("put blob: read: %w", err)
	}
	return s.add(data, sums(data, algs)), nil
}

func (s *Store) add(data []byte, sums map[digest.Algorithm]digest.Digest) blobstore.Info {
	info := blobstore.Info{
		Key:     sums[digest.SHA256].Encoded() + "." + rand.Text(),
		Size:    int64(len(data)),
		Digests: sums,
		ModTime: time.Now(),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blobs[info.Key] = blob{info, data}
	return info
}

// reader reads a blob's bytes.
type reader struct{ *bytes.Reader }

func (reader) Close() error { return nil }

// Open implements blobstore.Store.
func (s *Store) Open(ctx context.Context, key string) (blobstore.Reader, int64, error) {
	b, err := s.find(ctx, key)
	if err != nil {
		return nil, 0, err
	}
	return reader{bytes.NewReader(b.data)}, b.info.Size, nil
}

// Stat implements blobstore.Store.
func (s *Store) Stat(ctx context.Context, key string) (blobstore.Info, error) {
	b, err := s.find(ctx, key)
	return b.info, err
}

func (s *Store) find(ctx context.Context, key string) (blob, error) {
	if err := ctx.Err(); err != nil {
		return blob{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.blobs[key]
	if !ok {
		return blob{}, fmt.Errorf("blob %.200q: %w", key, blobstore.ErrNotFound)
	}
	return b, nil
}

// Delete implements blobstore.Store.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.blobs, key)
	return nil
}

// Walk implements blobstore.Store.
func (s *Store) Walk(ctx context.Context, after string, fn func(blobstore.Info) error) error {
	for _, key := range s.keys(after) {
		b, err := s.find(ctx, key)
		if errors.Is(err, blobstore.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if err := fn(b.info); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// keys are those greater than after, in order.
func (s *Store) keys(after string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var keys []string
	for key := range s.blobs {
		if key > after {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// check fails when the context has ended or a digest can't be computed.
func check(ctx context.Context, algs []digest.Algorithm) error {
	for _, alg := range algs {
		if blobstore.Hash(alg) == nil {
			return fmt.Errorf("digest algorithm %q: %w", alg, digest.ErrDigestUnsupported)
		}
	}
	return ctx.Err()
}

// read reads r until it ends or fails, or the context ends; it returns what came before.
func read(ctx context.Context, r io.Reader) ([]byte, error) {
	var data []byte
	p := make([]byte, 32<<10)
	for {
		if err := ctx.Err(); err != nil {
			return data, err
		}
		n, err := r.Read(p)
		data = append(data, p[:n]...)
		if err == io.EOF {
			return data, nil
		}
		if err != nil {
			return data, errors.Join(err, ctx.Err())
		}
	}
}

// sums are the data's digests: sha256 and the algs.
func sums(data []byte, algs []digest.Algorithm) map[digest.Algorithm]digest.Digest {
	m := map[digest.Algorithm]digest.Digest{digest.SHA256: digest.FromBytes(data)}
	for _, alg := range algs {
		m[alg] = blobstore.Sum(alg, data)
	}
	return m
}
