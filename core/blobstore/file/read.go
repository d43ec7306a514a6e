package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/core/blobstore"
)

// Open implements blobstore.Store. The Reader is an *os.File.
func (s *Store) Open(ctx context.Context, key string) (blobstore.Reader, int64, error) {
	if err := s.ready(ctx); err != nil {
		return nil, 0, err
	}
	if !validKey(key) {
		return nil, 0, notFound(key)
	}
	f, err := os.Open(s.blobPath(key))
	if err != nil {
		return nil, 0, s.absent(key, "open blob", err)
	}
	i, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, s.fault("open blob", err)
	}
	return f, i.Size(), nil
}

// Stat implements blobstore.Store.
func (s *Store) Stat(ctx context.Context, key string) (blobstore.Info, error) {
	if err := s.ready(ctx); err != nil {
		return blobstore.Info{}, err
	}
	if !validKey(key) {
		return blobstore.Info{}, notFound(key)
	}
	i, err := os.Lstat(s.blobPath(key))
	if err != nil {
		return blobstore.Info{}, s.absent(key, "stat blob", err)
	}
	return info(key, i), nil
}

// info is what the name and the inode of a blob's file tell.
func info(key string, i fs.FileInfo) blobstore.Info {
	return blobstore.Info{
		Key:     key,
		Size:    i.Size(),
		Digests: map[digest.Algorithm]digest.Digest{digest.SHA256: sha256Of(key)},
		ModTime: i.ModTime(),
	}
}

// Delete implements blobstore.Store.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	if !validKey(key) {
		return nil
	}
	err := os.Remove(s.blobPath(key))
	if err == nil {
		return nil
	}
	if err = s.absent(key, "delete blob", err); errors.Is(err, blobstore.ErrNotFound) {
		return nil
	}
	return err
}

// Walk implements blobstore.Store. Files whose names are not keys are passed over.
func (s *Store) Walk(ctx context.Context, after string, fn func(blobstore.Info) error) error {
	if err := s.here(ctx); err != nil {
		return err
	}
	for i := range 256 {
		dir := fanout(i)
		if len(after) >= 2 && filepath.Base(dir) < after[:2] {
			continue
		}
		if err := s.walkDir(ctx, filepath.Join(s.root, dir), after, fn); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) walkDir(ctx context.Context, dir, after string, fn func(blobstore.Info) error) error {
	keys, err := names(dir)
	if err != nil {
		return s.fault("walk blobs", err)
	}
	slices.Sort(keys)
	for _, key := range keys {
		if key <= after || !validKey(key) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		i, err := os.Lstat(filepath.Join(dir, key))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return s.fault("walk blobs", err)
		}
		if err := fn(info(key, i)); err != nil {
			return err
		}
	}
	return nil
}

// names are those of a directory's entries, in no order.
func names(dir string) ([]string, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Readdirnames(-1)
}

func notFound(key string) error {
	return fmt.Errorf("blob %.200q: %w", key, blobstore.ErrNotFound)
}

// absent is fault for an error of the file of a blob: no file means no blob, as long as the store is there.
func (s *Store) absent(key, op string, err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return s.fault(op, err)
	}
	if err := s.present(); err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	return notFound(key)
}
