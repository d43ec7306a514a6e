package check

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/repomgr/repomgr/core/blobstore"
	"github.com/repomgr/repomgr/core/store"
)

// displace moves a blob's file to another key's directory, and returns where it is.
func (f *fixture) displace(key string) (place string) {
	f.t.Helper()
	place = "blobs/00/" + key
	if key[:2] == "00" {
		place = "blobs/ff/" + key
	}
	f.must(os.Rename(f.path(key), filepath.Join(f.root, place)))
	return place
}

// TestMisplaced: a live blob whose file was in the wrong directory is well again.
func TestMisplaced(t *testing.T) {
	for _, suspect := range []bool{false, true} {
		t.Run(fmt.Sprintf("suspect %t", suspect), func(t *testing.T) {
			each(t, func(f *fixture) {
				f.fill(7)
				a := f.put(f.a, "/one", "the bytes")
				place := f.displace(a.Blob.Key)
				missing, mended := Missing, []Kind{Misplaced}
				if suspect {
					f.must(f.db.Update(t.Context(), func(tx *store.Tx) error { _, err := tx.Suspect(a.Blob.ID); return err }))
					missing, mended = Waiting, []Kind{Misplaced, Sound}
				}
				r := f.check(Options{})
				f.exits("check", r, 1, Misplaced, missing)
				want := Finding{Store: "default", Kind: Misplaced, Key: a.Blob.Key, SHA256: a.Blob.SHA256, Size: 9, Detail: place,
					Assets: []store.Place{{Repository: "a", Path: "/one"}}, Named: 1, ModTime: r.found[0].ModTime}
				if diff := cmp.Diff(want, r.found[0]); diff != "" || r.found[0].ModTime == nil {
					t.Errorf("found: %s", diff)
				}
				r = f.check(Options{Repair: true})
				f.exits("repair", r, 0, mended...)
				if want.Mended = true; !cmp.Equal(want, r.found[0]) || r.summary.Misplaced != 1 {
					t.Errorf("repair: %+v", r)
				}
				f.exits("after", f.check(Options{Rehash: true}), 0)
				f.reads(f.a, "/one", "the bytes")
				if f.exists("quarantine") {
					t.Error("something was put aside")
				}
			})
		})
	}
}

// TestMisplacedStray: a repair that says that all is well has left nothing for the next check.
func TestMisplacedStray(t *testing.T) {
	for _, tt := range []struct {
		name    string
		live    int
		options Options
		status  int
		moved   bool
	}{
		{"few", 99, Options{Repair: true}, 0, true},
		{"many", 5, Options{Repair: true}, 1, false},
		{"many, forced", 5, Options{Repair: true, Force: true}, 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			each(t, func(f *fixture) {
				f.fill(tt.live)
				key := f.stage("stray").Key
				f.age(key)
				f.displace(key)
				f.exits("check", f.check(Options{}), 1, Misplaced)
				r := f.check(tt.options)
				f.exits("repair", r, tt.status, Misplaced, Stray)
				if !r.found[0].Mended || r.found[1].Quarantined != tt.moved || (r.summary.Alarm == "") != tt.moved {
					t.Errorf("repair: %+v", r)
				}
				if f.exists("quarantine", key) != tt.moved || f.exists("blobs", key[:2], key) == tt.moved {
					t.Error("it is not where it should be")
				}
				var left []Kind
				if !tt.moved {
					left = []Kind{Stray}
				}
				f.exits("after", f.check(Options{}), tt.status, left...)
			})
		})
	}
}

// TestMisplacedWrong: a misplaced file replaces nothing, and does not become a live blob's bytes unless they are the right ones.
func TestMisplacedWrong(t *testing.T) {
	each(t, func(f *fixture) {
		f.fill(99)
		taken, wrong := f.put(f.a, "/taken", "taken"), f.put(f.a, "/wrong", "right")
		f.displace(taken.Blob.Key)
		f.must(os.WriteFile(f.path(taken.Blob.Key), []byte("taken"), 0o600))
		f.must(os.WriteFile(filepath.Join(f.root, f.displace(wrong.Blob.Key)), []byte("wrong"), 0o600))
		r := f.check(Options{Repair: true})
		f.exits("repair", r, 0, Misplaced, Misplaced, Missing)
		for _, found := range r.found[:2] {
			if !found.Mended || !found.Quarantined || !f.exists("quarantine", found.Key) {
				t.Errorf("found %+v", found)
			}
			if !strings.HasSuffix(found.String(), "moved to quarantine") {
				t.Errorf("text %q", found)
			}
		}
		f.reads(f.a, "/taken", "taken")
		f.exits("after", f.check(Options{Rehash: true}), 0, Waiting)
	})
}

// TestIrregular: a named pipe or a directory with a blob's name keeps no check waiting. The blob has lost its bytes.
func TestIrregular(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func(path string) error
	}{
		{"named pipe", func(path string) error { return syscall.Mkfifo(path, 0o600) }},
		{"directory", func(path string) error { return os.Mkdir(path, 0o700) }},
	} {
		for _, rehash := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, rehash %t", tt.name, rehash), func(t *testing.T) {
				each(t, func(f *fixture) {
					f.fill(99)
					a := f.put(f.a, "/one", "") // as many bytes as the pipe's inode says
					f.must(os.Remove(f.path(a.Blob.Key)))
					f.must(tt.make(f.path(a.Blob.Key)))
					stray := f.stage("stray").Key
					f.must(os.Remove(f.path(stray)))
					f.must(tt.make(f.path(stray)))
					f.age(stray)

					within(t, 20*time.Second, func() {
						r := f.check(Options{Repair: true, Rehash: rehash})
						f.exits("repair", r, 0, Missing, Stray)
						for _, found := range r.found {
							if found.Detail != irregular {
								t.Errorf("found %+v", found)
							}
						}
						if !f.exists("quarantine", stray) {
							t.Error("the stray one is not in quarantine")
						}
						f.put(f.a, "/one", "")
						f.reads(f.a, "/one", "")
					})
				})
			})
		}
	}
}

func within(t *testing.T, limit time.Duration, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); do() }()
	select {
	case <-done:
	case <-time.After(limit):
		t.Fatal("it hangs")
	}
}

// TestMediumErrors: the store's own errors of its medium are findings, as those of a reader are.
func TestMediumErrors(t *testing.T) {
	for _, err := range []error{syscall.EIO, syscall.EBADMSG, blobstore.ErrMedium, fmt.Errorf("open: %w: %w", blobstore.ErrMedium, syscall.EIO)} {
		if d, got := unreadable(err); got != nil || d.kind != Unreadable {
			t.Errorf("%v: %+v, %v", err, d, got)
		}
	}
	for _, err := range []error{syscall.EMFILE, blobstore.ErrExhausted, blobstore.ErrReadOnly, os.ErrPermission} {
		if d, got := unreadable(err); got == nil || d.kind != "" {
			t.Errorf("%v: %+v, %v", err, d, got)
		}
	}
}
