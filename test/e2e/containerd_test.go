package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/repomgr/repomgr/internal/testenv"
)

// containerd starts a containerd with files of its own and returns its socket.
func containerd(t *testing.T) string {
	t.Helper()
	if os.Getuid() != 0 {
		testenv.Missing(t, "containerd needs root")
	}
	// A socket's path must be short.
	dir, err := os.MkdirTemp("", "ctd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "c.sock")
	write(t, dir, "config.toml", fmt.Sprintf("version = 2\nroot = %q\nstate = %q\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\n  address = %q\n[ttrpc]\n  address = %q\n",
		filepath.Join(dir, "root"), filepath.Join(dir, "state"), socket, socket+".ttrpc"))
	cmd := exec.Command(testenv.Tool(t, "containerd"), "-c", filepath.Join(dir, "config.toml"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	for range 300 {
		if _, err := os.Stat(socket); err == nil {
			return socket
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal("containerd is not ready")
	return ""
}

func TestContainerd(t *testing.T) {
	socket := containerd(t)
	layout := testenv.BusyboxLayout(t, "v1", t.Name())
	file := filepath.Join(t.TempDir(), "image.tar")
	if out, err := exec.Command("tar", "-C", layout, "-cf", file, ".").CombinedOutput(); err != nil {
		t.Fatalf("tar: %v %s", err, out)
	}
	each(t, func(t *testing.T, r *registry, e entry) {
		c := newClient(t, r, e, "ctr")
		namespace := fmt.Sprintf("n%d", time.Now().UnixNano())
		ctr := func(args ...string) []string { return with([]string{"-a", socket, "-n", namespace}, args...) }
		user := r.User + ":" + r.Password
		image := e.ref("ctr/bb") + ":v1"
		c.run(ctr("image", "import", "--base-name", e.ref("ctr/bb"), file)...)
		c.fails(ctr("image", "push", "--plain-http", image)...)
		c.fails(ctr("image", "push", "--plain-http", "-u", r.User+":wrong", image)...)
		c.run(ctr("image", "push", "--plain-http", "-u", user, image)...)
		digest := digestPattern.FindString(c.run(ctr("image", "ls")...))
		c.run(ctr("image", "rm", "--sync", image)...)
		c.run(ctr("image", "pull", "--plain-http", "-u", user, image)...)
		c.run(ctr("image", "pull", "--plain-http", "-u", user, e.ref("ctr/bb")+"@"+digest)...)
		anonymous(t, e, c, ctr("image", "pull", "--plain-http", image)...)
	})
}

// TestContainerdURL: containerd can be told a path, so a repository's own URL serves it, too.
func TestContainerdURL(t *testing.T) {
	socket := containerd(t)
	layout := testenv.BusyboxLayout(t, "v1", t.Name())
	file := filepath.Join(t.TempDir(), "image.tar")
	if out, err := exec.Command("tar", "-C", layout, "-cf", file, ".").CombinedOutput(); err != nil {
		t.Fatalf("tar: %v %s", err, out)
	}
	r := newRegistry(t)
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			const host = "images.example"
			hosts := t.TempDir()
			if err := os.Mkdir(filepath.Join(hosts, host), 0o755); err != nil {
				t.Fatal(err)
			}
			url := r.URL + "/repository/" + m.repository + "/v2"
			write(t, filepath.Join(hosts, host), "hosts.toml", fmt.Sprintf("server = %q\n[host.%q]\n  capabilities = [\"pull\", \"resolve\", \"push\"]\n  override_path = true\n", url, url))
			e := entry{name: "url", prefix: host, repository: m.repository}
			c := newClient(t, r, e, "ctr")
			namespace := fmt.Sprintf("u%d", time.Now().UnixNano())
			ctr := func(args ...string) []string { return with([]string{"-a", socket, "-n", namespace}, args...) }
			options := func(args ...string) []string { return append(args, "--hosts-dir", hosts) }
			user := r.User + ":" + r.Password
			image := e.ref("ctr/bb") + ":v1"
			c.run(ctr("image", "import", "--base-name", e.ref("ctr/bb"), file)...)
			c.run(ctr(append(options("image", "push", "-u", user), image)...)...)
			c.run(ctr("image", "rm", "--sync", image)...)
			c.run(ctr(append(options("image", "pull", "-u", user), image)...)...)
			anonymous(t, e, c, ctr(append(options("image", "pull"), image)...)...)
		})
	}
}
