package remote

import (
	"net/http"
	"net/url"
	"time"
)

// line is how a client reaches others under one configuration of the network.
type line struct {
	setup   *setup
	agent   string
	retries int
	timeout time.Duration
	direct  *http.Transport
	proxied *http.Transport
}

func newLine(s *setup, connection Connection) *line {
	l := &line{setup: s, agent: s.agent, direct: s.transport(false, connection), proxied: s.transport(true, connection)}
	l.retries, l.timeout = connection.limits(s)
	suffix := s.suffix
	if own := connection.UserAgentSuffix; own != nil && *own != "" {
		suffix = *own
	}
	if suffix != "" {
		l.agent += " " + suffix
	}
	return l
}

// way is the transport to the host of a URL: by the outbound proxy, or directly. An error is an *Error.
func (l *line) way(u *url.URL) (*http.Transport, error) {
	if l.setup.proxy(u) == nil {
		return l.direct, nil
	}
	if err := l.setup.lost[u.Scheme]; err != nil {
		return nil, &Error{Kind: Unreachable, Host: l.setup.proxy(u).Host, Err: err}
	}
	if err := l.setup.guard.checkHost(u.Hostname()); err != nil {
		return nil, classify(u.Host, err)
	}
	return l.proxied, nil
}

// close closes idle connections, and those of requests under way when they have ended.
func (l *line) close() {
	l.direct.CloseIdleConnections()
	l.proxied.CloseIdleConnections()
}

// reach is the line for what begins now. When the network's configuration has changed it is a new one: no connection that was made
// under the old one is used again.
func (c *Client) reach() *line {
	for {
		old, now := c.line.Load(), c.network.current.Load()
		if old != nil && old.setup == now {
			return old
		}
		next := newLine(now, c.connection)
		if !c.line.CompareAndSwap(old, next) {
			continue
		}
		if old != nil {
			old.close()
		}
		return next
	}
}
