package testenv

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) { Main(m) }

// recorder is a test whose end is looked at.
type recorder struct {
	testing.TB
	errors, fatal, skip string
	cleanup             []func()
}

func (r *recorder) Helper()             {}
func (r *recorder) Logf(string, ...any) {}
func (r *recorder) Failed() bool        { return r.errors+r.fatal != "" }
func (r *recorder) Cleanup(f func())    { r.cleanup = append(r.cleanup, f) }
func (r *recorder) Error(args ...any)   { r.errors += fmt.Sprintln(args...) }
func (r *recorder) Errorf(format string, args ...any) {
	r.errors += fmt.Sprintf(format, args...) + "\n"
}
func (r *recorder) Fatal(args ...any) {
	r.fatal = fmt.Sprint(args...)
	runtime.Goexit()
}

func (r *recorder) Fatalf(format string, args ...any) { r.Fatal(fmt.Sprintf(format, args...)) }
func (r *recorder) Skipf(format string, args ...any) {
	r.skip = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// record runs something that takes a test, to its end or to a failure.
func record(t *testing.T, f func(t testing.TB)) *recorder {
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			for i := len(r.cleanup) - 1; i >= 0; i-- {
				r.cleanup[i]()
			}
		}()
		f(r)
	}()
	<-done
	return r
}

func TestMissing(t *testing.T) {
	tests := []struct {
		name, require string
		skip, fatal   bool
	}{
		{"skips by default", "", true, false},
		{"fails when all is required", "all", false, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv(require, tt.require)
			got := record(t, func(t testing.TB) { Need(t, "sh", "no-such-program") })
			if got.skip != "" != tt.skip || got.fatal != "" != tt.fatal {
				t.Errorf("skipped with %q, failed with %q", got.skip, got.fatal)
			}
			if !strings.Contains(got.skip+got.fatal, "no-such-program is not installed") {
				t.Errorf("the reason %q does not name the program", got.skip+got.fatal)
			}
		})
	}
}

func TestTool(t *testing.T) {
	if path := Tool(t, "sh"); !filepath.IsAbs(path) {
		t.Errorf("sh is %q", path)
	}
	if path := Tool(t, "postgres"); !strings.Contains(path, "postgres") { // not on the PATH in Debian
		t.Errorf("postgres is %q", path)
	}
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	if path, err := find("crane"); err == nil || !strings.Contains(err.Error(), "crane is not built") {
		t.Errorf("an unbuilt tool is found as %q, %v", path, err)
	}
}

// TestLeavesNothing ends a test process in two ways and looks for what it leaves behind.
func TestLeavesNothing(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("looks into /proc")
	}
	Need(t, "initdb", "postgres")
	for _, end := range []string{"return", "kill"} {
		t.Run(end, func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.run=^TestChild$", "-test.v")
			cmd.Env = append(os.Environ(), "REPOMGR_TESTENV_CHILD="+end)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			var dir string
			for lines := bufio.NewScanner(out); dir == "" && lines.Scan(); {
				_, dir, _ = strings.Cut(lines.Text(), "child uses ")
			}
			if dir == "" {
				t.Fatalf("the child did not start: %v", cmd.Wait())
			}
			if end == "kill" {
				if programs(t, dir) == "" {
					t.Error("no program is found while the child runs")
				}
				_ = cmd.Process.Kill()
			}
			if err := cmd.Wait(); err != nil && end == "return" {
				t.Error(err)
			}

			deadline := time.Now().Add(40 * time.Second)
			for programs(t, dir) != "" && time.Now().Before(deadline) {
				time.Sleep(50 * time.Millisecond)
			}
			if left := programs(t, dir); left != "" {
				t.Errorf("still running:\n%s", left)
			}
			if end == "kill" {
				removeStale()
			}
			if _, err := os.Stat(dir); err == nil {
				t.Errorf("%s is still there", dir)
			}
		})
	}
	if _, err := os.Stat(shared.dir); err != nil && shared.dir != "" {
		t.Errorf("the directory in use was removed: %v", err)
	}
}

// TestChild is the process that TestLeavesNothing ends.
func TestChild(t *testing.T) {
	end := os.Getenv("REPOMGR_TESTENV_CHILD")
	if end == "" {
		t.Skip("run by TestLeavesNothing")
	}
	Postgres(t)
	if os.Getuid() == 0 {
		if _, err := find("dockerd"); err == nil {
			StartDocker(t, DockerOptions{})
		}
	}
	fmt.Printf("\nchild uses %s\n", shared.dir)
	if end == "kill" {
		time.Sleep(time.Minute)
	}
}

// programs returns the command lines of running programs that name a directory.
func programs(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var found strings.Builder
	for _, file := range files {
		line, err := os.ReadFile(file)
		if err == nil && bytes.Contains(line, []byte(dir)) {
			fmt.Fprintf(&found, "%s %q\n", file, line)
		}
	}
	return found.String()
}

func TestFreePort(t *testing.T) {
	seen := map[int]bool{}
	for range 100 {
		port := FreePort(t)
		if seen[port] {
			t.Fatalf("port %d was returned twice", port)
		}
		seen[port] = true
	}
}

func TestLongTests(t *testing.T) {
	t.Setenv("REPOMGR_TEST_SOAK", strconv.Itoa(3)+"m")
	if got := Soak(t); got != 3*time.Minute {
		t.Errorf("Soak is %v", got)
	}
}
