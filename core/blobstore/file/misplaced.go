package file

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/core/blobstore"
)

var _ blobstore.Tidier = (*Store)(nil)

// Misplaced implements blobstore.Tidier. It looks into the directory of blobs and those that belong in it. A place is a path
// relative to the store's directory, with slashes.
func (s *Store) Misplaced(ctx context.Context, fn func(place string, i blobstore.Info) error) error {
	if err := s.here(ctx); err != nil {
		return err
	}
	for i := -1; i < 256; i++ {
		dir := blobsDir
		if i >= 0 {
			dir = fanout(i)
		}
		other := func(key string) bool { return key[:2] != filepath.Base(dir) }
		err := s.walkDir(ctx, dir, other, func(i blobstore.Info) error { return fn(path.Join(filepath.ToSlash(dir), i.Key), i) })
		if err != nil {
			return err
		}
	}
	return nil
}

// PutBack implements blobstore.Tidier.
func (s *Store) PutBack(ctx context.Context, place string) (back bool, err error) {
	const op = "put back blob"
	if err := s.here(ctx); err != nil {
		return false, err
	}
	key, ok := misplacedKey(place)
	if !ok {
		return false, notFound(place)
	}
	from := filepath.Join(s.root, filepath.FromSlash(place))
	right, err := s.hasBytes(ctx, from, key)
	if err != nil {
		return false, s.absent(key, op, err)
	}
	if right {
		if err := s.move(op, key, from, s.blobPath(key)); !errors.Is(err, fs.ErrExist) {
			return err == nil, err
		}
	}
	return false, s.putAside(op, key, from)
}

// misplacedKey is the key of what is at a place; false for what can't be a place that Misplaced tells.
func misplacedKey(place string) (string, bool) {
	dir, key := path.Dir(place), path.Base(place)
	if !validKey(key) || path.Join(dir, key) != place {
		return "", false
	}
	if dir == blobsDir {
		return key, true
	}
	base := path.Base(dir)
	return key, path.Dir(dir) == blobsDir && len(base) == 2 && isHex(base) && base != key[:2]
}

// hasBytes tells whether the bytes of the file are those that the key names.
func (s *Store) hasBytes(ctx context.Context, path, key string) (bool, error) {
	f, _, err := openRegular(path)
	if errors.Is(err, errIrregular) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	d := digester{digest.SHA256: digest.SHA256.Hash()}
	if _, err := s.digest(ctx, f, d); err != nil {
		return false, err
	}
	return d.sums()[digest.SHA256] == sha256Of(key), nil
}

// renameIfNone is renameNew for where the system has no such call. Nobody else gives files the names that it is used for.
func renameIfNone(from, to string) error {
	if _, err := os.Lstat(from); err != nil {
		return err
	}
	if _, err := os.Lstat(to); err == nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: fs.ErrExist}
	}
	return os.Rename(from, to)
}
