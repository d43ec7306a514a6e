package config

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the table of settings into docs/configuration.md")

func TestPrint(t *testing.T) {
	c, sources, err := Load(Flags{"listen": "127.0.0.1:1"}, []string{
		"REPOMGR_PRESET=docker", "REPOMGR_ADMIN_PASSWORD=hush", "REPOMGR_DATABASE_URL=postgres://u:hush@h:5432/d?sslmode=disable&sslpassword=hush",
	})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := Print(&b, c, sources); err != nil {
		t.Fatal(err)
	}
	const url = "postgres://u:********@h:5432/d?sslmode=disable&sslpassword=********"
	want := []string{
		`data: ./data | default`,
		`listen: "127.0.0.1:1" | --listen`,
		`preset: [docker] | REPOMGR_PRESET`,
		`presets:`,
		`  docker:`,
		`    port: 8082 | default`,
		`    group:`,
		`      port: 8083 | default`,
		`admin:`,
		`  password: "********" | REPOMGR_ADMIN_PASSWORD`,
		`anonymous: false | default`,
		`database:`,
		`  url: "` + url + `" | REPOMGR_DATABASE_URL`,
		`log:`,
		`  level: info | default`,
		`  format: text | default`,
		`tls:`,
		`  certificate: "" | default`,
		`  key: "" | default`,
		`  listen: "" | default`,
		`secrets:`,
		`  keyFile: "" | default`,
		`uploads:`,
		`  expiry: 24h | default`,
		`transfers:`,
		`  stall: 2m | default`,
	}
	var got []string
	for line := range strings.Lines(b.String()) {
		text, source, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "  # ")
		if ok {
			text = strings.TrimRight(text, " ") + " | " + source
		}
		got = append(got, text)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("printed (-want +got):\n%s", diff)
	}
	if strings.Contains(b.String(), "hush") {
		t.Error("a secret is printed")
	}
}

// TestPrintedIsRead: what is printed, without secrets, is a file that leads to the same configuration.
func TestPrintedIsRead(t *testing.T) {
	c, sources, err := Load(Flags{"listen": "[::1]:0", "data": "a: b #c"}, []string{"REPOMGR_UPLOADS_EXPIRY=1h30m", "REPOMGR_LOG_LEVEL=warn"})
	if err != nil {
		t.Fatal(err)
	}
	c.Presets = []string{}
	var b bytes.Buffer
	if err := Print(&b, c, sources); err != nil {
		t.Fatal(err)
	}
	// The empty ones are not allowed as values.
	var kept []string
	for line := range strings.Lines(b.String()) {
		if !strings.Contains(line, `: ""`) && !strings.Contains(line, ": []") && strings.TrimSpace(line) != "admin:" && strings.TrimSpace(line) != "database:" && strings.TrimSpace(line) != "tls:" && strings.TrimSpace(line) != "secrets:" {
			kept = append(kept, line)
		}
	}
	path := filepath.Join(t.TempDir(), "x.yaml")
	if err := os.WriteFile(path, []byte(strings.Join(kept, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	again, _, err := Load(Flags{"config": path}, nil)
	if err != nil {
		t.Fatalf("%v in\n%s", err, b.String())
	}
	again.Presets = c.Presets
	if diff := cmp.Diff(c, again); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}
}

func TestMaskURL(t *testing.T) {
	for _, test := range []struct{ name, url, want string }{
		{"none", "postgres://h/d", "postgres://h/d"},
		{"user only", "postgres://u@h/d", "postgres://u@h/d"},
		{"password", "postgres://u:p@h/d", "postgres://u:********@h/d"},
		{"empty password", "postgres://u:@h/d", "postgres://u:********@h/d"},
		{"no user", "postgres://:p@h/d", "postgres://:********@h/d"},
		{"parameter", "postgres://h/d?password=p&x=1", "postgres://h/d?password=********&x=1"},
		{"odd characters", "postgres://u%40x:p%3A@h/d", "postgres://u%40x:********@h/d"},
		{"none at all", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := maskURL(test.url); got != test.want {
				t.Errorf("masked: %s, want %s", got, test.want)
			}
		})
	}
}

// TestDocs: the table in the documentation is the one of the program.
func TestDocs(t *testing.T) {
	const path, begin, end = "../../docs/configuration.md", "<!-- settings -->\n", "<!-- end of settings -->\n"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no place for the table of settings", path)
	}
	want := before + begin + Table() + end + after
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("%s is outdated; go test ./core/config -update writes it (-want +got):\n%s", path, diff)
	}
}
