package httpapi

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// serveTest serves h on a listener with the limits, and returns its address. With secure it speaks TLS.
func serveTest(t *testing.T, limits Limits, secure bool, h http.HandlerFunc) string {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	var certificate *Certificate
	if secure {
		cert, key := writeCertificate(t, t.TempDir(), "test")
		var err error
		if certificate, err = LoadCertificate(cert, key, log); err != nil {
			t.Fatal(err)
		}
	}
	l, err := NewListener("127.0.0.1:0", certificate, limits, log)
	if err != nil {
		t.Fatal(err)
	}
	addr, err := l.Main("127.0.0.1:0", secure, h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(t.Context(), 0)
		defer cancel()
		l.Shutdown(ctx)
	})
	return addr.String()
}

const (
	testStall = 400 * time.Millisecond
	// soon is within which something must happen on a busy machine.
	soon = 10 * time.Second
)

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

// A body of which nothing comes any more ends with an error, and keeps what came before.
func TestStall_Body(t *testing.T) {
	t.Parallel()
	type end struct {
		n    int64
		err  error
		took time.Duration
	}
	ends := make(chan end, 1)
	addr := serveTest(t, Limits{Stall: testStall}, false, func(_ http.ResponseWriter, r *http.Request) {
		began := time.Now()
		n, err := io.Copy(io.Discard, r.Body)
		ends <- end{n, err, time.Since(began)}
	})
	for _, framing := range []string{"Content-Length: 100\r\n\r\n0123456789", "Transfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n"} {
		c := dial(t, addr)
		fmt.Fprintf(c, "PUT / HTTP/1.1\r\nHost: x\r\n%s", framing)
		select {
		case got := <-ends:
			if got.n != 10 || !errors.Is(got.err, os.ErrDeadlineExceeded) || got.took < testStall/2 {
				t.Errorf("%.20q: %d bytes, %v, after %v", framing, got.n, got.err, got.took)
			}
		case <-time.After(soon):
			t.Errorf("%.20q: the body is still waited for", framing)
		}
	}
}

// A body that moves, however slowly, may take many times the limit.
func TestStall_SlowBody(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{false, true} {
		addr := serveTest(t, Limits{Stall: testStall}, secure, func(w http.ResponseWriter, r *http.Request) {
			b, err := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %d %v", r.Proto, len(b), err)
		})
		scheme := "http"
		if secure {
			scheme = "https"
		}
		body, slowly := io.Pipe()
		go func() {
			for range 20 {
				time.Sleep(testStall / 4)
				_, _ = slowly.Write([]byte("x"))
			}
			slowly.Close()
		}()
		client := http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
		res, err := client.Post(scheme+"://"+addr, "", body)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if b, _ := io.ReadAll(res.Body); string(b) != "HTTP/1.1 20 <nil>" {
			t.Errorf("%s: %q", scheme, b)
		}
		client.CloseIdleConnections()
	}
}

// What comes after a body may take longer than the limit: neither the answer nor the next request suffers.
func TestStall_LongHandler(t *testing.T) {
	t.Parallel()
	addr := serveTest(t, Limits{Stall: testStall}, false, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-time.After(3 * testStall):
			fmt.Fprint(w, "done")
		case <-r.Context().Done():
			fmt.Fprint(w, "given up")
		}
	})
	c := dial(t, addr)
	in := bufio.NewReader(c)
	for range 2 {
		fmt.Fprint(c, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if b, _ := io.ReadAll(res.Body); string(b) != "done" {
			t.Errorf("the answer is %q", b)
		}
		time.Sleep(2 * testStall) // and so may pass time between requests
	}
}

// Who is refused gets the answer although the body never comes.
func TestStall_Refused(t *testing.T) {
	t.Parallel()
	addr := serveTest(t, Limits{}, false, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	c := dial(t, addr)
	began := time.Now()
	fmt.Fprint(c, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || res.StatusCode != http.StatusUnauthorized || !res.Close {
		t.Fatalf("%v, %+v", err, res)
	}
	if took := time.Since(began); took > linger+soon {
		t.Errorf("it took %v", took)
	}
}

// writeLarge makes a file that no socket's buffer holds.
func writeLarge(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(path, bytes.Repeat([]byte("0123456789abcdef"), 2<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A client that takes nothing of an answer is given up; one that takes it slowly gets all of it.
func TestStall_Response(t *testing.T) {
	t.Parallel()
	path := writeLarge(t)
	ends := make(chan error, 1)
	send := map[string]func(w http.ResponseWriter, f *os.File) error{
		"file": func(w http.ResponseWriter, f *os.File) error { _, err := io.Copy(w, f); return err },
		"part": func(w http.ResponseWriter, f *os.File) error { _, err := io.CopyN(w, f, 31<<20); return err },
		"bytes": func(w http.ResponseWriter, f *os.File) error {
			_, err := io.Copy(w, struct{ io.Reader }{f})
			return err
		},
	}
	h := func(w http.ResponseWriter, r *http.Request) {
		f, err := os.Open(path)
		if err == nil {
			defer f.Close()
			w.Header().Set("Content-Length", fmt.Sprint(map[bool]int{false: 32 << 20, true: 31 << 20}[r.URL.Path == "/part"]))
			err = send[r.URL.Path[1:]](w, f)
		}
		ends <- err
	}
	for _, secure := range []bool{false, true} {
		addr := serveTest(t, Limits{Stall: testStall}, secure, h)
		for how := range send {
			name := fmt.Sprintf("TLS %v, %s", secure, how)
			c := dial(t, addr)
			if secure {
				c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
			}
			in := bufio.NewReader(c)
			fmt.Fprintf(c, "GET /%s HTTP/1.1\r\nHost: x\r\n\r\n", how)
			res, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			// slowly, for several times the limit
			for range 10 {
				time.Sleep(testStall / 4)
				if _, err := io.CopyN(io.Discard, res.Body, 1<<20); err != nil {
					t.Errorf("%s: a slow client was cut: %v", name, err)
				}
			}
			select {
			case err := <-ends:
				if !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("%s: it ended with %v", name, err)
				}
			case <-time.After(soon):
				t.Errorf("%s: the client is still waited for", name)
			}
			// The connection serves the next client's request in full.
			c.Close()
			res, err = (&http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}).Get(
				map[bool]string{false: "http://", true: "https://"}[secure] + addr + "/" + how)
			if err != nil {
				t.Fatal(err)
			}
			if n, err := io.Copy(io.Discard, res.Body); err != nil || n != res.ContentLength {
				t.Errorf("%s: %d of %d bytes: %v", name, n, res.ContentLength, err)
			}
			res.Body.Close()
			if err := <-ends; err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// A client that takes little at a time gets all, and rightly, although the kernel has no room for more within the limit: its buffer
// is many times what the client takes meanwhile.
func TestStall_SlowTaker(t *testing.T) {
	t.Parallel()
	path := writeLarge(t)
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range want {
		want[i] = byte(i * 7 >> (i % 13))
	}
	if err := os.WriteFile(path, want, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, how := range []string{"file", "bytes", "TLS"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			addr := serveTest(t, Limits{Stall: testStall}, how == "TLS", func(w http.ResponseWriter, _ *http.Request) {
				f, err := os.Open(path)
				if err != nil {
					t.Error(err)
					return
				}
				defer f.Close()
				w.Header().Set("Content-Length", fmt.Sprint(len(want)))
				var r io.Reader = f
				if how == "bytes" {
					r = struct{ io.Reader }{f}
				}
				_, _ = io.Copy(w, r)
			})
			c := dial(t, addr)
			if err := c.(*net.TCPConn).SetReadBuffer(16 << 10); err != nil {
				t.Fatal(err)
			}
			if how == "TLS" {
				c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
			}
			fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			res, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			got := make([]byte, len(want))
			n := 0
			for begin := time.Now(); time.Since(begin) < 8*testStall; n += 10_000 {
				time.Sleep(testStall / 8)
				if _, err := io.ReadFull(res.Body, got[n:n+10_000]); err != nil {
					t.Fatalf("after %d bytes: %v", n, err)
				}
			}
			end := len(want)
			if how == "TLS" {
				end = n + 1<<20 // each record waits for room
			}
			if _, err := io.ReadFull(res.Body, got[n:end]); err != nil || !bytes.Equal(got[:end], want[:end]) {
				t.Errorf("the rest: %v, equal %v", err, bytes.Equal(got[:end], want[:end]))
			}
		})
	}
}

// A deadline that somebody else sets is left alone.
func TestStall_ForeignDeadline(t *testing.T) {
	t.Parallel()
	ends := make(chan error, 1)
	path := writeLarge(t)
	addr := serveTest(t, Limits{Stall: time.Hour}, false, func(w http.ResponseWriter, _ *http.Request) {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(testStall))
		f, err := os.Open(path)
		if err == nil {
			defer f.Close()
			_, err = io.Copy(w, f)
		}
		ends <- err
	})
	c := dial(t, addr)
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	select {
	case err := <-ends:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(soon):
		t.Error("the deadline did not count")
	}
}
