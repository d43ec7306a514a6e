// Package e2e runs real clients against the real server: every client, on each entry that it can address, with each way of
// signing in. docs/formats/docker.md shows the table.
package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/repomgr/repomgr/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// The repositories of the server, by the challenge that their connectors send.
const (
	basic  = "basic-images"
	bearer = "bearer-images"
)

// registry is a running server with the two repositories.
type registry struct {
	*testenv.Server
	// ports and securePorts are the connectors of the repositories.
	ports, securePorts map[string]int
	// names are the host names that lead to the server; certificate is the file with its certificate.
	names       *testenv.Names
	certificate string
}

// entry is a way to reach a repository.
type entry struct {
	name string
	// host is what clients sign in to; prefix is what stands before the names of images.
	host, prefix string
	repository   string
	// secure tells that the entry speaks TLS.
	secure bool
}

// ref is how clients call an image. Each entry has images of its own: what came by one must not be found by another.
func (e entry) ref(name string) string { return e.prefix + "/" + e.name + "/" + name }

// mode is how a client signs in.
type mode struct {
	name       string
	repository string
}

var modes = []mode{{"basic", basic}, {"bearer", bearer}}

// newRegistry starts a server on which anonymous callers may read from the bearer repository.
func newRegistry(t *testing.T) *registry {
	t.Helper()
	r := &registry{ports: map[string]int{}, securePorts: map[string]int{}, names: testenv.NewNames(t, basic, bearer, secureHost)}
	var key string
	r.certificate, key = testenv.Certificate(t, secureHost+"."+testenv.Domain)
	r.Server = testenv.StartServer(t, testenv.ServerOptions{Env: []string{
		"REPOMGR_ANONYMOUS=true", "REPOMGR_TLS_CERTIFICATE=" + r.certificate, "REPOMGR_TLS_KEY=" + key,
	}})
	for _, name := range []string{basic, bearer} {
		r.ports[name], r.securePorts[name] = testenv.FreePort(t), testenv.FreePort(t)
		r.call(t, "POST", "/service/rest/v1/repositories/docker/hosted", fmt.Sprintf(`{"name": %q, "online": true,
 "storage": {"blobStoreName": "default", "strictContentTypeValidation": true, "writePolicy": "ALLOW"},
 "docker": {"v1Enabled": false, "forceBasicAuth": %t, "httpPort": %d, "httpsPort": %d, "subdomain": %q, "pathEnabled": true}}`,
			name, name == basic, r.ports[name], r.securePorts[name], name), 201)
	}
	return r
}

// secureHost is the name in the server's certificate.
const secureHost = "secure"

// call sends a request to the REST API as the administrator.
func (r *registry) call(t *testing.T, method, path, body string, want int) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, r.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.SetBasicAuth(r.User, r.Password)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != want {
		t.Fatalf("%s %s: %d %s %v, want %d", method, path, resp.StatusCode, b, err, want)
	}
	return string(b)
}

// entries are the ways to the repository that registry clients can address.
func (r *registry) entries(repository string) []entry {
	main := strings.TrimPrefix(r.URL, "http://")
	_, mainPort, _ := strings.Cut(main, ":")
	port := fmt.Sprintf("127.0.0.1:%d", r.ports[repository])
	subdomain := repository + "." + testenv.Domain + ":" + mainPort
	secure := fmt.Sprintf("%s.%s:%d", secureHost, testenv.Domain, r.securePorts[repository])
	return []entry{
		{name: "port", host: port, prefix: port, repository: repository},
		{name: "path", host: main, prefix: main + "/" + repository, repository: repository},
		{name: "subdomain", host: subdomain, prefix: subdomain, repository: repository},
		{name: "https", host: secure, prefix: secure, repository: repository, secure: true},
	}
}

// each runs a test on a new server for every entry and way to sign in.
func each(t *testing.T, test func(t *testing.T, r *registry, e entry)) {
	t.Helper()
	r := newRegistry(t)
	r.each(t, func(t *testing.T, e entry) { test(t, r, e) })
}

func (r *registry) each(t *testing.T, test func(t *testing.T, e entry)) {
	t.Helper()
	for _, m := range modes {
		for _, e := range r.entries(m.repository) {
			t.Run(m.name+"/"+e.name, func(t *testing.T) { test(t, e) })
		}
	}
}

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
