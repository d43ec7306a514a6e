package e2e

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/repomgr/repomgr/internal/testenv"
)

// TestProxy: clients reach a repository's URL through nginx, with the very configuration that the documentation has, without TLS
// and with it.
func TestProxy(t *testing.T) {
	r := newRegistry(t)
	entries := nginx(t, r)
	t.Run("crane", func(t *testing.T) { r.each(t, entries, craneStory) })
	t.Run("skopeo", func(t *testing.T) { r.each(t, entries, skopeoStory) })
	t.Run("cosign", func(t *testing.T) { r.each(t, entries, cosignStory) })
	t.Run("docker", func(t *testing.T) { r.each(t, entries, dockerStory(t, r)) })
	t.Run("pages", func(t *testing.T) {
		for _, m := range modes {
			pages(t, r, entries(m.repository)[0])
		}
	})
}

// pages follows the Link from one page of the catalog to the next.
func pages(t *testing.T, r *registry, e entry) {
	t.Helper()
	root := "http://" + e.host
	first := r.get(t, root+"/v2/_catalog?n=1")
	link := first.Header.Get("Link")
	path, found := strings.CutSuffix(strings.TrimPrefix(link, "<"), `>; rel="next"`)
	if !found {
		t.Fatalf("Link: %q", link)
	}
	if second := r.get(t, root+path); second.StatusCode != http.StatusOK {
		t.Errorf("%s: %s", path, second.Status)
	}
}

// get asks as the administrator.
func (r *registry) get(t *testing.T, url string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(r.User, r.Password)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp
}

// documentation is where the proxy's configuration is written down.
const documentation = "../../docs/formats/docker.md"

// nginx starts a reverse proxy and returns its entries.
func nginx(t *testing.T, r *registry) func(repository string) []entry {
	t.Helper()
	program := testenv.Tool(t, "nginx")
	text, err := os.ReadFile(documentation)
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(text), "```nginx\n")
	example, _, ended := strings.Cut(after, "```\n")
	if !found || !ended {
		t.Fatalf("%s has no configuration of nginx", documentation)
	}

	var servers strings.Builder
	entries := map[string][]entry{}
	for _, m := range modes {
		plainHost := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
		securePort := testenv.FreePort(t)
		secure := fmt.Sprintf("%s.%s:%d", proxyHost, testenv.Domain, securePort)
		servers.WriteString(adapt(t, r, example, m.repository, plainHost))
		servers.WriteString(adapt(t, r, example, m.repository, fmt.Sprintf("127.0.0.1:%d ssl", securePort)))
		entries[m.repository] = []entry{
			{name: "url", host: plainHost, prefix: plainHost, repository: m.repository},
			{name: "url-tls", host: secure, prefix: secure, repository: m.repository, secure: true},
		}
	}
	startNginx(t, program, servers.String())
	for _, list := range entries {
		listens(t, list[0].host)
	}
	return func(repository string) []entry { return entries[repository] }
}

// adapt puts the test's names, ports and files into the example.
func adapt(t *testing.T, r *registry, example, repository, listen string) string {
	t.Helper()
	for from, to := range map[string]string{
		"listen 443 ssl;":         "listen " + listen + ";",
		"/etc/nginx/images.pem":   r.certificate,
		"/etc/nginx/images.key":   r.key,
		"http://127.0.0.1:8081":   r.URL,
		"/repository/hosted-oci/": "/repository/" + repository + "/",
	} {
		if !strings.Contains(example, from) {
			t.Fatalf("the configuration in %s has no %q:\n%s", documentation, from, example)
		}
		example = strings.ReplaceAll(example, from, to)
	}
	return example
}

// startNginx starts nginx with server blocks. It ends with the test.
func startNginx(t *testing.T, program, servers string) {
	t.Helper()
	user := ""
	if os.Getuid() == 0 {
		user = "user root;" // else its workers can't use the test's directory
	}
	dir := t.TempDir()
	write(t, dir, "nginx.conf", user+`
daemon off;
pid nginx.pid;
error_log stderr warn;
events {}
http {
access_log off;
client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
`+servers+`}
`)
	var log strings.Builder
	cmd := exec.Command(program, "-p", dir, "-c", dir+"/nginx.conf", "-e", "stderr")
	cmd.Stderr = &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Logf("nginx: %v\n%s", err, log.String())
		}
	})
}

// listens waits until a server takes connections.
func listens(t *testing.T, address string) {
	t.Helper()
	for range 300 {
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("nothing listens on %s", address)
}
