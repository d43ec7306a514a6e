// Package testenv gives tests the real programs that they talk to: PostgreSQL, Docker, other clients, and the server itself.
//
// A program that is not there makes a test skip, with a line that says what is missing; with REPOMGR_TEST_REQUIRE=all in the
// environment the test fails. Servers that a test process shares are started at first use and stopped by Main:
//
//	func TestMain(m *testing.M) { testenv.Main(m) }
//
// Everything listens on 127.0.0.1 or on a Unix socket.
package testenv

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// require is the environment variable that turns skips into failures, when it is "all".
const require = "REPOMGR_TEST_REQUIRE"

// Missing ends a test that can't run here: it is skipped, or fails if everything is required. what says what is missing.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv(require) == "all" {
		t.Fatalf("%s (%s=all; scripts/test-tools installs what tests need)", what, require)
	}
	t.Skipf("%s (scripts/test-tools installs what tests need)", what)
}

// Need skips a test, or fails it, unless all the named programs can be found.
func Need(t testing.TB, programs ...string) {
	t.Helper()
	for _, name := range programs {
		Tool(t, name)
	}
}

// Tool returns the path of a program: of a Go tool pinned in tools/ the one built by scripts/test-tools, else the one
// on the PATH, or in one of the directories where Debian keeps servers. The test is skipped, or fails, if there is none.
func Tool(t testing.TB, name string) string {
	t.Helper()
	path, err := find(name)
	if err != nil {
		Missing(t, err.Error())
	}
	return path
}

// find looks for a program.
func find(name string) (string, error) {
	if pinned, err := pinnedTool(name); pinned != "" || err != nil {
		return pinned, err
	}
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	dirs := []string{"/usr/local/sbin", "/usr/sbin", "/sbin"}
	if versions, err := filepath.Glob("/usr/lib/postgresql/*/bin"); err == nil {
		dirs = append(dirs, versions...)
	}
	for _, dir := range dirs {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed", name)
}

// pinnedTool returns the path of a Go tool that tools/ pins, or "" if it pins none of that name.
func pinnedTool(name string) (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(filepath.Join(root, "tools", name, "go.mod")); err != nil {
		return "", nil //nolint:nilerr // not pinned is no error
	}
	out, err := exec.Command(filepath.Join(root, "scripts", "tool"), "--path", name).Output()
	if err != nil {
		return "", fmt.Errorf("scripts/tool --path %s: %w", name, err)
	}
	path := strings.TrimSpace(string(out))
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%s is not built", name)
	}
	return path, nil
}

// moduleRoot is the directory of go.mod, above the directory of the package under test.
var moduleRoot = sync.OnceValues(func() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("there is no go.mod above the test")
		}
		dir = parent
	}
})

// Soak returns for how long a test named TestSoak... should run. Without REPOMGR_TEST_SOAK, a duration, the test is skipped:
// such tests run by `make soak`.
func Soak(t testing.TB) time.Duration {
	t.Helper()
	text := os.Getenv("REPOMGR_TEST_SOAK")
	if text == "" {
		t.Skip("a long test: make soak")
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("REPOMGR_TEST_SOAK: %v", err)
	}
	return d
}

// shared is what the tests of a process share.
var shared state

type state struct {
	mu    sync.Mutex
	main  bool     // Main is running
	dir   string   // of all files, "" before the first use
	lock  *os.File // held while dir is in use
	stops []func() // in order of start
}

// Main runs the tests of a package, then stops what they shared. Call it from TestMain. The test process may also
// be killed: the servers notice and end, and their files are removed by the next test process.
func Main(m *testing.M) {
	shared.mu.Lock()
	shared.main = true
	shared.mu.Unlock()
	m.Run() // its result is the process's exit status, by package testing
	shared.stop()
}

// stop stops everything, the last started first.
func (s *state) stop() {
	s.mu.Lock()
	stops := s.stops
	s.stops, s.main = nil, false
	s.mu.Unlock()
	for i := len(stops) - 1; i >= 0; i-- {
		stops[i]()
	}
	if s.dir != "" {
		remove(s.dir)
		s.lock.Close()
	}
}

// onStop notes what Main has to call at the end.
func (s *state) onStop(stop func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stops = append(s.stops, stop)
}

// subdir returns a new directory below the process's own in /tmp: a path short enough for a Unix socket, which other users, such
// as PostgreSQL's, can reach. Without Main nobody would clean up, so the test fails.
func (s *state) subdir(t testing.TB, pattern string) string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.main {
		t.Fatal("the package needs: func TestMain(m *testing.M) { testenv.Main(m) }")
	}
	if s.dir == "" {
		removeStale()
		dir, lock, err := lockedDir()
		if err != nil {
			t.Fatal(err)
		}
		s.dir, s.lock = dir, lock
	}
	dir, err := os.MkdirTemp(s.dir, pattern)
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

const (
	tempPattern = "repomgr-test-"
	lockName    = "in-use"
)

// lockedDir makes the directory of a process, and a file in it that is locked as long as the process lives.
func lockedDir() (string, *os.File, error) {
	dir, err := os.MkdirTemp("/tmp", tempPattern)
	if err != nil {
		return "", nil, err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", nil, err
	}
	file, err := os.Create(filepath.Join(dir, lockName))
	if err != nil {
		return "", nil, err
	}
	if !tryLock(file) {
		return "", nil, fmt.Errorf("lock %s: it is locked", file.Name())
	}
	return dir, file, nil
}

// removeStale removes directories whose process was killed before it could.
func removeStale() {
	dirs, err := filepath.Glob(filepath.Join("/tmp", tempPattern+"*"))
	if err != nil {
		return
	}
	for _, dir := range dirs {
		file, err := os.Open(filepath.Join(dir, lockName))
		if err != nil {
			continue // just being made, or another user's
		}
		if tryLock(file) {
			remove(dir)
		}
		file.Close()
	}
}

// tryLock locks an open file until it is closed; false if another open file holds the lock.
func tryLock(file *os.File) bool {
	return syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}

// remove removes a directory, as far as it can: what is left in /tmp is no reason for a test to fail.
func remove(dir string) {
	unmountBelow(dir)
	_ = os.RemoveAll(dir)
}
