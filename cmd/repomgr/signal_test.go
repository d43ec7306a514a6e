package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// startServer starts the binary and waits until it answers. ended gets what the process ended with.
func startServer(t *testing.T) (server *exec.Cmd, address string, ended <-chan error) {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	address = "127.0.0.1:" + port
	server = exec.Command("repomgr", "serve", "--data", t.TempDir(), "--listen", address)
	server.Env = append(server.Environ(), "REPOMGR_ADMIN_PASSWORD=secret")
	var log bytes.Buffer
	server.Stderr = &log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	finished := make(chan struct{})
	go func() { done <- server.Wait(); close(finished) }()
	t.Cleanup(func() {
		_ = server.Process.Kill()
		<-finished
		if t.Failed() {
			t.Logf("the server's log:\n%s", log.String())
		}
	})
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if resp, err := http.Get("http://" + address + "/service/rest/v1/status"); err == nil {
			_ = resp.Body.Close()
			return server, address, done
		}
	}
	t.Fatal("the server does not answer")
	return nil, "", nil
}

// busy starts a request that doesn't end, and returns when the server waits for its body.
func busy(t *testing.T, address string) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	r, err := http.NewRequest(http.MethodPost, "http://"+address+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth("admin", "secret")
	_, err = fmt.Fprintf(conn, "POST /service/rest/v1/security/users HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nContent-Type: application/json\r\n"+
		"Content-Length: 100\r\nExpect: 100-continue\r\n\r\n", r.Header.Get("Authorization"))
	if err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 12)
	if _, err := conn.Read(answer); err != nil || string(answer) != "HTTP/1.1 100" {
		t.Fatalf("the server answers %q, %v", answer, err)
	}
}

func send(t *testing.T, server *exec.Cmd, signal syscall.Signal) {
	t.Helper()
	if err := server.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
}

func TestStops(t *testing.T) {
	server, _, ended := startServer(t)
	send(t, server, syscall.SIGTERM)
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("the server ended with %v", err)
		}
	case <-time.After(time.Minute):
		t.Error("the server goes on after SIGTERM")
	}
}

// TestSecondSignal: the first signal lets a running request go on, the second one does not wait for it.
func TestSecondSignal(t *testing.T) {
	server, address, ended := startServer(t)
	busy(t, address)
	send(t, server, syscall.SIGTERM)
	select {
	case err := <-ended:
		t.Fatalf("the server ended with a request running: %v", err)
	case <-time.After(500 * time.Millisecond):
	}
	send(t, server, syscall.SIGTERM)
	select {
	case err := <-ended:
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			t.Errorf("the server ended with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the server goes on after a second signal")
	}
}
