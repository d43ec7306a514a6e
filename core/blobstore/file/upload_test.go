package file

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/core/blobstore"
)

// pattern returns n bytes that are the same for the same n.
func pattern(n int) []byte {
	data := make([]byte, n)
	rand.NewChaCha8([32]byte{7}).Read(data)
	return data
}

func grow(t *testing.T, s *Store, id string, data []byte) blobstore.Upload {
	t.Helper()
	u, err := s.Append(context.Background(), "o", id, -1, bytes.NewReader(data))
	if err != nil {
		t.Fatalf("Append = %v", err)
	}
	return u
}

func begin(t *testing.T, s *Store, algs ...digest.Algorithm) string {
	t.Helper()
	u, err := s.Begin(context.Background(), "o", algs...)
	if err != nil {
		t.Fatalf("Begin = %v", err)
	}
	return u.ID
}

func readState(t *testing.T, s *Store, id string) state {
	t.Helper()
	b, err := os.ReadFile(s.statePath(id))
	if err != nil {
		t.Fatal(err)
	}
	var st state
	if err := json.Unmarshal(b, &st); err != nil {
		t.Fatal(err)
	}
	return st
}

// TestRestart continues an upload in a new Store, after changes that tell whether the bytes are digested anew.
func TestRestart(t *testing.T) {
	const first, tail, second = saveEvery + 1000, 5000, 2 << 20
	data := pattern(first + tail + second)
	flipped := bytes.Clone(data)
	flipped[17] ^= 1
	tests := []struct {
		name string
		// crash changes the files of the upload, which holds the first bytes, and the new Store.
		crash func(t *testing.T, s *Store, id string)
		size  int
		want  []byte
	}{
		{"shut down", func(*testing.T, *Store, string) {}, first, data},
		{"state is used", flip, first, data},
		{"killed in mid-append", addTail(data[first : first+tail]), first + tail, data},
		{"state is used for all but the tail", func(t *testing.T, s *Store, id string) {
			addTail(data[first:first+tail])(t, s, id)
			flip(t, s, id)
		}, first + tail, data},
		{"other boot", func(t *testing.T, s *Store, id string) {
			flip(t, s, id)
			s.boot = "other"
		}, first, flipped},
		{"boot is not known", func(t *testing.T, s *Store, id string) {
			flip(t, s, id)
			s.boot = ""
		}, first, flipped},
		{"power cut took a part", truncate(first - 500), first - 500, data},
		{"power cut took all", truncate(0), 0, data},
		{"power cut took the state file", func(t *testing.T, s *Store, id string) {
			if err := os.Remove(s.statePath(id)); err != nil {
				t.Fatal(err)
			}
		}, first, data},
		{"power cut spoilt the state file", func(t *testing.T, s *Store, id string) { write(t, s.statePath(id), "") }, first, data},
		{"spoilt digest state", func(t *testing.T, s *Store, id string) {
			st := readState(t, s, id)
			st.Digests[digest.SHA512] = []byte("x")
			b, err := json.Marshal(st)
			if err != nil {
				t.Fatal(err)
			}
			write(t, s.statePath(id), string(b))
		}, first, data},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx := context.Background()
			killed := fresh(t)
			id := begin(t, killed, digest.SHA512)
			grow(t, killed, id, data[:1000])
			grow(t, killed, id, data[1000:first])

			s := open(t, killed.root, Options{})
			tt.crash(t, s, id)
			u, err := s.Upload(ctx, "o", id)
			if err != nil || u.Size != int64(tt.size) {
				t.Fatalf("Upload = %+v, %v, want %d bytes", u, err, tt.size)
			}
			if _, err := s.Append(ctx, "o", id, u.Size, bytes.NewReader(data[tt.size:])); err != nil {
				t.Fatalf("Append = %v", err)
			}
			info, err := s.Finish(ctx, "o", id, "")
			if err != nil {
				t.Fatalf("Finish = %v", err)
			}
			if left := files(t, s); len(left) != 1 || left[0] != s.blobPath(info.Key) {
				t.Errorf("left over: %v", left)
			}
			if info.Size != int64(len(data)) || info.Digests[digest.SHA256] != digest.FromBytes(tt.want) ||
				info.Digests[digest.SHA512] != digest.SHA512.FromBytes(tt.want) {
				t.Errorf("Finish = %+v, not the digests of the bytes that count", info)
			}
		})
	}
}

// flip changes a byte of the part that the state file describes.
func flip(t *testing.T, s *Store, id string) {
	t.Helper()
	if readState(t, s, id).Offset < 18 {
		t.Fatal("the state file describes nothing")
	}
	f, err := os.OpenFile(s.dataPath("o", id), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], 17); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1
	if _, err := f.WriteAt(b[:], 17); err != nil {
		t.Fatal(err)
	}
}

func addTail(tail []byte) func(*testing.T, *Store, string) {
	return func(t *testing.T, s *Store, id string) {
		f, err := os.OpenFile(s.dataPath("o", id), os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.Write(tail); err != nil {
			t.Fatal(err)
		}
	}
}

func truncate(size int64) func(*testing.T, *Store, string) {
	return func(t *testing.T, s *Store, id string) {
		if err := os.Truncate(s.dataPath("o", id), size); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFinishAfterRestart finishes without another append.
func TestFinishAfterRestart(t *testing.T) {
	for _, n := range []int{0, 10, saveEvery, saveEvery + 10} {
		killed := fresh(t)
		id := begin(t, killed)
		grow(t, killed, id, pattern(n))
		s := open(t, killed.root, Options{})
		if _, err := s.Finish(context.Background(), "o", id, digest.FromBytes(pattern(n))); err != nil {
			t.Errorf("Finish of %d bytes = %v", n, err)
		}
	}
}

// TestSmallUploadsAreCheap: a small upload has one file, which becomes the blob.
func TestSmallUploadsAreCheap(t *testing.T) {
	s := fresh(t)
	id := begin(t, s)
	before, err := os.Stat(s.dataPath("o", id))
	if err != nil {
		t.Fatal(err)
	}
	grow(t, s, id, pattern(1<<20))
	if got := files(t, s); len(got) != 1 {
		t.Errorf("the files are %v, want one", got)
	}
	info, err := s.Finish(context.Background(), "o", id, "")
	if err != nil {
		t.Fatal(err)
	}
	if after, err := os.Stat(s.blobPath(info.Key)); err != nil || !os.SameFile(before, after) {
		t.Errorf("the blob is another file, or %v", err)
	}
	id = begin(t, s)
	grow(t, s, id, pattern(1<<20))
	grow(t, s, id, pattern(saveEvery-1<<20))
	if st := readState(t, s, id); st.Offset != saveEvery {
		t.Errorf("the state file describes %d bytes, want %d", st.Offset, saveEvery)
	}
}

// TestContinuesWithoutReading: what this process has received it does not read again, saved or not.
func TestContinuesWithoutReading(t *testing.T) {
	s := fresh(t)
	id := begin(t, s)
	grow(t, s, id, []byte("abc"))
	if err := os.WriteFile(s.dataPath("o", id), []byte("xyz"), 0o600); err != nil {
		t.Fatal(err)
	}
	grow(t, s, id, []byte("def"))
	if _, err := s.Finish(context.Background(), "o", id, digest.FromString("abcdef")); err != nil {
		t.Errorf("Finish = %v", err)
	}
}

// TestTwoStores: of an upload that another Store ended, nothing is kept.
func TestTwoStores(t *testing.T) {
	s := fresh(t)
	id := begin(t, s)
	grow(t, s, id, []byte("abc"))
	if _, err := open(t, s.root, Options{}).Finish(context.Background(), "o", id, digest.FromString("abc")); err != nil {
		t.Errorf("Finish = %v", err)
	}
	if u, err := s.Append(context.Background(), "o", id, -1, strings.NewReader("x")); !errors.Is(err, blobstore.ErrNotFound) {
		t.Errorf("Append = %+v, %v", u, err)
	}
	if len(s.sessions.open) != 0 {
		t.Errorf("left over: %d sessions", len(s.sessions.open))
	}
}

// TestLostData: a power cut may leave a state file without data.
func TestLostData(t *testing.T) {
	s := fresh(t)
	ctx := context.Background()
	id := begin(t, s)
	grow(t, s, id, pattern(saveEvery))
	if err := os.Remove(s.dataPath("o", id)); err != nil {
		t.Fatal(err)
	}
	s = open(t, s.root, Options{})
	if _, err := s.Upload(ctx, "o", id); !errors.Is(err, blobstore.ErrNotFound) {
		t.Errorf("Upload = %v, want %v", err, blobstore.ErrNotFound)
	}
	if _, err := s.Append(ctx, "o", id, -1, bytes.NewReader(nil)); !errors.Is(err, blobstore.ErrNotFound) {
		t.Errorf("Append = %v, want %v", err, blobstore.ErrNotFound)
	}
	if n, err := s.Expire(ctx, time.Now().Add(time.Hour)); n != 0 || err != nil {
		t.Errorf("Expire = %d, %v, want 0", n, err)
	}
	if left := files(t, s); len(left) != 0 {
		t.Errorf("left over: %v", left)
	}
}

// TestFinishThatCantSync: the bytes may be lost, so the upload is empty, and can be repeated.
func TestFinishThatCantSync(t *testing.T) {
	for n := 1; n <= 2; n++ {
		s := fresh(t)
		ctx := context.Background()
		id := begin(t, s)
		grow(t, s, id, pattern(saveEvery))
		failSync(s, n)
		if _, err := s.Finish(ctx, "o", id, ""); !errors.Is(err, syscall.EIO) {
			t.Fatalf("Finish = %v, want %v", err, syscall.EIO)
		}
		if u, err := s.Upload(ctx, "o", id); err != nil || u.Size != 0 {
			t.Errorf("Upload = %+v, %v, want nothing of what can't be trusted", u, err)
		}
		if left := files(t, s); len(left) != 1 || left[0] != s.dataPath("o", id) {
			t.Errorf("left over: %v", left)
		}
		grow(t, s, id, []byte("abc"))
		if _, err := s.Finish(ctx, "o", id, digest.FromString("abc")); err != nil {
			t.Errorf("Finish = %v", err)
		}
	}
}

// TestFinishThatFails leaves the upload as it was.
func TestFinishThatFails(t *testing.T) {
	s := fresh(t)
	ctx := context.Background()
	id := begin(t, s)
	grow(t, s, id, []byte("abc"))
	want := digest.FromString("abc")
	dir := filepath.Join(s.root, blobsDir, want.Encoded()[:2])
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Finish(ctx, "o", id, want); err == nil {
		t.Fatal("Finish without a directory is no error")
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	grow(t, s, id, nil)
	if _, err := s.Finish(ctx, "o", id, want); err != nil {
		t.Errorf("Finish = %v", err)
	}
}
