package remote

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/repomgr/repomgr/core/errs"
)

// NetworkConfig is how a server reaches others. The zero value works: directly, to all but forbidden addresses.
type NetworkConfig struct {
	// Version is the server's, for User-Agent.
	Version string
	// UserAgent is put behind the server's own name in User-Agent by clients that have no suffix of their own.
	UserAgent string
	// Retries and Timeout are those of clients that have none of their own; nil is 2, and 20 seconds.
	Retries, Timeout *int
	// HTTPProxy is the outbound proxy for http URLs, and for https ones if HTTPSProxy is nil. Nil is none.
	HTTPProxy *OutboundProxy
	// HTTPSProxy is the outbound proxy for https URLs. It is spoken to in plain HTTP (CONNECT), like the other.
	HTTPSProxy *OutboundProxy
	// NonProxyHosts are reached directly: names, patterns such as *.example.com or 10.*, addresses, and networks such as 10.0.0.0/8
	// (which match URLs with an address, as names are not resolved for it).
	NonProxyHosts []string
	// RootCAs are certificates in PEM that are trusted besides the system's.
	RootCAs []byte
	// TrustStore are certificates in PEM that are trusted by clients with UseTrustStore only.
	TrustStore []byte
	// Allow and Deny are addresses and networks that may or may not be connected to. The longest prefix decides, deny before allow.
	// Link-local, cloud metadata, multicast, reserved and unspecified addresses are denied unless Allow names them or a part of
	// their network.
	Allow, Deny []string
	// DenyPrivate denies private networks and loopback, but for what Allow names.
	DenyPrivate bool
}

// OutboundProxy is an HTTP proxy.
type OutboundProxy struct {
	// Host is a name or an address, without port.
	Host string
	// Port is from 1 to 65535.
	Port int
	// Username is empty when the proxy asks for no credentials.
	Username, Password string
	// Lost is why the password is not known; then no request is made by the proxy, and this is its error.
	Lost error
}

// String is the proxy's address, without credentials.
func (p OutboundProxy) String() string { return net.JoinHostPort(p.Host, fmt.Sprint(p.Port)) }

// GoString implements fmt.GoStringer, as String.
func (p OutboundProxy) GoString() string { return p.String() }

// Network is what the clients of a server have in common. Its configuration may be replaced at any time.
type Network struct{ current atomic.Pointer[setup] }

// setup is a configuration at work. It is immutable.
type setup struct {
	agent   string
	suffix  string // of agent, for clients without one
	retries int
	timeout time.Duration
	guard   *guard
	direct  hosts // not by a proxy
	proxies map[string]*url.URL
	lost    map[string]error // why a proxy can't be used, by the scheme like proxies
	roots   *x509.CertPool   // the system's and RootCAs
	trusted *x509.CertPool   // roots and TrustStore
}

// NewNetwork returns an *errs.Error if the configuration is wrong.
func NewNetwork(config NetworkConfig) (*Network, error) {
	n := &Network{}
	return n, n.Set(config)
}

// Set replaces the configuration. Requests that begin when it has returned are made under the new one, on new connections; those that
// are under way end under the old one. What clients know of their upstreams stays. An *errs.Error says what is wrong with the
// configuration; then the old one is still in force.
func (n *Network) Set(config NetworkConfig) error {
	s, err := newSetup(config)
	if err != nil {
		return err
	}
	n.current.Store(s)
	return nil
}

func newSetup(config NetworkConfig) (*setup, error) {
	defaults := Connection{Retries: config.Retries, Timeout: config.Timeout, UserAgentSuffix: &config.UserAgent}
	if err := defaults.check("", "userAgent"); err != nil {
		return nil, err
	}
	n := &setup{
		agent: agent(config.Version), suffix: config.UserAgent, retries: defaultRetries, timeout: defaultTimeout,
		proxies: map[string]*url.URL{}, lost: map[string]error{},
	}
	n.retries, n.timeout = defaults.limits(n)
	var err error
	if n.guard, err = newGuard(config); err != nil {
		return nil, err
	}
	if n.direct, err = parseHosts(config.NonProxyHosts); err != nil {
		return nil, err
	}
	if p := config.HTTPProxy; p != nil {
		if n.proxies["http"], err = p.url("httpProxy."); err != nil {
			return nil, err
		}
		n.proxies["https"] = n.proxies["http"]
		n.lost["http"], n.lost["https"] = p.Lost, p.Lost
	}
	if p := config.HTTPSProxy; p != nil {
		if n.proxies["https"], err = p.url("httpsProxy."); err != nil {
			return nil, err
		}
		n.lost["https"] = p.Lost
	}
	n.roots = systemRoots()
	if len(config.RootCAs) > 0 && !n.roots.AppendCertsFromPEM(config.RootCAs) {
		return nil, errs.Field("rootCAs", "there is no certificate in PEM form")
	}
	n.trusted = n.roots.Clone()
	if len(config.TrustStore) > 0 && !n.trusted.AppendCertsFromPEM(config.TrustStore) {
		return nil, errs.Field("trustStore", "there is no certificate in PEM form")
	}
	return n, nil
}

func agent(version string) string {
	if version == "" {
		version = "dev"
	}
	return fmt.Sprintf("repomgr/%s (%s; %s)", version, runtime.GOOS, runtime.GOARCH)
}

// systemRoots are no certificates where the system has none, as in an empty container.
func systemRoots() *x509.CertPool {
	if pool, err := x509.SystemCertPool(); err == nil {
		return pool
	}
	return x509.NewCertPool()
}

func (p OutboundProxy) url(object string) (*url.URL, error) {
	u := &url.URL{Scheme: "http", Host: p.String()}
	parsed, err := url.Parse(u.String())
	switch {
	case p.Host == "" || err != nil || parsed.Hostname() != p.Host:
		return nil, errs.Field(object+"host", "host must be a name or an address")
	case p.Port < 1 || p.Port > 65535:
		return nil, errs.Field(object+"port", "port must be between 1 and 65535")
	case p.Username == "" && p.Password == "":
		return u, nil
	}
	if err := checkBasic(object+"authInfo.", p.Username, p.Password); err != nil {
		return nil, err
	}
	u.User = url.UserPassword(p.Username, p.Password)
	return u, nil
}

// proxy returns the outbound proxy for a URL, nil for none.
func (n *setup) proxy(u *url.URL) *url.URL {
	if p := n.proxies[u.Scheme]; p != nil && !n.direct.match(u.Hostname()) {
		return p
	}
	return nil
}

// Idle connections per host, and how long they are kept.
const (
	idleConns   = 32
	idleTimeout = 90 * time.Second
)

// transport makes a transport for direct connections, which are guarded, or for those by the outbound proxy, which are not: the
// proxy is where the admin says, usually in a private network.
func (n *setup) transport(proxied bool, connection Connection) *http.Transport {
	_, timeout := connection.limits(n)
	dialer := &net.Dialer{Timeout: timeout}
	roots := n.roots
	if connection.UseTrustStore {
		roots = n.trusted
	}
	t := &http.Transport{
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    timeout,
		DisableCompression:     true, // what is stored are the bytes that were sent
		MaxIdleConnsPerHost:    idleConns,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: 1 << 20,
		ReadBufferSize:         64 << 10,
		Protocols:              new(http.Protocols),
	}
	// Several connections carry more than the one flow-control window of HTTP/2.
	t.Protocols.SetHTTP1(true)
	if proxied {
		t.Proxy = func(r *http.Request) (*url.URL, error) { return n.proxy(r.URL), nil }
		t.OnProxyConnectResponse = connectAnswer
	} else {
		dialer.ControlContext = n.guard.control
	}
	t.DialContext = dialer.DialContext
	return t
}

// connectAnswer turns an outbound proxy's refusal to connect into an error that names the proxy.
func connectAnswer(_ context.Context, proxy *url.URL, _ *http.Request, resp *http.Response) error {
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	return proxyError(proxy, resp.StatusCode)
}

func proxyError(proxy *url.URL, status int) *Error {
	reason := errors.New("the outbound proxy does not connect")
	if status == http.StatusProxyAuthRequired {
		reason = errors.New("the outbound proxy does not accept the credentials")
	}
	return &Error{Kind: Unreachable, Host: proxy.Host, Status: status, Err: reason}
}
