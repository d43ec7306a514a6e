package remote

import (
	"bufio"
	"context"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// fakeClock is a clock that stands until it is moved.
type fakeClock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *fakeClock {
	return &fakeClock{t: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
}

func (c *fakeClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *fakeClock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// pauses records the pauses between tries instead of making them.
type pauses struct {
	mu   sync.Mutex
	list []time.Duration
}

func (p *pauses) pause(ctx context.Context, d time.Duration) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.list = append(p.list, d)
	return context.Cause(ctx)
}

func (p *pauses) all() []time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.list
}

func newNetwork(t testing.TB, config NetworkConfig) *Network {
	t.Helper()
	n, err := NewNetwork(config)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// newClient makes a client on a plain network, which doesn't pause between tries.
func newClient(t testing.TB, base string, config Config, options Options) *Client {
	t.Helper()
	return newClientOn(t, newNetwork(t, NetworkConfig{Version: "1.2"}), base, config, options)
}

func newClientOn(t testing.TB, n *Network, base string, config Config, options Options) *Client {
	t.Helper()
	c, err := New(n, base, config, options)
	if err != nil {
		t.Fatal(err)
	}
	c.pause = new(pauses).pause
	t.Cleanup(c.Close)
	return c
}

// server starts an HTTP server.
func server(t testing.TB, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// rawServer starts a server that does as serve does with each connection, of which n counts from 1. The request's head was read.
// It returns the server's URL.
func rawServer(t testing.TB, serve func(n int, conn net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := 1; ; n++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					serve(n, conn)
				}
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	return "http://" + l.Addr().String()
}

// reset closes a connection so that the other side gets an error.
func reset(conn net.Conn) {
	_ = conn.(*net.TCPConn).SetLinger(0)
	_ = conn.Close()
}

// deadURL is of a port where nobody listens.
func deadURL(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String()
}

// get makes a GET and returns status, body, and the error of either.
func get(c *Client, req Request) (int, string, error) {
	resp, err := c.Do(context.Background(), req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(data), err
}

// wantKind fails unless err is an *Error of the kind.
func wantKind(t testing.TB, err error, kind Kind) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Kind != kind {
		t.Fatalf("error %v, want one of kind %q", err, kind)
	}
	return e
}

func wantBody(t testing.TB, c *Client, req Request, want string) {
	t.Helper()
	if status, body, err := get(c, req); err != nil || body != want {
		t.Fatalf("status %d, body %q, error %v; want body %q", status, body, err, want)
	}
}

// certificate is the server's own, in PEM.
func certificate(s *httptest.Server) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}

// timed runs f and fails if it takes longer than a test may.
func timed(t testing.TB, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("it hangs")
	}
}
