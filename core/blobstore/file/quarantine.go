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
	return s.putAside(op, key, s.blobPath(key))
}

// putAside moves what is at a path and bears the key to the quarantine. What was put aside under that name before gets another one.
func (s *Store) putAside(op, key, from string) error {
	dir := filepath.Join(s.root, quarantineDir)
	if err := os.Mkdir(dir, dirPerm); err == nil {
		if err := syncDir(s.root, s.sync); err != nil {
			return s.fault(op, err)
		}
	} else if !errors.Is(err, fs.ErrExist) {
		return s.fault(op, err)
	}
	to := filepath.Join(dir, key)
	err := s.move(op, key, from, to)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := renameNew(to, to+"."+random()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s.fault(op, err)
	}
	return s.move(op, key, from, to)
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

// move gives the blob's file another place, durably: first where it is, then where it is no longer. It replaces nothing: then the error
// is an fs.ErrExist.
func (s *Store) move(op, key, from, to string) error {
	if err := renameNew(from, to); err != nil {
		return s.absent(key, op, err)
	}
	for _, path := range []string{to, from} {
		if err := syncDir(filepath.Dir(path), s.sync); err != nil {
			return s.fault(op, err)
		}
	}
	return nil
}
