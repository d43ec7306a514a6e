package testenv

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// DockerOptions says how a Docker engine differs from the shared one. The zero value is the shared one.
type DockerOptions struct {
	// Mirrors are URLs of registries that the engine asks for Docker Hub's images first: http://127.0.0.1:port.
	Mirrors []string
	// Names are host names that the engine knows.
	Names *Names
	// Certificate is a PEM file with a certificate that the engine trusts.
	Certificate string
}

// shared tells whether the options are those of the shared engine.
func (o DockerOptions) shared() bool {
	return len(o.Mirrors) == 0 && o.Names == nil && o.Certificate == ""
}

// Docker is a real Docker engine and a command-line client for one test, with its own credentials.
type Docker struct {
	// Host is what clients call DOCKER_HOST.
	Host string
	// Config is the directory with the client's configuration, DOCKER_CONFIG.
	Config string

	client  string
	options DockerOptions
}

// dockerd is the shared engine of the test process.
var dockerd struct {
	once sync.Once
	host string
	err  error
}

// StartDocker returns a Docker engine that is ready: the test process's shared one, or, if options are set, one that ends
// with the test. It has no network: containers run and build with --network none or host. It takes registries on 127.0.0.0/8
// to speak plain HTTP, and can reach no other. It needs root.
//
// Images of the shared engine are seen by all tests of the process; tests that pull have to remove theirs first.
func StartDocker(t testing.TB, options DockerOptions) *Docker {
	t.Helper()
	client, engine := Tool(t, "docker"), Tool(t, "dockerd")
	if os.Getuid() != 0 {
		Missing(t, "dockerd needs root")
	}
	d := &Docker{client: client, Config: t.TempDir(), options: options}
	if !options.shared() {
		host, stop, err := startDockerd(engine, shared.subdir(t, "docker-"), options)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(stop)
		d.Host = host
		return d
	}

	dockerd.once.Do(func() {
		var stop func()
		dockerd.host, stop, dockerd.err = startDockerd(engine, shared.subdir(t, "docker-"), options)
		if dockerd.err == nil {
			shared.onStop(stop)
		}
	})
	if dockerd.err != nil {
		t.Fatal(dockerd.err)
	}
	d.Host = dockerd.host
	return d
}

// Env returns the environment in which a Docker client uses this engine with this test's credentials.
func (d *Docker) Env() []string {
	// The engine has no BuildKit; the older builder does without.
	env := environ("DOCKER_", "DOCKER_HOST="+d.Host, "DOCKER_CONFIG="+d.Config, "DOCKER_BUILDKIT=0")
	if d.options.Certificate != "" {
		env = append(env, "SSL_CERT_FILE="+d.options.Certificate)
	}
	return env
}

// Run runs a docker command, which must succeed, and returns what it printed on both its outputs.
func (d *Docker) Run(t testing.TB, args ...string) string {
	t.Helper()
	return d.RunInput(t, nil, args...)
}

// RunInput is Run with something to read for the command.
func (d *Docker) RunInput(t testing.TB, stdin io.Reader, args ...string) string {
	t.Helper()
	out, err := d.try(stdin, args)
	if err != nil {
		t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// Try runs a docker command that may fail. It returns what the command printed on both its outputs, and how it ended.
func (d *Docker) Try(t testing.TB, args ...string) (string, error) {
	t.Helper()
	return d.try(nil, args)
}

func (d *Docker) try(stdin io.Reader, args []string) (string, error) {
	return command(func(ctx context.Context) *exec.Cmd {
		line := append([]string{d.client}, args...)
		if d.options.Names != nil {
			line = d.options.Names.Command(d.client, args...)
		}
		cmd := exec.CommandContext(ctx, line[0], line[1:]...)
		cmd.Env, cmd.Stdin = d.Env(), stdin
		return cmd
	})
}

// Login signs in to a registry, "127.0.0.1:port".
func (d *Docker) Login(t testing.TB, registry, user, password string) {
	t.Helper()
	d.RunInput(t, strings.NewReader(password), "login", "-u", user, "--password-stdin", registry)
}

// Busybox imports a runnable image of one layer. Images with other marks have other layers and digests. The reference is
// removed when the test ends.
func (d *Docker) Busybox(t testing.TB, reference, mark string) {
	t.Helper()
	layer, err := os.Open(BusyboxLayer(t, mark))
	if err != nil {
		t.Fatal(err)
	}
	defer layer.Close()
	d.RunInput(t, layer, "import", "-c", `CMD ["/bin/sh"]`, "-", reference)
	t.Cleanup(func() { _, _ = d.Try(t, "rmi", "--force", reference) })
}

// startDockerd starts an engine whose files are all in dir. The caller calls stop.
func startDockerd(engine, dir string, options DockerOptions) (host string, stop func(), err error) {
	var failed error
	// Overlay needs a file system below that supports it, which a container's own root is not.
	for _, driver := range []string{"overlay2", "vfs"} {
		process, err := dockerdProcess(engine, dir, driver, options)
		if err != nil {
			return "", nil, err
		}
		stop = func() {
			_ = process.stop(syscall.SIGTERM, 30*time.Second)
			remove(dir)
		}
		socket := filepath.Join(dir, "docker.sock")
		failed = process.ready(time.Minute, func(ctx context.Context) error { return pingDocker(ctx, socket) })
		if failed == nil {
			return "unix://" + socket, stop, nil
		}
		failed = fmt.Errorf("dockerd with %s: %w\n%s", driver, failed, process.log.tail())
		stop()
	}
	return "", nil, failed
}

// dockerdProcess starts dockerd by hand, apart from one that the machine may have: other files, no firewall rules, no bridge.
func dockerdProcess(engine, dir, driver string, options DockerOptions) (*process, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "daemon.json") // else it would read the machine's
	if err := os.WriteFile(config, []byte("{}"), 0o644); err != nil {
		return nil, err
	}
	cmd := exec.Command(engine,
		"--config-file", config,
		"--data-root", filepath.Join(dir, "root"), "--exec-root", filepath.Join(dir, "exec"),
		"-H", "unix://"+filepath.Join(dir, "docker.sock"), "-p", filepath.Join(dir, "docker.pid"),
		// where the machine runs containerd, dockerd uses that one
		"--containerd-namespace", filepath.Base(dir), "--containerd-plugins-namespace", filepath.Base(dir)+"-plugins",
		"--exec-opt", "native.cgroupdriver=cgroupfs",
		"--storage-driver", driver,
		"--iptables=false", "--ip6tables=false", "--bridge=none",
		"--ip-forward=false", "--ip-masq=false", "--userland-proxy=false")
	for _, mirror := range options.Mirrors {
		cmd.Args = append(cmd.Args, "--registry-mirror", mirror)
	}
	if options.Names != nil {
		command := options.Names.Command(cmd.Path, cmd.Args[1:]...)
		cmd = exec.Command(command[0], command[1:]...)
	}
	// Registries elsewhere than on this machine are asked through a proxy that is not there: no test leaves the machine.
	nowhere := "http://127.0.0.1:1"
	cmd.Env = environ("DOCKER_", "HTTP_PROXY="+nowhere, "HTTPS_PROXY="+nowhere, "NO_PROXY=127.0.0.0/8,localhost,."+Domain,
		"http_proxy=", "https_proxy=", "no_proxy=")
	if options.Certificate != "" {
		cmd.Env = append(cmd.Env, "SSL_CERT_FILE="+options.Certificate)
	}
	return start(cmd, syscall.SIGTERM, &output{})
}

// pingDocker asks an engine whether it is ready.
func pingDocker(ctx context.Context, socket string) error {
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://docker/_ping", nil)
	if err != nil {
		return err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %s", response.Status)
	}
	return nil
}
