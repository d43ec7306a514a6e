package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/repomgr/repomgr/core/remote"
)

// issuer is a token server that numbers its tokens.
type issuer struct {
	*httptest.Server
	mu       sync.Mutex
	requests []string // query and Authorization
	// answer, if it is set, answers instead.
	answer http.HandlerFunc
	// hold delays answers until it is closed.
	hold chan struct{}
	// fields are added to the answer.
	fields map[string]any
}

func newIssuer(t *testing.T) *issuer {
	i := &issuer{}
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.mu.Lock()
		i.requests = append(i.requests, strings.TrimSpace(r.URL.RawQuery+" "+r.Header.Get("Authorization")))
		n, answer, hold := len(i.requests), i.answer, i.hold
		fields := map[string]any{"token": fmt.Sprintf("t%d", n), "expires_in": 300}
		for name, value := range i.fields {
			fields[name] = value
		}
		i.mu.Unlock()
		if hold != nil {
			<-hold
		}
		if answer != nil {
			answer(w, r)
			return
		}
		json.NewEncoder(w).Encode(fields)
	}))
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) seen() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.requests
}

// send is what core/remote gives an Authorizer, without its guards.
func send(r *http.Request) (*http.Response, error) { return http.DefaultTransport.RoundTrip(r) }

// clock is a clock that tests set.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func newTestAuthorizer(base string) (*authorizer, *clock) {
	u, err := url.Parse(base)
	if err != nil {
		panic(err)
	}
	c := &clock{t: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	return newAuthorizer(u, c.now), c
}

func manifestRequest(name string) remote.Request {
	return remote.Request{Path: "/v2/" + name + "/manifests/latest"}
}

func bearerChallenge(realm, name string) []string {
	return []string{fmt.Sprintf(`Bearer realm="%s/token?x=1",service="registry",scope="repository:%s:pull"`, realm, name)}
}

func TestAuthorize(t *testing.T) {
	user := remote.Credentials{Username: "u", Password: "p:w"}
	const basicUser = "Basic dTpwOnc="
	for _, test := range []struct {
		name, base string
		challenges []string // "{realm}" stands for the token server's URL
		cred       remote.Credentials
		want       string
		asked      string // of the token server
		fails      bool
	}{
		{name: "anonymous token", challenges: bearerChallenge("{realm}", "a/b"), want: "Bearer t1", asked: "scope=repository%3Aa%2Fb%3Apull&service=registry&x=1"},
		{name: "token with credentials", challenges: bearerChallenge("{realm}", "a/b"), cred: user, want: "Bearer t1",
			asked: "account=u&scope=repository%3Aa%2Fb%3Apull&service=registry&x=1 " + basicUser},
		{name: "several scopes", challenges: []string{`Bearer realm="{realm}",scope="repository:a:pull repository:b:pull"`}, want: "Bearer t1",
			asked: "scope=repository%3Aa%3Apull&scope=repository%3Ab%3Apull"},
		{name: "no scope", challenges: []string{`Bearer realm="{realm}"`}, want: "Bearer t1"},
		{name: "bearer before basic", challenges: []string{`Basic realm="x"`, `Bearer realm="{realm}"`}, cred: user, want: "Bearer t1", asked: "account=u " + basicUser},
		{name: "basic", challenges: []string{`Basic realm="x"`}, cred: user, want: basicUser},
		{name: "basic without credentials", challenges: []string{`Basic realm="x"`}},
		{name: "basic beside a bad realm", challenges: []string{`Bearer realm="ftp://x/"`, `Basic realm="x"`}, cred: user, want: basicUser},
		{name: "no challenge", cred: user, want: basicUser},
		{name: "no challenge, no credentials"},
		{name: "a token of the configuration", challenges: bearerChallenge("{realm}", "a"), cred: remote.Credentials{Bearer: "secret"}, want: "Bearer secret"},
		{name: "no realm", challenges: []string{`Bearer service="x"`}, cred: user, fails: true},
		{name: "realm of another scheme", challenges: []string{`Bearer realm="file:///etc/passwd"`}, fails: true},
		{name: "realm with credentials", challenges: []string{`Bearer realm="http://u:p@127.0.0.1/"`}, fails: true},
		{name: "realm by http of an upstream by https", base: "https://registry.example", challenges: bearerChallenge("{realm}", "a"), cred: user, fails: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			i := newIssuer(t)
			if test.base == "" {
				test.base = "http://registry.example"
			}
			a, _ := newTestAuthorizer(test.base)
			challenges := make([]string, len(test.challenges))
			for n, c := range test.challenges {
				challenges[n] = strings.ReplaceAll(c, "{realm}", i.URL)
			}
			got, err := a.Authorize(t.Context(), manifestRequest("a/b"), challenges, send, test.cred)
			if got != test.want || (err != nil) != test.fails {
				t.Fatalf("authorization %q, error %v; want %q", got, err, test.want)
			}
			asked := strings.HasPrefix(test.want, "Bearer t")
			if seen := i.seen(); len(seen) > 0 != asked || asked && (len(seen) > 1 || seen[0] != test.asked) {
				t.Errorf("asked %q, want %q", seen, test.asked)
			}
			if known := a.Known(manifestRequest("a/b")); known != test.want {
				t.Errorf("known %q, want %q", known, test.want)
			}
		})
	}
}

func TestTokenAnswers(t *testing.T) {
	answer := func(status int, header map[string]string, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for name, value := range header {
				w.Header().Set(name, value)
			}
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}
	}
	date := map[string]string{"Date": "Fri, 02 Jan 2026 10:00:00 GMT"}
	for _, test := range []struct {
		name   string
		answer http.HandlerFunc
		user   string
		// lasts is how long the token is used.
		lasts time.Duration
		token string
		kind  remote.Kind
		again time.Duration
		fails bool
	}{
		{name: "token", answer: answer(200, nil, `{"token":"x","access_token":"y","expires_in":100}`), token: "x", lasts: 90 * time.Second},
		{name: "access_token", answer: answer(200, nil, `{"access_token":"y","expires_in":100}`), token: "y", lasts: 90 * time.Second},
		{name: "default lifetime", answer: answer(200, nil, `{"token":"x"}`), token: "x", lasts: 54 * time.Second},
		{name: "no lifetime", answer: answer(200, nil, `{"token":"x","expires_in":0}`), token: "x", lasts: 54 * time.Second},
		{name: "lifetime in quotes", answer: answer(200, nil, `{"token":"x","expires_in":"100"}`), token: "x", lasts: 90 * time.Second},
		{name: "long lifetime", answer: answer(200, nil, `{"token":"x","expires_in":3600}`), token: "x", lasts: 3570 * time.Second},
		{name: "endless lifetime", answer: answer(200, nil, `{"token":"x","expires_in":1e300}`), token: "x", lasts: 24*time.Hour - 30*time.Second},
		{name: "issued before", answer: answer(200, date, `{"token":"x","expires_in":300,"issued_at":"2026-01-02T09:58:20.9Z"}`), token: "x", lasts: 180 * time.Second},
		{name: "issued by a clock that is wrong", answer: answer(200, date, `{"token":"x","expires_in":100,"issued_at":"2027-01-02T09:58:20Z"}`), token: "x", lasts: 90 * time.Second},
		{name: "issued at no time", answer: answer(200, date, `{"token":"x","expires_in":100,"issued_at":"now"}`), token: "x", lasts: 90 * time.Second},
		{name: "no token", answer: answer(200, nil, `{}`), fails: true},
		{name: "a token with a line break", answer: answer(200, nil, `{"token":"x\r\nX: y"}`), fails: true},
		{name: "not JSON", answer: answer(200, nil, `<html>`), fails: true},
		{name: "too large", answer: answer(200, nil, `{"token":"`+strings.Repeat("x", maxToken)+`"}`), fails: true},
		{name: "wrong credentials", user: "u", answer: answer(401, nil, ``), kind: remote.Unauthorized},
		{name: "anonymous not allowed", answer: answer(401, nil, ``), kind: remote.Unauthorized},
		{name: "not for this", answer: answer(403, nil, ``), kind: remote.Denied},
		{name: "too many", answer: answer(429, map[string]string{"Retry-After": "7"}, ``), kind: remote.TooManyRequests, again: 7 * time.Second},
		{name: "too many, until a date", answer: answer(429, map[string]string{"Retry-After": "Fri, 02 Jan 2026 03:04:15 GMT"}, ``), kind: remote.TooManyRequests, again: 10 * time.Second},
		{name: "down", answer: answer(503, nil, ``), kind: remote.ServerError},
		{name: "misrouted", answer: answer(404, nil, ``), kind: remote.Unauthorized},
		{name: "something else", answer: answer(418, nil, ``), kind: remote.Unauthorized},
	} {
		t.Run(test.name, func(t *testing.T) {
			i := newIssuer(t)
			i.answer = test.answer
			a, c := newTestAuthorizer("http://registry.example")
			got, err := a.Authorize(t.Context(), manifestRequest("a"), bearerChallenge(i.URL, "a"), send, remote.Credentials{Username: test.user})
			if test.token == "" {
				var e *remote.Error
				if err == nil || got != "" || a.Known(manifestRequest("a")) != "" {
					t.Fatalf("authorization %q, error %v", got, err)
				}
				if typed := errors.As(err, &e); typed == test.fails || typed && (e.Kind != test.kind || e.RetryAfter != test.again || e.Host != strings.TrimPrefix(i.URL, "http://")) {
					t.Errorf("error %#v", err)
				}
				return
			}
			if err != nil || got != "Bearer "+test.token {
				t.Fatalf("authorization %q, error %v", got, err)
			}
			c.add(test.lasts - time.Second)
			if known := a.Known(manifestRequest("a")); known != got {
				t.Errorf("known %q before its end", known)
			}
			c.add(time.Second)
			if known := a.Known(manifestRequest("a")); known != "" {
				t.Errorf("known %q after its end", known)
			}
		})
	}
}

// A token is for a scope, and is fetched again when it is refused, but not by those who ask just after it came.
func TestTokenScopes(t *testing.T) {
	i := newIssuer(t)
	a, c := newTestAuthorizer("http://registry.example")
	authorize := func(name string) string {
		t.Helper()
		got, err := a.Authorize(t.Context(), manifestRequest(name), bearerChallenge(i.URL, name), send, remote.Credentials{})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	for _, step := range []struct {
		name string
		wait time.Duration
		want string
	}{{"a", 0, "Bearer t1"}, {"a", time.Second, "Bearer t1"}, {"b", 0, "Bearer t2"}, {"a", 2 * time.Second, "Bearer t3"}} {
		c.add(step.wait)
		if got := authorize(step.name); got != step.want {
			t.Errorf("%s: %q, want %q", step.name, got, step.want)
		}
	}
	for path, want := range map[string]string{
		"/v2/a/manifests/x": "Bearer t3", "/v2/a/blobs/" + sha256: "Bearer t3", "/a/tags/list": "Bearer t3", "v2/b/blobs/" + sha256: "Bearer t2",
		"/v2/c/manifests/x": "", "/v2/_catalog": "", "/v2/a/b/manifests/x": "",
	} {
		if got := a.Known(remote.Request{Path: path}); got != want {
			t.Errorf("known for %s: %q, want %q", path, got, want)
		}
	}
	for n := range maxTokens {
		authorize(fmt.Sprintf("many/%d", n))
	}
	if a.tokens.Len() > maxTokens || a.wanted.Len() > maxTokens || a.Known(manifestRequest("a")) != "" {
		t.Error("tokens are kept for ever")
	}
}

// However many ask at once, and whoever leaves, the token server is asked once for a scope.
func TestTokenOnce(t *testing.T) {
	i := newIssuer(t)
	i.hold = make(chan struct{})
	a, _ := newTestAuthorizer("http://registry.example")
	first, leave := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, err := a.Authorize(first, manifestRequest("a"), bearerChallenge(i.URL, "a"), send, remote.Credentials{})
		left <- err
	}()
	for len(i.seen()) == 0 {
		time.Sleep(time.Millisecond)
	}
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() {
			got, err := a.Authorize(t.Context(), manifestRequest("a"), bearerChallenge(i.URL, "a"), send, remote.Credentials{})
			if got != "Bearer t1" || err != nil {
				t.Errorf("authorization %q, error %v", got, err)
			}
		})
	}
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("who left got %v", err)
	}
	close(i.hold)
	wait.Wait()
	if n := len(i.seen()); n != 1 {
		t.Errorf("%d requests for one token", n)
	}
}
