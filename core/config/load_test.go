package config

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func defaults() Config {
	return Config{
		Data: "./data", Listen: ":8081", PresetDockerPort: 8082, PresetDockerGroupPort: 8083, LogLevel: slog.LevelInfo, LogFormat: "text", UploadsExpiry: 24 * time.Hour, TransfersStall: 2 * time.Minute,
	}
}

func TestLoad(t *testing.T) {
	for _, test := range []struct {
		name  string
		file  string
		env   []string
		flags Flags
		want  func(*Config)
		// sources that are not "default"; FILE stands for the file's path.
		sources Sources
	}{
		{name: "defaults", want: func(*Config) {}},
		{name: "empty file", file: "\n# nothing\n", want: func(*Config) {}},
		{
			name: "the group's default port for something else", env: []string{"REPOMGR_PRESET=docker", "REPOMGR_PRESET_DOCKER_PORT=8083"},
			want:    func(c *Config) { c.Presets, c.PresetDockerPort = []string{"docker"}, 8083 },
			sources: Sources{"preset": "REPOMGR_PRESET", "presets.docker.port": "REPOMGR_PRESET_DOCKER_PORT"},
		},
		{name: "empty variable", env: []string{"REPOMGR_LISTEN="}, want: func(*Config) {}},
		{name: "others' variables", env: []string{"PATH=/bin", "repomgr_x=1", "REPOMGR_TEST_X=1"}, want: func(*Config) {}},
		{
			name: "variables of Kubernetes",
			env: []string{
				"REPOMGR_SERVICE_HOST=10.0.0.1", "REPOMGR_SERVICE_PORT=8081", "REPOMGR_SERVICE_PORT_HTTP=8081", "REPOMGR_PORT=tcp://10.0.0.1:8081",
				"REPOMGR_PORT_8081_TCP=tcp://10.0.0.1:8081", "REPOMGR_PORT_8081_TCP_PROTO=tcp", "REPOMGR_DOCKER_SERVICE_HOST=10.0.0.1",
				"REPOMGR_PRESET_DOCKER_PORT=9000",
			},
			want:    func(c *Config) { c.PresetDockerPort = 9000 },
			sources: Sources{"presets.docker.port": "REPOMGR_PRESET_DOCKER_PORT"},
		},
		{
			name: "file",
			file: "listen: 127.0.0.1:9081\npreset: [docker]\npresets:\n  docker:\n    port: 9082\n    group: {port: 9083}\nadmin: {password: 'a #b'}\nanonymous: true\n" +
				"database:\n  url: postgres://u:p@h/d\nlog:\n  level: debug\n  format: json\nuploads:\n  expiry: 90m\n",
			want: func(c *Config) {
				*c = Config{
					Data: c.Data, Listen: "127.0.0.1:9081", Presets: []string{"docker"}, PresetDockerPort: 9082, PresetDockerGroupPort: 9083, AdminPassword: "a #b",
					Anonymous: true, DatabaseURL: "postgres://u:p@h/d", LogLevel: slog.LevelDebug, LogFormat: "json", UploadsExpiry: 90 * time.Minute, TransfersStall: 2 * time.Minute,
				}
			},
			sources: Sources{
				"listen": "FILE:1", "preset": "FILE:2", "presets.docker.port": "FILE:5", "presets.docker.group.port": "FILE:6", "admin.password": "FILE:7",
				"anonymous": "FILE:8", "database.url": "FILE:10", "log.level": "FILE:12", "log.format": "FILE:13", "uploads.expiry": "FILE:15",
			},
		},
		{
			name: "list in the block style", file: "preset:\n  - docker\n  - docker\n",
			want:    func(c *Config) { c.Presets = []string{"docker"} },
			sources: Sources{"preset": "FILE:1"},
		},
		{
			name: "order", file: "listen: :1\nlog: {level: warn, format: json}\n",
			env:   []string{"REPOMGR_LISTEN=:2", "REPOMGR_LOG_LEVEL=error", "REPOMGR_PRESET=docker"},
			flags: Flags{"listen": ":3"},
			want: func(c *Config) {
				c.Listen, c.LogLevel, c.LogFormat, c.Presets = ":3", slog.LevelError, "json", []string{"docker"}
			},
			sources: Sources{"listen": "--listen", "log.level": "REPOMGR_LOG_LEVEL", "log.format": "FILE:2", "preset": "REPOMGR_PRESET"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.yaml")
			flags := Flags{"config": path}
			for k, v := range test.flags {
				flags[k] = v
			}
			if err := os.WriteFile(path, []byte(test.file), 0o600); err != nil {
				t.Fatal(err)
			}
			got, sources, err := Load(flags, test.env)
			if err != nil {
				t.Fatal(err)
			}
			want := defaults()
			test.want(&want)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("config (-want +got):\n%s", diff)
			}
			for key, source := range sources {
				expect := strings.ReplaceAll(test.sources[key], "FILE", path)
				if expect == "" {
					expect = "default"
				}
				if source != expect {
					t.Errorf("%s comes from %s, want %s", key, source, expect)
				}
			}
			if len(sources) != len(Settings())-1 {
				t.Errorf("sources = %v", sources)
			}
		})
	}
}

func TestLoadRefuses(t *testing.T) {
	for _, test := range []struct {
		name, file string
		env        []string
		flags      Flags
		// want is the whole message; FILE: stands for the file's path.
		want string
	}{
		{
			name: "unknown key", file: "listen: :1\nlisten_port: 1\n",
			want: "FILE:2: unknown key listen_port; allowed here: data, listen, preset, presets, admin, anonymous, database, log, tls, secrets, uploads, transfers",
		},
		{name: "unknown key of two lines", file: "\"a\\nb\": 1\n", want: `FILE:1: unknown key "a\nb"; allowed here: data, listen, preset, presets, admin, anonymous, database, log, tls, secrets, uploads, transfers`},
		{name: "unknown key below", file: "log:\n  lvl: x\n", want: "FILE:2: unknown key log.lvl; allowed here: level, format"},
		{name: "key with dots", file: "log.level: debug\n", want: "FILE:1: unknown key log.level; allowed here: data, listen, preset, presets, admin, anonymous, database, log, tls, secrets, uploads, transfers"},
		{name: "config in the file", file: "config: x\n", want: "FILE:1: unknown key config; allowed here: data, listen, preset, presets, admin, anonymous, database, log, tls, secrets, uploads, transfers"},
		{name: "merge key", file: "log: &a {level: info}\n<<: *a\n", want: "FILE:1: log must be a mapping with the keys level, format"},
		{name: "bad value", file: "\n\nanonymous: yes\n", want: `FILE:3: anonymous must be true or false, not "yes"`},
		{name: "value for a mapping", file: "log: debug\n", want: "FILE:1: log must be a mapping with the keys level, format"},
		{name: "mapping for a value", file: "listen:\n  port: 1\n", want: "FILE:2: listen must be host:port or :port"},
		{name: "no value", file: "listen:\n", want: "FILE:1: listen must be host:port or :port"},
		{name: "list in a list", file: "preset: [[docker]]\n", want: "FILE:1: preset must be a list of: docker"},
		{name: "unknown preset", file: "preset: [docker, maven]\n", want: `FILE:1: preset must be a list of: docker, not "docker,maven"`},
		{name: "list at the top", file: "- listen\n", want: "FILE:1: must be a mapping with the keys data, listen, preset, presets, admin, anonymous, database, log, tls, secrets, uploads, transfers"},
		{name: "two documents", file: "listen: :1\n---\nlisten: :2\n", want: "FILE:3: more than one document"},
		{name: "port", file: "presets: {docker: {port: 70000}}\n", want: `FILE:1: presets.docker.port must be a port, 1 to 65535, not "70000"`},
		{name: "number too large", env: []string{"REPOMGR_PRESET_DOCKER_PORT=99999999999999999999"}, want: `REPOMGR_PRESET_DOCKER_PORT: presets.docker.port must be a port, 1 to 65535, not "99999999999999999999"`},
		{
			name: "unknown variable", env: []string{"REPOMGR_LISTN=:1"},
			want: "environment: unknown variable REPOMGR_LISTN; allowed are REPOMGR_CONFIG, REPOMGR_DATA, REPOMGR_LISTEN, REPOMGR_PRESET, REPOMGR_PRESET_DOCKER_PORT, REPOMGR_PRESET_DOCKER_GROUP_PORT, " +
				"REPOMGR_ADMIN_PASSWORD, REPOMGR_ANONYMOUS, REPOMGR_DATABASE_URL, REPOMGR_LOG_LEVEL, REPOMGR_LOG_FORMAT, REPOMGR_TLS_CERTIFICATE, REPOMGR_TLS_KEY, REPOMGR_TLS_LISTEN, REPOMGR_SECRETS_KEY_FILE, REPOMGR_UPLOADS_EXPIRY, REPOMGR_TRANSFERS_STALL",
		},
		{
			name: "a port that Kubernetes didn't set", env: []string{"REPOMGR_PORT=9000"},
			want: "environment: unknown variable REPOMGR_PORT; allowed are REPOMGR_CONFIG, REPOMGR_DATA, REPOMGR_LISTEN, REPOMGR_PRESET, REPOMGR_PRESET_DOCKER_PORT, REPOMGR_PRESET_DOCKER_GROUP_PORT, " +
				"REPOMGR_ADMIN_PASSWORD, REPOMGR_ANONYMOUS, REPOMGR_DATABASE_URL, REPOMGR_LOG_LEVEL, REPOMGR_LOG_FORMAT, REPOMGR_TLS_CERTIFICATE, REPOMGR_TLS_KEY, REPOMGR_TLS_LISTEN, REPOMGR_SECRETS_KEY_FILE, REPOMGR_UPLOADS_EXPIRY, REPOMGR_TRANSFERS_STALL",
		},
		{name: "variable", env: []string{"REPOMGR_LISTEN=8081"}, want: `REPOMGR_LISTEN: listen must be host:port or :port, not "8081"`},
		{name: "flag", flags: Flags{"listen": "localhost:http"}, want: `--listen: listen must be host:port or :port, not "localhost:http"`},
		{name: "empty flag", flags: Flags{"data": ""}, want: `--data: data must be a path, not ""`},
		{name: "level", env: []string{"REPOMGR_LOG_LEVEL=INFO+1"}, want: `REPOMGR_LOG_LEVEL: log.level must be debug, info, warn or error, not "INFO+1"`},
		{name: "format", env: []string{"REPOMGR_LOG_FORMAT=xml"}, want: `REPOMGR_LOG_FORMAT: log.format must be text or json, not "xml"`},
		{name: "short expiry", env: []string{"REPOMGR_UPLOADS_EXPIRY=59s"}, want: `REPOMGR_UPLOADS_EXPIRY: uploads.expiry must be a duration of at least 1m, such as 90m or 24h, not "59s"`},
		{name: "no unit", env: []string{"REPOMGR_UPLOADS_EXPIRY=24"}, want: `REPOMGR_UPLOADS_EXPIRY: uploads.expiry must be a duration of at least 1m, such as 90m or 24h, not "24"`},
		{
			name: "secret stays secret", env: []string{"REPOMGR_DATABASE_URL=mysql://u:hush@h/d"},
			want: "REPOMGR_DATABASE_URL: database.url must be a URL postgres://user:password@host:port/name or postgresql://...",
		},
		{
			name: "secret in what is no URL", env: []string{"REPOMGR_DATABASE_URL=postgres://u:hush%@h/d"},
			want: "REPOMGR_DATABASE_URL: database.url must be a URL postgres://user:password@host:port/name or postgresql://...",
		},
		{name: "blank password", env: []string{"REPOMGR_ADMIN_PASSWORD=  "}, want: "REPOMGR_ADMIN_PASSWORD: admin.password must be a password"},
		{
			name: "one port for two", env: []string{"REPOMGR_PRESET=docker"}, flags: Flags{"listen": ":8082"},
			want: "default: presets.docker.port must be another port than that of listen (--listen), not 8082",
		},
		{
			name: "the group's port for two", env: []string{"REPOMGR_PRESET=docker", "REPOMGR_PRESET_DOCKER_GROUP_PORT=8083"}, flags: Flags{"listen": ":8083"},
			want: "REPOMGR_PRESET_DOCKER_GROUP_PORT: presets.docker.group.port must be another port than that of listen (--listen), not 8083",
		},
		{
			name: "one port for two repositories", env: []string{"REPOMGR_PRESET=docker", "REPOMGR_PRESET_DOCKER_PORT=9000", "REPOMGR_PRESET_DOCKER_GROUP_PORT=9000"},
			want: "REPOMGR_PRESET_DOCKER_GROUP_PORT: presets.docker.group.port must be another port than that of presets.docker.port (REPOMGR_PRESET_DOCKER_PORT), not 9000",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.yaml")
			flags := Flags{"config": path}
			for k, v := range test.flags {
				flags[k] = v
			}
			if err := os.WriteFile(path, []byte(test.file), 0o600); err != nil {
				t.Fatal(err)
			}
			_, _, err := Load(flags, test.env)
			if err == nil {
				t.Fatal("no error")
			}
			if want := strings.ReplaceAll(test.want, "FILE:", path+":"); err.Error() != want {
				t.Errorf("error:\n got %s\nwant %s", err, want)
			}
		})
	}
}

// TestSyntax: errors of the YAML parser, too, are one line with the place.
func TestSyntax(t *testing.T) {
	for _, test := range []struct{ name, file, want string }{
		{"duplicate key", "listen: :1\nanonymous: true\nlisten: :2\n", ":3: "},
		{"duplicate mapping", "log: {level: info}\nlog: {format: text}\n", ":2: "},
		{"not closed", "preset: [docker\n", ":1: "},
		{"tab", "log:\n\tlevel: info\n", ":2: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.yaml")
			if err := os.WriteFile(path, []byte(test.file), 0o600); err != nil {
				t.Fatal(err)
			}
			_, _, err := Load(Flags{"config": path}, nil)
			if err == nil || !strings.HasPrefix(err.Error(), path+test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error = %v", err)
			}
		})
	}
}

func TestFindFile(t *testing.T) {
	dir := t.TempDir()
	inData := filepath.Join(dir, FileName)
	write := func(content string) {
		t.Helper()
		if err := os.WriteFile(inData, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := Load(Flags{"data": dir}, nil); err != nil {
		t.Errorf("no file: %v", err)
	}
	write("listen: :1\n")
	for name, given := range map[string]struct {
		flags Flags
		env   []string
	}{"flag": {Flags{"data": dir}, nil}, "variable": {nil, []string{"REPOMGR_DATA=" + dir}}} {
		c, sources, err := Load(given.flags, given.env)
		if err != nil || c.Listen != ":1" || c.Data != dir || sources["listen"] != inData+":1" {
			t.Errorf("data by %s: %+v, %v, %v", name, c, sources, err)
		}
	}
	other := filepath.Join(t.TempDir(), "other.yaml")
	if err := os.WriteFile(other, []byte("data: "+dir+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, _, err := Load(nil, []string{"REPOMGR_CONFIG=" + other}); err != nil || c.Listen != ":8081" || c.Data != dir {
		t.Errorf("a file elsewhere takes the place of the one in the data directory: %+v, %v", c, err)
	}
	write("data: /elsewhere\n")
	_, _, err := Load(Flags{"data": dir}, nil)
	if want := inData + ":1: data can't be set in the file that is found in the data directory; allowed are --data and REPOMGR_DATA"; err == nil || err.Error() != want {
		t.Errorf("error = %v, want %s", err, want)
	}
	_, _, err = Load(Flags{"config": dir + "/absent.yaml"}, nil)
	if want := "--config: there is no file " + dir + "/absent.yaml"; err == nil || err.Error() != want {
		t.Errorf("error = %v, want %s", err, want)
	}
}

func FuzzFile(f *testing.F) {
	f.Add("listen: :1\npreset: [docker]\n")
	f.Add("log: &a {level: info}\n<<: *a\n? x\n: y\n")
	f.Add("--- !!binary\n- |\n a\n")
	f.Fuzz(func(t *testing.T, content string) {
		path := filepath.Join(t.TempDir(), "x.yaml")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := Load(Flags{"config": path}, nil); err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("more than one line: %q", err)
		}
	})
}
