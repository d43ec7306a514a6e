package fault

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/repomgr/repomgr/internal/testenv"
)

// mount makes dir a file system of its own of the size, in MiB.
func mount(t *testing.T, dir string, size int) {
	t.Helper()
	if os.Getuid() != 0 {
		testenv.Missing(t, "file systems for tests need root")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("test", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", size)); err != nil {
		testenv.Missing(t, "file systems can't be mounted here: "+err.Error())
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
}

// fill takes all the space that a file system has, until the returned function is called.
func fill(t *testing.T, dir string) (free func()) {
	t.Helper()
	path := filepath.Join(dir, "ballast")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); errors.Is(err, unix.ENOSPC) {
			size /= 2
		} else if err != nil {
			t.Fatal(err)
		}
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}
}

// fullDisk is where a disk is full.
type fullDisk struct {
	name string
	// mounts are the file systems, below the data directory. full is the one that fills up.
	mounts []string
	full   string
	// words are what errors say.
	words string
}

func TestFullDisk(t *testing.T) {
	const blobs = "blobs/" + "default"
	tests := []fullDisk{
		{name: "data directory", mounts: []string{""}, full: "", words: "disk is full"},
		{name: "blob store", mounts: []string{blobs}, full: blobs, words: "the blob store's disk is full"},
		{name: "database", mounts: []string{"", blobs}, full: "", words: "the database's disk is full"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.test(t)
		})
	}
}

func (f fullDisk) test(t *testing.T) {
	data := t.TempDir()
	for _, m := range f.mounts {
		mount(t, filepath.Join(data, m), 24)
	}
	s := start(t, testenv.ServerOptions{Data: data})
	old := s.push(t, "old", 100, 200_000)
	location, half := s.begin(t), random(3_000_000)
	if n := s.do(t, http.MethodPatch, location, half[:1_000_000]).want(t, http.StatusAccepted).held(t); n != 1_000_000 {
		t.Fatalf("the upload has %d bytes", n)
	}
	free := fill(t, filepath.Join(data, f.full))
	store := filepath.Join(data, "blobs/default")
	before := files(t, store)

	f.provoke(t, s, old)
	s.intact(t, old)
	s.do(t, http.MethodGet, image+"/tags/list", nil).want(t, http.StatusOK)

	// What could not be stored takes no space.
	after := files(t, store)
	maps.DeleteFunc(after, func(name string, _ int64) bool {
		return before[name] != 0 || strings.HasPrefix(name, "ballast") || stored(t, s, name)
	})
	if len(after) > 0 {
		t.Errorf("left behind: %v", after)
	}

	free()
	s.intact(t, old)
	s.intact(t, s.push(t, "new", 100, 500_000))
	// The upload that had begun goes on where it is.
	held := s.do(t, http.MethodGet, location, nil).want(t, http.StatusNoContent).held(t)
	if held < 1_000_000 {
		t.Errorf("the upload has %d bytes", held)
	}
	s.do(t, http.MethodPut, location+"?digest="+digest.FromBytes(half).String(), half[held:]).want(t, http.StatusCreated)
	s.intact(t, pushed{"old", old.manifest, append(old.blobs, half)})
	s.calm(t)
}

// stored tells whether the server serves the bytes of a blob's file.
func stored(t *testing.T, s *site, name string) bool {
	t.Helper()
	base := filepath.Base(name)
	if !strings.HasPrefix(name, "blobs/") || len(base) < 64 {
		return false
	}
	a := s.do(t, http.MethodHead, image+"/blobs/sha256:"+base[:64], nil)
	b := s.do(t, http.MethodHead, image+"/manifests/sha256:"+base[:64], nil)
	return a.status == http.StatusOK || b.status == http.StatusOK
}

// provoke writes until each kind of write has met the full disk, and for some time after.
func (f fullDisk) provoke(t *testing.T, s *site, old pushed) {
	t.Helper()
	base, large := old.blobs, random(1_000_000)
	refusals := map[string]int{}
	write := func(kind string, a answer, fine ...int) {
		t.Helper()
		if a.status == http.StatusInsufficientStorage {
			a.refused(t, http.StatusInsufficientStorage).says(t, f.words)
			refusals[kind]++
			return
		}
		a.want(t, fine...)
	}
	session := func() {
		a := s.do(t, http.MethodPost, image+"/blobs/uploads/", nil)
		if write("session", a, http.StatusAccepted); a.status != http.StatusAccepted {
			return
		}
		location := a.header.Get("Location")
		if a = s.do(t, http.MethodPatch, location, large); a.status == http.StatusInsufficientStorage {
			// Nothing of it is kept, whether its client cancels it or not.
			if a.held(t) > 0 {
				t.Errorf("%s: Range %s", a.request, a.header.Get("Range"))
			}
		}
		write("session", a, http.StatusAccepted)
		if a.status == http.StatusAccepted {
			a = s.do(t, http.MethodPut, location+"?digest="+digest.FromBytes(large).String(), nil)
			if write("session", a, http.StatusCreated); a.status == http.StatusCreated {
				large = random(len(large))
				return
			}
		}
		s.do(t, http.MethodDelete, location, nil).want(t, http.StatusNoContent, http.StatusNotFound)
	}
	for i := 0; i < 400 && (refusals["blob"] < 5 || refusals["manifest"] < 5 || refusals["session"] < 5); i++ {
		if refusals["blob"] < 5 {
			write("blob", s.putBlob(t, random(20_000)), http.StatusCreated)
		}
		if refusals["manifest"] < 5 {
			write("manifest", s.putManifest(t, fmt.Sprintf("tag-%d", i), manifestOf(t, base...)), http.StatusCreated)
		}
		if refusals["session"] < 5 {
			session()
		}
	}
	for _, kind := range []string{"blob", "manifest", "session"} {
		if refusals[kind] < 5 {
			t.Errorf("the disk was full, and %s was refused %d times", kind, refusals[kind])
		}
	}
}
