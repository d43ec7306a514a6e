// Package e2e runs real clients against the real server: every client, on each entry that it can address, with each way of
// signing in. docs/formats/docker.md shows the table.
package e2e

import (
	"fmt"
	"io"
	"net/http"
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
	// mainTLS is the main port that speaks TLS.
	mainTLS int
	// names are the host names that lead to the server; certificate is the file with its certificate, key that with the private key.
	names            *testenv.Names
	certificate, key string
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
	hosts := []string{basic, bearer, secureHost, proxyHost}
	r := &registry{
		ports: map[string]int{}, securePorts: map[string]int{}, mainTLS: testenv.FreePort(t), names: testenv.NewNames(t, hosts...),
	}
	for i := range hosts {
		hosts[i] += "." + testenv.Domain
	}
	r.certificate, r.key = testenv.Certificate(t, hosts...)
	r.Server = testenv.StartServer(t, testenv.ServerOptions{Env: []string{
		"REPOMGR_ANONYMOUS=true", "REPOMGR_TLS_CERTIFICATE=" + r.certificate, "REPOMGR_TLS_KEY=" + r.key,
		fmt.Sprintf("REPOMGR_TLS_LISTEN=127.0.0.1:%d", r.mainTLS),
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

// Host names in the server's certificate, beside the subdomains: its own, and that of a proxy before it.
const (
	secureHost = "secure"
	proxyHost  = "proxy"
)

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

// secureEntries are the ways by the main port that speaks TLS.
func (r *registry) secureEntries(repository string) []entry {
	main := fmt.Sprintf("%s.%s:%d", secureHost, testenv.Domain, r.mainTLS)
	subdomain := fmt.Sprintf("%s.%s:%d", repository, testenv.Domain, r.mainTLS)
	return []entry{
		{name: "path-tls", host: main, prefix: main + "/" + repository, repository: repository, secure: true},
		{name: "subdomain-tls", host: subdomain, prefix: subdomain, repository: repository, secure: true},
	}
}

// story is what a test does on an entry.
type story func(t *testing.T, r *registry, e entry)

// each tells a story on a new server for every entry and way to sign in.
func each(t *testing.T, tell story) {
	t.Helper()
	r := newRegistry(t)
	r.each(t, r.entries, tell)
}

// each tells a story on the entries to each of the two repositories.
func (r *registry) each(t *testing.T, entries func(repository string) []entry, tell story) {
	t.Helper()
	for _, m := range modes {
		for _, e := range entries(m.repository) {
			t.Run(m.name+"/"+e.name, func(t *testing.T) { tell(t, r, e) })
		}
	}
}

// TestMainPortTLS: by TLS, the main port is what it is without. Here cosign can use subdomains: it verifies by plain HTTP only what
// is at an address.
func TestMainPortTLS(t *testing.T) {
	r := newRegistry(t)
	t.Run("crane", func(t *testing.T) { r.each(t, r.secureEntries, craneStory) })
	t.Run("skopeo", func(t *testing.T) { r.each(t, r.secureEntries, skopeoStory) })
	t.Run("cosign", func(t *testing.T) { r.each(t, r.secureEntries, cosignStory) })
	t.Run("docker", func(t *testing.T) { r.each(t, r.secureEntries, dockerStory(t, r)) })
}
