package remote

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
)

// Credentials are what the configuration has for an upstream. All are empty for none.
type Credentials struct {
	Username, Password string
	// Bearer is a token, without "Bearer ".
	Bearer string
}

// String is the kind of credentials, without secrets.
func (c Credentials) String() string {
	switch {
	case c.Bearer != "":
		return TypeBearer
	case c.Username != "":
		return TypeUsername
	}
	return "none"
}

// GoString implements fmt.GoStringer, as String.
func (c Credentials) GoString() string { return c.String() }

// header is the value of Authorization; empty without credentials.
func (c Credentials) header() string {
	switch {
	case c.Bearer != "":
		return "Bearer " + c.Bearer
	case c.Username != "":
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(c.Username+":"+c.Password))
	}
	return ""
}

// Send makes a request of an Authorizer: within the client's time limit, guarded, by the outbound proxy if there is one, following
// redirects of GET and HEAD. It adds no credentials; those of the request stay behind when a redirect leads to another host. The
// receiver closes the answer's body, which fails when it stalls. Errors are *Error, or the context's.
type Send func(*http.Request) (*http.Response, error)

// Authorizer answers an upstream's challenges, for example by fetching a token elsewhere. All methods may be called at once.
type Authorizer interface {
	// Known returns the value of Authorization to send at first, from what was learned by earlier calls of Authorize; empty for none.
	Known(req Request) string
	// Authorize returns the value of Authorization to send in answer to a 401 with these values of WWW-Authenticate. It is called at
	// most once for each try of a request. Empty says that there is nothing to try. An *Error is passed on as it is (and counts as
	// the host's that it names, never as the upstream's), any other error as one of kind Unauthorized.
	Authorize(ctx context.Context, req Request, challenges []string, send Send, cred Credentials) (authorization string, err error)
}

// credentials reads the configuration, and tells whether they are sent before the upstream asks.
func (c Config) credentials() (cred Credentials, preemptive bool) {
	a := c.Authentication
	switch {
	case a == nil:
		return Credentials{}, false
	case a.Type == TypeBearer:
		return Credentials{Bearer: a.BearerToken}, true
	}
	return Credentials{Username: a.Username, Password: a.Password}, a.Preemptive == nil || *a.Preemptive
}

// first is the Authorization that a request to the upstream carries at first.
func (c *Client) first(req Request) string {
	if c.authorizer != nil {
		if known := c.authorizer.Known(req); isValue(known) {
			return known
		}
		return ""
	}
	if c.preemptive {
		return c.cred.header()
	}
	return ""
}

// answer is the Authorization to answer challenges with; empty if there is none that wasn't sent.
func (c *Client) answer(ctx context.Context, req Request, challenges []string) (string, error) {
	if c.authorizer == nil {
		if c.preemptive || !hasBasic(challenges) {
			return "", nil
		}
		return c.cred.header(), nil
	}
	authorization, err := c.authorizer.Authorize(ctx, req, challenges, c.send, c.cred)
	var known *Error
	switch {
	case err == nil && isValue(authorization):
		return authorization, nil
	case err == nil:
		err = errors.New("the authorization has control characters")
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case errors.As(err, &known):
		return "", err
	}
	return "", &Error{Kind: Unauthorized, Host: c.base.Host, Status: http.StatusUnauthorized, Err: err}
}

// hasBasic tells whether one of the challenges is for basic authentication (RFC 9110 section 11.6.1). Several may stand in one field.
func hasBasic(challenges []string) bool {
	for _, field := range challenges {
		for part := range strings.SplitSeq(field, ",") {
			scheme, _, _ := strings.Cut(strings.TrimSpace(part), " ")
			if strings.EqualFold(scheme, "Basic") {
				return true
			}
		}
	}
	return false
}

// send is the Send for an Authorizer.
func (c *Client) send(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	u := r.URL
	if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return nil, &Error{Kind: Unauthorized, Host: c.base.Host, Err: errors.New("the upstream sends for a token to no http or https URL")}
	}
	header := r.Header.Clone()
	if header == nil {
		header = http.Header{}
	}
	header.Set("User-Agent", c.reach().agent)
	header.Set("Accept-Encoding", "identity")
	trail := c.newTrail(clean(u))
	for {
		if c.base.Scheme == "https" && trail.at.Scheme == "http" && header.Get("Authorization") != "" {
			return nil, &Error{Kind: Unauthorized, Host: trail.at.Host, Err: errors.New("credentials would go out unencrypted")}
		}
		next := r.WithContext(ctx)
		next.URL, next.Host, next.Header = trail.at, "", header
		resp, err := c.exchange(ctx, next)
		if err != nil {
			return nil, err
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != "" {
			return resp, nil
		}
		moved, err := trail.follow(resp)
		if err != nil || !moved {
			return finish(resp, err)
		}
		if trail.left {
			header = foreign(header)
		}
	}
}

// finish returns resp, unless there is an error.
func finish(resp *http.Response, err error) (*http.Response, error) {
	if err != nil {
		discard(resp)
		return nil, err
	}
	return resp, nil
}
