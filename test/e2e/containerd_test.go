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
	dir := shortDir(t)
	socket := filepath.Join(dir, "c.sock")
	write(t, dir, "config.toml", fmt.Sprintf("version = 2\nroot = %q\nstate = %q\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\n  address = %q\n[ttrpc]\n  address = %q\n"+
		// else what another namespace has is not pulled
		"[plugins.\"io.containerd.metadata.v1.bolt\"]\n  content_sharing_policy = \"isolated\"\n",
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

// ctr is an image as a tar file for a containerd to import.
type ctr struct{ socket, file string }

func newCtr(t *testing.T) ctr {
	t.Helper()
	c := ctr{containerd(t), filepath.Join(t.TempDir(), "image.tar")}
	layout := testenv.BusyboxLayout(t, "v1", t.Name())
	if out, err := exec.Command("tar", "-C", layout, "-cf", c.file, ".").CombinedOutput(); err != nil {
		t.Fatalf("tar: %v %s", err, out)
	}
	return c
}

func TestContainerd(t *testing.T) {
	ctr := newCtr(t)
	each(t, func(t *testing.T, r *registry, e entry) { ctr.story(t, r, e, "--plain-http") })
}

// story pushes and pulls, each with the options for the registry's entry.
func (x ctr) story(t *testing.T, r *registry, e entry, options ...string) {
	t.Helper()
	c := newClient(t, r, e, "ctr")
	// Each namespace begins with no content, so that all of an image is pulled.
	namespaces := 0
	namespace := ""
	fresh := func() {
		namespaces++
		namespace = fmt.Sprintf("n%d-%d", time.Now().UnixNano(), namespaces)
	}
	image := func(args ...string) []string {
		return with([]string{"-a", x.socket, "-n", namespace, "image"}, args...)
	}
	transfer := func(command, ref string, args ...string) []string {
		return image(append(with([]string{command}, options...), append(args, ref)...)...)
	}
	name, user := e.ref("ctr/bb"), r.User+":"+r.Password
	tag := name + ":v1"
	fresh()
	c.run(image("import", "--base-name", name, x.file)...)
	c.fails(transfer("push", tag)...)
	c.fails(transfer("push", tag, "-u", r.User+":wrong")...)
	c.run(transfer("push", tag, "-u", user)...)
	digest := digestPattern.FindString(c.run(image("ls")...))
	for _, ref := range []string{tag, name + "@" + digest} {
		fresh()
		// containerd signs in only when it is refused, so that where everybody may read it doesn't notice that a password is wrong.
		anonymous(t, e, c, transfer("pull", ref, "-u", r.User+":wrong")...)
		fresh()
		c.run(transfer("pull", ref, "-u", user)...)
	}
	fresh()
	anonymous(t, e, c, transfer("pull", tag)...)
}

// TestContainerdURL: containerd can be told a path, so a repository's own URL serves it without a proxy.
func TestContainerdURL(t *testing.T) {
	ctr := newCtr(t)
	r := newRegistry(t)
	const host = "images.example"
	for name, root := range map[string]string{
		"plain": r.URL,
		"tls":   fmt.Sprintf("https://%s.%s:%d", secureHost, testenv.Domain, r.mainTLS),
	} {
		entries := func(repository string) []entry {
			return []entry{{name: "url-" + name, prefix: host, repository: repository}}
		}
		r.each(t, entries, func(t *testing.T, r *registry, e entry) {
			hosts := t.TempDir()
			if err := os.Mkdir(filepath.Join(hosts, host), 0o755); err != nil {
				t.Fatal(err)
			}
			url := root + "/repository/" + e.repository + "/v2"
			write(t, filepath.Join(hosts, host), "hosts.toml", fmt.Sprintf(`server = %q
[host.%q]
  capabilities = ["pull", "resolve", "push"]
  override_path = true
  ca = %q
`, url, url, r.certificate))
			ctr.story(t, r, e, "--hosts-dir", hosts)
		})
	}
}
