package file

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/repomgr/repomgr/core/blobstore"
)

var _ blobstore.Quarantiner = (*Store)(nil)

// quarantineDir is where quarantined blobs are, each in a file of the name it had. It is made when it is needed.
const quarantineDir = "quarantine"

// Quarantine implements blobstore.Quarantiner.
func (s *Store) Quarantine(ctx context.Context, key string) error {
	const op = "quarantine blob"
	if err := s.here(ctx); err != nil {
		return err
	}
	if !validKey(key) {
		return notFound(key)
	}
	if _, err := os.Lstat(s.blobPath(key)); err != nil {
		return s.absent(key, op, err)
	}
	dir := filepath.Join(s.root, quarantineDir)
	if err := os.Mkdir(dir, dirPerm); err == nil {
		if err := syncDir(s.root, s.sync); err != nil {
			return s.fault(op, err)
		}
	} else if !errors.Is(err, fs.ErrExist) {
		return s.fault(op, err)
	}
	return s.move(op, key, s.blobPath(key), filepath.Join(dir, key))
}

// Release implements blobstore.Quarantiner.
func (s *Store) Release(ctx context.Context, key string) error {
	if err := s.here(ctx); err != nil {
		return err
	}
	if !validKey(key) {
		return notFound(key)
	}
	return s.move("release blob", key, filepath.Join(s.root, quarantineDir, key), s.blobPath(key))
}

// move gives the blob's file another place, durably: first where it is, then where it is no longer.
func (s *Store) move(op, key, from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return s.absent(key, op, err)
	}
	for _, path := range []string{to, from} {
		if err := syncDir(filepath.Dir(path), s.sync); err != nil {
			return s.fault(op, err)
		}
	}
	return nil
}
