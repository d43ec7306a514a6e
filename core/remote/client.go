package remote

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

const defaultStall = time.Minute

// Options are what a Client may be given besides its configuration. The zero value works.
type Options struct {
	// Authorizer answers 401 challenges; nil sends the configured credentials as they are.
	Authorizer Authorizer
	// Stall is how long a body may stand still; zero is a minute.
	Stall time.Duration
	// Now is the clock for blocks and Retry-After; nil is time.Now.
	Now func() time.Time
	// Loop is this server's name in CDN-Loop (RFC 8586), as LoopName makes it; empty for none.
	Loop string
	// Log is told when the upstream is blocked and when it is available again; nil for nobody.
	Log *slog.Logger
}

// Client makes requests to one upstream. Its methods may be called at once.
type Client struct {
	network    *Network
	base       *url.URL
	origin     string
	authorizer Authorizer
	cred       Credentials
	preemptive bool
	circular   bool
	loop       string
	jar        http.CookieJar // nil without cookies
	connection Connection
	stall      time.Duration
	line       atomic.Pointer[line]
	health     *health
	now        func() time.Time
	pause      func(context.Context, time.Duration) error
}

// New returns a client for the upstream at base, an http or https URL whose query is ignored. An *errs.Error names the field that is
// wrong. The client must be closed.
func New(network *Network, base string, config Config, options Options) (*Client, error) {
	if err := config.Check(); err != nil {
		return nil, err
	}
	u, err := parseBase(base)
	if err != nil {
		return nil, err
	}
	connection := config.connection()
	c := &Client{
		network: network, base: u, origin: origin(u), authorizer: options.Authorizer, loop: options.Loop,
		circular: connection.EnableCircularRedirects, connection: connection, stall: options.Stall, now: options.Now, pause: sleep,
	}
	c.cred, c.preemptive = config.credentials()
	if connection.EnableCookies {
		c.jar, _ = cookiejar.New(nil) // never an error
	}
	if c.stall <= 0 {
		c.stall = defaultStall
	}
	if c.now == nil {
		c.now = time.Now
	}
	log := options.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	c.health = &health{host: u.Host, manual: config.Blocked, auto: config.AutoBlock, now: c.now, log: log}
	if a := config.Authentication; a != nil {
		c.health.lost = a.Lost
	}
	return c, nil
}

// State is what is known of the upstream.
func (c *Client) State() State { return c.health.snapshot() }

// Timeout is how long a connection and the header of an answer may take.
func (c *Client) Timeout() time.Duration { return c.reach().timeout }

// Close closes idle connections. Requests that are under way go on.
func (c *Client) Close() {
	if l := c.line.Load(); l != nil {
		l.close()
	}
}

// Do makes a request. Its answer has the bytes as they were sent, without any content coding undone; the caller closes its body. A
// body ends by an *Error of kind Stalled or Truncated when it stands still or isn't whole. The answer's Request holds method and URL
// only, which is the one after all redirects.
//
// Answers with 401, 429 and 5xx are errors but for 501, which is about the method; all others are not. Of redirects those of GET and HEAD are followed. GET, HEAD and
// OPTIONS are tried again after connections that failed before an answer, and after 502, 503 and 504.
//
// Errors are *Error, an *errs.Error if the request is wrong or, of kind NotFound, made for one that has come back to this server (Looped),
// or why ctx ended.
func (c *Client) Do(ctx context.Context, req Request) (resp *http.Response, err error) {
	if Looped(ctx) {
		return nil, errLooped()
	}
	if req.Method == "" {
		req.Method = http.MethodGet
	}
	start, err := target(c.base, req)
	if err != nil {
		return nil, err
	}
	if err := check(req); err != nil {
		return nil, err
	}
	if origin(start) != c.origin {
		if err := c.health.admitOther(); err != nil {
			return nil, err
		}
		var nothing outcome
		return c.try(ctx, req, start, c.reach().retries, &nothing)
	}
	probe, err := c.health.admit()
	if err != nil {
		return nil, err
	}
	o := outcome{ended: true} // in case the Authorizer panics
	began := c.now()
	defer func() {
		o.took = c.now().Sub(began)
		c.health.settle(ctx, probe, o)
		err = c.health.told(err)
	}()
	retries := c.reach().retries
	if probe {
		retries = 0
	}
	resp, err = c.try(ctx, req, start, retries, &o)
	o.ended = err != nil && ctx.Err() != nil
	return resp, err
}

// try makes a request, and again as long as that makes sense.
func (c *Client) try(ctx context.Context, req Request, start *url.URL, retries int, o *outcome) (*http.Response, error) {
	if !idempotent(req.Method) {
		retries = 0
	}
	for n := 1; ; n++ {
		resp, err := c.attempt(ctx, req, start, o)
		var e *Error
		if err == nil || !errors.As(err, &e) {
			return resp, err
		}
		if n > retries || !e.transient() || e.RetryAfter > maxPause {
			return nil, c.health.note(e)
		}
		if err := c.pause(ctx, pauseBefore(n, e.RetryAfter)); err != nil {
			return nil, err
		}
	}
}

// Again tells whether a GET whose answer's body broke off may be made anew, for the nth time, and makes the pause before it.
func (c *Client) Again(ctx context.Context, n int) bool {
	return n <= c.reach().retries && c.pause(ctx, pauseBefore(n, 0)) == nil
}

// attempt makes a request once, with all its redirects.
func (c *Client) attempt(ctx context.Context, req Request, start *url.URL, o *outcome) (*http.Response, error) {
	t := c.newTrail(start)
	t.left = origin(start) != c.origin
	authorization := ""
	if !t.left {
		authorization = c.first(req)
	}
	asked := false // the Authorizer, or for basic authentication
	for {
		own := origin(t.at) == c.origin
		if t.left {
			authorization = "" // also when it comes back: who sent it there chose the path
		}
		resp, err := c.visit(ctx, req, t, own, authorization)
		if own {
			o.take(resp, err)
		}
		if err != nil {
			return nil, t.strayed(err)
		}
		if resp.StatusCode == http.StatusUnauthorized && own && !t.left && !asked {
			asked = true
			challenges := resp.Header.Values("WWW-Authenticate")
			discard(resp)
			if authorization, err = c.answer(ctx, req, challenges); err != nil {
				o.delay(err)
				return nil, elsewhere(err)
			}
			if authorization != "" {
				continue
			}
			e := c.unauthorized(t)
			o.fault = e
			return nil, e
		}
		if resp.StatusCode == http.StatusUnauthorized && own && asked && c.denied(resp, authorization) {
			discard(resp)
			return nil, &Error{Kind: Denied, Host: t.at.Host, Status: resp.StatusCode, Err: errors.New("it does not show this to whom the token is for")}
		}
		if err := c.verdict(t, resp); err != nil {
			discard(resp)
			o.judge(own, err)
			return nil, err
		}
		if req.Method != http.MethodGet && req.Method != http.MethodHead {
			return resp, nil
		}
		if moved, err := t.follow(resp); err != nil || !moved {
			return finish(resp, err)
		}
	}
}

// take notes an exchange with the upstream itself.
func (o *outcome) take(resp *http.Response, err error) {
	var e *Error
	switch {
	case err == nil:
		o.answered, o.err, o.fault = true, nil, nil
	case !errors.As(err, &e):
	case e.Kind == Refused:
		o.fault = e
	case e.Kind == Malformed:
		o.answered, o.err, o.fault = true, nil, e
	default:
		o.answered, o.err, o.fault = false, e, nil
	}
}

// judge notes an answer that is an error.
func (o *outcome) judge(own bool, err *Error) {
	switch {
	case !own:
	case err.Kind == TooManyRequests:
		o.hold = err
	case err.Kind == ServerError:
		o.answered, o.err = false, err
	case err.Kind == Unauthorized:
		o.fault = err
	}
}

// delay notes that there is no token, without which nothing can be had of the upstream, or that the token server wants to be left alone.
func (o *outcome) delay(err error) {
	var e *Error
	switch {
	case !errors.As(err, &e) || e.Kind == Denied:
	case e.Kind == TooManyRequests:
		o.hold = e
	default:
		o.fault = e
	}
}

// verdict returns the error that a status is; nil if it is none.
func (c *Client) verdict(t *trail, resp *http.Response) *Error {
	e := &Error{Host: t.at.Host, Status: resp.StatusCode, RetryAfter: min(retryAfter(resp.Header.Get("Retry-After"), c.now()), maxHold)}
	switch {
	case resp.StatusCode == http.StatusUnauthorized:
		return c.unauthorized(t)
	case resp.StatusCode == http.StatusTooManyRequests:
		e.Kind = TooManyRequests
	case resp.StatusCode >= 500 && resp.StatusCode <= 599 && resp.StatusCode != http.StatusNotImplemented:
		e.Kind = ServerError
	default:
		return nil
	}
	return e
}

// denied tells whether a 401 answers a token that the Authorizer got for the request, and which is a good one otherwise: that it lacks
// a scope (RFC 6750 section 3.1), or the scope that it was asked for.
func (c *Client) denied(resp *http.Response, authorization string) bool {
	if c.authorizer == nil || c.cred.Bearer != "" || !strings.HasPrefix(authorization, "Bearer ") {
		return false
	}
	return slices.ContainsFunc(resp.Header.Values("WWW-Authenticate"), func(s string) bool {
		return strings.Contains(s, "insufficient_scope") || strings.Contains(s, "scope=") && !strings.Contains(s, "invalid_token")
	})
}

func (c *Client) unauthorized(t *trail) *Error {
	reason := "it does not accept the configured credentials"
	switch {
	case t.left:
		reason = "it asks for credentials, which go to " + c.base.Host + " only"
	case c.cred == (Credentials{}):
		reason = "it asks for credentials, and none are configured"
	}
	return &Error{Kind: Unauthorized, Host: t.at.Host, Status: http.StatusUnauthorized, Err: errors.New(reason)}
}
