package testenv

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
)

func TestPostgres(t *testing.T) {
	ctx := context.Background()
	connect := func(t *testing.T, dsn string) *pgx.Conn {
		t.Helper()
		conn, err := pgx.Connect(ctx, dsn)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close(ctx) })
		return conn
	}
	var first string
	t.Run("use", func(t *testing.T) {
		first = Postgres(t)
		one, two := connect(t, first), connect(t, Postgres(t))
		var version int
		if err := one.QueryRow(ctx, "SELECT current_setting('server_version_num')::int").Scan(&version); err != nil {
			t.Fatal(err)
		}
		if version < 150000 {
			t.Errorf("server version %d", version)
		}
		for _, conn := range []*pgx.Conn{one, two} { // the second would fail in the same database
			if _, err := conn.Exec(ctx, "CREATE TABLE repositories (name text)"); err != nil {
				t.Error(err)
			}
		}
	})
	if conn, err := pgx.Connect(ctx, first); err == nil {
		conn.Close(ctx)
		t.Error("the database is still there after its test")
	}
	t.Run("password", func(t *testing.T) {
		config, err := pgx.ParseConfig(Postgres(t))
		if err != nil {
			t.Fatal(err)
		}
		config.Password = "wrong"
		if conn, err := pgx.ConnectConfig(ctx, config); err == nil {
			conn.Close(ctx)
			t.Error("any password will do")
		}
	})
}

func TestDocker(t *testing.T) {
	docker := StartDocker(t, DockerOptions{})
	t.Log(strings.TrimSpace(docker.Run(t, "info", "--format", "engine {{.ServerVersion}}, {{.Driver}}")))

	docker.Busybox(t, "testenv/busybox:1", "hello")
	if got := docker.Run(t, "run", "--rm", "--network", "none", "testenv/busybox:1", "/bin/cat", "/mark"); got != "hello" {
		t.Errorf("the container printed %q", got)
	}

	out, err := docker.Try(t, "pull", "registry.example/x:1")
	if err == nil || !strings.Contains(out, "127.0.0.1:1") {
		t.Errorf("a pull from elsewhere: %v, %s; want the refusal of the proxy that is not there", err, out)
	}
}

func TestDockerMirror(t *testing.T) {
	var asked atomic.Bool
	mirror := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/v2/library/none/manifests/") {
			asked.Store(true)
		}
		if r.URL.Path != "/v2/" {
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer mirror.Close()
	docker := StartDocker(t, DockerOptions{Mirrors: []string{mirror.URL}})
	if out, err := docker.Try(t, "pull", "none:1"); err == nil || !strings.Contains(out, "127.0.0.1:1") {
		t.Errorf("a mirror's miss: %v, %s; want the refusal of the proxy that is not there", err, out)
	}
	if !asked.Load() {
		t.Error("the mirror was not asked")
	}
	if shared := StartDocker(t, DockerOptions{}); shared.Host == docker.Host || shared.Config == docker.Config {
		t.Errorf("%+v and %+v are not apart", shared, docker)
	}
}

func TestBusybox(t *testing.T) {
	read := func(mark string) []byte {
		content, err := os.ReadFile(BusyboxLayer(t, mark))
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	if !bytes.Equal(read("a"), read("a")) {
		t.Error("the same mark gives other bytes")
	}
	if bytes.Equal(read("a"), read("b")) {
		t.Error("another mark gives the same bytes")
	}

	skopeo := Tool(t, "skopeo")
	out, err := exec.Command(skopeo, "inspect", "--config", "oci:"+BusyboxLayout(t, "1.0", "a")+":1.0").CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte(`"os": "linux"`)) {
		t.Errorf("skopeo inspect: %v\n%s", err, out)
	}
}

func TestServer(t *testing.T) {
	const standin = "./internal/testenv/testdata/standin"
	t.Setenv("REPOMGR_TEST_SOAK", "must not be passed on")
	s := StartServer(t, ServerOptions{command: standin, Preset: "docker", Args: []string{"--last"}})
	get := func() error { return s.answers(t.Context()) }

	_, port, _ := strings.Cut(s.Registry, ":")
	line, _, _ := strings.Cut(s.Log(), "\n")
	want := "standin serve --data " + s.Data + " --listen " + strings.TrimPrefix(s.URL, "http://") +
		" --preset docker --last password " + s.Password + " port " + port + " soak "
	if line != want {
		t.Errorf("started as\n%q, want\n%q", line, want)
	}
	if err := get(); err != nil {
		t.Error(err)
	}

	url, pid := s.URL, s.Pid()
	s.Kill(t)
	if err := get(); err == nil {
		t.Error("a killed server answers")
	}
	s.Start(t)
	if s.URL != url || s.Pid() == pid {
		t.Errorf("started again on %s as %d; before %s as %d", s.URL, s.Pid(), url, pid)
	}
	s.Restart(t)
	s.Stop(t)
	if got := strings.Count(s.Log(), "standin serve"); got != 3 {
		t.Errorf("%d starts in the log, want 3", got)
	}
	if _, err := os.Stat(filepath.Join(s.Data, "started")); err != nil {
		t.Error(err)
	}

	tests := []struct {
		name, behaviour, errors, fatal string
	}{
		{"ends before it is ready", "end", "", "it ended before it was ready: exit status 3"},
		{"exits with an error", "complain", "the server did not end well: exit status 66", ""},
		{"ends well", "", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := record(t, func(t testing.TB) {
				StartServer(t, ServerOptions{command: standin, Env: []string{"REPOMGR_STANDIN=" + tt.behaviour}})
			})
			for _, text := range []struct{ got, want string }{{got.errors, tt.errors}, {got.fatal, tt.fatal}} {
				if text.want == "" && text.got != "" || !strings.Contains(text.got, text.want) {
					t.Errorf("%q, want %q", text.got, text.want)
				}
			}
		})
	}
	t.Run("ends by itself", func(t *testing.T) {
		got := record(t, func(t testing.TB) {
			s := StartServer(t, ServerOptions{command: standin})
			_ = s.process.cmd.Process.Kill()
			<-s.process.done
		})
		if !strings.Contains(got.errors, "ended by itself") {
			t.Errorf("%q", got.errors)
		}
	})
}
