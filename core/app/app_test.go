package app

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/repomgr/repomgr/core/config"
)

// start runs a server in the directory until the test ends or stop is called.
func start(t *testing.T, dir string, change func(*config.Config)) (base string, stop func()) {
	t.Helper()
	cfg := config.Config{Data: dir, Listen: "127.0.0.1:0", AdminPassword: "secret-password"}
	if change != nil {
		change(&cfg)
	}
	a, err := Start(t.Context(), cfg, slog.New(slog.NewTextHandler(t.Output(), nil)), "test")
	if err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		if err := a.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return "http://" + a.Addr().String(), stop
}

func request(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.SetBasicAuth("admin", "secret-password")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// freePort is a port that nobody has at the moment.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func TestEmptyStart(t *testing.T) {
	base, _ := start(t, t.TempDir(), nil)
	if status, body := request(t, "GET", base+"/service/rest/v1/repositories", ""); status != 200 || strings.TrimSpace(body) != "[]" {
		t.Errorf("repositories of an empty server: %d %s", status, body)
	}
	if status, body := request(t, "GET", base+"/service/rest/v1/blobstores", ""); status != 200 || !strings.Contains(body, `"name":"default"`) {
		t.Errorf("blob stores of an empty server: %d %s", status, body)
	}
}

func TestPreset(t *testing.T) {
	dir, port := t.TempDir(), freePort(t)
	change := func(c *config.Config) { c.Presets, c.PresetDockerPort = []string{"docker"}, port }
	for range 2 { // the second start finds what the first made
		_, stop := start(t, dir, change)
		if status, body := request(t, "GET", fmt.Sprintf("http://127.0.0.1:%d/v2/", port), ""); status != 200 {
			t.Errorf("GET /v2/: %d %s", status, body)
		}
		stop()
	}
}

func dockerHosted(name string, port int) string {
	return fmt.Sprintf(`{"name": %q, "online": true, "storage": {"blobStoreName": "default", "strictContentTypeValidation": true, "writePolicy": "ALLOW"},
 "docker": {"v1Enabled": false, "forceBasicAuth": true, "httpPort": %d}}`, name, port)
}

// TestConnectors: a port opens when its repository is created, moves when it is edited, and closes when it is deleted.
func TestConnectors(t *testing.T) {
	base, _ := start(t, t.TempDir(), nil)
	api := base + "/service/rest/v1/repositories"
	first, second := freePort(t), freePort(t)
	ping := func(port int) string {
		resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/v2/", port))
		if err != nil {
			return "closed"
		}
		resp.Body.Close()
		return resp.Status
	}
	want := func(step string, port int, status string) {
		t.Helper()
		if got := ping(port); got != status {
			t.Errorf("%s: port is %s, want %s", step, got, status)
		}
	}
	if status, body := request(t, "POST", api+"/docker/hosted", dockerHosted("one", first)); status != 201 {
		t.Fatalf("create: %d %s", status, body)
	}
	want("created", first, "401 Unauthorized")
	if status, body := request(t, "POST", api+"/docker/hosted", dockerHosted("two", first)); status != 400 || !strings.Contains(body, fmt.Sprint(first)) || !strings.Contains(body, "one") {
		t.Errorf("a port of another repository: %d %s", status, body)
	}
	mainPort := strings.TrimPrefix(base, "http://127.0.0.1:")
	if status, body := request(t, "POST", api+"/docker/hosted", strings.Replace(dockerHosted("two", 1), `"httpPort": 1`, `"httpPort": `+mainPort, 1)); status != 400 || !strings.Contains(body, mainPort) {
		t.Errorf("the main port: %d %s", status, body)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	if status, body := request(t, "PUT", api+"/docker/hosted/one", dockerHosted("one", port)); status != 400 || !strings.Contains(body, fmt.Sprint(port)) {
		t.Errorf("a port of another program: %d %s", status, body)
	}
	want("after refused changes", first, "401 Unauthorized")
	if status, body := request(t, "PUT", api+"/docker/hosted/one", dockerHosted("one", second)); status != 204 {
		t.Fatalf("update: %d %s", status, body)
	}
	want("moved away", first, "closed")
	want("moved", second, "401 Unauthorized")
	if status, body := request(t, "DELETE", api+"/one", ""); status != 204 {
		t.Fatalf("delete: %d %s", status, body)
	}
	want("deleted", second, "closed")
}

// TestSecondServer: two servers on one data directory would corrupt it.
func TestSecondServer(t *testing.T) {
	dir := t.TempDir()
	start(t, dir, nil)
	_, err := Start(t.Context(), config.Config{Data: dir, Listen: "127.0.0.1:0"}, slog.New(slog.DiscardHandler), "test")
	if err == nil || !strings.Contains(err.Error(), "in use by another repomgr") {
		t.Errorf("second server: %v", err)
	}
}
