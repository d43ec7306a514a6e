package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/core/blobstore"
)

// Begin implements blobstore.Uploader. It makes one empty file, which becomes the blob.
func (s *Store) Begin(ctx context.Context, owner string, algs ...digest.Algorithm) (blobstore.Upload, error) {
	if err := s.here(ctx); err != nil {
		return blobstore.Upload{}, err
	}
	d, err := newDigester(algs)
	if err != nil {
		return blobstore.Upload{}, err
	}
	u := blobstore.Upload{ID: newID(d), Owner: owner, ModTime: time.Now()}
	if err := touch(s.dataPath(owner, u.ID)); err != nil {
		return blobstore.Upload{}, s.fault("begin upload", err)
	}
	return u, nil
}

// touch makes an empty file.
func touch(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, filePerm)
	if err != nil {
		return err
	}
	return f.Close()
}

// Upload implements blobstore.Uploader. It doesn't wait for a writer; the size then is what was written so far.
func (s *Store) Upload(ctx context.Context, owner, id string) (blobstore.Upload, error) {
	if err := s.ready(ctx); err != nil {
		return blobstore.Upload{}, err
	}
	u, err := s.find(owner, id)
	if err != nil {
		return blobstore.Upload{}, about(id, err)
	}
	return u.info(), nil
}

// Append implements blobstore.Uploader.
func (s *Store) Append(ctx context.Context, owner, id string, at int64, r io.Reader) (blobstore.Upload, error) {
	ses, err := s.take(ctx, owner, id)
	if err != nil {
		return blobstore.Upload{}, about(id, err)
	}
	defer s.sessions.release(ses)
	u := ses.upload
	if at >= 0 && at != u.size {
		return u.info(), about(id, fmt.Errorf("append at %d of %d bytes: %w", at, u.size, blobstore.ErrOffset))
	}
	if err := s.catchUp(ctx, u); err != nil {
		return u.info(), about(id, err)
	}
	ses.upload = nil // so that it is read anew if r panics in mid-append
	err = s.append(ctx, u, r)
	ses.upload = u
	return u.info(), about(id, err)
}

// append adds r to the data file. Whatever happens, u tells afterwards what is there.
func (s *Store) append(ctx context.Context, u *upload, r io.Reader) error {
	before := u.size
	f, err := os.OpenFile(u.path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return s.fault("append", err)
	}
	defer f.Close()
	n, readErr, writeErr := s.buffers.receive(ctx, r, f, u.size, u.digester, nil)
	u.hashed += n
	u.size = u.hashed
	if i, err := f.Stat(); err == nil {
		u.size, u.modTime = i.Size(), i.ModTime()
	}
	if u.hashed-u.saved >= saveEvery {
		// Without its state file's being up to date, the upload only costs more to continue after a restart.
		_ = s.save(u)
	}
	if writeErr != nil {
		err := s.fault("append", writeErr)
		if errors.Is(err, blobstore.ErrFull) && f.Truncate(before) == nil {
			u.size = before
			os.Remove(s.statePath(u.id)) // it may be of bytes that are gone
		}
		return err
	}
	if readErr != nil {
		return fmt.Errorf("append: read: %w", readErr)
	}
	return nil
}

// Finish implements blobstore.Uploader. When the bytes can't be synced, the upload stays, but is empty.
func (s *Store) Finish(ctx context.Context, owner, id string, want digest.Digest) (blobstore.Info, error) {
	if want != "" {
		if err := want.Validate(); err != nil {
			return blobstore.Info{}, about(id, fmt.Errorf("digest %.200q: %w", want, err))
		}
	}
	ses, err := s.take(ctx, owner, id)
	if err != nil {
		return blobstore.Info{}, about(id, err)
	}
	defer s.sessions.release(ses)
	info, err := s.finish(ctx, ses.upload, want)
	if err != nil {
		return blobstore.Info{}, about(id, err)
	}
	ses.upload = nil
	if info.Size >= saveEvery {
		os.Remove(s.statePath(id)) // if it stays, it expires
	}
	return info, nil
}

func (s *Store) finish(ctx context.Context, u *upload, want digest.Digest) (blobstore.Info, error) {
	if err := s.catchUp(ctx, u); err != nil {
		return blobstore.Info{}, err
	}
	f, err := os.OpenFile(u.path, os.O_RDWR, 0)
	if err != nil {
		return blobstore.Info{}, s.fault("finish", err)
	}
	defer f.Close()
	sums := u.digester.sums()
	if want != "" {
		if err := s.verify(ctx, f, want, sums); err != nil {
			return blobstore.Info{}, err
		}
	}
	info, err := s.publish(f, u.path, u.size, sums)
	if err != nil {
		if touch(u.path) == nil { // publish has removed it
			os.Remove(s.statePath(u.id))
		}
		return blobstore.Info{}, s.fault("finish", err)
	}
	return info, nil
}

// Reopen implements blobstore.Uploader. What was digested is forgotten: the next Finish reads the bytes.
func (s *Store) Reopen(ctx context.Context, owner, id, key string) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	if _, ok := parseID(id); !ok || !validKey(key) {
		return about(id, blobstore.ErrNotFound)
	}
	ses, err := s.sessions.acquire(ctx, id)
	if err != nil {
		return about(id, err)
	}
	defer s.sessions.release(ses)
	path := s.dataPath(owner, id)
	if _, err := os.Lstat(path); err == nil {
		return about(id, blobstore.ErrNotFound)
	}
	ses.upload = nil
	if err := os.Rename(s.blobPath(key), path); err != nil {
		return about(id, s.absent(key, "reopen upload", err))
	}
	return nil
}

// verify compares want with the sum of its algorithm, which it computes from f if it isn't among the sums.
func (s *Store) verify(ctx context.Context, f io.Reader, want digest.Digest, sums map[digest.Algorithm]digest.Digest) error {
	alg := want.Algorithm()
	if _, ok := sums[alg]; !ok {
		d := digester{alg: alg.Hash()}
		if _, err := s.digest(ctx, f, d); err != nil {
			return s.fault("read data", err)
		}
		sums[alg] = d.sums()[alg]
	}
	if sums[alg] != want {
		return &blobstore.DigestError{Want: want, Got: sums[alg]}
	}
	return nil
}

// Cancel implements blobstore.Uploader.
func (s *Store) Cancel(ctx context.Context, owner, id string) error {
	ses, err := s.take(ctx, owner, id)
	if err != nil {
		return about(id, err)
	}
	defer s.sessions.release(ses)
	return about(id, s.drop(ses, ses.upload.path))
}

// Expire implements blobstore.Uploader. An upload that is being written is not expired, however slowly it grows. One that can't be
// removed keeps none of the others; the error is the first one's.
func (s *Store) Expire(ctx context.Context, before time.Time) (int, error) {
	if err := s.here(ctx); err != nil {
		return 0, err
	}
	files, err := names(filepath.Join(s.root, uploadsDir))
	if err != nil {
		return 0, s.fault("expire uploads", err)
	}
	n := 0
	var first error
	for _, file := range files {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		id, _, _ := strings.Cut(file, ".")
		if _, ok := parseID(id); !ok {
			continue
		}
		dropped, err := s.expire(id, file, before)
		if err != nil && first == nil {
			first = about(id, err)
		}
		if dropped && file != id+stateSuffix {
			n++
		}
	}
	return n, first
}

// expire drops the upload that the file is of, if the file is old. An upload's state file is never older than its data by more
// than the upload has grown since; but after a crash it may be the only one that is left.
func (s *Store) expire(id, file string, before time.Time) (dropped bool, err error) {
	ses, ok := s.sessions.try(id)
	if !ok {
		return false, nil
	}
	defer s.sessions.release(ses)
	path := filepath.Join(s.root, uploadsDir, file)
	i, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, s.fault("expire", err)
	}
	if !i.ModTime().Before(before) {
		return false, nil
	}
	err = s.drop(ses, path)
	return err == nil, err
}

// drop removes an upload's files.
func (s *Store) drop(ses *session, path string) error {
	ses.upload = nil
	for _, path := range []string{path, s.statePath(ses.id)} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return s.fault("drop", err)
		}
	}
	return nil
}

// take acquires an upload's session, with what is known of the upload up to date. The caller releases it.
func (s *Store) take(ctx context.Context, owner, id string) (*session, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	if _, ok := parseID(id); !ok {
		return nil, blobstore.ErrNotFound
	}
	ses, err := s.sessions.acquire(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := s.enter(ses, owner); err != nil {
		s.sessions.release(ses)
		return nil, err
	}
	return ses, nil
}

func (s *Store) enter(ses *session, owner string) error {
	u := ses.upload
	if u == nil {
		u, err := s.find(owner, ses.id)
		if err != nil {
			return err
		}
		if err := s.restore(u); err != nil {
			return err
		}
		ses.upload = u
		return nil
	}
	if u.owner != owner {
		return blobstore.ErrNotFound
	}
	if err := s.measure(u); err != nil {
		ses.upload = nil
		return err
	}
	if u.size < u.hashed { // it was made empty when it could not be synced
		return s.restore(u)
	}
	return nil
}

// about tells which upload an error is about.
func about(id string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("upload %.200q: %w", id, err)
}
