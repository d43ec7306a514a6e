package remote

import (
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	neturl "net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// tlsServer starts a server with a certificate for 127.0.0.1 and example.com.
func tlsServer(t testing.TB, change func(*httptest.Server)) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "ok "+r.Proto+" "+r.Header.Get("Authorization"))
	}))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	s.EnableHTTP2 = true
	if change != nil {
		change(s)
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func TestTLS(t *testing.T) {
	s := tlsServer(t, nil)
	trust := Config{Connection: &Connection{UseTrustStore: true}}
	byName := strings.Replace(s.URL, "127.0.0.1", "localhost", 1)
	old := tlsServer(t, func(s *httptest.Server) { s.TLS = &tls.Config{MaxVersion: tls.VersionTLS11} })
	plain := server(t, func(http.ResponseWriter, *http.Request) {})
	picky := tlsServer(t, func(s *httptest.Server) {
		s.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12}
	})
	tests := []struct {
		name    string
		network NetworkConfig
		config  Config
		url     string
		reason  string // empty: no error
	}{
		{"unknown authority", NetworkConfig{}, Config{}, s.URL, "unknown authority"},
		{"trusted by all", NetworkConfig{RootCAs: certificate(s)}, Config{}, s.URL, ""},
		{"trust store that is used", NetworkConfig{TrustStore: certificate(s)}, trust, s.URL, ""},
		{"trust store that isn't", NetworkConfig{TrustStore: certificate(s)}, Config{}, s.URL, "unknown authority"},
		{"wrong name", NetworkConfig{RootCAs: certificate(s)}, Config{}, byName, "localhost"},
		{"old version", NetworkConfig{RootCAs: certificate(old)}, Config{}, old.URL, "protocol version"},
		{"no TLS", NetworkConfig{}, Config{}, strings.Replace(plain.URL, "http:", "https:", 1), "does not look like a TLS handshake"},
		{"client certificate wanted", NetworkConfig{RootCAs: certificate(picky)}, Config{}, picky.URL, "remote error"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newClientOn(t, newNetwork(t, tt.network), tt.url, tt.config, Options{})
			rests := new(pauses)
			c.pause = rests.pause
			if tt.reason == "" {
				wantBody(t, c, Request{}, "ok HTTP/1.1 ")
				return
			}
			_, _, err := get(c, Request{})
			e := wantKind(t, err, TLS)
			if "https://"+e.Host != tt.url || !strings.Contains(e.Error(), tt.reason) || len(rests.all()) > 0 {
				t.Errorf("error %v after %d pauses, want one with %q", e, len(rests.all()), tt.reason)
			}
		})
	}
}

// TestDowngrade shows that a redirect from https to http is followed without credentials.
func TestDowngrade(t *testing.T) {
	plain := server(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "plain "+r.Header.Get("Authorization"))
	})
	s := tlsServer(t, func(s *httptest.Server) {
		s.Config.Handler = http.RedirectHandler(plain.URL, http.StatusFound)
	})
	config := Config{Authentication: &Authentication{Type: TypeBearer, BearerToken: "hush"}}
	c := newClientOn(t, newNetwork(t, NetworkConfig{RootCAs: certificate(s)}), s.URL, config, Options{})
	wantBody(t, c, Request{}, "plain ")
}

// TestForbidden shows that no way leads to a forbidden address.
func TestForbidden(t *testing.T) {
	s := server(t, func(w http.ResponseWriter, r *http.Request) {
		if to := r.URL.Query().Get("to"); to != "" {
			http.Redirect(w, r, to, http.StatusFound)
			return
		}
		_, _ = io.WriteString(w, "ok")
	})
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(s.URL, "http://"))
	for _, host := range []string{"169.254.169.254", "[fd00:ec2::254]", "100.100.100.200", "[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]", "0.0.0.0", "[::]", "224.0.0.1", "[fe80::1%25lo]"} {
		t.Run(host, func(t *testing.T) {
			url := "http://" + host + ":" + port + "/"
			for _, c := range []struct {
				base string
				req  Request
			}{{url, Request{}}, {s.URL, Request{URL: url}}, {s.URL, Request{Query: "to=" + neturl.QueryEscape(url)}}} {
				client := newClient(t, c.base, Config{AutoBlock: true}, Options{})
				rests := new(pauses)
				client.pause = rests.pause
				_, _, err := get(client, c.req)
				// Where the upstream leads to it, that is the upstream's fault.
				if e := wantKind(t, err, Refused); e.Outage() != (c.req.Query != "") || len(rests.all()) > 0 || !strings.Contains(e.Error(), "not allowed") {
					t.Errorf("error %v after %d pauses", e, len(rests.all()))
				}
			}
		})
	}

	// A name is checked by what it resolves to.
	name := "http://localhost:" + port
	wantBody(t, newClient(t, name, Config{}, Options{}), Request{}, "ok")
	denied := newNetwork(t, NetworkConfig{Deny: []string{"127.0.0.0/8", "::1"}})
	for _, base := range []string{name, s.URL, "http://[::ffff:127.0.0.1]:" + port} {
		_, _, err := get(newClientOn(t, denied, base, Config{}, Options{}), Request{})
		wantKind(t, err, Refused)
	}
	private := newNetwork(t, NetworkConfig{DenyPrivate: true})
	_, _, err := get(newClientOn(t, private, s.URL, Config{}, Options{}), Request{})
	wantKind(t, err, Refused)
	except := newNetwork(t, NetworkConfig{DenyPrivate: true, Allow: []string{"127.0.0.1"}})
	wantBody(t, newClientOn(t, except, s.URL, Config{}, Options{}), Request{}, "ok")
}

// outbound is an HTTP proxy that brings all to one server, whatever name is asked for.
type outbound struct {
	log
	proxy OutboundProxy
}

func newOutbound(t *testing.T, to string, credentials string) *outbound {
	o := &outbound{}
	want := ""
	if credentials != "" {
		want = "Basic " + base64.StdEncoding.EncodeToString([]byte(credentials))
	}
	s := server(t, func(w http.ResponseWriter, r *http.Request) {
		o.add(r.Method + " " + r.RequestURI)
		switch {
		case r.Header.Get("Proxy-Authorization") != want:
			w.Header().Set("Proxy-Authenticate", "Basic")
			w.WriteHeader(http.StatusProxyAuthRequired)
		case strings.HasPrefix(r.Host, "down."):
			w.WriteHeader(http.StatusBadGateway)
		case r.Method == http.MethodConnect:
			tunnel(w, to)
		default:
			fmt.Fprintf(w, "proxied %s auth=%q", r.Host, r.Header.Get("Authorization"))
		}
	})
	host, port, _ := net.SplitHostPort(strings.TrimPrefix(s.URL, "http://"))
	n, _ := strconv.Atoi(port)
	o.proxy = OutboundProxy{Host: host, Port: n}
	o.proxy.Username, o.proxy.Password, _ = strings.Cut(credentials, ":")
	return o
}

// tunnel connects a client with the server at to.
func tunnel(w http.ResponseWriter, to string) {
	far, err := net.Dial("tcp", to)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	w.WriteHeader(http.StatusOK)
	near, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		far.Close()
		return
	}
	go func() {
		defer far.Close()
		_, _ = io.Copy(far, buffered)
	}()
	go func() {
		defer near.Close()
		_, _ = io.Copy(near, far)
	}()
}

func TestOutboundProxy(t *testing.T) {
	s := tlsServer(t, nil)
	to := strings.TrimPrefix(s.URL, "https://")
	own := server(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "direct") })
	o := newOutbound(t, to, "user:pa:ss")
	second := newOutbound(t, to, "")
	wrong := o.proxy
	wrong.Password = "hush"
	config := func(change func(*NetworkConfig)) NetworkConfig {
		n := NetworkConfig{HTTPProxy: &o.proxy, RootCAs: certificate(s), NonProxyHosts: []string{"127.0.0.*"}}
		if change != nil {
			change(&n)
		}
		return n
	}
	tests := []struct {
		name    string
		network NetworkConfig
		base    string
		body    string
		kind    Kind
		log     []string // of o
	}{
		{"http", config(nil), "http://example.com/a%2Fb", `proxied example.com auth=""`, 0, []string{"GET http://example.com/a%2Fb"}},
		{"https", config(nil), "https://example.com/a", "ok HTTP/1.1 ", 0, []string{"CONNECT example.com:443"}},
		{"not proxied", config(nil), own.URL, "direct", 0, nil},
		{"another for https", config(func(n *NetworkConfig) { n.HTTPSProxy = &second.proxy }), "https://example.com/a", "ok HTTP/1.1 ", 0, nil},
		{"one for https only", config(func(n *NetworkConfig) { n.HTTPProxy, n.HTTPSProxy, n.NonProxyHosts = nil, &o.proxy, nil }), own.URL, "direct", 0, nil},
		{"wrong credentials, http", config(func(n *NetworkConfig) { n.HTTPProxy = &wrong }), "http://example.com/", "", Unreachable, []string{"GET http://example.com/"}},
		{"wrong credentials, https", config(func(n *NetworkConfig) { n.HTTPProxy = &wrong }), "https://example.com/", "", Unreachable, []string{"CONNECT example.com:443"}},
		{"upstream down", config(nil), "http://down.example.com/", "", ServerError, []string{"GET http://down.example.com/"}},
		{"upstream down, https", config(nil), "https://down.example.com/", "", Unreachable, []string{"CONNECT down.example.com:443"}},
		{"forbidden", config(nil), "http://169.254.169.254/", "", Refused, nil},
		{"forbidden, mapped", config(nil), "https://[::ffff:169.254.169.254]/", "", Refused, nil},
		{"forbidden, as a number", config(nil), "http://2852039166/", "", Refused, nil},
		{"the proxy itself may be where others may not", config(func(n *NetworkConfig) { n.DenyPrivate = true }), "http://example.com/", `proxied example.com auth=""`, 0, []string{"GET http://example.com/"}},
		{"what is not proxied may not", config(func(n *NetworkConfig) { n.DenyPrivate = true }), own.URL, "", Refused, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newClientOn(t, newNetwork(t, tt.network), tt.base, retries(0), Options{})
			_, body, err := get(c, Request{})
			if tt.kind == 0 && (err != nil || body != tt.body) {
				t.Errorf("body %q, error %v; want %q", body, err, tt.body)
			}
			if tt.kind != 0 {
				e := wantKind(t, err, tt.kind)
				if strings.Contains(e.Error(), "hush") || strings.HasPrefix(tt.name, "wrong") && (e.Status != 407 || e.Host != o.proxy.String()) {
					t.Errorf("error %v", e)
				}
			}
			if got := o.take(); !slices.Equal(got, tt.log) {
				t.Errorf("the proxy saw %q, want %q", got, tt.log)
			}
		})
	}
}

// TestNoEnvironment shows that the environment's proxies don't count: what is not configured is not used.
func TestNoEnvironment(t *testing.T) {
	t.Setenv("HTTP_PROXY", deadURL(t))
	t.Setenv("http_proxy", deadURL(t))
	c := newClient(t, "http://example.invalid/", retries(0), Options{})
	_, _, err := get(c, Request{})
	if e := wantKind(t, err, Unreachable); strings.Contains(e.Error(), "proxyconnect") {
		t.Errorf("error %v", e)
	}
}
