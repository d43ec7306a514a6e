package app

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/repomgr/repomgr/core/config"
	"github.com/repomgr/repomgr/internal/testenv"
)

// TestProtocolOfPort: a port that changes from HTTP to HTTPS, or back, changes at once, and not at all when it can't.
func TestProtocolOfPort(t *testing.T) {
	cert, key := testenv.Certificate(t, "localhost")
	for _, certified := range []bool{false, true} {
		t.Run(fmt.Sprintf("certificate %t", certified), func(t *testing.T) {
			base, _ := start(t, t.TempDir(), func(c *config.Config) {
				if certified {
					c.TLSCertificate, c.TLSKey = cert, key
				}
			})
			api, port := base+"/service/rest/v1/repositories/docker/hosted", freePort(t)
			if status, body := request(t, "POST", api, dockerHosted("one", port)); status != 201 {
				t.Fatalf("create: %d %s", status, body)
			}
			secure := strings.Replace(dockerHosted("one", port), `"httpPort"`, `"httpsPort"`, 1)
			status, body := request(t, "PUT", api+"/one", secure)
			if want := map[bool]int{false: 400, true: 204}[certified]; status != want {
				t.Fatalf("update: %d %s", status, body)
			}
			if !certified && !strings.Contains(body, `"docker.httpsPort"`) {
				t.Errorf("the error names no field: %s", body)
			}
			resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/v2/", port))
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			// net/http's TLS server answers plain HTTP with 400.
			if want := map[bool]int{false: 401, true: 400}[certified]; resp.StatusCode != want {
				t.Errorf("plain HTTP: %s", resp.Status)
			}
			if certified {
				if status, body := request(t, "PUT", api+"/one", dockerHosted("one", port)); status != 204 {
					t.Errorf("back: %d %s", status, body)
				}
				if status, _ := request(t, "GET", fmt.Sprintf("http://127.0.0.1:%d/v2/", port), ""); status != 200 {
					t.Errorf("back to plain HTTP: %d", status)
				}
			}
		})
	}
}

// TestTransferSurvivesChange: a transfer that runs while its repository's port moves, or its repository is deleted, is finished.
func TestTransferSurvivesChange(t *testing.T) {
	base, _ := start(t, t.TempDir(), nil)
	api := base + "/service/rest/v1/repositories"
	first, second := freePort(t), freePort(t)
	if status, body := request(t, "POST", api+"/docker/hosted", dockerHosted("one", first)); status != 201 {
		t.Fatalf("create: %d %s", status, body)
	}
	status, body := request(t, "POST", fmt.Sprintf("http://127.0.0.1:%d/v2/app/blobs/uploads/?digest=%s", first, helloDigest), "hello")
	if status != 201 {
		t.Fatalf("push: %d %s", status, body)
	}
	// An upload whose body is sent in two parts, with the change in between.
	pr, pw := io.Pipe()
	r, err := http.NewRequestWithContext(t.Context(), "POST", fmt.Sprintf("http://127.0.0.1:%d/v2/other/blobs/uploads/?digest=%s", first, helloDigest), pr)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth("admin", "secret-password")
	r.Header.Set("Expect", "100-continue") // the body is asked for when the request is being served
	answer := make(chan string, 1)
	go func() {
		resp, err := (&http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Minute}}).Do(r)
		if err != nil {
			answer <- err.Error()
			return
		}
		resp.Body.Close()
		answer <- resp.Status
	}()
	if _, err := io.WriteString(pw, "hel"); err != nil {
		t.Fatal(err)
	}
	if status, body := request(t, "PUT", api+"/docker/hosted/one", dockerHosted("one", second)); status != 204 {
		t.Fatalf("move: %d %s", status, body)
	}
	if _, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", first), time.Second); err == nil {
		t.Error("the old port takes connections")
	}
	if _, err := io.WriteString(pw, "lo"); err != nil {
		t.Fatal(err)
	}
	pw.Close()
	if got := <-answer; got != "201 Created" {
		t.Errorf("the running upload: %s", got)
	}
	if status, body := request(t, "GET", fmt.Sprintf("http://127.0.0.1:%d/v2/other/blobs/%s", second, helloDigest), ""); status != 200 || body != "hello" {
		t.Errorf("what it stored: %d %q", status, body)
	}
}

const helloDigest = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"

// TestPortTakenAtStart: a port that another program has does not keep the server from starting, nor other settings from being
// changed; when it is free it is opened, but not any more when the server is told to stop.
func TestPortTakenAtStart(t *testing.T) {
	dir, port := t.TempDir(), freePort(t)
	base, stop := start(t, dir, nil)
	if status, body := request(t, "POST", base+"/service/rest/v1/repositories/docker/hosted", dockerHosted("one", port)); status != 201 {
		t.Fatalf("create: %d %s", status, body)
	}
	stop()
	taken, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	base, stop = start(t, dir, nil)
	offline := strings.Replace(dockerHosted("one", port), `"online": true`, `"online": false`, 1)
	if status, body := request(t, "PUT", base+"/service/rest/v1/repositories/docker/hosted/one", offline); status != 204 {
		t.Errorf("another setting: %d %s", status, body)
	}
	began := time.Now()
	stop()
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("stopping took %s", took)
	}
	taken.Close()
	if c, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second); err == nil {
		c.Close()
		t.Error("the port is open after the server was stopped")
	}
}
