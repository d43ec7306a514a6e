package file

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/core/blobstore"
)

// saveEvery is how many bytes an upload grows before its state file is written again. Digesting that much anew after a restart
// takes milliseconds, and the pushes of small layers never write the file a second time.
const saveEvery = 4 << 20

// state is the content of an upload's state file. It is never synced: Begin must be cheap, and a power cut may take an
// upload back.
type state struct {
	Owner      string             `json:"owner"`
	Algorithms []digest.Algorithm `json:"algorithms,omitempty"`
	// Boot is the boot id of the machine when the file was written. After another boot the data file may lack what the
	// digests describe, since it isn't synced either.
	Boot string `json:"boot,omitempty"`
	// Offset is how many bytes Digests describe.
	Offset  int64                       `json:"offset,omitempty"`
	Digests map[digest.Algorithm][]byte `json:"digests,omitempty"`
}

// upload is what the server knows of an upload while it is used.
type upload struct {
	id, owner string
	algs      []digest.Algorithm
	digester  digester
	// size is the data file's. The digester has seen hashed bytes of it, the state file tells of saved.
	size, hashed, saved int64
	modTime             time.Time
}

func (u *upload) info() blobstore.Upload {
	return blobstore.Upload{ID: u.id, Owner: u.owner, Size: u.size, ModTime: u.modTime}
}

func (s *Store) statePath(id string) string {
	return filepath.Join(s.root, uploadsDir, id+".json")
}

func (s *Store) dataPath(id string) string {
	return filepath.Join(s.root, uploadsDir, id+".data")
}

// readState reads an upload's state file; blobstore.ErrNotFound when there is none, when a power cut spoilt it, and when it is
// another owner's.
func (s *Store) readState(owner, id string) (state, error) {
	var st state
	b, err := os.ReadFile(s.statePath(id))
	if errors.Is(err, fs.ErrNotExist) {
		if err := s.present(); err != nil {
			return st, err
		}
		return st, blobstore.ErrNotFound
	}
	if err != nil {
		return st, s.fault("read state", err)
	}
	if json.Unmarshal(b, &st) != nil || st.Owner != owner {
		return state{}, blobstore.ErrNotFound
	}
	return st, nil
}

// load makes an upload of its state file.
func (s *Store) load(owner, id string) (*upload, error) {
	st, err := s.readState(owner, id)
	if err != nil {
		return nil, err
	}
	u := &upload{id: id, owner: owner, algs: st.Algorithms}
	if u.digester, err = newDigester(u.algs); err != nil {
		return nil, err
	}
	if s.boot == "" || st.Boot != s.boot || st.Offset == 0 {
		return u, nil
	}
	if u.digester.unmarshal(st.Digests) != nil {
		u.digester, err = newDigester(u.algs)
		return u, err
	}
	u.hashed, u.saved = st.Offset, st.Offset
	return u, nil
}

// measure asks the file system for the upload's size. A data file with fewer bytes than were digested is digested anew.
func (s *Store) measure(u *upload) (err error) {
	u.size, u.modTime, err = s.dataSize(u.id)
	if err != nil {
		return err
	}
	if u.size >= u.hashed {
		return nil
	}
	if err := s.present(); err != nil {
		return err
	}
	u.hashed, u.saved = 0, 0
	u.digester, err = newDigester(u.algs)
	return err
}

// dataSize is the size of an upload's data, and when it last grew, or began.
func (s *Store) dataSize(id string) (int64, time.Time, error) {
	i, err := os.Lstat(s.dataPath(id))
	if err == nil {
		return i.Size(), i.ModTime(), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return 0, time.Time{}, s.fault("stat data", err)
	}
	if i, err = os.Lstat(s.statePath(id)); err != nil {
		return 0, time.Time{}, s.absentUpload("stat state", err)
	}
	return 0, i.ModTime(), nil
}

// catchUp digests what the data file has beyond hashed: bytes that were received but not described when the server ended.
func (s *Store) catchUp(ctx context.Context, u *upload) error {
	if u.hashed == u.size {
		return nil
	}
	f, err := os.Open(s.dataPath(u.id))
	if err != nil {
		return s.fault("read data", err)
	}
	defer f.Close()
	n, err := s.digest(ctx, io.NewSectionReader(f, u.hashed, u.size-u.hashed), u.digester)
	u.hashed += n
	if err == nil && u.hashed != u.size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return s.fault("read data", err)
	}
	return nil
}

// digest writes r to the digester; n bytes were digested.
func (s *Store) digest(ctx context.Context, r io.Reader, d digester) (n int64, err error) {
	buf := s.buffers.get()
	defer s.buffers.pool.Put(buf)
	for err == nil {
		var m int
		m, err = fill(ctx, r, buf[:])
		d.Write(buf[:m])
		n += int64(m)
	}
	return n, unlessEOF(err)
}

// save replaces the state file.
func (s *Store) save(u *upload) error {
	digests, err := u.digester.marshal()
	if err != nil {
		return err
	}
	b, err := json.Marshal(state{Owner: u.owner, Algorithms: u.algs, Boot: s.boot, Offset: u.hashed, Digests: digests})
	if err != nil {
		return err
	}
	tmp := filepath.Join(s.root, tmpDir, random())
	if err = writeNew(tmp, b); err != nil {
		return err
	}
	if err = os.Rename(tmp, s.statePath(u.id)); err != nil {
		os.Remove(tmp)
		return err
	}
	u.saved = u.hashed
	return nil
}

// writeNew writes a file that isn't there; on an error, it still isn't.
func writeNew(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, filePerm)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		os.Remove(path)
	}
	return err
}

// absentUpload is fault for an error of an upload's files: none means no upload, as long as the store is there.
func (s *Store) absentUpload(op string, err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return s.fault(op, err)
	}
	if err := s.present(); err != nil {
		return err
	}
	return fmt.Errorf("%s: %w", op, blobstore.ErrNotFound)
}
