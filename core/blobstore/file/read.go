package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

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
	f, i, err := openRegular(s.blobPath(key))
	if err != nil {
		return nil, 0, s.absent(key, "open blob", err)
	}
	return f, i.Size(), nil
}

// errIrregular is the error about what is no regular file.
var errIrregular = errors.New("not a regular file")

// openRegular opens a file for reading, without waiting for what else may bear its name: opening a named pipe would take until
// somebody writes to it. It returns errIrregular for that.
func openRegular(path string) (*os.File, fs.FileInfo, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ENXIO) { // a socket, or a device without a driver
		return nil, nil, fmt.Errorf("%w: %w", errIrregular, err)
	}
	if err != nil {
		return nil, nil, err
	}
	i, err := f.Stat()
	if err == nil && !i.Mode().IsRegular() {
		err = errIrregular
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, i, nil
}

// Stat implements blobstore.Store.
func (s *Store) Stat(ctx context.Context, key string) (blobstore.Info, error) {
	if err := s.ready(ctx); err != nil {
		return blobstore.Info{}, err
	}
	if !validKey(key) {
		return blobstore.Info{}, notFound(key)
	}
	i, err := os.Stat(s.blobPath(key)) // follows links, as Open does
	if err == nil && !i.Mode().IsRegular() {
		err = errIrregular
	}
	if err != nil {
		return blobstore.Info{}, s.absent(key, "stat blob", err)
	}
	return info(key, i), nil
}

// info is what the name and the inode of a blob's file tell.
func info(key string, i fs.FileInfo) blobstore.Info {
	return blobstore.Info{
		Key:       key,
		Size:      i.Size(),
		Digests:   map[digest.Algorithm]digest.Digest{digest.SHA256: sha256Of(key)},
		ModTime:   i.ModTime(),
		Irregular: !i.Mode().IsRegular(),
	}
}

// Delete implements blobstore.Store. A directory that bears the key stays: there are no bytes in it.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	if !validKey(key) {
		return nil
	}
	path := s.blobPath(key)
	err := os.Remove(path)
	if err == nil {
		return nil
	}
	if i, err := os.Lstat(path); err == nil && i.IsDir() {
		return nil
	}
	if err = s.absent(key, "delete blob", err); errors.Is(err, blobstore.ErrNotFound) {
		return nil
	}
	return err
}

// Walk implements blobstore.Store. Files whose names are not keys are passed over, and so are those in another key's directory: they
// are out of order, and nothing finds them there but Misplaced.
func (s *Store) Walk(ctx context.Context, after string, fn func(blobstore.Info) error) error {
	if err := s.here(ctx); err != nil {
		return err
	}
	for i := range 256 {
		dir := fanout(i)
		if len(after) >= 2 && filepath.Base(dir) < after[:2] {
			continue
		}
		mine := func(key string) bool { return key > after && key[:2] == filepath.Base(dir) }
		if err := s.walkDir(ctx, dir, mine, fn); err != nil {
			return err
		}
	}
	return nil
}

// walkDir calls fn for what is in a directory, relative to the root, under keys that are wanted.
func (s *Store) walkDir(ctx context.Context, dir string, wanted func(key string) bool, fn func(blobstore.Info) error) error {
	keys, err := names(filepath.Join(s.root, dir))
	if err != nil {
		return s.fault("walk blobs", err)
	}
	keys = slices.DeleteFunc(keys, func(key string) bool { return !validKey(key) || !wanted(key) })
	slices.Sort(keys)
	for _, key := range keys {
		if err := ctx.Err(); err != nil {
			return err
		}
		i, err := look(filepath.Join(s.root, dir, key))
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

// look tells what is at a path: of a link, what it leads to, or the link itself when that is nothing.
func look(path string) (fs.FileInfo, error) {
	i, err := os.Lstat(path)
	if err != nil || i.Mode().Type() != fs.ModeSymlink {
		return i, err
	}
	if to, err := os.Stat(path); err == nil {
		return to, nil
	}
	return i, nil
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
	if errors.Is(err, errIrregular) {
		return fmt.Errorf("%w: %w", notFound(key), err)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return s.fault(op, err)
	}
	if err := s.present(); err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	return notFound(key)
}
