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
	dir, port, group := t.TempDir(), freePort(t), freePort(t)
	change := func(c *config.Config) {
		c.Presets, c.PresetDockerPort, c.PresetDockerGroupPort = []string{"docker"}, port, group
	}
	for range 2 { // the second start finds what the first made
		base, stop := start(t, dir, change)
		for _, port := range []int{port, group} {
			if status, body := request(t, "GET", fmt.Sprintf("http://127.0.0.1:%d/v2/", port), ""); status != 200 {
				t.Errorf("GET /v2/: %d %s", status, body)
			}
		}
		if got, want := presetNames(t, base), "docker-all docker-hosted docker-hub"; got != want {
			t.Errorf("repositories %q, want %q", got, want)
		}
		stop()
	}
	base, stop := start(t, dir, change)
	if status, body := request(t, "DELETE", base+"/service/rest/v1/repositories/docker-hub", ""); status != 204 {
		t.Fatal(status, body)
	}
	stop()
	base, _ = start(t, dir, change)
	if got, want := presetNames(t, base), "docker-all docker-hosted"; got != want {
		t.Errorf("what was deleted is there again: %q, want %q", got, want)
	}
}

// presetNames are the names of the preset's repositories that there are.
func presetNames(t *testing.T, base string) string {
	t.Helper()
	_, body := request(t, "GET", base+"/service/rest/v1/repositories", "")
	var names []string
	for _, name := range []string{"docker-all", "docker-hosted", "docker-hub"} {
		if strings.Contains(body, `"name":"`+name+`"`) {
			names = append(names, name)
		}
	}
	return strings.Join(names, " ")
}

// TestPreset_Settings: what clients, and admins who come from Nexus, find.
func TestPreset_Settings(t *testing.T) {
	port, group := freePort(t), freePort(t)
	base, _ := start(t, t.TempDir(), func(c *config.Config) {
		c.Presets, c.PresetDockerPort, c.PresetDockerGroupPort = []string{"docker"}, port, group
	})
	for _, test := range []struct {
		path string
		want []string
	}{
		{"docker/hosted/docker-hosted", []string{`"forceBasicAuth":true`, fmt.Sprintf(`"httpPort":%d`, port), `"pathEnabled":true`}},
		{"docker/proxy/docker-hub", []string{
			`"remoteUrl":"https://registry-1.docker.io"`, `"contentMaxAge":-1`, `"metadataMaxAge":1440`, `"indexType":"HUB"`,
			`"enabled":true`, `"autoBlock":true`, `"forceBasicAuth":false`, `"pathEnabled":true`, `"httpPort":null`,
		}},
		{"docker/group/docker-all", []string{
			`"memberNames":["docker-hosted","docker-hub"]`, `"writableMember":"docker-hosted"`, fmt.Sprintf(`"httpPort":%d`, group), `"forceBasicAuth":false`,
		}},
	} {
		status, body := request(t, "GET", base+"/service/rest/v1/repositories/"+test.path, "")
		for _, want := range test.want {
			if status != 200 || !strings.Contains(body, want) {
				t.Errorf("%s: %d %s, want %s", test.path, status, body, want)
			}
		}
	}
	// Nobody reads without signing in unless an admin says so.
	resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/v2/_catalog", group))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 401 || !strings.HasPrefix(resp.Header.Get("WWW-Authenticate"), "Bearer ") {
		t.Errorf("anonymous: %s %s", resp.Status, resp.Header.Get("WWW-Authenticate"))
	}
}

// TestPreset_PortTaken: what another program has keeps neither the server nor the other repositories from working.
func TestPreset_PortTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, name := range []string{"hosted", "group"} {
		t.Run(name, func(t *testing.T) {
			port, group := freePort(t), taken.Addr().(*net.TCPAddr).Port
			open := port
			if name == "hosted" {
				port, group = group, port
			}
			base, _ := start(t, t.TempDir(), func(c *config.Config) {
				c.Presets, c.PresetDockerPort, c.PresetDockerGroupPort = []string{"docker"}, port, group
			})
			if status, body := request(t, "GET", fmt.Sprintf("http://127.0.0.1:%d/v2/", open), ""); status != 200 {
				t.Errorf("the other port: %d %s", status, body)
			}
			if got, want := presetNames(t, base), "docker-all docker-hosted docker-hub"; got != want {
				t.Errorf("repositories %q, want %q", got, want)
			}
		})
	}
}

// TestPreset_Later: a server has the group's port, or its name, for something else before it gets the preset.
func TestPreset_Later(t *testing.T) {
	for _, test := range []struct {
		name       string
		repository string
		group      bool // the group has the port all the same, once the other repository has left it
	}{
		{"port of another repository", "team", true},
		{"name of another repository", "docker-all", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir, port, group := t.TempDir(), freePort(t), freePort(t)
			change := func(c *config.Config) {
				c.Presets, c.PresetDockerPort, c.PresetDockerGroupPort = []string{"docker"}, port, group
			}
			base, stop := start(t, dir, nil)
			if status, body := request(t, "POST", base+"/service/rest/v1/repositories/docker/hosted", dockerHosted(test.repository, group)); status != 201 {
				t.Fatal(status, body)
			}
			stop()
			base, stop = start(t, dir, change)
			if got, want := presetNames(t, base), "docker-hosted docker-hub"; test.group && got != want {
				t.Errorf("repositories %q, want %q", got, want)
			}
			if status, body := request(t, "DELETE", base+"/service/rest/v1/repositories/"+test.repository, ""); status != 204 {
				t.Fatal(status, body)
			}
			stop()
			base, _ = start(t, dir, change)
			if got := presetNames(t, base); strings.Contains(got, "docker-all") != test.group {
				t.Errorf("repositories %q", got)
			}
		})
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
