package fault

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/repomgr/repomgr/internal/testenv"
)

// remount makes a file system read-only or writable. It is refused with EBUSY while a file is open for writing.
func remount(t *testing.T, dir string, flags uintptr) {
	t.Helper()
	var err error
	for range 100 {
		if err = unix.Mount("", dir, "", unix.MS_REMOUNT|flags, ""); err == nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("remount %s: %v", dir, err)
}

// writes are requests that store something; each is refused by a store that can't be written.
func (s *site) writes(t *testing.T, old pushed, location string) []answer {
	t.Helper()
	b := random(50_000)
	return []answer{
		s.putBlob(t, b),
		s.do(t, http.MethodPost, image+"/blobs/uploads/", nil),
		s.do(t, http.MethodPatch, location, b),
		s.do(t, http.MethodPut, location+"?digest="+digest.FromBytes(b).String(), b),
		s.putManifest(t, "new", manifestOf(t, old.blobs...)),
	}
}

// A blob store on a medium that becomes read-only serves what it has, and takes new content when it may again.
func TestReadOnly_BlobStore(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	store := filepath.Join(data, "blobs/default")
	mount(t, store, 16)
	s := start(t, testenv.ServerOptions{Data: data})
	old := s.push(t, "old", 100, 200_000)
	location, half := s.begin(t), random(100_000)
	s.do(t, http.MethodPatch, location, half[:50_000]).want(t, http.StatusAccepted)

	remount(t, store, unix.MS_RDONLY)
	s.intact(t, old)
	for _, a := range s.writes(t, old, location) {
		a.refused(t, http.StatusServiceUnavailable).says(t, "read-only")
		if a.header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", a.request)
		}
	}
	// What needs the database only works.
	s.do(t, http.MethodDelete, image+"/manifests/old", nil).want(t, http.StatusAccepted)
	s.do(t, http.MethodPost, image+"2/blobs/uploads/?mount="+digest.FromBytes(old.blobs[1]).String()+"&from="+image, nil).want(t, http.StatusCreated)

	remount(t, store, 0)
	if held := s.do(t, http.MethodGet, location, nil).want(t, http.StatusNoContent).held(t); held != 50_000 {
		t.Errorf("the upload has %d bytes", held)
	}
	s.do(t, http.MethodPut, location+"?digest="+digest.FromBytes(half).String(), half[50_000:]).want(t, http.StatusCreated)
	s.intact(t, s.push(t, "new", 100, 300_000))
	s.calm(t)
}

// A server doesn't start on a data directory that it can't write to, and says why.
func TestReadOnly_Start(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	mount(t, data, 16)
	s := start(t, testenv.ServerOptions{Data: data})
	old := s.push(t, "old", 100, 200_000)
	s.Stop(t)
	remount(t, data, unix.MS_RDONLY)
	out, err := serve(t, s)
	if err == nil || !strings.Contains(out, "read-only file system") || strings.Contains(out, "goroutine") || strings.Count(out, "\n") > 3 {
		t.Errorf("start on a read-only disk: %v\n%s", err, out)
	}
	remount(t, data, 0)
	s.Start(t)
	s.intact(t, old)
}

// away takes a blob store's medium away; the returned function brings it back.
func away(t *testing.T, medium, root string) (back func()) {
	t.Helper()
	if err := unix.Unmount(root, unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	return func() { bind(t, medium, root) }
}

func bind(t *testing.T, medium, root string) {
	t.Helper()
	if err := unix.Mount(medium, root, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
}

// store of a server on a medium that can be taken away.
func removable(t *testing.T) (data, medium, root string) {
	t.Helper()
	data, medium = t.TempDir(), t.TempDir()
	root = filepath.Join(data, "blobs/default")
	mount(t, medium, 16)
	if err := os.MkdirAll(root, 0o755); err != nil {
		t.Fatal(err)
	}
	bind(t, medium, root)
	t.Cleanup(func() { _ = unix.Unmount(root, unix.MNT_DETACH) })
	return data, medium, root
}

// A blob store whose medium is gone is unavailable: nothing is looked for, nor stored, in the directory below, and nothing
// is taken for lost. It is back when the medium is.
func TestUnmounted(t *testing.T) {
	t.Parallel()
	data, medium, root := removable(t)
	s := start(t, testenv.ServerOptions{Data: data})
	old := s.push(t, "old", 100_000, 200_000)
	location := s.begin(t)
	for range 2 {
		back := away(t, medium, root)
		s.unavailable(t, old, location)
		if found := files(t, root); len(found) > 0 {
			t.Errorf("files below the mount point: %v", found)
		}
		s.do(t, http.MethodGet, image+"/tags/list", nil).want(t, http.StatusOK)
		back()
		s.intact(t, old)
	}
	s.intact(t, s.push(t, "new", 100, 300_000))
	b := random(1000)
	s.do(t, http.MethodPut, location+"?digest="+digest.FromBytes(b).String(), b).want(t, http.StatusCreated)
	s.calm(t)
}

func (s *site) unavailable(t *testing.T, old pushed, location string) {
	t.Helper()
	for _, b := range old.blobs {
		s.do(t, http.MethodGet, blobPath(b), nil).refused(t, http.StatusServiceUnavailable).says(t, "the blob store is unavailable")
	}
	s.do(t, http.MethodGet, location, nil).refused(t, http.StatusServiceUnavailable)
	for _, a := range s.writes(t, old, location) {
		a.refused(t, http.StatusServiceUnavailable).says(t, "the blob store is unavailable")
		if a.header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", a.request)
		}
	}
}

// A server starts without the medium of a blob store, and uses it as soon as it is there.
func TestUnmounted_Start(t *testing.T) {
	t.Parallel()
	data, medium, root := removable(t)
	s := start(t, testenv.ServerOptions{Data: data})
	old := s.push(t, "old", 100_000, 200_000)
	location := s.begin(t)
	s.Stop(t)
	back := away(t, medium, root)
	s.Start(t)
	s.unavailable(t, old, location)
	if found := files(t, root); len(found) > 0 {
		t.Errorf("files below the mount point: %v", found)
	}
	back()
	eventually(t, "the blob store is used", 10*time.Second, func() bool {
		return s.do(t, http.MethodGet, blobPath(old.blobs[1]), nil).status == http.StatusOK
	})
	s.intact(t, old)
	s.intact(t, s.push(t, "new", 100, 300_000))
	s.calm(t)
}
