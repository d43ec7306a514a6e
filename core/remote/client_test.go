package remote

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/repomgr/repomgr/core/errs"
)

func ptr[T any](v T) *T { return &v }

func retries(n int) Config { return Config{Connection: &Connection{Retries: &n}} }

// TestRequest shows what the upstream gets of a request.
func TestRequest(t *testing.T) {
	type seen struct {
		method, uri, body string
		header            http.Header
	}
	var got seen
	s := server(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = seen{r.Method, r.RequestURI, string(body), r.Header}
		w.WriteHeader(http.StatusNotFound)
	})
	c := newClient(t, s.URL+"/base/?x=y", Config{Connection: &Connection{UserAgentSuffix: ptr("team-a")}}, Options{})
	header := http.Header{"Accept": {"a", "b"}, "x-own": {"1"}, "Authorization": {"no"}, "Cookie": {"no"}, "Connection": {"close"}, "User-Agent": {"no"}, "accept-encoding": {"gzip"}}
	resp, err := c.Do(context.Background(), Request{Method: http.MethodPost, Path: "a%2Fb c", Query: "n=1", Header: header, Body: []byte("data")})
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNotFound {
		t.Errorf("status %d", resp.StatusCode)
	}
	if got.method != http.MethodPost || got.uri != "/base/a%2Fb%20c?n=1" || got.body != "data" {
		t.Errorf("request %+v", got)
	}
	ua := got.header.Get("User-Agent")
	if !strings.HasPrefix(ua, "repomgr/1.2 (") || !strings.HasSuffix(ua, ") team-a") {
		t.Errorf("user agent %q", ua)
	}
	if len(got.header.Values("Accept")) != 2 || got.header.Get("X-Own") != "1" || got.header.Get("Accept-Encoding") != "identity" {
		t.Errorf("header %v", got.header)
	}
	for _, name := range []string{"Authorization", "Cookie", "Connection"} {
		if v := got.header.Get(name); v != "" {
			t.Errorf("%s: %s", name, v)
		}
	}
	if len(resp.Request.Header) != 0 || resp.Request.URL.Path != "/base/a/b c" {
		t.Errorf("the answer's request is %+v", resp.Request)
	}
}

// TestWrongRequest shows that the caller's mistakes don't look like the upstream's.
func TestWrongRequest(t *testing.T) {
	c := newClient(t, deadURL(t), Config{AutoBlock: true}, Options{})
	for _, req := range []Request{
		{Method: "BAD METHOD"}, {Path: "../x"}, {URL: "gopher://x/"},
		{Header: http.Header{"X": {"a\r\nb"}}}, {Header: http.Header{"a b": {"x"}}},
	} {
		if _, _, err := get(c, req); !errs.Is(err, errs.Invalid) {
			t.Errorf("%+v: error %v, want one of kind Invalid", req, err)
		}
	}
	if s := c.State(); s.Status != Ready || s.LastError != "" {
		t.Errorf("state %+v", s)
	}
}

// TestStatuses shows which statuses are errors.
func TestStatuses(t *testing.T) {
	kinds := map[int]Kind{401: Unauthorized, 429: TooManyRequests, 500: ServerError, 502: ServerError, 503: ServerError, 504: ServerError, 599: ServerError}
	for _, status := range []int{200, 204, 206, 304, 400, 401, 403, 404, 410, 416, 429, 500, 501, 502, 503, 504, 599, 600, 999} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			s := server(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
			c := newClient(t, s.URL, Config{}, Options{})
			got, _, err := get(c, Request{})
			kind, isError := kinds[status]
			if !isError {
				if err != nil || got != status {
					t.Fatalf("status %d, error %v", got, err)
				}
				return
			}
			if e := wantKind(t, err, kind); e.Status != status || !e.Outage() || e.Host != strings.TrimPrefix(s.URL, "http://") {
				t.Errorf("error %+v", e)
			}
		})
	}
}

// TestRawBytes shows that nobody undoes a content coding.
func TestRawBytes(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write([]byte("text"))
	z.Close()
	s := server(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(packed.Bytes())
	})
	c := newClient(t, s.URL, Config{}, Options{})
	wantBody(t, c, Request{}, packed.String())
}

func TestRetries(t *testing.T) {
	answer := func(status int, header string) func(net.Conn) {
		return func(conn net.Conn) {
			fmt.Fprintf(conn, "HTTP/1.1 %d x\r\nContent-Length: 0\r\nConnection: close\r\n%s\r\n", status, header)
		}
	}
	tests := []struct {
		name    string
		method  string
		retries *int
		fault   func(net.Conn)
		tries   int // with a fault always; with one only at first it is 2, if this is more than 1
		kind    Kind
	}{
		{"reset", "GET", nil, reset, 3, Unreachable},
		{"closed", "HEAD", nil, func(conn net.Conn) { conn.Close() }, 3, Unreachable},
		{"half a header", "GET", nil, func(conn net.Conn) { fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nConte") }, 3, Malformed},
		{"no HTTP", "GET", ptr(1), func(conn net.Conn) { fmt.Fprint(conn, "220 mail.example ESMTP\r\n") }, 2, Malformed},
		{"502", "GET", ptr(4), answer(502, ""), 5, ServerError},
		{"503", "OPTIONS", ptr(1), answer(503, ""), 2, ServerError},
		{"503 with a short Retry-After", "GET", ptr(1), answer(503, "Retry-After: 4\r\n"), 2, ServerError},
		{"503 with a long Retry-After", "GET", ptr(1), answer(503, "Retry-After: 60\r\n"), 1, ServerError},
		{"504", "GET", ptr(1), answer(504, ""), 2, ServerError},
		{"500", "GET", ptr(3), answer(500, ""), 1, ServerError},
		{"429", "GET", ptr(3), answer(429, ""), 1, TooManyRequests},
		{"429 with Retry-After", "GET", ptr(3), answer(429, "Retry-After: 1\r\n"), 1, TooManyRequests},
		{"401", "GET", ptr(3), answer(401, ""), 1, Unauthorized},
		{"none", "GET", ptr(0), reset, 1, Unreachable},
		{"not idempotent", "POST", ptr(3), answer(503, ""), 1, ServerError},
		{"not idempotent, reset", "PUT", ptr(3), reset, 1, Unreachable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			config := Config{Connection: &Connection{Retries: tt.retries}}
			var tries atomic.Int32
			always := rawServer(t, func(_ int, conn net.Conn) { tries.Add(1); tt.fault(conn) })
			c := newClient(t, always, config, Options{})
			rests := new(pauses)
			c.pause = rests.pause
			_, _, err := get(c, Request{Method: tt.method})
			wantKind(t, err, tt.kind)
			if got := int(tries.Load()); got != tt.tries || len(rests.all()) != tt.tries-1 {
				t.Errorf("%d tries and pauses %v, want %d tries", got, rests.all(), tt.tries)
			}
			if strings.Contains(tt.name, "short") && (len(rests.all()) != 1 || rests.all()[0] != 4*time.Second) {
				t.Errorf("pauses %v, want the 4 s asked for", rests.all())
			}
			if tt.tries == 1 {
				return
			}
			first := rawServer(t, func(n int, conn net.Conn) {
				if n == 1 {
					tt.fault(conn)
					return
				}
				answer(204, "")(conn)
			})
			if status, _, err := get(newClient(t, first, config, Options{}), Request{Method: tt.method}); err != nil || status != 204 {
				t.Errorf("status %d, error %v after one fault", status, err)
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	c := newClient(t, deadURL(t), retries(2), Options{})
	rests := new(pauses)
	c.pause = rests.pause
	_, _, err := get(c, Request{})
	if e := wantKind(t, err, Unreachable); len(rests.all()) != 2 || !strings.Contains(e.Error(), "refused") {
		t.Errorf("error %v after %d pauses", e, len(rests.all()))
	}
}

// TestTimeout shows that the header has to come in time, of each try, and that the body has not.
func TestTimeout(t *testing.T) {
	release := make(chan struct{})
	var requests atomic.Int32
	s := server(t, func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		if r.URL.Path == "/silent" {
			select {
			case <-release:
			case <-r.Context().Done():
			}
			return
		}
		_, _ = io.WriteString(w, "a")
		_ = http.NewResponseController(w).Flush()
		time.Sleep(800 * time.Millisecond)
		_, _ = io.WriteString(w, "b")
	})
	defer close(release)
	c := newClient(t, s.URL, retries(2), Options{})
	c.reach().timeout = 500 * time.Millisecond
	timed(t, func() {
		_, _, err := get(c, Request{Path: "silent"})
		if e := wantKind(t, err, Timeout); !errors.Is(e, errNoAnswer) {
			t.Errorf("error %v", e)
		}
	})
	if n := requests.Load(); n != 1 {
		t.Errorf("%d requests, want no more after one that took all the time", n)
	}
	wantBody(t, c, Request{Path: "slow"}, "ab")
}

// TestCancel shows that a caller who leaves gets the reason, and that it isn't the upstream's failure.
func TestCancel(t *testing.T) {
	started := make(chan struct{}, 1)
	s := server(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/body" {
			w.Header().Set("Content-Length", "10")
			_, _ = io.WriteString(w, "a")
			_ = http.NewResponseController(w).Flush()
		}
		started <- struct{}{}
		<-r.Context().Done()
	})
	c := newClient(t, s.URL, noRetries(), Options{})
	reason := errors.New("left")
	ctx, cancel := context.WithCancelCause(context.Background())
	go func() { <-started; cancel(reason) }()
	if _, err := c.Do(ctx, Request{}); !errors.Is(err, reason) {
		t.Errorf("error %v, want the caller's", err)
	}
	ctx, cancel = context.WithCancelCause(context.Background())
	resp, err := c.Do(ctx, Request{Path: "body"})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	go func() { <-started; cancel(reason) }()
	if _, err := io.ReadAll(resp.Body); !errors.Is(err, reason) {
		t.Errorf("error %v of the body, want the caller's", err)
	}
	if s := c.State(); s.Status != Available || s.LastError != "" {
		t.Errorf("state %+v", s)
	}

	dead := newClient(t, deadURL(t), Config{AutoBlock: true}, Options{})
	ctx, cancel = context.WithCancelCause(context.Background())
	dead.pause = func(context.Context, time.Duration) error { cancel(reason); return reason }
	if _, err := dead.Do(ctx, Request{}); !errors.Is(err, reason) {
		t.Errorf("error %v, want the caller's", err)
	}
	if s := dead.State(); s.Status != Ready {
		t.Errorf("state %+v after a caller left between tries", s)
	}
}

func TestSleep(t *testing.T) {
	if err := sleep(context.Background(), time.Millisecond); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	timed(t, func() {
		if err := sleep(ctx, time.Hour); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
	})
}

// TestConcurrent makes many requests at once, of all sorts.
func TestConcurrent(t *testing.T) {
	var n atomic.Int32
	s := server(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("RateLimit-Remaining", strconv.Itoa(int(n.Load())))
		switch n.Add(1) % 7 {
		case 0:
			w.WriteHeader(http.StatusInternalServerError)
		case 1:
			w.WriteHeader(http.StatusTooManyRequests)
		case 2:
			http.Redirect(w, r, "/else", http.StatusFound)
		default:
			_, _ = io.WriteString(w, strings.Repeat("x", 100_000))
		}
	})
	clock := newClock()
	c := newClient(t, s.URL, Config{AutoBlock: true, Connection: &Connection{EnableCookies: true}}, Options{Now: clock.now})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for range 20 {
				status, body, err := get(c, Request{})
				var e *Error
				if err != nil && !errors.As(err, &e) || err == nil && (status != 200 || len(body) != 100_000) {
					t.Errorf("status %d, %d bytes, error %v", status, len(body), err)
				}
				c.State()
				clock.move(time.Second)
			}
		})
	}
	wg.Wait()
}
