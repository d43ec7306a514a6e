package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/core/blobstore"
)

// Put implements blobstore.Store.
func (s *Store) Put(ctx context.Context, r io.Reader, algs ...digest.Algorithm) (blobstore.Info, error) {
	if err := s.here(ctx); err != nil {
		return blobstore.Info{}, err
	}
	d, err := newDigester(algs)
	if err != nil {
		return blobstore.Info{}, err
	}
	path := filepath.Join(s.root, tmpDir, random())
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, filePerm)
	if err != nil {
		return blobstore.Info{}, s.fault("put blob", err)
	}
	stored := false
	defer func() {
		f.Close() // everything that could fail has been synced
		if !stored {
			os.Remove(path)
		}
	}()
	info, err := s.put(ctx, r, f, path, d)
	stored = err == nil
	return info, err
}

func (s *Store) put(ctx context.Context, r io.Reader, f *os.File, path string, d digester) (blobstore.Info, error) {
	n, readErr, writeErr := s.buffers.receive(ctx, r, f, 0, d, nil)
	if writeErr != nil {
		return blobstore.Info{}, s.fault("put blob", writeErr)
	}
	if readErr != nil {
		return blobstore.Info{}, fmt.Errorf("put blob: read: %w", readErr)
	}
	info, err := s.publish(f, path, n, d.sums())
	if err != nil {
		return blobstore.Info{}, s.fault("put blob", err)
	}
	return info, nil
}

// syncDir makes the entries of a directory durable, on file systems that know how. Writers that wait in it at the same moment
// share one commit of the file system's journal; a queue of our own in front of it was measured to be slower.
func syncDir(dir string, sync func(*os.File) error) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := sync(f); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOTSUP) {
		return err
	}
	return nil
}

// publish makes the file at path, open as f, a durable blob. When it can't be synced the file is gone afterwards: the kernel
// drops what it could not write, and would call a second attempt a success. On other errors the file stays.
func (s *Store) publish(f *os.File, path string, size int64, sums map[digest.Algorithm]digest.Digest) (blobstore.Info, error) {
	info := blobstore.Info{Key: newKey(sums[digest.SHA256]), Size: size, Digests: sums, ModTime: time.Now()}
	// The last write may be long ago, and a sweep goes by the time since the blob is there.
	if err := os.Chtimes(path, time.Time{}, info.ModTime); err != nil {
		return blobstore.Info{}, err
	}
	if err := s.sync(f); err != nil {
		os.Remove(path)
		return blobstore.Info{}, err
	}
	to := s.blobPath(info.Key)
	if err := os.Rename(path, to); err != nil {
		return blobstore.Info{}, err
	}
	if err := syncDir(s.blobDir(info.Key), s.sync); err != nil {
		os.Remove(to)
		return blobstore.Info{}, err
	}
	return info, nil
}
