// Package oci checks the server against the OCI distribution-spec 1.1, requirement by requirement, and against what Docker
// and other clients rely on beyond it.
//
// A test is named after its requirement; its comment quotes the section, or the end-point, of the specification that it
// comes from ("end-3" and so on are the specification's ids). A comment that says "main" is about what the specification's
// main branch adds to release 1.1. Every test runs on each way by which clients reach a repository.
package oci

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/repomgr/repomgr/core/app"
	"github.com/repomgr/repomgr/core/config"
	"github.com/repomgr/repomgr/internal/testenv"
)

const (
	adminUser     = "admin"
	adminPassword = "conformance-admin"
)

// server is a running server with its data directory.
type server struct {
	app  *app.App
	cfg  config.Config
	log  bytes.Buffer
	root string // "http://127.0.0.1:port"
}

// start starts a server, on the port that it had before if it ran already.
func (s *server) start() error {
	log := slog.New(slog.NewTextHandler(&s.log, nil))
	a, err := app.Start(context.Background(), s.cfg, log, "test")
	if err != nil {
		return err
	}
	s.app, s.root = a, "http://"+a.Addr().String()
	s.cfg.Listen = a.Addr().String()
	return nil
}

func (s *server) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return s.app.Stop(ctx)
}

// shared is the server that tests use unless they restart it or change what concerns all callers. Anonymous callers may
// read. It has the repositories of all.
var shared struct {
	once   sync.Once
	server *server
	err    error
}

// repositories of the shared server.
const (
	open   = "conf"        // anonymous callers may read; ALLOW
	second = "conf-second" // the same
	forced = "conf-forced" // forceBasicAuth: no anonymous callers
	once   = "conf-once"   // ALLOW_ONCE
	latest = "conf-latest" // ALLOW_ONCE with latestPolicy
)

// policies are the write policies of the shared server's repositories.
var policies = map[string]storage{
	open:   {WritePolicy: "ALLOW"},
	second: {WritePolicy: "ALLOW"},
	forced: {WritePolicy: "ALLOW"},
	once:   {WritePolicy: "ALLOW_ONCE"},
	latest: {WritePolicy: "ALLOW_ONCE", LatestPolicy: true},
}

func sharedServer(t testing.TB) *server {
	t.Helper()
	shared.once.Do(func() {
		dir, err := os.MkdirTemp("", "repomgr-oci-")
		if err != nil {
			shared.err = err
			return
		}
		s := &server{cfg: config.Config{Data: dir, Listen: "127.0.0.1:0", AdminPassword: adminPassword, Anonymous: true}}
		if shared.err = s.start(); shared.err != nil {
			return
		}
		shared.server = s
		for name, policy := range policies {
			if shared.err = s.createRepository(testenv.FreePort(t), name, policy, name == forced); shared.err != nil {
				return
			}
		}
		shared.err = s.createUser(contributor, contributorPassword, "contributor")
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.server
}

// A user who may read and push, but not delete.
const (
	contributor         = "carla"
	contributorPassword = "conformance-carla"
)

func TestMain(m *testing.M) {
	m.Run() // its result is the process's exit status, by package testing
	if s := shared.server; s != nil {
		if err := s.stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stop the shared server:", err)
			os.Exit(1)
		}
		_ = os.RemoveAll(s.cfg.Data)
	}
}

// newServer starts a server of the test's own, with the repository open. It is stopped when the test ends.
func newServer(t testing.TB, anonymous bool) *server {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	s := &server{cfg: config.Config{Data: dir, Listen: "127.0.0.1:0", AdminPassword: adminPassword, Anonymous: anonymous}}
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Error("stop:", err)
		}
		if t.Failed() {
			t.Log("the server's log:\n" + s.log.String())
		}
	})
	if err := s.createRepository(testenv.FreePort(t), open, policies[open], false); err != nil {
		t.Fatal(err)
	}
	return s
}

// restart stops the server and starts it again with the same data and ports.
func (s *server) restart(t testing.TB) {
	t.Helper()
	if err := s.stop(); err != nil {
		t.Fatal("stop:", err)
	}
	if err := s.start(); err != nil {
		t.Fatal("start:", err)
	}
}

// storage is the part of a repository's settings that tests vary (nexus-api.md section 2.3).
type storage struct {
	BlobStore    string `json:"blobStoreName"`
	Strict       bool   `json:"strictContentTypeValidation"`
	WritePolicy  string `json:"writePolicy"`
	LatestPolicy bool   `json:"latestPolicy"`
}

// repositorySettings is the body that creates or changes a repository: reached by a port, a sub-domain and a path.
func repositorySettings(port int, name string, s storage, forceBasic bool) map[string]any {
	s.BlobStore = "default"
	return map[string]any{
		"name": name, "online": true, "storage": s,
		"docker": map[string]any{
			"v1Enabled": false, "forceBasicAuth": forceBasic, "httpPort": port, "subdomain": name, "pathEnabled": true,
		},
	}
}

func (s *server) createRepository(port int, name string, policy storage, forceBasic bool) error {
	return s.rest(http.MethodPost, "/v1/repositories/docker/hosted", repositorySettings(port, name, policy, forceBasic), nil)
}

// updateRepository changes the write policy.
func (s *server) updateRepository(name string, policy storage, forceBasic bool) error {
	port, err := s.port(name)
	if err != nil {
		return err
	}
	return s.rest(http.MethodPut, "/v1/repositories/docker/hosted/"+name, repositorySettings(port, name, policy, forceBasic), nil)
}

// port is the repository's connector.
func (s *server) port(name string) (int, error) {
	var answer struct {
		Docker struct {
			HTTPPort int `json:"httpPort"`
		} `json:"docker"`
	}
	err := s.rest(http.MethodGet, "/v1/repositories/docker/hosted/"+name, nil, &answer)
	return answer.Docker.HTTPPort, err
}

func (s *server) createUser(id, password, role string) error {
	return s.rest(http.MethodPost, "/v1/security/users", map[string]any{
		"userId": id, "firstName": "C", "lastName": "L", "emailAddress": id + "@example.org", "password": password,
		"status": "active", "roles": []string{role},
	}, nil)
}

// rest calls the REST API as the administrator. A body other than a string is sent as JSON; answer may be nil.
func (s *server) rest(method, path string, body, answer any) error {
	var content io.Reader
	contentType := "application/json"
	switch b := body.(type) {
	case nil:
	case string:
		content, contentType = strings.NewReader(b), "text/plain"
	default:
		text, err := json.Marshal(b)
		if err != nil {
			return err
		}
		content = bytes.NewReader(text)
	}
	req, err := http.NewRequest(method, s.root+"/service/rest"+path, content)
	if err != nil {
		return err
	}
	req.SetBasicAuth(adminUser, adminPassword)
	req.Header.Set("Content-Type", contentType)
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s: %s", method, path, res.Status, text)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(text, answer)
}

// entry is a way by which clients reach a repository.
type entry struct {
	name string
	// root is the scheme, host and port that requests go to.
	root string
	// host is the Host header; empty for that of root.
	host string
	// base is what comes before /v2/ in URL paths.
	base string
	// prefix is what comes before an image's name.
	prefix string
}

// entries are the ways to a repository of the server.
func (s *server) entries(t testing.TB, repository string) []entry {
	t.Helper()
	port, err := s.port(repository)
	if err != nil {
		t.Fatal(err)
	}
	_, main, err := net.SplitHostPort(s.app.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return []entry{
		{name: "connector", root: fmt.Sprintf("http://127.0.0.1:%d", port)},
		{name: "path", root: s.root, prefix: repository + "/"},
		{name: "subdomain", root: s.root, host: repository + ".registry.example:" + main},
		{name: "repository", root: s.root, base: "/repository/" + repository},
	}
}

// images counts the image names that tests got.
var images atomic.Int64

// registry is a repository of a server, as a client sees it that came by one entry, with an image of the test's own.
type registry struct {
	entry
	server     *server
	repository string
	// image is the image's name in the repository.
	image string
	// authorization is the header sent with requests; empty for none.
	authorization string
}

// newRegistry returns a registry for the administrator with a new image name.
func (s *server) newRegistry(e entry, repository string) registry {
	return registry{
		entry: e, server: s, repository: repository,
		image:         fmt.Sprintf("image-%d/app", images.Add(1)),
		authorization: basic(adminUser, adminPassword),
	}
}

// each runs a test on every entry of the shared server's repository open.
func each(t *testing.T, test func(t *testing.T, r registry)) {
	t.Helper()
	eachOf(t, open, test)
}

// eachOf runs a test on every entry of one of the shared server's repositories.
func eachOf(t *testing.T, repository string, test func(t *testing.T, r registry)) {
	t.Helper()
	t.Parallel()
	s := sharedServer(t)
	for _, e := range s.entries(t, repository) {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			test(t, s.newRegistry(e, repository))
		})
	}
}

// by returns the registry as another caller sees it: one with the Authorization header, or with none when it is empty.
func (r registry) by(authorization string) registry {
	r.authorization = authorization
	return r
}

// sibling is another image of the same repository.
func (r registry) sibling() registry {
	r.image = fmt.Sprintf("image-%d/app", images.Add(1))
	return r
}

// named is the image with the name.
func (r registry) named(image string) registry {
	r.image = image
	return r
}

// name is the image's name as the client says it.
func (r registry) name() string { return r.prefix + r.image }

// path is the URL path of an end-point of the image, "manifests/latest" for example.
func (r registry) path(format string, args ...any) string {
	return r.base + "/v2/" + r.name() + "/" + fmt.Sprintf(format, args...)
}

// rootPath is the URL path of an end-point without a name.
func (r registry) rootPath(path string) string { return r.base + path }
