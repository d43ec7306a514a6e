package remote

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"
)

// mine are header fields that callers can't set; the last ones are hop by hop (RFC 9110 section 7.6.1).
var mine = []string{
	"Authorization", "Cookie", loopField, "User-Agent", "Accept-Encoding", "Host", "Content-Length",
	"Connection", "Keep-Alive", "Proxy-Authorization", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// visit makes one exchange on the way of a request.
func (c *Client) visit(ctx context.Context, req Request, t *trail, own bool, authorization string) (*http.Response, error) {
	header := http.Header{}
	for name, values := range req.Header {
		header[http.CanonicalHeaderKey(name)] = values
	}
	for _, name := range mine {
		header.Del(name)
	}
	header.Set("User-Agent", c.reach().agent)
	header.Set("Accept-Encoding", "identity")
	if t.left {
		header = foreign(header)
	}
	if own && authorization != "" {
		header.Set("Authorization", authorization)
	}
	r := &http.Request{Method: req.Method, URL: t.at, Header: header}
	if len(req.Body) > 0 {
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(req.Body)), int64(len(req.Body))
	}
	if own && !t.left && c.jar != nil {
		for _, cookie := range c.jar.Cookies(t.at) {
			r.AddCookie(cookie)
		}
	}
	resp, err := c.exchange(ctx, r)
	if err != nil || !own {
		return resp, err
	}
	c.health.limits(resp.Header)
	if c.jar != nil {
		c.jar.SetCookies(t.at, resp.Cookies())
	}
	return resp, nil
}

// exchange sends one request and waits for the header of its answer. Errors are *Error, or why ctx ended.
func (c *Client) exchange(ctx context.Context, r *http.Request) (*http.Response, error) {
	line := c.reach()
	transport, err := line.way(r.URL)
	if err != nil {
		return nil, err
	}
	c.sign(ctx, r.Header)
	inner, cancel := context.WithCancelCause(ctx)
	var begun atomic.Bool
	inner = httptrace.WithClientTrace(inner, &httptrace.ClientTrace{GotFirstResponseByte: func() { begun.Store(true) }})
	timer := time.AfterFunc(line.timeout, func() { cancel(errNoAnswer) })
	resp, err := transport.RoundTrip(r.WithContext(inner))
	late := !timer.Stop() && errors.Is(context.Cause(inner), errNoAnswer)
	if err == nil && late {
		_ = resp.Body.Close()
		err = errNoAnswer
	}
	if err != nil {
		defer cancel(nil)
		switch {
		case late:
			return nil, classify(r.URL.Host, errNoAnswer)
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case begun.Load() && !broken(err):
			return nil, &Error{Kind: Malformed, Host: r.URL.Host, Err: err}
		}
		return nil, classify(r.URL.Host, err)
	}
	if resp.StatusCode == http.StatusProxyAuthRequired && transport == line.proxied {
		_ = resp.Body.Close()
		cancel(nil)
		return nil, proxyError(line.setup.proxy(r.URL), resp.StatusCode)
	}
	resp.Request = &http.Request{Method: r.Method, URL: r.URL} // the one that was sent has credentials
	c.watch(inner, cancel, r.URL.Host, resp)
	return resp, nil
}

// broken tells whether err is of a connection that ended, as opposed to one over which came what can't be read.
func broken(err error) bool {
	var operation net.Error
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.As(err, &operation)
}
