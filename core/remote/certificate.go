package remote

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strconv"
)

// errSeen ends a handshake when the certificates are there.
var errSeen = errors.New("the certificates were seen")

// Certificates returns the certificates that the TLS server at host and port shows, its own first, without believing them: nothing is
// sent to it but a handshake, which is broken off. It is reached like the upstreams: guarded, and by the outbound proxy if there is
// one. Errors are *Error, or why ctx ended.
func (n *Network) Certificates(ctx context.Context, host string, port int) ([]*x509.Certificate, error) {
	s := n.current.Load()
	u := &url.URL{Scheme: "https", Host: net.JoinHostPort(host, strconv.Itoa(port)), Path: "/"}
	if parsed, err := url.Parse(u.String()); err != nil || parsed.Hostname() != host {
		return nil, &Error{Kind: Unreachable, Host: u.Host, Err: errors.New("the host is neither a name nor an address")}
	}
	line := newLine(s, Connection{})
	defer line.close()
	transport, err := line.way(u)
	if err != nil {
		return nil, err
	}
	var seen []*x509.Certificate
	transport.TLSClientConfig.InsecureSkipVerify = true // that is what is asked for: nothing is believed, and nothing is sent
	transport.TLSClientConfig.VerifyConnection = func(state tls.ConnectionState) error {
		seen = state.PeerCertificates
		return errSeen
	}
	limited, cancel := context.WithTimeoutCause(ctx, line.timeout, errNoAnswer)
	defer cancel()
	resp, err := transport.RoundTrip((&http.Request{Method: http.MethodHead, URL: u, Header: http.Header{}}).WithContext(limited))
	if err == nil {
		_ = resp.Body.Close()
		return nil, &Error{Kind: Unreachable, Host: u.Host, Err: errors.New("the outbound proxy does not connect")}
	}
	switch {
	case errors.Is(err, errSeen):
		return seen, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.Is(context.Cause(limited), errNoAnswer):
		err = errNoAnswer
	}
	return nil, classify(u.Host, err)
}
