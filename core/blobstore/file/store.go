// Package file keeps blobs in a directory of the local file system.
//
//	.repomgr-store.json                      the marker: whose store this is
//	blobs/<2 hex>/<sha256 hex>.<random hex>  durable blobs; 256 directories, made when the store is created
//	tmp/<random hex>                         writes in progress; nothing in it was ever acknowledged
//	uploads/<id>.<hash of the owner>         resumable uploads: the bytes so far
//	uploads/<id>.state                       the digests of a part of them, once there are many
//	quarantine/<sha256 hex>.<random hex>     what was put aside, and after a dot another random hex if there is one of that name
//
// A blob's key is its file's name. It holds the sha256, so that stored bytes can be verified without the database.
package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/repomgr/repomgr/core/blobstore"
)

const (
	dirPerm  = 0o750
	filePerm = 0o640
	// patience is how long a second writer of an upload waits for the first one.
	patience = 5 * time.Second
	// staleAfter is the age at which a file in tmp is nobody's, where that can't be known from a lock.
	staleAfter = 24 * time.Hour
	// reopenAfter is how long a store that could not be opened is left alone.
	reopenAfter = time.Second
)

// Options are the optional settings of Open.
type Options struct {
	// Create makes a store of a root that is absent or empty. Without it, such a root makes the store unavailable: it may
	// be the mount point of a medium that is not mounted.
	Create bool
}

// Store is a blobstore.Uploader in a directory.
type Store struct {
	root     string
	identity Identity
	// marker is the marker file, held open for the lock on it; nil as long as the store could not be opened.
	marker atomic.Pointer[os.File]
	// opening guards reason, why the store could not be opened at the time tried, and closed.
	opening sync.Mutex
	reason  string
	tried   time.Time
	closed  bool

	buffers  buffers
	sessions sessions
	// sync makes a file, or the entries of a directory, durable: (*os.File).Sync.
	sync func(*os.File) error
	// boot names the time since the machine was started; empty when it is not known.
	boot string
}

var _ blobstore.Uploader = (*Store)(nil)

// Open opens the store in the directory root, which must be the store that id names. When it isn't, or can't be read, the
// returned store is unavailable: each of its methods fails with an error that wraps blobstore.ErrUnavailable and tells the
// reason, until it turns out to be there. An error is returned for invalid arguments only. The caller closes the store.
func Open(root string, id Identity, o Options) (*Store, error) {
	if root == "" || id.Store == "" || id.Installation == "" {
		return nil, errors.New("open blob store: root, store id and installation id are required")
	}
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("open blob store: %w", err)
	}
	s := &Store{
		root: root, identity: id, boot: bootID(), sync: (*os.File).Sync,
		sessions: newSessions(),
	}
	s.reopen(o)
	return s, nil
}

// reopen opens a store that is not open, unless that was tried a moment ago. It returns the reason why the store is not
// open; empty when it is.
func (s *Store) reopen(o Options) string {
	s.opening.Lock()
	defer s.opening.Unlock()
	if s.marker.Load() != nil {
		return ""
	}
	if s.closed || time.Since(s.tried) < reopenAfter {
		return s.reason
	}
	s.reason = ""
	if err := s.open(o); err != nil {
		s.reason = err.Error()
	}
	s.tried = time.Now()
	return s.reason
}

// open checks, or makes, what is in the root, and clears tmp.
func (s *Store) open(o Options) error {
	err := checkMarker(s.root, s.identity)
	if o.Create && errors.Is(err, errNoMarker) {
		err = create(s.root, s.identity)
	}
	if err != nil {
		return err
	}
	if err := checkLayout(s.root); err != nil {
		return err
	}
	f, err := os.Open(filepath.Join(s.root, markerName))
	if err != nil {
		return err
	}
	s.clearTmp(f)
	s.marker.Store(f)
	return nil
}

// clearTmp removes what writes left behind that a crash ended. Another process, or another Store in this one, may be
// writing there at this moment; so everything is removed only when nobody else holds the store's lock, else what is old. An
// error is of no consequence: a store on a read-only medium can still be read.
func (s *Store) clearTmp(marker *os.File) {
	before := time.Now()
	if !lockAlone(marker) {
		before = before.Add(-staleAfter)
	}
	lockShared(marker)
	dir := filepath.Join(s.root, tmpDir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if i, err := e.Info(); err == nil && i.ModTime().Before(before) {
			os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}

// Close releases the store's lock. Writes in progress are not waited for.
func (s *Store) Close() error {
	s.opening.Lock()
	defer s.opening.Unlock()
	if s.closed = true; s.marker.Load() == nil {
		return nil
	}
	return s.marker.Load().Close()
}

// Unavailable tells why the store can't be used now; empty when it can. A store that could not be opened, or whose medium
// went away, is available when what it lacked is there.
func (s *Store) Unavailable() string {
	if reason := s.unopened(); reason != "" {
		return reason
	}
	if err := checkMarker(s.root, s.identity); err != nil {
		return err.Error()
	}
	return ""
}

// Space tells how many bytes an unprivileged writer can still add to the file system.
func (s *Store) Space() (available int64, err error) {
	if err := s.here(context.Background()); err != nil {
		return 0, err
	}
	n, err := space(s.root)
	if err != nil {
		return 0, s.fault("ask for the space of "+s.root, err)
	}
	return n, nil
}

// unopened is the reason why the store is not open; empty when it is.
func (s *Store) unopened() string {
	if s.marker.Load() != nil {
		return ""
	}
	return s.reopen(Options{})
}

// ready fails when the context has ended or the store is not open. Of an open store it asks nothing: that is enough for what
// names something in the store, which another directory in its place doesn't have.
func (s *Store) ready(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if reason := s.unopened(); reason != "" {
		return s.unavailable(reason)
	}
	return nil
}

// here is ready for what would work in another directory too.
func (s *Store) here(ctx context.Context) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	return s.present()
}

func (s *Store) unavailable(reason string) error {
	return fmt.Errorf("blob store %s: %w: %s", s.root, blobstore.ErrUnavailable, reason)
}

// present fails when the root is no longer the store that was opened. It is asked before "there is no such blob" is told to
// anybody, since the directory below an unmounted medium is empty.
func (s *Store) present() error {
	then, err := s.marker.Load().Stat()
	if err == nil {
		if now, err := os.Lstat(filepath.Join(s.root, markerName)); err == nil && os.SameFile(then, now) {
			return nil
		}
	}
	if err := checkMarker(s.root, s.identity); err != nil {
		return s.unavailable(err.Error())
	}
	return nil
}

// fault wraps an error of the file system with the operation and the meaning it has for callers.
func (s *Store) fault(op string, err error) error {
	if meaning := blobstore.Fault(err); meaning != nil {
		return fmt.Errorf("%s: %w: %w", op, meaning, err)
	}
	if errors.Is(err, fs.ErrNotExist) {
		if gone := s.present(); gone != nil {
			return fmt.Errorf("%s: %w", op, gone)
		}
	}
	return fmt.Errorf("%s: %w", op, err)
}
