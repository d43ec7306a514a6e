package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestTruncated shows that a body that ends early does not end well.
func TestTruncated(t *testing.T) {
	tests := []struct {
		name, head, body string
		end              func(net.Conn)
	}{
		{"length", "Content-Length: 10\r\n", "12345", nil},
		{"length, reset", "Content-Length: 10\r\n", "12345", reset},
		{"chunks", "Transfer-Encoding: chunked\r\n", "5\r\n12345\r\n", nil},
		{"in a chunk", "Transfer-Encoding: chunked\r\n", "9\r\n12345", nil},
		{"bad chunk", "Transfer-Encoding: chunked\r\n", "5\r\n12345\r\nzz\r\n", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			url := rawServer(t, func(_ int, conn net.Conn) {
				fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\n%s\r\n%s", tt.head, tt.body)
				if tt.end != nil {
					time.Sleep(50 * time.Millisecond)
					tt.end(conn)
				}
			})
			c := newClient(t, url, Config{AutoBlock: true}, Options{})
			_, body, err := get(c, Request{})
			e := wantKind(t, err, Truncated)
			if !e.Outage() || body != "12345" && tt.end == nil {
				t.Errorf("body %q, error %v", body, e)
			}
			if s := c.State(); s.Status != Available || !strings.Contains(s.LastError, "truncated") {
				t.Errorf("state %+v", s)
			}
		})
	}
}

// TestWhole shows which bodies are whole.
func TestWhole(t *testing.T) {
	for name, text := range map[string]string{
		"length": "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n12345",
		"chunks": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\n\r\n",
		"to end": "HTTP/1.0 200 OK\r\n\r\n12345",
	} {
		t.Run(name, func(t *testing.T) {
			url := rawServer(t, func(_ int, conn net.Conn) { fmt.Fprint(conn, text) })
			wantBody(t, newClient(t, url, Config{}, Options{}), Request{}, "12345")
		})
	}
}

// TestStalled shows that a body may not stand still, but that its reader may.
func TestStalled(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	s := server(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "3")
		for _, part := range []string{"a", "b"} {
			_, _ = io.WriteString(w, part)
			_ = http.NewResponseController(w).Flush()
			time.Sleep(50 * time.Millisecond)
		}
		if r.URL.Path == "/stall" {
			select {
			case <-release:
			case <-r.Context().Done():
			}
			return
		}
		_, _ = io.WriteString(w, "c")
	})
	c := newClient(t, s.URL, Config{}, Options{Stall: 500 * time.Millisecond})
	timed(t, func() {
		_, body, err := get(c, Request{Path: "stall"})
		if e := wantKind(t, err, Stalled); body != "ab" || !e.Outage() {
			t.Errorf("body %q, error %v", body, e)
		}
	})
	if s := c.State(); !strings.Contains(s.LastError, "stalled: no data in time") {
		t.Errorf("state %+v", s)
	}

	resp, err := c.Do(context.Background(), Request{})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.ReadFull(resp.Body, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(700 * time.Millisecond)
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "bc" {
		t.Errorf("body %q, error %v of a slow reader", body, err)
	}
}

// TestCloseWhileReading shows that Close ends a Read that waits.
func TestCloseWhileReading(t *testing.T) {
	s := server(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	c := newClient(t, s.URL, Config{}, Options{})
	resp, err := c.Do(context.Background(), Request{})
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(50*time.Millisecond, func() { resp.Body.Close() })
	timed(t, func() {
		if _, err := io.ReadAll(resp.Body); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want that it was cancelled", err)
		}
	})
}

// TestReuse shows that connections are used again, after whole bodies and after answers that nobody reads.
func TestReuse(t *testing.T) {
	var conns atomic.Int32
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/from":
			http.Redirect(w, r, "/to", http.StatusFound)
		case "/fails":
			http.Error(w, "no", http.StatusInternalServerError)
		default:
			_, _ = io.WriteString(w, "ok")
		}
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			conns.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	c := newClient(t, s.URL, Config{}, Options{})
	for range 3 {
		wantBody(t, c, Request{Path: "from"}, "ok")
		_, _, _ = get(c, Request{Path: "fails"})
		_, _, _ = get(c, Request{Method: http.MethodHead})
	}
	if n := conns.Load(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}
