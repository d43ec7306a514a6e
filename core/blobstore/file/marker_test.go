package file

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/repomgr/repomgr/core/blobstore"
)

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestOpen(t *testing.T) {
	tests := []struct {
		name string
		// prepare changes the root, which is absent at first.
		prepare func(t *testing.T, root string)
		create  bool
		// want is in the reason; empty when the store is available.
		want string
	}{
		{name: "absent", want: "no marker"},
		{name: "absent, create", create: true},
		{name: "empty", prepare: mkdir(""), want: "no marker"},
		{name: "empty, create", prepare: mkdir(""), create: true},
		{name: "fresh file system, create", prepare: mkdir("lost+found"), create: true},
		{name: "creation was interrupted", prepare: interrupted, want: "no marker"},
		{name: "creation was interrupted, create", prepare: interrupted, create: true},
		{name: "not empty, create", prepare: content("notes.txt", ""), create: true, want: "not empty"},
		{name: "blobs without a marker, create", prepare: content("blobs/00/x", ""), create: true, want: "not empty"},
		{name: "a file, create", prepare: func(t *testing.T, root string) { write(t, root, "") }, create: true, want: "not a directory"},
		{name: "made", prepare: made(nil)},
		{name: "made, create", prepare: made(nil), create: true},
		{name: "other store", prepare: made(content(markerName, `{"store":"store-2","installation":"installation-1","layout":1}`)), create: true, want: `is store "store-2"`},
		{name: "other installation", prepare: made(content(markerName, `{"store":"store-1","installation":"x","layout":1}`)), create: true, want: `belongs to installation "x"`},
		{name: "other layout", prepare: made(content(markerName, `{"store":"store-1","installation":"installation-1","layout":2}`)), create: true, want: "layout 2"},
		{name: "empty marker", prepare: made(content(markerName, "")), create: true, want: "marker file"},
		{name: "marker of nothing", prepare: made(content(markerName, "{}")), create: true, want: "belongs to"},
		{name: "marker removed", prepare: made(remove(markerName)), want: "no marker"},
		{name: "directory of blobs removed", prepare: made(remove("blobs/7f")), create: true, want: "blobs/7f"},
		{name: "blobs removed", prepare: made(remove("blobs")), create: true, want: "blobs"},
		{name: "tmp and uploads removed", prepare: made(func(t *testing.T, root string) { remove("tmp")(t, root); remove("uploads")(t, root) })},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := filepath.Join(t.TempDir(), "a", "b")
			if tt.prepare != nil {
				tt.prepare(t, root)
			}
			before := tree(t, root)
			s, err := Open(root, identity, Options{Create: tt.create})
			if err != nil {
				t.Fatalf("Open = %v", err)
			}
			defer s.Close()
			if tt.want != "" {
				unavailable(t, s, tt.want)
				if after := tree(t, root); after != before {
					t.Errorf("Open of an unavailable store changed %s into %s", before, after)
				}
				return
			}
			if reason := s.Unavailable(); reason != "" {
				t.Fatalf("unavailable: %s", reason)
			}
			info, err := s.Put(context.Background(), strings.NewReader("abc"))
			if err != nil {
				t.Fatalf("Put = %v", err)
			}
			if _, err := s.Begin(context.Background(), "o"); err != nil {
				t.Errorf("Begin = %v", err)
			}
			again := open(t, root, Options{})
			if _, err := again.Stat(context.Background(), info.Key); err != nil {
				t.Errorf("Stat after opening again = %v", err)
			}
		})
	}
}

func TestOpenArguments(t *testing.T) {
	for _, id := range []Identity{{}, {Store: "s"}, {Installation: "i"}} {
		if s, err := Open(t.TempDir(), id, Options{Create: true}); err == nil {
			t.Errorf("Open(%+v) = %v", id, s)
		}
	}
	if s, err := Open("", identity, Options{Create: true}); err == nil {
		t.Errorf("Open of no root = %v", s)
	}
}

func mkdir(path string) func(*testing.T, string) {
	return func(t *testing.T, root string) {
		if err := os.MkdirAll(filepath.Join(root, path), 0o700); err != nil {
			t.Fatal(err)
		}
	}
}

func content(path, content string) func(*testing.T, string) {
	return func(t *testing.T, root string) { write(t, filepath.Join(root, path), content) }
}

func remove(path string) func(*testing.T, string) {
	return func(t *testing.T, root string) {
		if err := os.RemoveAll(filepath.Join(root, path)); err != nil {
			t.Fatal(err)
		}
	}
}

// made makes a store and then changes it.
func made(change func(*testing.T, string)) func(*testing.T, string) {
	return func(t *testing.T, root string) {
		open(t, root, Options{Create: true}).Close()
		if change != nil {
			change(t, root)
		}
	}
}

// interrupted leaves what a creation leaves that ended before the marker was in place.
func interrupted(t *testing.T, root string) {
	mkdir("blobs/00")(t, root)
	mkdir("blobs/01")(t, root)
	mkdir("tmp")(t, root)
	content(markerName+".tmp", "{")(t, root)
}

// tree is all paths below root.
func tree(t *testing.T, root string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(filepath.Dir(root), func(path string, _ fs.DirEntry, err error) error {
		b.WriteString(path + "\n")
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// unavailable fails the test unless all methods fail with that reason.
func unavailable(t *testing.T, s *Store, reason string) {
	t.Helper()
	if got := s.Unavailable(); !strings.Contains(got, reason) {
		t.Errorf("Unavailable = %q, want %q in it", got, reason)
	}
	ctx := context.Background()
	key := strings.Repeat("a", 64) + "." + strings.Repeat("b", 32)
	id := strings.Repeat("c", 32)
	for name, call := range map[string]func() error{
		"Put":    func() error { _, err := s.Put(ctx, strings.NewReader("x")); return err },
		"Open":   func() error { _, _, err := s.Open(ctx, key); return err },
		"Stat":   func() error { _, err := s.Stat(ctx, key); return err },
		"Delete": func() error { return s.Delete(ctx, key) },
		"Walk":   func() error { return s.Walk(ctx, "", func(blobstore.Info) error { return nil }) },
		"Begin":  func() error { _, err := s.Begin(ctx, "o"); return err },
		"Upload": func() error { _, err := s.Upload(ctx, "o", id); return err },
		"Append": func() error { _, err := s.Append(ctx, "o", id, 0, strings.NewReader("x")); return err },
		"Finish": func() error { _, err := s.Finish(ctx, "o", id, ""); return err },
		"Cancel": func() error { return s.Cancel(ctx, "o", id) },
		"Expire": func() error { _, err := s.Expire(ctx, time.Now()); return err },
		"Space":  func() error { _, err := s.Space(); return err },
	} {
		err := call()
		if !errors.Is(err, blobstore.ErrUnavailable) || !strings.Contains(err.Error(), reason) {
			t.Errorf("%s = %v, want %v with the reason %q", name, err, blobstore.ErrUnavailable, reason)
		}
		if errors.Is(err, blobstore.ErrNotFound) {
			t.Errorf("%s = %v: whether it is there is not known", name, err)
		}
	}
}

// TestMediumGoesAway: an unmounted medium looks like an empty directory, or like another store.
func TestMediumGoesAway(t *testing.T) {
	s := fresh(t)
	ctx := context.Background()
	info, err := s.Put(ctx, strings.NewReader("abc"))
	if err != nil {
		t.Fatal(err)
	}
	u, err := s.Begin(ctx, "o")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Append(ctx, "o", u.ID, 0, strings.NewReader("abc")); err != nil {
		t.Fatal(err)
	}
	away := s.root + ".away"
	if err := os.Rename(s.root, away); err != nil {
		t.Fatal(err)
	}
	unavailable(t, s, "no marker")
	mkdir("")(t, s.root)
	unavailable(t, s, "no marker")
	if _, err := s.Append(ctx, "o", u.ID, 3, strings.NewReader("x")); !errors.Is(err, blobstore.ErrUnavailable) {
		t.Errorf("Append to an open upload = %v", err)
	}
	other, err := Open(s.root, Identity{Store: "store-2", Installation: "installation-1"}, Options{Create: true})
	if err != nil || other.Unavailable() != "" {
		t.Fatal(err, other.Unavailable())
	}
	other.Close()
	unavailable(t, s, `is store "store-2"`)
	if err := os.RemoveAll(s.root); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(away, s.root); err != nil {
		t.Fatal(err)
	}
	if reason := s.Unavailable(); reason != "" {
		t.Errorf("unavailable when it is back: %s", reason)
	}
	if _, err := s.Stat(ctx, info.Key); err != nil {
		t.Errorf("Stat = %v", err)
	}
	if u, err := s.Append(ctx, "o", u.ID, 3, strings.NewReader("def")); err != nil || u.Size != 6 {
		t.Errorf("Append = %+v, %v", u, err)
	}
}

// A store that could not be opened is used once its medium is there. A closed one is not opened again.
func TestMediumComesLater(t *testing.T) {
	dir := t.TempDir()
	root, aside := filepath.Join(dir, "store"), filepath.Join(dir, "aside")
	made(nil)(t, root)
	if err := os.Rename(root, aside); err != nil {
		t.Fatal(err)
	}
	s, err := Open(root, identity, Options{})
	if err != nil {
		t.Fatal(err)
	}
	closed, err := Open(root, identity, Options{})
	if err != nil {
		t.Fatal(err)
	}
	unavailable(t, s, "no marker")
	if err := closed.Close(); err != nil {
		t.Error(err)
	}
	if err := os.Rename(aside, root); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(root, tmpDir, "left"), "") // by a crash before
	time.Sleep(reopenAfter)
	if _, err := s.Put(context.Background(), strings.NewReader("abc")); err != nil || s.Unavailable() != "" {
		t.Errorf("Put = %v; unavailable: %s", err, s.Unavailable())
	}
	if left, err := os.ReadDir(filepath.Join(root, tmpDir)); err != nil || len(left) > 0 {
		t.Errorf("tmp has %v, %v", left, err)
	}
	unavailable(t, closed, "no marker")
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
