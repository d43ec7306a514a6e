package docker

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"github.com/repomgr/repomgr/core/remote"
)

// Authorizer answers an upstream registry's challenges: Bearer with a token of the server that the challenge names (Docker's token
// authentication), Basic with the configured credentials.
func (docker) Authorizer(base *url.URL) remote.Authorizer { return newAuthorizer(base, time.Now) }

// authorizer has the tokens of one upstream registry.
type authorizer struct {
	base *url.URL
	now  func() time.Time
	// tokens are by what they are for, wanted is what is needed for an image (see subject).
	tokens *lru.Cache[want, bearer]
	wanted *lru.Cache[string, want]
	// always is the Authorization that the registry takes for everything; nil as long as none is known.
	always   atomic.Pointer[string]
	fetching singleflight.Group
}

// want is what a challenge asks for: a token of the server at realm.
type want struct{ realm, service, scope string }

// bearer is a token. It is used until it expires, and not fetched again just after it was received.
type bearer struct {
	authorization     string
	received, expires time.Time
}

const (
	// maxTokens is how many tokens are kept for one upstream.
	maxTokens = 1000
	// maxToken is the most bytes of a token server's answer.
	maxToken = 256 << 10
	// defaultLifetime is that of a token whose answer doesn't say (Docker's token authentication, "expires_in").
	defaultLifetime = 60 * time.Second
	// maxMargin is how long before its end a token is no longer used, at most; it is a tenth of its lifetime.
	maxMargin = 30 * time.Second
	// freshToken is how long after it was received a token is the answer to any challenge: requests that were under way without it come
	// back with theirs.
	freshToken = 2 * time.Second
	// tokenTime bounds one token request, which goes on when the request ends that it was begun for: others may wait.
	tokenTime = time.Minute
)

func newAuthorizer(base *url.URL, now func() time.Time) *authorizer {
	a := &authorizer{base: base, now: now}
	var err1, err2 error
	a.tokens, err1 = lru.New[want, bearer](maxTokens)
	a.wanted, err2 = lru.New[string, want](maxTokens)
	if err := errors.Join(err1, err2); err != nil {
		panic(err) // the number is not positive
	}
	return a
}

// subject is what of a request decides about the scope it needs: the image's name, or else the path.
func subject(req remote.Request) string {
	path := strings.TrimPrefix(strings.TrimPrefix(req.Path, "/"), "v2/")
	if t, ok := split(path); ok {
		return t.name
	}
	return "/" + path
}

// Known is the token for the image if there is one that can still be used.
func (a *authorizer) Known(req remote.Request) string {
	if always := a.always.Load(); always != nil {
		return *always
	}
	if w, ok := a.wanted.Get(subject(req)); ok {
		if b, ok := a.tokens.Get(w); ok && a.now().Before(b.expires) {
			return b.authorization
		}
	}
	return ""
}

// Authorize answers the challenges. A configured bearer token answers all of them; of a Bearer and a Basic one the former is answered.
func (a *authorizer) Authorize(ctx context.Context, req remote.Request, challenges []string, send remote.Send, cred remote.Credentials) (string, error) {
	if cred.Bearer != "" {
		return a.settle("Bearer " + cred.Bearer), nil
	}
	w, offered, err := a.pick(parseOffers(challenges))
	switch {
	case offered == "bearer":
		a.wanted.Add(subject(req), w)
		return a.token(ctx, w, send, cred)
	case err != nil || cred.Username == "":
		return "", err // the core says that there are no credentials
	}
	return a.settle(basic(cred)), nil
}

func (a *authorizer) settle(authorization string) string {
	a.always.Store(&authorization)
	return authorization
}

func basic(cred remote.Credentials) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(cred.Username+":"+cred.Password))
}

// pick chooses a challenge. The error is about a Bearer one that can't be answered where there is no other.
func (a *authorizer) pick(offers []offer) (w want, scheme string, err error) {
	for _, o := range offers {
		switch {
		case o.scheme == "bearer":
			if err = a.checkRealm(o.parameters["realm"]); err == nil {
				return want{o.parameters["realm"], o.parameters["service"], o.parameters["scope"]}, o.scheme, nil
			}
		case o.scheme == "basic":
			scheme = o.scheme
		}
	}
	if scheme != "" {
		err = nil
	}
	return want{}, scheme, err
}

// checkRealm checks where tokens come from: who sends there must not be led from an encrypted connection to one that isn't.
func (a *authorizer) checkRealm(realm string) error {
	u, err := url.Parse(realm)
	switch {
	case err != nil || u.Hostname() == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http":
		return errors.New("it names no http or https URL to get a token from")
	case u.Scheme == "http" && a.base.Scheme != "http":
		return fmt.Errorf("it is reached by https, but sends to http://%s for a token", u.Host)
	}
	return nil
}

// token is the Authorization with a token for w: one that has just come, or a new one.
func (a *authorizer) token(ctx context.Context, w want, send remote.Send, cred remote.Credentials) (string, error) {
	if b, ok := a.tokens.Get(w); ok && a.now().Before(b.expires) && a.now().Sub(b.received) < freshToken {
		return b.authorization, nil
	}
	done := a.fetching.DoChan(w.realm+"\n"+w.service+"\n"+w.scope, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tokenTime)
		defer cancel()
		b, err := a.fetch(ctx, w, send, cred)
		if err == nil {
			a.tokens.Add(w, b)
		}
		return b.authorization, err
	})
	select {
	case result := <-done:
		return result.Val.(string), result.Err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// fetch gets a token (Docker's token authentication, "Requesting a Token").
func (a *authorizer) fetch(ctx context.Context, w want, send remote.Send, cred remote.Credentials) (bearer, error) {
	u, err := url.Parse(w.realm)
	if err != nil {
		return bearer{}, errors.New("it names no URL to get a token from")
	}
	u.Fragment = ""
	q := u.Query()
	if w.service != "" {
		q.Set("service", w.service)
	}
	for _, scope := range strings.Fields(w.scope) {
		q.Add("scope", scope)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "", nil)
	if err != nil {
		return bearer{}, err
	}
	if cred.Username != "" {
		q.Set("account", cred.Username)
		r.Header.Set("Authorization", basic(cred))
	}
	u.RawQuery = q.Encode()
	r.URL = u
	r.Header.Set("Accept", "application/json")
	res, err := send(r)
	if err != nil {
		return bearer{}, err
	}
	defer res.Body.Close()
	if err := a.refusal(u.Host, res, cred); err != nil {
		return bearer{}, err
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxToken+1))
	if err != nil {
		return bearer{}, err
	}
	return readToken(body, res.Header, a.now())
}

// refusal is the error that the status of a token server's answer is; nil for a token.
func (a *authorizer) refusal(host string, res *http.Response, cred remote.Credentials) error {
	e := &remote.Error{Host: host, Status: res.StatusCode, RetryAfter: retryAfter(res.Header.Get("Retry-After"), a.now())}
	switch {
	case res.StatusCode == http.StatusOK:
		return nil
	case res.StatusCode == http.StatusTooManyRequests:
		e.Kind = remote.TooManyRequests
	case res.StatusCode >= http.StatusInternalServerError:
		e.Kind = remote.ServerError
	case res.StatusCode == http.StatusForbidden:
		e.Kind, e.Err = remote.Denied, errors.New("the token server gives no token for this")
	case res.StatusCode == http.StatusUnauthorized && cred.Username == "":
		e.Kind, e.Err = remote.Unauthorized, errors.New("the token server asks for credentials, and none are configured")
	case res.StatusCode == http.StatusUnauthorized:
		e.Kind, e.Err = remote.Unauthorized, errors.New("the token server does not accept the configured credentials")
	default: // also 404: it is the token server that isn't there
		e.Kind, e.Err = remote.Unauthorized, errors.New("the token server gives no token")
	}
	return e
}

// retryAfter reads a Retry-After (RFC 9110 section 10.2.3); zero when it says nothing of the future.
func retryAfter(value string, now time.Time) time.Duration {
	const longest = 24 * 60 * 60
	if seconds, err := strconv.Atoi(value); err == nil || errors.Is(err, strconv.ErrRange) { // which gives the number next to it
		return time.Duration(min(max(seconds, 0), longest)) * time.Second
	}
	if date, err := http.ParseTime(value); err == nil {
		return max(date.Sub(now), 0)
	}
	return 0
}

// readToken reads a token server's answer ("Token Response Fields"), which was received at now.
func readToken(body []byte, h http.Header, now time.Time) (bearer, error) {
	var answer struct {
		Token       string `json:"token"`
		AccessToken string `json:"access_token"`
		ExpiresIn   any    `json:"expires_in"` // a number, by some in quotes
		IssuedAt    any    `json:"issued_at"`
	}
	if len(body) > maxToken || json.Unmarshal(body, &answer) != nil {
		return bearer{}, errors.New("the token server's answer is no token")
	}
	token := answer.Token
	if token == "" {
		token = answer.AccessToken
	}
	if !isPrintable(token) || token == "" {
		return bearer{}, errors.New("the token server's answer has no token")
	}
	lifetime := defaultLifetime
	if seconds, err := strconv.ParseFloat(fmt.Sprint(answer.ExpiresIn), 64); err == nil && seconds > 0 {
		lifetime = time.Duration(min(seconds, 24*60*60) * float64(time.Second))
	}
	// A server may answer again with a token that it gave before: then a part of its life is over, by that server's own clock.
	issued, err1 := time.Parse(time.RFC3339, fmt.Sprint(answer.IssuedAt))
	date, err2 := http.ParseTime(h.Get("Date"))
	if err1 == nil && err2 == nil {
		lifetime -= min(max(date.Sub(issued.Truncate(time.Second)), 0), lifetime)
	}
	return bearer{"Bearer " + token, now, now.Add(lifetime - min(lifetime/10, maxMargin))}, nil
}
