package remote

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// TestSet: a changed configuration counts for the next request, keeps what is known of the upstream, and ends no transfer.
func TestSet(t *testing.T) {
	var connections atomic.Int64
	release := make(chan struct{})
	finish := sync.OnceFunc(func() { close(release) })
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "first ")
		if r.URL.Path == "/slow" {
			w.(http.Flusher).Flush()
			<-release
		}
		_, _ = io.WriteString(w, "last "+r.Header.Get("User-Agent"))
	})
	s := tlsServer(t, func(s *httptest.Server) {
		s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				connections.Add(1)
			}
		}
		s.Config.Handler = h
	})
	t.Cleanup(finish) // before the server is closed, which waits
	n := newNetwork(t, NetworkConfig{Version: "1", TrustStore: certificate(s)})
	none := 0
	c := newClientOn(t, n, s.URL, Config{AutoBlock: true, Connection: &Connection{UseTrustStore: true, Retries: &none}}, Options{})
	end := func(suffix string) {
		t.Helper()
		if _, body, err := get(c, Request{}); err != nil || !strings.HasSuffix(body, suffix) {
			t.Errorf("body %q, error %v; want it to end with %q", body, err, suffix)
		}
	}
	end(")")
	slow, err := c.Do(t.Context(), Request{Path: "slow"})
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Body.Close()
	before := connections.Load()
	set := func(config NetworkConfig) {
		t.Helper()
		if err := n.Set(config); err != nil {
			t.Fatal(err)
		}
	}
	set(NetworkConfig{Version: "1", TrustStore: certificate(s), UserAgent: "more"})
	end(" more")
	if connections.Load() == before {
		t.Error("a connection from before is used")
	}
	if err := n.Set(NetworkConfig{Deny: []string{"x"}}); err == nil {
		t.Error("a wrong configuration is taken")
	}
	end(" more")
	set(NetworkConfig{})
	_, _, err = get(c, Request{})
	wantKind(t, err, TLS)
	finish()
	if body, err := io.ReadAll(slow.Body); err != nil || !strings.HasPrefix(string(body), "first last") {
		t.Errorf("the transfer that was under way: %q, %v", body, err)
	}
	if c.State().Status != AutoBlocked {
		t.Errorf("state %+v", c.State())
	}
	set(NetworkConfig{TrustStore: certificate(s)})
	_, _, err = get(c, Request{})
	wantKind(t, err, Blocked)
}

// TestSetAtOnce is for the race detector: changes beside requests, none of which fails.
func TestSetAtOnce(t *testing.T) {
	s := server(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	n := newNetwork(t, NetworkConfig{})
	c := newClientOn(t, n, s.URL, Config{}, Options{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				if _, body, err := get(c, Request{}); err != nil || body != "ok" {
					t.Errorf("%q, %v", body, err)
				}
			}
		})
	}
	for range 50 {
		if err := n.Set(NetworkConfig{UserAgent: "x"}); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
}

func TestCertificates(t *testing.T) {
	s := tlsServer(t, nil)
	host, _, _ := net.SplitHostPort(strings.TrimPrefix(s.URL, "https://"))
	port := s.Listener.Addr().(*net.TCPAddr).Port
	o := newOutbound(t, s.Listener.Addr().String(), "user:pass")
	broken := o.proxy
	broken.Password = "wrong"
	tests := []struct {
		name   string
		config NetworkConfig
		host   string
		kind   Kind
	}{
		{"direct", NetworkConfig{}, host, 0},
		{"outbound proxy", NetworkConfig{HTTPProxy: &o.proxy}, "example.com", 0},
		{"outbound proxy refuses", NetworkConfig{HTTPProxy: &broken}, "example.com", Unreachable},
		{"outbound proxy lost", NetworkConfig{HTTPProxy: &OutboundProxy{Host: "h", Port: 1, Lost: io.EOF}}, "example.com", Unreachable},
		{"denied", NetworkConfig{DenyPrivate: true}, host, Refused},
		{"metadata", NetworkConfig{}, "169.254.169.254", Refused},
		{"not a host", NetworkConfig{}, "a/b", Unreachable},
		{"user", NetworkConfig{}, "u@" + host, Unreachable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			seen, err := newNetwork(t, tt.config).Certificates(t.Context(), tt.host, port)
			if tt.kind != 0 {
				wantKind(t, err, tt.kind)
				return
			}
			if err != nil || len(seen) == 0 || !seen[0].Equal(s.Certificate()) {
				t.Errorf("%v, %v", seen, err)
			}
		})
	}
}

// TestLost: without a secret that was configured nothing is asked.
func TestLost(t *testing.T) {
	s := server(t, func(http.ResponseWriter, *http.Request) { t.Error("it was asked") })
	for _, typ := range []string{TypeUsername, TypeBearer} {
		c := newClient(t, s.URL, Config{AutoBlock: true, Authentication: &Authentication{Type: typ, Username: "u", Lost: io.ErrClosedPipe}}, Options{})
		for _, req := range []Request{{}, {URL: "http://127.0.0.1:1/"}} {
			_, _, err := get(c, req)
			wantKind(t, err, Unauthorized)
		}
		if state := c.State(); state.Status != Unavailable || !strings.Contains(state.Reason, io.ErrClosedPipe.Error()) {
			t.Errorf("state %+v", state)
		}
	}
}
