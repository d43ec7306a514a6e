package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Cluster is a PostgreSQL server of a test's own, which the test may stop, kill, halt and start again. It keeps what it
// acknowledged when its processes are killed; it does not sync to disk.
type Cluster struct {
	// URL is that of its one database, as Postgres returns it. The user may do anything.
	URL     string
	cluster *cluster
	halted  []int
}

// StartCluster starts a PostgreSQL server. It is stopped when the test ends.
func StartCluster(t testing.TB) *Cluster {
	t.Helper()
	initdb, server := Tool(t, "initdb"), Tool(t, "postgres")
	dir := shared.subdir(t, "cluster-")
	c, err := newCluster(initdb, server, dir, FreePort(t))
	if err != nil {
		t.Fatal(err)
	}
	base := c.url("postgres")
	own := &Cluster{URL: base.String(), cluster: c}
	t.Cleanup(func() {
		if c.process != nil {
			own.Resume(t)
			own.Stop(t)
		}
		remove(dir)
	})
	if err := c.start(); err != nil {
		t.Fatal(err)
	}
	return own
}

// Start starts the server again after Stop, Crash or Kill: on the same port, with the same data.
func (c *Cluster) Start(t testing.TB) {
	t.Helper()
	if c.cluster.process != nil {
		t.Fatal("PostgreSQL runs")
	}
	if err := c.cluster.start(); err != nil {
		t.Fatal(err)
	}
}

// Stop drops all connections and shuts the server down: PostgreSQL's "fast" shutdown.
func (c *Cluster) Stop(t testing.TB) {
	t.Helper()
	c.stop(t, fast)
}

// Crash ends the server at once, so that its next start has to recover: PostgreSQL's "immediate" shutdown.
func (c *Cluster) Crash(t testing.TB) {
	t.Helper()
	c.stop(t, immediate)
}

func (c *Cluster) stop(t testing.TB, how syscall.Signal) {
	t.Helper()
	process := c.cluster.process
	if process == nil {
		t.Fatal("PostgreSQL does not run")
	}
	c.cluster.process = nil
	if err := process.stop(how, 30*time.Second); err != nil && how == fast {
		t.Errorf("PostgreSQL did not end well: %v\n%s", err, process.log.tail())
	}
}

// Kill ends all processes of the server by SIGKILL.
func (c *Cluster) Kill(t testing.TB) {
	t.Helper()
	process := c.cluster.process
	if process == nil {
		t.Fatal("PostgreSQL does not run")
	}
	c.cluster.process = nil
	_ = process.cmd.Process.Signal(syscall.SIGSTOP) // it starts no others meanwhile
	children := childrenOf(process.cmd.Process.Pid)
	_ = process.stop(syscall.SIGKILL, time.Minute)
	signalAll(children, syscall.SIGKILL)
	// The next start refuses as long as one of them has the shared memory.
	end := time.Now().Add(time.Minute)
	for _, pid := range children {
		for !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) && !zombie(pid) {
			if time.Now().After(end) {
				t.Fatalf("a process of PostgreSQL, pid %d, does not end", pid)
			}
			time.Sleep(time.Millisecond)
		}
	}
}

// Halt makes the server stand still: its connections stay, and nothing is answered, until Resume.
func (c *Cluster) Halt(t testing.TB) {
	t.Helper()
	pid := c.cluster.process.cmd.Process.Pid
	signalAll([]int{pid}, syscall.SIGSTOP)
	c.halted = append(childrenOf(pid), pid)
	signalAll(c.halted, syscall.SIGSTOP)
}

// Resume ends a Halt.
func (c *Cluster) Resume(t testing.TB) {
	t.Helper()
	signalAll(c.halted, syscall.SIGCONT)
	c.halted = nil
}

// Query runs one statement on a connection of its own; a row's columns are put into dest.
func (c *Cluster) Query(t testing.TB, statement string, dest ...any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if len(dest) == 0 {
		_, err = conn.Exec(ctx, statement)
	} else {
		err = conn.QueryRow(ctx, statement).Scan(dest...)
	}
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func signalAll(pids []int, signal syscall.Signal) {
	for _, pid := range pids {
		_ = syscall.Kill(pid, signal) // it may have ended
	}
}

// childrenOf returns the processes that a process with one thread has started and that still run.
func childrenOf(pid int) []int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil
	}
	var pids []int
	for field := range strings.FieldsSeq(string(text)) {
		var child int
		if _, err := fmt.Sscan(field, &child); err == nil {
			pids = append(pids, child)
		}
	}
	return pids
}

// zombie tells whether a process has ended and nobody has asked how.
func zombie(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, state, _ := strings.Cut(string(text), ") ") // proc_pid_stat(5): the state comes after the name in parentheses
	return err == nil && strings.HasPrefix(state, "Z")
}
