package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/repomgr/repomgr/internal/testenv"
)

// client is a command-line program with an environment of its own.
type client struct {
	t    *testing.T
	path string
	env  []string
	// dir is where it runs; empty for a new directory each time.
	dir    string
	names  *testenv.Names
	secure bool
}

// newClient finds a program, gives it a home of its own, and lets it know the server's names and certificate.
func newClient(t *testing.T, r *registry, e entry, name string, env ...string) *client {
	t.Helper()
	home := t.TempDir()
	c := &client{t: t, path: testenv.Tool(t, name), names: r.names, secure: e.secure}
	c.env = append(append(os.Environ(), "HOME="+home, "XDG_RUNTIME_DIR="+home, "DOCKER_CONFIG="+home+"/docker",
		// Whatever else a client asks for, it doesn't leave the machine.
		"HTTP_PROXY=http://127.0.0.1:1", "HTTPS_PROXY=http://127.0.0.1:1", "NO_PROXY=127.0.0.0/8,localhost,."+testenv.Domain), env...)
	if e.secure {
		c.env = append(c.env, "SSL_CERT_FILE="+r.certificate)
	}
	return c
}

// plain are the options that let clients do without TLS, or without a certificate they know. By TLS, tests don't use them.
var plain = []string{"--tls-verify=false", "--src-tls-verify=false", "--dest-tls-verify=false", "--plain-http", "--from-plain-http",
	"--to-plain-http", "--insecure", "--allow-http-registry"}

func (c *client) try(stdin string, args ...string) (string, error) {
	if c.secure {
		args = slices.DeleteFunc(slices.Clone(args), func(arg string) bool { return slices.Contains(plain, arg) })
	}
	command := c.names.Command(c.path, args...)
	cmd := exec.CommandContext(c.t.Context(), command[0], command[1:]...)
	if cmd.Dir = c.dir; cmd.Dir == "" {
		cmd.Dir = c.t.TempDir()
	}
	cmd.Env, cmd.Stdin = c.env, strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// run runs a command that must succeed, and returns what it printed.
func (c *client) run(args ...string) string {
	c.t.Helper()
	return c.runWith("", args...)
}

// runWith is run with something to read for the command.
func (c *client) runWith(stdin string, args ...string) string {
	c.t.Helper()
	out, err := c.try(stdin, args...)
	if err != nil {
		c.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// fails runs a command that must fail, and returns what it printed.
func (c *client) fails(args ...string) string {
	c.t.Helper()
	return c.failsWith("", args...)
}

// failsWith is fails with something to read for the command.
func (c *client) failsWith(stdin string, args ...string) string {
	c.t.Helper()
	out, err := c.try(stdin, args...)
	if err == nil {
		c.t.Fatalf("%s: succeeded\n%s", strings.Join(args, " "), out)
	}
	return out
}

// anonymous runs a reading command without credentials: it must succeed where anonymous callers may read, and fail elsewhere.
func anonymous(t *testing.T, e entry, c *client, args ...string) {
	t.Helper()
	if e.repository == bearer {
		c.run(args...)
	} else {
		c.fails(args...)
	}
}

// wants checks that a command's output contains something.
func wants(t *testing.T, out, want string) {
	t.Helper()
	if !strings.Contains(out, want) {
		t.Errorf("output does not contain %q:\n%s", want, out)
	}
}

func trim(s string) string { return strings.TrimSpace(s) }

func countLines(s string) int { return strings.Count(s, "\n") }

func write(t *testing.T, dir, name, body string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
}

// shortDir is a directory with a short path, whatever TMPDIR is: sockets need that.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "e2e-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}
