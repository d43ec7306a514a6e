package testenv

import (
	"os"
	"path/filepath"
	"testing"
)

// Domain is the domain of host names for tests. It exists for programs only that Names starts.
const Domain = "repomgr.test"

// Names makes host names of this machine's loopback address for the programs it starts, and for nobody else: they see another
// /etc/hosts.
type Names struct{ file string }

// NewNames returns the names, each below Domain. It needs root.
func NewNames(t testing.TB, names ...string) *Names {
	t.Helper()
	if os.Getuid() != 0 {
		Missing(t, "host names for tests need root")
	}
	Need(t, "unshare")
	n := &Names{filepath.Join(t.TempDir(), "hosts")}
	lines := "127.0.0.1 localhost\n"
	for _, name := range names {
		lines += "127.0.0.1 " + name + "." + Domain + "\n"
	}
	if err := os.WriteFile(n.file, []byte(lines), 0o644); err != nil {
		t.Fatal(err)
	}
	return n
}

// Command is the command that runs a program which knows the names.
func (n *Names) Command(program string, args ...string) []string {
	const script = `mount --bind "$0" /etc/hosts && exec "$@"`
	return append([]string{"unshare", "--mount", "sh", "-c", script, n.file, program}, args...)
}
