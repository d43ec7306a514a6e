package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/repomgr/repomgr/core/blobstore"
	"github.com/repomgr/repomgr/internal/testenv"
)

// mounted makes a store on a file system of its own, with room for about a MiB. It needs the right to mount.
func mounted(t *testing.T) *Store {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		testenv.Missing(t, fmt.Sprintf("the right to mount a file system, to fill it and to make it read-only: %v", err))
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return open(t, filepath.Join(dir, "store"), Options{Create: true})
}

func TestFull(t *testing.T) {
	s := mounted(t)
	ctx := context.Background()
	for _, n := range []int{2 << 20, 64 << 10} {
		if n < 1<<20 { // fill it, so that there is no room for a small one either
			fill, err := os.Create(filepath.Join(s.root, "..", "fill"))
			if err != nil {
				t.Fatal(err)
			}
			for err == nil {
				_, err = fill.Write(make([]byte, 4096))
			}
			fill.Close()
		}
		_, err := s.Put(ctx, bytes.NewReader(make([]byte, n)))
		if !errors.Is(err, blobstore.ErrFull) || !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("Put of %d bytes = %v, want %v with its cause", n, err, blobstore.ErrFull)
		}
		if left, err := names(filepath.Join(s.root, tmpDir)); len(left) != 0 || err != nil {
			t.Errorf("left over: %v, %v", left, err)
		}
	}
	if free, err := s.Space(); free != 0 || err != nil {
		t.Errorf("Space = %d, %v, want 0", free, err)
	}
	id := begin(t, s) // of an empty file, there is room for that
	if u, err := s.Append(ctx, "o", id, 0, strings.NewReader("abc")); !errors.Is(err, blobstore.ErrFull) || u.Size != 0 {
		t.Errorf("Append = %+v, %v, want %v", u, err, blobstore.ErrFull)
	}
	if err := s.Cancel(ctx, "o", id); err != nil {
		t.Errorf("Cancel = %v", err)
	}
	if err := os.Remove(filepath.Join(s.root, "..", "fill")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(ctx, bytes.NewReader(make([]byte, 64<<10))); err != nil {
		t.Errorf("Put with room again = %v", err)
	}
}

// TestFullUpload: an Append for which there is no room leaves what was there before, and the upload goes on when there is room again.
func TestFullUpload(t *testing.T) {
	data := pattern(900 << 10)
	tests := []struct {
		name string
		// part is how much is appended at a time.
		part int
	}{
		{"at once", len(data)},
		{"in small parts", 100<<10 + 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := mounted(t)
			ctx := context.Background()
			in, err := s.Put(ctx, bytes.NewReader(pattern(500<<10)))
			if err != nil {
				t.Fatal(err)
			}
			u, err := s.Begin(ctx, "o")
			id := u.ID
			for err == nil && u.Size < int64(len(data)) {
				u, err = s.Append(ctx, "o", id, u.Size, bytes.NewReader(data[u.Size:min(len(data), int(u.Size)+tt.part)]))
			}
			if !errors.Is(err, blobstore.ErrFull) {
				t.Fatalf("Append = %v, want %v", err, blobstore.ErrFull)
			}
			if got, err := s.Upload(ctx, "o", id); err != nil || got.Size != u.Size || u.Size%int64(tt.part) != 0 {
				t.Errorf("Upload = %+v, %v; Append said %+v, want whole parts", got, err, u)
			}
			if err := s.Delete(ctx, in.Key); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Append(ctx, "o", id, u.Size, bytes.NewReader(data[u.Size:])); err != nil {
				t.Fatalf("Append with room again = %v", err)
			}
			if _, err := s.Finish(ctx, "o", id, digest.FromBytes(data)); err != nil {
				t.Errorf("Finish = %v", err)
			}
		})
	}
}

func TestReadOnly(t *testing.T) {
	s := mounted(t)
	ctx := context.Background()
	info, err := s.Put(ctx, strings.NewReader("abc"))
	if err != nil {
		t.Fatal(err)
	}
	id := begin(t, s)
	grow(t, s, id, []byte("abc"))
	write(t, filepath.Join(s.root, tmpDir, "stale"), "")
	mount := filepath.Dir(s.root)
	if err := unix.Mount("tmpfs", mount, "tmpfs", unix.MS_REMOUNT|unix.MS_RDONLY, "size=1m"); err != nil {
		t.Fatalf("remount: %v", err)
	}
	for name, s := range map[string]*Store{"opened before": s, "opened read-only": open(t, s.root, Options{})} {
		for call, err := range map[string]error{
			"Put":    second(s.Put(ctx, strings.NewReader("x"))),
			"Delete": s.Delete(ctx, info.Key),
			"Begin":  second(s.Begin(ctx, "o")),
			"Append": second(s.Append(ctx, "o", id, 3, strings.NewReader("x"))),
			"Finish": second(s.Finish(ctx, "o", id, "")),
			"Cancel": s.Cancel(ctx, "o", id),
		} {
			if !errors.Is(err, blobstore.ErrReadOnly) || !errors.Is(err, syscall.EROFS) {
				t.Errorf("%s: %s = %v, want %v with its cause", name, call, err, blobstore.ErrReadOnly)
			}
		}
		if _, err := s.Stat(ctx, info.Key); err != nil {
			t.Errorf("%s: Stat = %v", name, err)
		}
		if u, err := s.Upload(ctx, "o", id); err != nil || u.Size != 3 {
			t.Errorf("%s: Upload = %+v, %v", name, u, err)
		}
		if got := fmt.Sprint(s.Walk(ctx, "", func(i blobstore.Info) error { return errors.New(i.Key) })); got != info.Key {
			t.Errorf("%s: Walk saw %s", name, got)
		}
	}
}

func second[T any](_ T, err error) error { return err }
