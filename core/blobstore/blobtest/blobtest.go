// Package blobtest is the contract suite of blob stores: each sentence of package blobstore's contract is a test here.
package blobtest

import (
	"bytes"
	"context"
	_ "crypto/sha256" // available to go-digest
	_ "crypto/sha512" // available to go-digest
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/core/blobstore"
)

// Run runs the suite on an Uploader. open returns a new, empty store for each test; what it needs to clean up, and to
// check that nothing is left over, it registers with t.Cleanup: by then the suite has ended all uploads and deleted all blobs.
func Run(t *testing.T, open func(t *testing.T) blobstore.Uploader) {
	RunStore(t, func(t *testing.T) blobstore.Store { return open(t) })
	for _, tt := range uploadTests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.parallel {
				t.Parallel()
			}
			s := open(t)
			t.Cleanup(func() { sweep(t, s) })
			t.Cleanup(func() { noUploads(t, s) })
			tt.run(t, s)
		})
	}
}

// RunStore runs the suite on a Store without resumable writes.
func RunStore(t *testing.T, open func(t *testing.T) blobstore.Store) {
	for _, tt := range storeTests {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t)
			t.Cleanup(func() { sweep(t, s) })
			tt.run(t, s)
		})
	}
}

// sweep deletes all blobs, and fails the test when some stay.
func sweep(t *testing.T, s blobstore.Store) {
	t.Helper()
	ctx := context.Background()
	for _, info := range walk(t, s, "") {
		if err := s.Delete(ctx, info.Key); err != nil {
			t.Errorf("Delete(%q) = %v", info.Key, err)
		}
	}
	for _, info := range walk(t, s, "") {
		t.Errorf("left over after Delete: %q", info.Key)
	}
}

// noUploads fails the test when it left an upload open.
func noUploads(t *testing.T, s blobstore.Uploader) {
	t.Helper()
	n, err := s.Expire(context.Background(), time.Now().Add(time.Hour))
	if n != 0 || err != nil {
		t.Errorf("left over: %d uploads, %v", n, err)
	}
}

// walk returns all blobs after a key.
func walk(t *testing.T, s blobstore.Store, after string) []blobstore.Info {
	t.Helper()
	var infos []blobstore.Info
	err := s.Walk(context.Background(), after, func(i blobstore.Info) error {
		infos = append(infos, i)
		return nil
	})
	if err != nil {
		t.Fatalf("Walk(%q) = %v", after, err)
	}
	return infos
}

// put stores data.
func put(t *testing.T, s blobstore.Store, data []byte, algs ...digest.Algorithm) blobstore.Info {
	t.Helper()
	info, err := s.Put(context.Background(), bytes.NewReader(data), algs...)
	if err != nil {
		t.Fatalf("Put of %d bytes = %v", len(data), err)
	}
	return info
}

// holds fails the test unless info describes data, and the store has data at its key.
func holds(t *testing.T, s blobstore.Store, info blobstore.Info, data []byte) {
	t.Helper()
	if info.Size != int64(len(data)) {
		t.Errorf("size is %d, want %d", info.Size, len(data))
	}
	if info.Digests[digest.SHA256] == "" {
		t.Error("no sha256")
	}
	for alg, got := range info.Digests {
		if want := blobstore.Sum(alg, data); got != want {
			t.Errorf("%s is %s, want %s", alg, got, want)
		}
	}
	if age := time.Since(info.ModTime); age < -time.Second || age > time.Minute {
		t.Errorf("modification time is %v ago", age)
	}
	r, size, err := s.Open(context.Background(), info.Key)
	if err != nil {
		t.Fatalf("Open(%q) = %v", info.Key, err)
	}
	defer r.Close()
	if size != int64(len(data)) {
		t.Errorf("Open: size is %d, want %d", size, len(data))
	}
	same(t, r, data)
}

// same fails the test unless r reads data.
func same(t *testing.T, r io.Reader, data []byte) {
	t.Helper()
	got, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	if !bytes.Equal(got, data) {
		t.Errorf("read %d other bytes, want %d", len(got), len(data))
	}
}

// is fails the test unless err is target.
func is(t *testing.T, what string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("%s = %v, want %v", what, err, target)
	}
}

// random returns n bytes that are the same for the same n.
func random(n int) []byte {
	data := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), byte(n >> 16)}).Read(data) // never fails
	return data
}

// sizes are those at which stores may change how they work.
var sizes = []int{0, 1, 4095, 64<<10 - 1, 64 << 10, 64<<10 + 1, 128 << 10, 128<<10 + 1, 256 << 10, 256<<10 + 1, 5<<20 + 3}

// hostile are strings that no store gives as a key or id, and that must not lead anywhere.
var hostile = []string{
	"", ".", "..", "/", "../x", "../../etc/passwd", "/etc/passwd", "a/b", "a\\b", "x\x00y", "\x00", "\xff\xfe",
	"%2e%2e%2fx", " ", "-", "*", "tmp", "blobs", "uploads", ".repomgr-store.json",
	string(bytes.Repeat([]byte("a"), 64)), string(bytes.Repeat([]byte("a"), 32)), string(bytes.Repeat([]byte("a"), 1<<16)),
	string(bytes.Repeat([]byte("a"), 64)) + "." + string(bytes.Repeat([]byte("b"), 32)),
	string(bytes.Repeat([]byte("a"), 64)) + "./" + string(bytes.Repeat([]byte("b"), 31)),
	"../" + string(bytes.Repeat([]byte("a"), 61)) + "." + string(bytes.Repeat([]byte("b"), 32)),
}

// errBroken is the error of readers that fail.
var errBroken = errors.New("broken pipe of a test")

// broken reads data and then fails.
func broken(data []byte) io.Reader {
	return io.MultiReader(bytes.NewReader(data), failing{})
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errBroken }

// failingAtEnd fails because a context ends, as a request's body does.
type failingAtEnd struct{ cancel context.CancelFunc }

func (f *failingAtEnd) Read([]byte) (int, error) {
	f.cancel()
	return 0, errBroken
}

// untouched fails the test when it is read.
type untouched struct{ t *testing.T }

func (u untouched) Read([]byte) (int, error) {
	u.t.Error("the reader was read")
	return 0, io.EOF
}

// ending reads data endlessly and ends a context after the first n bytes.
type ending struct {
	n      int
	cancel context.CancelFunc
}

func (e *ending) Read(p []byte) (int, error) {
	if e.n <= 0 {
		e.cancel()
	}
	n := min(len(p), 32<<10)
	clear(p[:n])
	e.n -= n
	return n, nil
}
