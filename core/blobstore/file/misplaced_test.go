package file

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/core/blobstore"
)

// putFile stores bytes and returns their key.
func putFile(t *testing.T, s *Store, body string) string {
	t.Helper()
	info, err := s.Put(context.Background(), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return info.Key
}

// displace moves a blob's file to another directory, and returns its place.
func displace(t *testing.T, s *Store, key, dir string) string {
	t.Helper()
	place := filepath.Join(dir, key)
	if err := os.Rename(s.blobPath(key), filepath.Join(s.root, place)); err != nil {
		t.Fatal(err)
	}
	return place
}

// places are those that Misplaced tells.
func places(t *testing.T, s *Store) []string {
	t.Helper()
	var found []string
	err := s.Misplaced(context.Background(), func(place string, i blobstore.Info) error {
		if filepath.Base(place) != i.Key || i.Digests[digest.SHA256] != sha256Of(i.Key) {
			t.Errorf("%s: %+v", place, i)
		}
		found = append(found, place)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// otherDir is a directory of blobs that is not the key's.
func otherDir(key string) string {
	if key[:2] == "00" {
		return "blobs/ff"
	}
	return "blobs/00"
}

func TestMisplaced(t *testing.T) {
	ctx := context.Background()
	for _, tt := range []struct {
		name string
		// spoil does something to the misplaced file, or to where it belongs.
		spoil func(s *Store, key, place string) error
		back  bool
	}{
		{"back", func(*Store, string, string) error { return nil }, true},
		{"place is taken", func(s *Store, key, _ string) error { return os.WriteFile(s.blobPath(key), []byte("other"), 0o600) }, false},
		{"a directory is in its place", func(s *Store, key, _ string) error { return os.Mkdir(s.blobPath(key), 0o700) }, false},
		{"wrong bytes", func(s *Store, _, place string) error {
			return os.WriteFile(filepath.Join(s.root, place), []byte("abd"), 0o600)
		}, false},
		{"directory", func(s *Store, _, place string) error {
			return errors.Join(os.Remove(filepath.Join(s.root, place)), os.Mkdir(filepath.Join(s.root, place), 0o700))
		}, false},
	} {
		for _, dir := range []string{"", "blobs"} {
			t.Run(tt.name+" "+dir, func(t *testing.T) {
				s := fresh(t)
				putFile(t, s, "another")
				key := putFile(t, s, "abc")
				if got := places(t, s); len(got) != 0 {
					t.Errorf("before: %v", got)
				}
				if dir == "" {
					dir = otherDir(key)
				}
				place := displace(t, s, key, dir)
				if err := tt.spoil(s, key, place); err != nil {
					t.Fatal(err)
				}
				if got := places(t, s); !slices.Equal(got, []string{place}) {
					t.Fatalf("misplaced: %v, want %s", got, place)
				}
				before, _ := os.ReadFile(s.blobPath(key))
				if back, err := s.PutBack(ctx, place); back != tt.back || err != nil {
					t.Errorf("PutBack = %t, %v", back, err)
				}
				if got := places(t, s); len(got) != 0 {
					t.Errorf("after: %v", got)
				}
				if tt.back {
					before = []byte("abc")
				}
				if after, _ := os.ReadFile(s.blobPath(key)); string(after) != string(before) {
					t.Errorf("in its place is %q, want %q", after, before)
				}
				if _, err := os.Lstat(filepath.Join(s.root, quarantineDir, key)); (err == nil) == tt.back {
					t.Errorf("in quarantine: %v", err)
				}
				if _, err := s.PutBack(ctx, place); !errors.Is(err, blobstore.ErrNotFound) {
					t.Errorf("a second PutBack = %v", err)
				}
			})
		}
	}
}

// TestWalkOrder: a file in the wrong directory does not break the order of keys.
func TestWalkOrder(t *testing.T) {
	s := fresh(t)
	var keys []string
	for _, body := range []string{"a", "b", "c", "d", "e"} {
		keys = append(keys, putFile(t, s, body))
	}
	slices.Sort(keys)
	displace(t, s, keys[4], "blobs/00")
	var got []string
	err := s.Walk(context.Background(), "", func(i blobstore.Info) error { got = append(got, i.Key); return nil })
	if err != nil || !slices.Equal(got, keys[:4]) {
		t.Errorf("Walk = %v: %v, want %v", err, got, keys[:4])
	}
}

// TestQuarantineReplacesNothing: what was put aside before under the same name stays.
func TestQuarantineReplacesNothing(t *testing.T) {
	ctx := context.Background()
	s := fresh(t)
	key := putFile(t, s, "abc")
	bodies := []string{"abc", "second", "third"}
	for _, body := range bodies {
		write(t, s.blobPath(key), body)
		if err := s.Quarantine(ctx, key); err != nil {
			t.Fatal(err)
		}
	}
	left, err := names(filepath.Join(s.root, quarantineDir))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, name := range left {
		b, err := os.ReadFile(filepath.Join(s.root, quarantineDir, name))
		if err != nil || !strings.HasPrefix(name, key) {
			t.Errorf("%s: %v", name, err)
		}
		got = append(got, string(b))
	}
	if slices.Sort(got); !slices.Equal(got, bodies) {
		t.Errorf("in quarantine: %q, want %q", got, bodies)
	}
	if err := s.Release(ctx, key); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(s.blobPath(key)); string(b) != "third" {
		t.Errorf("released: %q, %v, want what was put aside last", b, err)
	}
}

func TestMisplacedKey(t *testing.T) {
	key := digest.FromString("abc").Encoded() + "." + strings.Repeat("0", randomLen)
	for _, tt := range []struct {
		name, place string
		ok          bool
	}{
		{"wrong directory", "blobs/00/" + key, true},
		{"no directory", "blobs/" + key, true},
		{"right directory", "blobs/" + key[:2] + "/" + key, false},
		{"elsewhere", "quarantine/" + key, false},
		{"below", "blobs/00/00/" + key, false},
		{"out of the store", "blobs/../blobs/00/" + key, false},
		{"absolute", "/blobs/00/" + key, false},
		{"no key", "blobs/00/abc", false},
		{"only a key", key, false},
		{"empty", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, ok := misplacedKey(tt.place); ok != tt.ok || ok && got != key {
				t.Errorf("misplacedKey(%q) = %q, %t, want %t", tt.place, got, ok, tt.ok)
			}
		})
	}
}

func TestRenameNew(t *testing.T) {
	for name, rename := range map[string]func(from, to string) error{"by the system": renameNew, "by hand": renameIfNone} {
		dir := t.TempDir()
		from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
		if err := rename(from, to); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s, nothing: %v", name, err)
		}
		write(t, from, "a")
		if err := rename(from, to); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		write(t, from, "b")
		if err := rename(from, to); !errors.Is(err, os.ErrExist) {
			t.Errorf("%s, onto a file: %v", name, err)
		}
		if b, err := os.ReadFile(to); string(b) != "a" {
			t.Errorf("%s: replaced by %q, %v", name, b, err)
		}
	}
}

func TestFault(t *testing.T) {
	s := fresh(t)
	for _, tt := range []struct {
		cause, want error
	}{
		{syscall.ENOSPC, blobstore.ErrFull},
		{syscall.EDQUOT, blobstore.ErrFull},
		{syscall.EROFS, blobstore.ErrReadOnly},
		{syscall.EIO, blobstore.ErrMedium},
		{syscall.EBADMSG, blobstore.ErrMedium},
		{syscall.EMFILE, blobstore.ErrExhausted},
		{syscall.ENFILE, blobstore.ErrExhausted},
	} {
		t.Run(tt.cause.Error(), func(t *testing.T) {
			err := s.fault("op", &os.PathError{Op: "open", Path: "x", Err: tt.cause})
			if !errors.Is(err, tt.want) || !errors.Is(err, tt.cause) {
				t.Errorf("fault = %v, want %v", err, tt.want)
			}
		})
	}
	if err := s.fault("op", os.ErrPermission); blobstore.Fault(err) != nil {
		t.Errorf("a permission is %v", err)
	}
}
