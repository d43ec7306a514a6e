package remote

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// upstream answers with a status that a test sets, and counts requests.
type upstream struct {
	url      string
	status   atomic.Int32
	requests atomic.Int32
	after    atomic.Value // Retry-After, a string
	wait     atomic.Value // a chan struct{} that answers wait for
}

func newUpstream(t *testing.T) *upstream {
	u := &upstream{}
	u.status.Store(http.StatusOK)
	u.url = server(t, func(w http.ResponseWriter, r *http.Request) {
		u.requests.Add(1)
		if wait, _ := u.wait.Load().(chan struct{}); wait != nil {
			select {
			case <-wait:
			case <-r.Context().Done():
			}
		}
		if after, _ := u.after.Load().(string); after != "" {
			w.Header().Set("Retry-After", after)
		}
		w.WriteHeader(int(u.status.Load()))
	}).URL
	return u
}

func (u *upstream) set(status int, retryAfter string) {
	u.status.Store(int32(status))
	u.after.Store(retryAfter)
}

// noRetries is automatic blocking with one try of each request.
func noRetries() Config {
	return Config{AutoBlock: true, Connection: &Connection{Retries: ptr(0)}}
}

func TestAutoBlock(t *testing.T) {
	u, clock := newUpstream(t), newClock()
	var text bytes.Buffer
	c := newClient(t, u.url, noRetries(), Options{Now: clock.now, Log: slog.New(slog.NewTextHandler(&text, nil))})
	if s := c.State(); s.Status != Ready {
		t.Errorf("state %+v before the first request", s)
	}
	u.set(500, "")
	_, _, err := get(c, Request{Path: "x"})
	wantKind(t, err, ServerError)
	s := c.State()
	left := s.BlockedUntil.Sub(clock.now())
	if s.Status != AutoBlocked || !strings.Contains(s.Reason, "status 500") || left < 9*time.Second || left > 10*time.Second ||
		s.LastError != err.Error() || !s.LastErrorAt.Equal(clock.now()) || !s.LastSuccess.IsZero() {
		t.Errorf("state %+v, blocked for %v", s, left)
	}

	_, _, err = get(c, Request{Path: "y"})
	if e := wantKind(t, err, Blocked); e.RetryAfter != left || !e.Outage() || !strings.Contains(e.Error(), "status 500") {
		t.Errorf("error %v, retry after %v", e, e.RetryAfter)
	}
	if n := u.requests.Load(); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}

	// Each failed probe makes the block longer.
	for _, want := range []time.Duration{20 * time.Second, 40 * time.Second, 80 * time.Second} {
		clock.move(c.State().BlockedUntil.Sub(clock.now()))
		_, _, err = get(c, Request{})
		wantKind(t, err, ServerError)
		if left := c.State().BlockedUntil.Sub(clock.now()); left < want*9/10 || left > want {
			t.Errorf("blocked for %v, want about %v", left, want)
		}
	}

	// What was asked before the time is over is no probe.
	clock.move(c.State().BlockedUntil.Sub(clock.now()) - 1)
	u.set(404, "")
	_, _, err = get(c, Request{})
	wantKind(t, err, Blocked)
	clock.move(1)
	if status, _, err := get(c, Request{}); err != nil || status != 404 {
		t.Errorf("status %d, error %v", status, err)
	}
	if s := c.State(); s.Status != Available || s.Reason != "" || !s.BlockedUntil.IsZero() || !s.LastSuccess.Equal(clock.now()) || s.LastError == "" {
		t.Errorf("state %+v", s)
	}
	u.set(500, "")
	_, _, _ = get(c, Request{})
	if left := c.State().BlockedUntil.Sub(clock.now()); left > 10*time.Second {
		t.Errorf("blocked for %v after a success", left)
	}
	if got := text.String(); strings.Count(got, `"upstream blocked"`) != 5 || strings.Count(got, `"upstream available again"`) != 1 {
		t.Errorf("log:\n%s", got)
	}
}

// TestOneProbe shows that one request finds out whether the upstream is back, and the others fail fast meanwhile.
func TestOneProbe(t *testing.T) {
	u, clock := newUpstream(t), newClock()
	c := newClient(t, u.url, noRetries(), Options{Now: clock.now})
	u.set(503, "")
	_, _, _ = get(c, Request{})
	clock.move(10 * time.Second)
	wait := make(chan struct{})
	u.wait.Store(wait)
	u.set(200, "")
	var wg sync.WaitGroup
	var blocked, passed atomic.Int32
	for range 20 {
		wg.Go(func() {
			_, _, err := get(c, Request{})
			if err == nil {
				passed.Add(1)
				return
			}
			var e *Error
			if errors.As(err, &e) && e.Kind == Blocked && e.RetryAfter > 0 {
				blocked.Add(1)
			}
			if blocked.Load() == 19 {
				close(wait)
			}
		})
	}
	timed(t, wg.Wait)
	if passed.Load() != 1 || blocked.Load() != 19 || u.requests.Load() != 2 {
		t.Errorf("%d passed, %d blocked, %d requests", passed.Load(), blocked.Load(), u.requests.Load())
	}
	if s := c.State(); s.Status != Available {
		t.Errorf("state %+v", s)
	}
}

// TestProbeLeaves shows that a probe whose caller leaves lets another take its place, and that none is tried again.
func TestProbeLeaves(t *testing.T) {
	u, clock := newUpstream(t), newClock()
	c := newClient(t, u.url, Config{AutoBlock: true}, Options{Now: clock.now})
	u.set(503, "")
	_, _, _ = get(c, Request{})
	clock.move(10 * time.Second)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := c.Do(ctx, Request{}); err == nil {
		t.Error("no error")
	}
	before := u.requests.Load()
	_, _, err := get(c, Request{})
	wantKind(t, err, ServerError)
	if n := u.requests.Load() - before; n != 1 {
		t.Errorf("%d requests of the probe, want 1", n)
	}
	clock.move(20 * time.Second)
	panicky := newClient(t, u.url, Config{AutoBlock: true}, Options{Now: clock.now, Authorizer: fake{known: func(Request) string { panic("x") }}})
	panicky.health.streak, panicky.health.state.BlockedUntil = 1, clock.now()
	func() {
		defer func() { _ = recover() }()
		_, _, _ = get(panicky, Request{})
	}()
	if panicky.health.probing {
		t.Error("a probe that panics bars all others")
	}
}

// TestFailTogether shows that requests that fail at the same time count once.
func TestFailTogether(t *testing.T) {
	u, clock := newUpstream(t), newClock()
	c := newClient(t, u.url, noRetries(), Options{Now: clock.now})
	wait := make(chan struct{})
	u.wait.Store(wait)
	u.set(500, "")
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() { _, _, _ = get(c, Request{}) })
	}
	for deadline := time.Now().Add(5 * time.Second); u.requests.Load() < 10 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	close(wait)
	timed(t, wg.Wait)
	if left := c.State().BlockedUntil.Sub(clock.now()); left > 10*time.Second {
		t.Errorf("blocked for %v", left)
	}
}

// TestWhatBlocks shows which failures block.
func TestWhatBlocks(t *testing.T) {
	bad := httptest.NewTLSServer(http.NotFoundHandler())
	bad.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	defer bad.Close()
	silent := server(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	answers := func(status int) string {
		return server(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }).URL
	}
	sends := func(text string) string {
		return rawServer(t, func(_ int, conn net.Conn) { _, _ = io.WriteString(conn, text) })
	}
	tests := []struct {
		name, url string
		kind      Kind
		blocks    bool
		// fault: nothing can be had, which is told.
		fault bool
	}{
		{"no connection", deadURL(t), Unreachable, true, false},
		{"TLS", bad.URL, TLS, true, false},
		{"timeout", silent.URL, Timeout, true, false},
		{"500", answers(500), ServerError, true, false},
		{"503", answers(503), ServerError, true, false},
		{"401", answers(401), Unauthorized, false, true},
		{"429", answers(429), TooManyRequests, false, false},
		{"302", answers(302), Redirect, false, false},
		{"refused", "http://169.254.169.254/", Refused, false, true},
		{"a control character in the header", sends("HTTP/1.1 200 OK\r\nContent-Type: a\x01b\r\n\r\n"), Malformed, false, true},
		{"two lengths", sends("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"), Malformed, false, true},
		{"a header that is too large", sends("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 2<<20) + "\r\n\r\n"), Malformed, false, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newClient(t, tt.url, noRetries(), Options{})
			if tt.kind == Timeout {
				c.reach().timeout = 100 * time.Millisecond
			}
			_, _, err := get(c, Request{})
			wantKind(t, err, tt.kind)
			_, _, err = get(c, Request{})
			if tt.blocks {
				wantKind(t, err, Blocked)
			} else {
				wantKind(t, err, tt.kind)
			}
			if got := c.State().Status == AutoBlocked; got != tt.blocks {
				t.Errorf("state %+v", c.State())
			}
			if s := c.State(); tt.fault != (s.Status == Unavailable) || (tt.fault || tt.blocks) != (s.Reason != "") {
				t.Errorf("state %+v", s)
			}

			off := newClient(t, tt.url, retries(0), Options{})
			off.reach().timeout = c.reach().timeout
			for range 2 {
				_, _, err = get(off, Request{})
				wantKind(t, err, tt.kind)
			}
			if got := off.State().Status == Unavailable; got != (tt.blocks || tt.fault) {
				t.Errorf("state %+v without automatic blocking", off.State())
			}
		})
	}
}

// TestFaultEnds shows that what was told of the last request is not told any more when the next one succeeds.
func TestFaultEnds(t *testing.T) {
	u := newUpstream(t)
	c := newClient(t, u.url, noRetries(), Options{})
	for _, step := range []struct {
		status int
		want   Availability
	}{{401, Unavailable}, {200, Available}, {401, Unavailable}, {500, AutoBlocked}} {
		u.set(step.status, "")
		_, _, _ = get(c, Request{})
		if s := c.State(); s.Status != step.want || (s.Reason == "") != (step.want == Available) {
			t.Errorf("state %+v after status %d", s, step.status)
		}
	}
}

func TestManualBlock(t *testing.T) {
	u := newUpstream(t)
	c := newClient(t, u.url, Config{Blocked: true, AutoBlock: true}, Options{})
	for _, req := range []Request{{}, {URL: "http://127.0.0.1:1/"}} {
		_, _, err := get(c, req)
		if e := wantKind(t, err, Blocked); !e.Outage() {
			t.Errorf("error %v", e)
		}
	}
	if s := c.State(); u.requests.Load() != 0 || s.Status != ManuallyBlocked || s.Reason == "" {
		t.Errorf("%d requests, state %+v", u.requests.Load(), s)
	}
}

// TestTooManyRequests shows that an upstream that asks for it is left alone, without being blocked.
func TestTooManyRequests(t *testing.T) {
	u, clock := newUpstream(t), newClock()
	c := newClient(t, u.url, Config{AutoBlock: true}, Options{Now: clock.now})
	u.set(429, "60")
	_, _, err := get(c, Request{})
	if e := wantKind(t, err, TooManyRequests); e.RetryAfter != time.Minute || e.Status != 429 {
		t.Errorf("error %+v", e)
	}
	clock.move(20 * time.Second)
	_, _, err = get(c, Request{})
	if e := wantKind(t, err, TooManyRequests); e.RetryAfter != 40*time.Second || e.Status != 429 || u.requests.Load() != 1 {
		t.Errorf("error %+v after %d requests", e, u.requests.Load())
	}
	if s := c.State(); s.Status != Available || !s.NotBefore.Equal(clock.now().Add(40*time.Second)) || !s.BlockedUntil.IsZero() {
		t.Errorf("state %+v", s)
	}
	clock.move(40 * time.Second)
	u.set(200, "")
	if _, _, err := get(c, Request{}); err != nil {
		t.Error(err)
	}
	if s := c.State(); !s.NotBefore.IsZero() {
		t.Errorf("state %+v", s)
	}

	u.set(429, "36000")
	_, _, _ = get(c, Request{})
	clock.move(time.Hour)
	u.set(200, "")
	if _, _, err := get(c, Request{}); err != nil {
		t.Errorf("error %v: a Retry-After of ten hours is believed", err)
	}
	u.set(429, "")
	_, _, _ = get(c, Request{})
	before := u.requests.Load()
	_, _, _ = get(c, Request{})
	if u.requests.Load() == before {
		t.Error("a 429 without Retry-After keeps requests off")
	}
}

// TestRetryAfterLong shows that a 503 with a long Retry-After is remembered, with and without automatic blocking.
func TestRetryAfterLong(t *testing.T) {
	for name, tt := range map[string]struct {
		auto bool
		kind Kind
	}{"auto": {true, Blocked}, "not auto": {false, ServerError}} {
		t.Run(name, func(t *testing.T) {
			u, clock := newUpstream(t), newClock()
			c := newClient(t, u.url, Config{AutoBlock: tt.auto}, Options{Now: clock.now})
			u.set(503, "120")
			_, _, err := get(c, Request{})
			if e := wantKind(t, err, ServerError); e.RetryAfter != 2*time.Minute || u.requests.Load() != 1 {
				t.Errorf("error %+v after %d requests", e, u.requests.Load())
			}
			clock.move(119 * time.Second)
			_, _, err = get(c, Request{})
			if e := wantKind(t, err, tt.kind); e.RetryAfter != time.Second || u.requests.Load() != 1 {
				t.Errorf("error %+v after %d requests", e, u.requests.Load())
			}
			clock.move(time.Second)
			u.set(200, "")
			if _, _, err := get(c, Request{}); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestRetryAfterTold: callers are told to come again when the upstream is asked again.
func TestRetryAfterTold(t *testing.T) {
	for _, tt := range []struct {
		name       string
		auto       bool
		status     int
		after      string
		first      time.Duration // told with the answer itself, up to a tenth less where the block is ours
		ours, kept bool
	}{
		{"too many requests, for years", true, 429, "86400000", time.Hour, false, true},
		{"too many requests, for longer than can be counted", true, 429, "99999999999999999999999", time.Hour, false, true},
		{"too many requests", true, 429, "60", time.Minute, false, true},
		{"down for years", true, 503, "86400000", time.Hour, false, true},
		{"down for years, not blocked", false, 503, "86400000", time.Hour, false, true},
		{"down", true, 503, "", firstBlock, true, true},
		{"down for a moment", true, 500, "1", firstBlock, true, true},
		{"down, not blocked", false, 503, "", 0, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u, clock := newUpstream(t), newClock()
			c := newClient(t, u.url, Config{AutoBlock: tt.auto, Connection: &Connection{Retries: ptr(0)}}, Options{Now: clock.now})
			u.set(tt.status, tt.after)
			for n := range 2 {
				_, _, err := get(c, Request{})
				var e *Error
				if !errors.As(err, &e) || e.RetryAfter > tt.first || e.RetryAfter < tt.first*9/10 || !tt.ours && e.RetryAfter != tt.first {
					t.Errorf("error %d: %+v, want %v", n+1, e, tt.first)
				}
			}
			if asked := u.requests.Load(); tt.kept != (asked == 1) {
				t.Errorf("upstream was asked %d times", asked)
			}
		})
	}
	t.Run("nobody there", func(t *testing.T) {
		c := newClient(t, deadURL(t), noRetries(), Options{Now: newClock().now})
		_, _, err := get(c, Request{})
		if e := wantKind(t, err, Unreachable); e.RetryAfter < firstBlock*9/10 || e.RetryAfter > firstBlock {
			t.Errorf("%v", e.RetryAfter)
		}
	})
}

func TestRateLimit(t *testing.T) {
	clock := newClock()
	var limited atomic.Bool
	s := server(t, func(w http.ResponseWriter, _ *http.Request) {
		if limited.Load() {
			w.Header().Set("ratelimit-limit", "100;w=21600")
			w.Header().Set("ratelimit-remaining", "7;w=21600")
			w.Header().Set("docker-ratelimit-source", "192.0.2.1"+strings.Repeat("x", 500))
		}
		_, _ = io.WriteString(w, "ok")
	})
	c := newClient(t, s.URL, Config{}, Options{Now: clock.now})
	wantBody(t, c, Request{}, "ok")
	if got := c.State().RateLimit; got != nil {
		t.Errorf("rate limit %+v", got)
	}
	limited.Store(true)
	wantBody(t, c, Request{}, "ok")
	limited.Store(false)
	seen := clock.now()
	clock.move(time.Hour)
	wantBody(t, c, Request{}, "ok") // a blob, say
	want := &RateLimit{Limit: "100;w=21600", Remaining: "7;w=21600", Source: "192.0.2.1" + strings.Repeat("x", 91), Seen: seen}
	if diff := cmp.Diff(want, c.State().RateLimit); diff != "" {
		t.Error(diff)
	}
}

// TestSlowSuccess shows that an answer to a request that was made before a block ends it: the upstream is there.
func TestSlowSuccess(t *testing.T) {
	u, clock := newUpstream(t), newClock()
	c := newClient(t, u.url, noRetries(), Options{Now: clock.now})
	wait := make(chan struct{})
	u.wait.Store(wait)
	var wg sync.WaitGroup
	wg.Go(func() { _, _, _ = get(c, Request{}) })
	for deadline := time.Now().Add(5 * time.Second); u.requests.Load() < 1 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	c.health.settle(context.Background(), false, outcome{err: &Error{Kind: Timeout, Err: errNoAnswer}})
	if s := c.State(); s.Status != AutoBlocked {
		t.Errorf("state %+v", s)
	}
	close(wait)
	timed(t, wg.Wait)
	if s := c.State(); s.Status != Available {
		t.Errorf("state %+v", s)
	}
}

// Who hangs is left alone for longer than it makes others wait.
func TestBlockAfterTimeout(t *testing.T) {
	for _, tt := range []struct {
		name  string
		took  time.Duration
		wants []time.Duration // at least, of one failure after the other; at most a quarter more
	}{
		{"at once", 0, []time.Duration{9 * time.Second, 18 * time.Second}},
		{"the usual time", 20 * time.Second, []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 9 * time.Minute}},
		{"very long", time.Hour, []time.Duration{9 * time.Minute, 9 * time.Minute}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			clock := newClock()
			u := server(t, func(_ http.ResponseWriter, r *http.Request) {
				clock.move(tt.took)
				<-r.Context().Done()
			})
			c := newClient(t, u.URL, noRetries(), Options{Now: clock.now})
			c.reach().timeout = 200 * time.Millisecond
			for n, want := range tt.wants {
				_, _, err := get(c, Request{})
				wantKind(t, err, Timeout)
				left := c.State().BlockedUntil.Sub(clock.now())
				if left < want || left > want*5/4 {
					t.Errorf("failure %d: blocked for %v, want about %v", n+1, left, want)
				}
				clock.move(left)
			}
		})
	}
}
