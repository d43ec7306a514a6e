package fault

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/repomgr/repomgr/internal/testenv"
)

// status is a number of the server's /proc/<pid>/status: "VmRSS" in kB, "Threads".
func (s *site) status(t testing.TB, name string) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.Pid()))
	if err != nil {
		testenv.Missing(t, "no /proc: "+err.Error())
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			n, err := strconv.Atoi(strings.Fields(value)[0])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("/proc/%d/status has no %s", s.Pid(), name)
	return 0
}

// open is how many files and connections the server has open.
func (s *site) open(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.Pid()))
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// threads is more than the server may ever have: goroutines that wait don't take one.
const threads = 100

// bounded checks that the server's memory has grown by no more than so many kB for each of n clients since before, and by a
// fixed amount. Under the race detector it takes several times as much.
func (s *site) bounded(t testing.TB, before, n, each int) {
	t.Helper()
	const fixed = 32 << 10
	limit := before + fixed + n*each
	if testenv.Race {
		limit *= 5
	}
	rss := s.status(t, "VmRSS")
	t.Logf("%d clients: from %d to %d MB, %d kB for each", n, before>>10, rss>>10, (rss-before)/max(n, 1))
	if rss > limit {
		t.Errorf("%d clients take %d kB of memory, more than %d; it was %d before", n, rss, limit, before)
	}
	if got := s.status(t, "Threads"); got > threads {
		t.Errorf("%d threads", got)
	}
}

// many is n, or less where a process may not have so many connections.
func many(t testing.TB, n int) int {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	return min(n, int(min(limit.Cur, 1<<30))/3)
}
