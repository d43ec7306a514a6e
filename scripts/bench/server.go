package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Names of the servers, as they are in the table.
const (
	subject = "repomgr"
	peer    = "docker-registry"
	static  = "nginx"
)

// server is a server under load, with a directory of its own.
type server struct {
	name string
	// dir holds its data, its configuration and its log.
	dir string
	// main is where it says that it runs, at the path health; registry is where images are. Both are host:port.
	main, health, registry string
	// auth is the value of the Authorization header for requests that write; empty where none is needed.
	auth string
	// command makes the command that starts it, death is the signal that ends it at once with all its children.
	command func() *exec.Cmd
	death   syscall.Signal

	process *process
	pids    []int
	// ways are the addresses of further repositories, by name.
	ways map[string]string
	fixture
}

// start starts the server, and returns how long it took until a path was answered with 200.
func (s *server) start(ctx context.Context, address, path string) (time.Duration, error) {
	begin := time.Now()
	p, err := start(s.command(), s.log(), s.death)
	if err != nil {
		return 0, fmt.Errorf("start %s: %w", s.name, err)
	}
	s.process = p
	took, err := p.answers(ctx, address, path, begin)
	if err != nil {
		return 0, fmt.Errorf("start %s: %w\n%s", s.name, err, s.logTail())
	}
	workers, err := children(p.cmd.Process.Pid)
	if err != nil {
		return 0, err
	}
	s.pids = append([]int{p.cmd.Process.Pid}, workers...)
	return took, nil
}

func (s *server) stop() {
	if s.process != nil {
		s.process.stop()
		s.process, s.pids = nil, nil
	}
}

func (s *server) log() string { return filepath.Join(s.dir, "log") }

func (s *server) logTail() string {
	text, err := os.ReadFile(s.log())
	if err != nil {
		return ""
	}
	return string(text[max(0, len(text)-4096):])
}

// newRepomgr is repomgr as it comes: SQLite, blobs in files, and one repository, that anonymous callers may read, on its own port.
func newRepomgr(binary, dir string) (*server, error) {
	const password = "bench-admin-password"
	main, err1 := freePort()
	connector, err2 := freePort()
	binary, err3 := filepath.Abs(binary)
	err4 := os.MkdirAll(filepath.Join(dir, "data"), 0o700)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return nil, err
	}
	s := &server{
		name: subject, dir: dir, death: syscall.SIGKILL,
		main: address(main), health: "/service/rest/v1/status", registry: address(connector),
		auth: "Basic " + base64.StdEncoding.EncodeToString([]byte("admin:"+password)),
	}
	s.command = func() *exec.Cmd {
		cmd := exec.Command(binary, "serve", "--data", filepath.Join(dir, "data"), "--listen", s.main)
		cmd.Dir = dir
		cmd.Env = append(environ("REPOMGR_"), "REPOMGR_ADMIN_PASSWORD="+password, "REPOMGR_ANONYMOUS=true")
		return cmd
	}
	return s, nil
}

// createRepository creates repomgr's repository over its REST API.
func (s *server) createRepository(ctx context.Context) error {
	_, port, _ := strings.Cut(s.registry, ":")
	return s.post(ctx, "/repositories/docker/hosted", fmt.Sprintf(`{"name": "images", "online": true,
 "storage": {"blobStoreName": "default", "strictContentTypeValidation": true, "writePolicy": "ALLOW"},
 "docker": {"v1Enabled": false, "forceBasicAuth": false, "httpPort": %s}}`, port))
}

// post creates something by repomgr's REST API.
func (s *server) post(ctx context.Context, path, body string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.main+"/service/rest/v1"+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", s.auth)
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusCreated {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 300))
		return fmt.Errorf("create a repository: %s: %s", response.Status, text)
	}
	return nil
}

// newPeer is docker-registry with blobs in files, its cache of blob descriptors in memory, without authentication and logs. With a
// remote, it is a proxy of the registry at that URL.
func newPeer(name, dir, remote string) (*server, error) {
	binary, err1 := exec.LookPath("docker-registry")
	port, err2 := freePort()
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	s := &server{name: name, dir: dir, death: syscall.SIGKILL, main: address(port), health: "/v2/", registry: address(port)}
	config := filepath.Join(dir, "config.yml")
	text := fmt.Sprintf(`version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage:
  filesystem: {rootdirectory: %q}
  delete: {enabled: true}
  cache: {blobdescriptor: inmemory}
http: {addr: %q}
`, filepath.Join(dir, "data"), s.registry)
	if remote != "" {
		text += fmt.Sprintf("proxy: {remoteurl: %q}\n", remote)
	}
	s.command = func() *exec.Cmd {
		cmd := exec.Command(binary, "serve", config)
		cmd.Dir = dir
		cmd.Env = append(environ("REGISTRY_"), "OTEL_TRACES_EXPORTER=none")
		return cmd
	}
	return s, writeFile(config, []byte(text))
}

// newStatic is nginx with files of the same sizes, sent by sendfile: what the machine can do when a server looks up nothing.
func newStatic(dir string) (*server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	return newNginx(static, dir, address(port), fmt.Sprintf("access_log off;\n\tserver { listen %s; root data; }", address(port)))
}

// newNginx is nginx that sends the files in data by sendfile. sites are directives of its http block.
func newNginx(name, dir, registry, sites string) (*server, error) {
	// Debian has it where only root's PATH leads.
	binary, err := exec.LookPath("nginx")
	if err != nil {
		binary, err = exec.LookPath("/usr/sbin/nginx")
	}
	if err != nil {
		return nil, err
	}
	s := &server{name: name, dir: dir, death: syscall.SIGTERM, main: registry, health: "/ready", registry: registry}
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;" // else its workers can't read our directory
	}
	config := filepath.Join(dir, "nginx.conf")
	text := fmt.Sprintf(`%s
daemon off;
worker_processes auto;
pid nginx.pid;
error_log stderr error;
events { worker_connections 1024; }
http {
	default_type application/octet-stream;
	sendfile on;
	tcp_nopush on;
	keepalive_requests 1000000000;
	client_body_temp_path temp; proxy_temp_path temp; fastcgi_temp_path temp; uwsgi_temp_path temp; scgi_temp_path temp;
	%s
}
`, user, sites)
	s.command = func() *exec.Cmd {
		return exec.Command(binary, "-p", dir, "-c", config, "-e", "stderr")
	}
	return s, errors.Join(writeFile(config, []byte(text)), writeFile(filepath.Join(dir, "data", "ready"), []byte("ready\n")))
}

func address(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// environ is the environment without the variables whose names start with the prefix.
func environ(prefix string) []string {
	var env []string
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, prefix) {
			env = append(env, entry)
		}
	}
	return env
}

// writeFile writes a file, and the directories to it.
func writeFile(name string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	return os.WriteFile(name, content, 0o600)
}

// reclaim removes the files that hold big blobs from below the server, except those of its fixture: three rounds of pushes would
// fill the disk. The blobs are asked for no more, and no server looks after files during the minutes of a run.
func (s *server) reclaim() error {
	return s.bigFiles(func(path string) error {
		if s.kept[path] {
			return nil
		}
		return os.Remove(path)
	})
}

// bigFiles calls found with each file that has the size of a big blob.
func (s *server) bigFiles(found func(path string) error) error {
	return filepath.WalkDir(s.dir, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the server removed it in the meantime
		}
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || info.Size() != bigSize {
			return err
		}
		return found(path)
	})
}
