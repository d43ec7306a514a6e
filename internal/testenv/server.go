package testenv

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// ServerOptions says how a server is started. The zero value is a server with an empty data directory.
type ServerOptions struct {
	// Data is the data directory; empty for a new one.
	Data string
	// Preset is what --preset gets: "docker" for a server that has docker repositories. Empty for none.
	Preset string
	// Password is the administrator's; empty for one that the test finds in Server.Password.
	Password string
	// Args are further arguments of "repomgr serve".
	Args []string
	// Env are further environment variables, "REPOMGR_...=...". The test's own REPOMGR_ variables are not passed on.
	Env []string

	command string // the main package to run in place of repomgr
}

// Server is a repomgr that runs as a process of its own.
type Server struct {
	// URL is where it listens, "http://127.0.0.1:port", without a slash at the end.
	URL string
	// Registry is where the docker connector of the preset listens, "127.0.0.1:port"; empty without the preset.
	Registry string
	// Group is where the connector of the preset's group listens.
	Group string
	// Data is its data directory.
	Data string
	// User and Password are the administrator's.
	User, Password string

	options ServerOptions
	binary  string
	log     output
	process *process // nil when it was stopped by the test
}

// StartServer starts a server on a free port of 127.0.0.1 and waits until it answers. When the test ends it is stopped, which it must
// do without complaint; when the test failed, the end of its log is shown.
func StartServer(t testing.TB, options ServerOptions) *Server {
	t.Helper()
	if options.command == "" {
		options.command = "./cmd/repomgr"
	}
	s := &Server{
		options: options, binary: build(t, options.command),
		Data: options.Data, User: "admin", Password: options.Password,
	}
	if s.Data == "" {
		s.Data = t.TempDir()
	}
	if s.Password == "" {
		s.Password = "test-admin-password"
	}
	t.Cleanup(func() {
		if s.process != nil {
			s.Stop(t)
		}
		if t.Failed() {
			t.Logf("the server's log:\n%s", s.log.tail())
		}
	})

	var err error
	for range 3 {
		s.URL = fmt.Sprintf("http://127.0.0.1:%d", FreePort(t))
		if options.Preset == "docker" {
			s.Registry, s.Group = fmt.Sprintf("127.0.0.1:%d", FreePort(t)), fmt.Sprintf("127.0.0.1:%d", FreePort(t))
		}
		// Another test process may have taken the port in the meantime.
		if err = s.start(); !errors.Is(err, errEnded) || !strings.Contains(s.log.tail(), "address already in use") {
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Start starts the server again after Stop or Kill: on the same address, with the same data.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	if s.process != nil {
		t.Fatal("the server runs")
	}
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
}

// start starts the process and waits until it answers.
func (s *Server) start() error {
	args := []string{"serve", "--data", s.Data, "--listen", strings.TrimPrefix(s.URL, "http://")}
	if s.options.Preset != "" {
		args = append(args, "--preset", s.options.Preset)
	}
	cmd := exec.Command(s.binary, append(args, s.options.Args...)...)
	cmd.Dir = s.Data
	cmd.Env = environ("REPOMGR_", "REPOMGR_ADMIN_PASSWORD="+s.Password)
	if s.Registry != "" {
		_, port, _ := strings.Cut(s.Registry, ":")
		_, group, _ := strings.Cut(s.Group, ":")
		cmd.Env = append(cmd.Env, "REPOMGR_PRESET_DOCKER_PORT="+port, "REPOMGR_PRESET_DOCKER_GROUP_PORT="+group)
	}
	cmd.Env = append(cmd.Env, s.options.Env...)

	process, err := start(cmd, syscall.SIGKILL, &s.log)
	if err != nil {
		return err
	}
	if err := process.ready(time.Minute, s.answers); err != nil {
		_ = process.stop(syscall.SIGKILL, time.Minute)
		return err
	}
	s.process = process
	return nil
}

// direct is a client that knows no proxy.
var direct = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// answers asks the server whether it is ready.
func (s *Server) answers(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/service/rest/v1/status", nil)
	if err != nil {
		return err
	}
	response, err := direct.Do(request)
	if err != nil {
		return err
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", request.URL, response.Status)
	}
	return nil
}

// Stop asks the server to end, by SIGTERM, and waits. It must exit with status 0 within half a minute; under the race
// detector another status also means that it found a race.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	process := s.process
	if process == nil {
		t.Fatal("the server does not run")
	}
	s.process = nil
	if !process.running() {
		t.Errorf("the server ended by itself: %v", process.err)
		return
	}
	if err := process.stop(syscall.SIGTERM, 30*time.Second); err != nil {
		t.Errorf("the server did not end well: %v", err)
	}
}

// Kill ends the server without a warning, by SIGKILL.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	process := s.process
	if process == nil {
		t.Fatal("the server does not run")
	}
	s.process = nil
	_ = process.stop(syscall.SIGKILL, time.Minute)
}

// Restart is Stop and Start.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.Stop(t)
	s.Start(t)
}

// Pid is the process id of the server while it runs.
func (s *Server) Pid() int { return s.process.cmd.Process.Pid }

// Log returns what the server printed so far, over all its starts.
func (s *Server) Log() string { return s.log.String() }
