package file

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
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

// saveEvery is how many bytes an upload grows before its state file is written. Digesting that much anew after a restart takes
// milliseconds, and the pushes of small layers make no file but the one that becomes the blob.
const saveEvery = 4 << 20

// state is the content of an upload's state file. Like the data file it is not synced before the upload is finished: a power
// cut may take an upload back.
type state struct {
	// Boot is the boot id of the machine when the file was written. After another boot the data file may lack what the
	// digests describe.
	Boot string `json:"boot"`
	// Offset is how many bytes Digests describe.
	Offset  int64                       `json:"offset"`
	Digests map[digest.Algorithm][]byte `json:"digests"`
}

// upload is what the server knows of an upload while it is used.
type upload struct {
	id, owner string
	// path is the data file's.
	path     string
	algs     []digest.Algorithm
	digester digester
	// size is the data file's. The digester has seen hashed bytes of it, the state file tells of saved.
	size, hashed, saved int64
	modTime             time.Time
}

func (u *upload) info() blobstore.Upload {
	return blobstore.Upload{ID: u.id, Owner: u.owner, Size: u.size, ModTime: u.modTime}
}

const stateSuffix = ".state"

func (s *Store) statePath(id string) string {
	return filepath.Join(s.root, uploadsDir, id+stateSuffix)
}

// dataPath is where the upload's bytes are. Another owner's upload is at another path, and so isn't found.
func (s *Store) dataPath(owner, id string) string {
	hash := sha256.Sum256([]byte(owner))
	return filepath.Join(s.root, uploadsDir, id+"."+hex.EncodeToString(hash[:randomLen/2]))
}

// find looks for an upload; blobstore.ErrNotFound when there is none. It doesn't read the state file.
func (s *Store) find(owner, id string) (*upload, error) {
	algs, ok := parseID(id)
	if !ok {
		return nil, blobstore.ErrNotFound
	}
	u := &upload{id: id, owner: owner, path: s.dataPath(owner, id), algs: algs}
	return u, s.measure(u)
}

// measure asks the file system for the upload's size.
func (s *Store) measure(u *upload) error {
	i, err := os.Lstat(u.path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := s.present(); err != nil {
			return err
		}
		return blobstore.ErrNotFound
	}
	if err != nil {
		return s.fault("stat data", err)
	}
	if !i.Mode().IsRegular() {
		return fmt.Errorf("%w: %w", blobstore.ErrNotFound, errIrregular)
	}
	u.size, u.modTime = i.Size(), i.ModTime()
	return nil
}

// restore gives an upload the digester of its state file, if that can be used, else a new one.
func (s *Store) restore(u *upload) (err error) {
	if u.digester, err = newDigester(u.algs); err != nil {
		return err
	}
	u.hashed, u.saved = 0, 0
	if u.size == 0 {
		return nil
	}
	var st state
	b, err := os.ReadFile(s.statePath(u.id))
	if err != nil || json.Unmarshal(b, &st) != nil || s.boot == "" || st.Boot != s.boot || st.Offset > u.size {
		return nil // everything is digested anew
	}
	if u.digester.unmarshal(st.Digests) != nil {
		u.digester, err = newDigester(u.algs)
		return err
	}
	u.hashed, u.saved = st.Offset, st.Offset
	return nil
}

// catchUp digests what the data file has beyond hashed: bytes that were received but not described when the server ended.
func (s *Store) catchUp(ctx context.Context, u *upload) error {
	if u.hashed == u.size {
		return nil
	}
	f, err := os.Open(u.path)
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
	defer s.buffers.put(buf)
	for err == nil {
		var m int
		m, err = fill(ctx, r, buf)
		d.add(buf[:m])
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
	b, err := json.Marshal(state{Boot: s.boot, Offset: u.hashed, Digests: digests})
	if err != nil {
		return err
	}
	tmp := filepath.Join(s.root, tmpDir, random())
	err = os.WriteFile(tmp, b, filePerm)
	if err == nil {
		err = os.Rename(tmp, s.statePath(u.id))
	}
	if err != nil {
		os.Remove(tmp)
		return fmt.Errorf("save state: %w", err)
	}
	u.saved = u.hashed
	return nil
}
