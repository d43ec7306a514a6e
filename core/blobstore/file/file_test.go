package file

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/core/blobstore"
	"github.com/repomgr/repomgr/core/blobstore/blobtest"
)

var identity = Identity{Store: "store-1", Installation: "installation-1"}

// open opens the store in root, which must be available.
func open(t testing.TB, root string, o Options) *Store {
	t.Helper()
	s, err := Open(root, identity, o)
	if err != nil {
		t.Fatalf("Open = %v", err)
	}
	if reason := s.Unavailable(); reason != "" {
		t.Fatalf("unavailable: %s", reason)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// fresh makes a store in a directory of its own.
func fresh(t testing.TB) *Store {
	t.Helper()
	return open(t, filepath.Join(t.TempDir(), "store"), Options{Create: true})
}

// files are those in the store's parent directory, without the marker.
func files(t *testing.T, s *Store) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(filepath.Dir(s.root), func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && path != filepath.Join(s.root, markerName) {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestContract(t *testing.T) {
	clean := func(t *testing.T) *Store {
		s := fresh(t)
		t.Cleanup(func() {
			if left := files(t, s); len(left) != 0 {
				t.Errorf("left over: %v", left)
			}
			if len(s.sessions.open) != 0 {
				t.Errorf("left over: %d sessions", len(s.sessions.open))
			}
		})
		return s
	}
	blobtest.Run(t, func(t *testing.T) blobstore.Uploader { return clean(t) })
	blobtest.RunStager(t, func(t *testing.T) blobstore.Stager { return clean(t) })
}

func TestLayout(t *testing.T) {
	s := fresh(t)
	info, err := s.Put(context.Background(), strings.NewReader("abc"))
	if err != nil {
		t.Fatal(err)
	}
	sha := digest.FromString("abc").Encoded()
	if !strings.HasPrefix(info.Key, sha+".") {
		t.Errorf("key is %q, want the sha256 in it", info.Key)
	}
	if b, err := os.ReadFile(filepath.Join(s.root, "blobs", sha[:2], info.Key)); err != nil || string(b) != "abc" {
		t.Errorf("the file holds %q, %v", b, err)
	}
	r, _, err := s.Open(context.Background(), info.Key)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, ok := r.(*os.File); !ok {
		t.Errorf("Open returns a %T, which can't be sent by sendfile", r)
	}
	st, err := s.Stat(context.Background(), info.Key)
	if err != nil || !st.ModTime.Equal(info.ModTime) || st.Digests[digest.SHA256].Encoded() != sha {
		t.Errorf("Stat = %+v, %v; Put said %+v", st, err, info)
	}
}

// TestDurable: the bytes are synced before they have their key, and the key before it is told.
func TestDurable(t *testing.T) {
	ctx := context.Background()
	for name, store := range map[string]func(s *Store) (blobstore.Info, error){
		"Put": func(s *Store) (blobstore.Info, error) { return s.Put(ctx, strings.NewReader("abc")) },
		"Finish": func(s *Store) (blobstore.Info, error) {
			id := begin(t, s)
			grow(t, s, id, []byte("abc"))
			return s.Finish(ctx, "o", id, "")
		},
	} {
		s := fresh(t)
		var synced []string
		s.sync = func(f *os.File) error {
			if b, err := os.ReadFile(f.Name()); err == nil && string(b) != "abc" {
				t.Errorf("%s: %s is synced with %q in it", name, f.Name(), b)
			}
			stored := 0
			if err := s.Walk(ctx, "", func(blobstore.Info) error { stored++; return nil }); err != nil || stored != len(synced) {
				t.Errorf("%s: %d blobs, %v, at the sync of %s after %v", name, stored, err, f.Name(), synced)
			}
			synced = append(synced, f.Name())
			return f.Sync()
		}
		info, err := store(s)
		if err != nil || len(synced) != 2 || synced[1] != s.blobDir(info.Key) {
			t.Errorf("%s = %v; synced %v, want the file and then %s", name, err, synced, s.blobDir(info.Key))
		}
	}
}

// failSync makes the n-th sync from now on fail.
func failSync(s *Store, n int) {
	s.sync = func(f *os.File) error {
		if n--; n == 0 {
			return syscall.EIO
		}
		return f.Sync()
	}
}

func TestPutThatCantSync(t *testing.T) {
	for n := 1; n <= 2; n++ {
		s := fresh(t)
		failSync(s, n)
		if _, err := s.Put(context.Background(), strings.NewReader("abc")); !errors.Is(err, syscall.EIO) {
			t.Errorf("Put = %v, want %v", err, syscall.EIO)
		}
		if left := files(t, s); len(left) != 0 {
			t.Errorf("left over: %v", left)
		}
	}
}

// TestHostileKey has the form of a key, and leads to a file if only the form is looked at.
func TestHostileKey(t *testing.T) {
	s := fresh(t)
	ctx := context.Background()
	name := "." + strings.Repeat("x", randomLen)
	write(t, filepath.Join(s.root, name), "secret")
	key := ".." + strings.Repeat("/", sha256Len-len("..store/")) + "store/" + name
	if _, err := os.Stat(s.blobPath(key)); err != nil || len(key) != sha256Len+1+randomLen {
		t.Fatalf("the key doesn't lead to the file: %v", err)
	}
	if _, _, err := s.Open(ctx, key); !errors.Is(err, blobstore.ErrNotFound) {
		t.Errorf("Open = %v", err)
	}
	if _, err := s.Stat(ctx, key); !errors.Is(err, blobstore.ErrNotFound) {
		t.Errorf("Stat = %v", err)
	}
	if err := s.Delete(ctx, key); err != nil {
		t.Errorf("Delete = %v", err)
	}
	if _, err := os.Stat(filepath.Join(s.root, name)); err != nil {
		t.Errorf("Delete has followed it: %v", err)
	}
}

func TestParseID(t *testing.T) {
	hex := strings.Repeat("0a", randomLen/2)
	tests := []struct {
		name, id string
		want     []digest.Algorithm
		ok       bool
	}{
		{"no digest", hex, nil, true},
		{"a digest", hex + "-sha512", []digest.Algorithm{digest.SHA512}, true},
		{"two digests", hex + "-sha384-sha512", []digest.Algorithm{digest.SHA384, digest.SHA512}, true},
		{"unknown digest", hex + "-md4", nil, false},
		{"nothing after the dash", hex + "-", nil, false},
		{"a path after the dash", hex + "-sha512-../x", nil, false},
		{"too long", hex + strings.Repeat("-sha512", 5), nil, false},
		{"upper case", strings.ToUpper(hex), nil, false},
		{"short", hex[1:], nil, false},
		{"empty", "", nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			algs, ok := parseID(tt.id)
			if ok != tt.ok || !slices.Equal(algs, tt.want) {
				t.Errorf("parseID(%q) = %v, %v, want %v, %v", tt.id, algs, ok, tt.want, tt.ok)
			}
		})
	}
}

func TestWalkPassesOverForeignFiles(t *testing.T) {
	s := fresh(t)
	for _, name := range []string{"README", strings.Repeat("0", 64), ".nfs0001"} {
		if err := os.WriteFile(filepath.Join(s.root, "blobs", "00", name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Walk(context.Background(), "", func(i blobstore.Info) error { return errors.New(i.Key) }); err != nil {
		t.Errorf("Walk saw %v", err)
	}
}

func TestConcurrentWriters(t *testing.T) {
	s := fresh(t)
	data := make([]byte, 300<<10)
	var keys sync.Map
	var wg sync.WaitGroup
	for w := range 256 {
		wg.Go(func() {
			size := 10 << 10
			if w%16 == 0 {
				size = len(data)
			}
			info, err := s.Put(context.Background(), io.MultiReader(bytes.NewReader([]byte{byte(w)}), bytes.NewReader(data[:size])))
			if err != nil {
				t.Errorf("Put = %v", err)
			}
			keys.Store(info.Key, byte(w))
		})
	}
	wg.Wait()
	n := 0
	err := s.Walk(context.Background(), "", func(i blobstore.Info) error {
		n++
		w, ok := keys.Load(i.Key)
		b, err := os.ReadFile(s.blobPath(i.Key))
		if err != nil || !ok || b[0] != w || digest.FromBytes(b) != sha256Of(i.Key) {
			t.Errorf("%s: %v, or other bytes than were put", i.Key, err)
		}
		return nil
	})
	if n != 256 || err != nil {
		t.Errorf("%d blobs, %v, want 256", n, err)
	}
	if left := len(files(t, s)); left != 256 {
		t.Errorf("%d files, want 256", left)
	}
}

// panicking stands for a body whose reading panics, as net/http's may.
type panicking struct{}

func (panicking) Read([]byte) (int, error) { panic("aborted") }

func TestPanickingReader(t *testing.T) {
	s := fresh(t)
	ctx := context.Background()
	u, err := s.Begin(ctx, "o")
	if err != nil {
		t.Fatal(err)
	}
	for name, write := range map[string]func(r io.Reader){
		"Put":    func(r io.Reader) { s.Put(ctx, r) },
		"Append": func(r io.Reader) { s.Append(ctx, "o", u.ID, -1, r) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s swallowed the panic", name)
				}
			}()
			write(io.MultiReader(bytes.NewReader(make([]byte, 1<<20)), panicking{}))
		}()
	}
	if left, err := names(filepath.Join(s.root, tmpDir)); len(left) != 0 || err != nil {
		t.Errorf("left over: %v, %v", left, err)
	}
	// The upload is free, and its digest is that of what it holds.
	u, err = s.Append(ctx, "o", u.ID, -1, strings.NewReader("end"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Finish(ctx, "o", u.ID, digest.FromBytes(append(make([]byte, u.Size-3), "end"...))); err != nil {
		t.Error(err)
	}
}

func TestClearTmp(t *testing.T) {
	s := fresh(t)
	root := s.root
	now, old := filepath.Join(root, tmpDir, "now"), filepath.Join(root, tmpDir, "old")
	leave := func() {
		for _, path := range []string{now, old} {
			if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		long := time.Now().Add(-2 * staleAfter)
		if err := os.Chtimes(old, long, long); err != nil {
			t.Fatal(err)
		}
	}
	left := func() []string {
		l, err := names(filepath.Join(root, tmpDir))
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(l)
		return l
	}

	leave()
	second := open(t, root, Options{})
	if got := left(); !slices.Equal(got, []string{"now"}) {
		t.Errorf("while somebody else may write, %v is left, want only what is new", got)
	}
	s.Close()
	leave()
	third := open(t, root, Options{})
	if got := left(); !slices.Equal(got, []string{"now"}) {
		t.Errorf("the second one's lock doesn't count: %v is left", got)
	}
	second.Close()
	third.Close()
	leave()
	time.Sleep(20 * time.Millisecond) // the clocks of file systems are coarse
	open(t, root, Options{})
	if got := left(); len(got) != 0 {
		t.Errorf("after a crash, %v is left", got)
	}
}

func TestSpace(t *testing.T) {
	if n, err := fresh(t).Space(); n <= 0 || err != nil {
		t.Errorf("Space = %d, %v", n, err)
	}
}
