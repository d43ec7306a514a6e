// Package raw checks hosted raw repositories over real connections: what clients may send, and what others do.
package raw

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/repomgr/repomgr/core/app"
	"github.com/repomgr/repomgr/core/config"
	"github.com/repomgr/repomgr/internal/testenv"
)

const password = "raw-admin"

// The repositories of a server.
const (
	files  = "files"  // ALLOW, INLINE
	once   = "once"   // ALLOW_ONCE, ATTACHMENT
	sealed = "sealed" // DENY
	strict = "strict" // ALLOW, strictContentTypeValidation
)

// server is a running server.
type server struct {
	root    string // "http://127.0.0.1:port"
	address string
}

func TestMain(m *testing.M) { testenv.Main(m) }

func newServer(t *testing.T) *server {
	t.Helper()
	return newServerOn(t, "")
}

// newServerOn starts a server on a database: SQLite with an empty URL.
func newServerOn(t *testing.T, databaseURL string) *server {
	t.Helper()
	log := &bytes.Buffer{}
	cfg := config.Config{Data: t.TempDir(), Listen: "127.0.0.1:0", AdminPassword: password, DatabaseURL: databaseURL}
	a, err := app.Start(context.Background(), cfg, slog.New(slog.NewTextHandler(log, nil)), "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := a.Stop(ctx); err != nil {
			t.Error("stop:", err)
		}
		if t.Failed() {
			t.Log("the server's log:\n" + log.String())
		}
	})
	s := &server{"http://" + a.Addr().String(), a.Addr().String()}
	for name, settings := range map[string][3]string{files: {"ALLOW", "INLINE", "false"}, once: {"ALLOW_ONCE", "ATTACHMENT", "false"},
		sealed: {"DENY", "ATTACHMENT", "false"}, strict: {"ALLOW", "ATTACHMENT", "true"}} {
		body := fmt.Sprintf(`{"name": %q, "online": true, "storage": {"blobStoreName": "default", "strictContentTypeValidation": %s, "writePolicy": %q},
 "raw": {"contentDisposition": %q}}`, name, settings[2], settings[0], settings[1])
		s.do(t, "POST", "/service/rest/v1/repositories/raw/hosted", strings.NewReader(body), "Content-Type", "application/json").want(t, 201)
	}
	return s
}

// at is the path of a file's URL, which is escaped already.
func at(repository, path string) string { return "/repository/" + repository + path }

type answer struct {
	status int
	header http.Header
	body   string
}

// do sends a request as the administrator, with headers in pairs, and follows no redirection.
func (s *server) do(t *testing.T, method, path string, body io.Reader, header ...string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.root+path, body)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth("admin", password)
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
		if header[i] == "Authorization" && header[i+1] == "" {
			r.Header.Del("Authorization")
		}
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(b)}
}

func (s *server) put(t *testing.T, repository, path, body string, header ...string) answer {
	t.Helper()
	return s.do(t, "PUT", at(repository, path), strings.NewReader(body), header...)
}

func (s *server) get(t *testing.T, repository, path string, header ...string) answer {
	t.Helper()
	return s.do(t, "GET", at(repository, path), nil, header...)
}

func (a answer) want(t *testing.T, status int) answer {
	t.Helper()
	if a.status != status {
		t.Errorf("status is %d, want %d: %.200s", a.status, status, a.body)
	}
	return a
}

func (a answer) wantBody(t *testing.T, body string) answer {
	t.Helper()
	if a.body != body {
		t.Errorf("body is %.200q, want %.200q", a.body, body)
	}
	return a
}

func (a answer) wantHeader(t *testing.T, name, value string) answer {
	t.Helper()
	if got := a.header.Get(name); got != value {
		t.Errorf("%s is %q, want %q", name, got, value)
	}
	return a
}
