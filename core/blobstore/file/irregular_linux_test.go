package file

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/repomgr/repomgr/core/blobstore"
)

// TestIrregular: where something else than a file bears a blob's name there are no bytes, and nobody waits for them.
func TestIrregular(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func(path string) error
	}{
		{"named pipe", func(path string) error { return syscall.Mkfifo(path, 0o600) }},
		{"directory", func(path string) error { return os.MkdirAll(path+"/x", 0o700) }},
		{"link to a device", func(path string) error { return os.Symlink("/dev/zero", path) }},
		{"link to nothing", func(path string) error { return os.Symlink("nothing", path) }},
		{"socket", func(path string) error {
			t.Chdir(t.TempDir()) // a socket's path must be short
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: "s", Net: "unix"})
			if err != nil {
				return err
			}
			l.SetUnlinkOnClose(false)
			return errors.Join(l.Close(), os.Rename("s", path))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := fresh(t)
			key := putFile(t, s, "abc")
			if err := errors.Join(os.Remove(s.blobPath(key)), tt.make(s.blobPath(key))); err != nil {
				t.Fatal(err)
			}
			done := make(chan struct{})
			go func() { defer close(done); irregular(t, s, key) }()
			select {
			case <-done:
			case <-time.After(10 * time.Second):
				t.Fatal("it hangs")
			}
		})
	}
}

func irregular(t *testing.T, s *Store, key string) {
	ctx := context.Background()
	if _, _, err := s.Open(ctx, key); !errors.Is(err, blobstore.ErrNotFound) {
		t.Errorf("Open = %v", err)
	}
	if _, err := s.Stat(ctx, key); !errors.Is(err, blobstore.ErrNotFound) {
		t.Errorf("Stat = %v", err)
	}
	seen := 0
	err := s.Walk(ctx, "", func(i blobstore.Info) error {
		if seen++; i.Key != key || !i.Irregular {
			t.Errorf("Walk tells %+v", i)
		}
		return nil
	})
	if err != nil || seen != 1 {
		t.Errorf("Walk = %v with %d", err, seen)
	}
	if err := s.Delete(ctx, key); err != nil {
		t.Errorf("Delete = %v", err)
	}
	if _, err := os.Lstat(s.blobPath(key)); err == nil { // a directory
		if err := s.Quarantine(ctx, key); err != nil {
			t.Errorf("Quarantine = %v", err)
		}
	}
}

// TestLink: a link to a file is as good as the file.
func TestLink(t *testing.T) {
	ctx := context.Background()
	s := fresh(t)
	key := putFile(t, s, "abc")
	aside := s.root + "/aside"
	if err := errors.Join(os.Rename(s.blobPath(key), aside), os.Symlink(aside, s.blobPath(key))); err != nil {
		t.Fatal(err)
	}
	f, size, err := s.Open(ctx, key)
	if err != nil || size != 3 {
		t.Fatalf("Open = %d bytes, %v", size, err)
	}
	f.Close()
	if i, err := s.Stat(ctx, key); err != nil || i.Size != 3 {
		t.Errorf("Stat = %+v, %v", i, err)
	}
	err = s.Walk(ctx, "", func(i blobstore.Info) error {
		if i.Size != 3 || i.Irregular {
			t.Errorf("Walk tells %+v", i)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestIrregularUpload: a named pipe with the name of an upload keeps no writer waiting.
func TestIrregularUpload(t *testing.T) {
	ctx := context.Background()
	s := fresh(t)
	id := begin(t, s)
	path := s.dataPath("o", id)
	if err := errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o600)); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { _, err := s.Append(ctx, "o", id, -1, strings.NewReader("x")); done <- err }()
	select {
	case err := <-done:
		if !errors.Is(err, blobstore.ErrNotFound) {
			t.Errorf("Append = %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it hangs")
	}
}

// TestTooManyFiles: a process without room for another open file says so, for reads and writes.
func TestTooManyFiles(t *testing.T) {
	ctx := context.Background()
	s := fresh(t)
	key := putFile(t, s, "abc")
	id := begin(t, s)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 3, Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	_, _, openErr := s.Open(ctx, key)
	_, putErr := s.Put(ctx, strings.NewReader("x"))
	_, appendErr := s.Append(ctx, "o", id, -1, strings.NewReader("x"))
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{"Open": openErr, "Put": putErr, "Append": appendErr} {
		if !errors.Is(err, blobstore.ErrExhausted) {
			t.Errorf("%s = %v, want %v", name, err, blobstore.ErrExhausted)
		}
	}
}
