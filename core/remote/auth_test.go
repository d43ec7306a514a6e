package remote

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// fake is an Authorizer of functions.
type fake struct {
	known     func(Request) string
	authorize func(context.Context, Request, []string, Send, Credentials) (string, error)
}

func (f fake) Known(req Request) string {
	if f.known == nil {
		return ""
	}
	return f.known(req)
}

func (f fake) Authorize(ctx context.Context, req Request, challenges []string, send Send, cred Credentials) (string, error) {
	if f.authorize == nil {
		return "", errors.New("nobody asked")
	}
	return f.authorize(ctx, req, challenges, send, cred)
}

// log collects what came in.
type log struct {
	mu    sync.Mutex
	lines []string
}

func (l *log) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
}

func (l *log) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := l.lines
	l.lines = nil
	return lines
}

func TestBasicAndBearer(t *testing.T) {
	var got log
	s := server(t, func(w http.ResponseWriter, r *http.Request) {
		a := r.Header.Get("Authorization")
		got.add(a)
		if a == "Basic "+base64.StdEncoding.EncodeToString([]byte("user:pa:ss")) || a == "Bearer token" {
			_, _ = io.WriteString(w, "ok")
			return
		}
		w.Header().Add("WWW-Authenticate", `Digest realm="x", qop="auth"`)
		if r.URL.Path != "/digest" {
			w.Header().Add("WWW-Authenticate", `basic realm="x"`)
		}
		http.Error(w, "who?", http.StatusUnauthorized)
	})
	user := func(password string, preemptive *bool) *Authentication {
		return &Authentication{Type: TypeUsername, Username: "user", Password: password, Preemptive: preemptive}
	}
	basic := func(password string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte("user:"+password))
	}
	tests := []struct {
		name string
		auth *Authentication
		path string
		ok   bool
		sent []string
	}{
		{"basic", user("pa:ss", nil), "", true, []string{basic("pa:ss")}},
		{"after a challenge", user("pa:ss", ptr(false)), "", true, []string{"", basic("pa:ss")}},
		{"after a challenge for something else", user("pa:ss", ptr(false)), "digest", false, []string{""}},
		{"wrong password", user("no", nil), "", false, []string{basic("no")}},
		{"wrong password after a challenge", user("no", ptr(false)), "", false, []string{"", basic("no")}},
		{"bearer", &Authentication{Type: TypeBearer, BearerToken: "token", Preemptive: ptr(false)}, "", true, []string{"Bearer token"}},
		{"none", nil, "", false, []string{""}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newClient(t, s.URL, Config{AutoBlock: true, Authentication: tt.auth}, Options{})
			_, body, err := get(c, Request{Path: tt.path})
			if tt.ok && (err != nil || body != "ok") {
				t.Errorf("body %q, error %v", body, err)
			}
			if !tt.ok {
				e := wantKind(t, err, Unauthorized)
				if e.Status != 401 || strings.Contains(e.Error(), "no,") || strings.Contains(e.Error(), basic("no")) {
					t.Errorf("error %v", e)
				}
			}
			if sent := got.take(); !slices.Equal(sent, tt.sent) {
				t.Errorf("sent %q, want %q", sent, tt.sent)
			}
			s, want := c.State(), Available
			if !tt.ok {
				want = Unavailable
			}
			if s.Status != want || (s.Reason == "") == (want == Unavailable) || s.LastSuccess.IsZero() || !s.BlockedUntil.IsZero() {
				t.Errorf("state %+v: a 401 says that the upstream is there, and that nothing can be had", s)
			}
		})
	}
}

// tokens is an upstream that takes tokens, which another server gives out, like a docker registry.
type tokens struct {
	log
	upstream, realm string
	answer          func(w http.ResponseWriter, r *http.Request)
}

func newTokens(t *testing.T) *tokens {
	f := &tokens{answer: func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "t1") }}
	f.realm = server(t, func(w http.ResponseWriter, r *http.Request) {
		f.add("token " + r.Header.Get("Authorization"))
		f.answer(w, r)
	}).URL
	f.upstream = server(t, func(w http.ResponseWriter, r *http.Request) {
		f.add("upstream " + r.Header.Get("Authorization"))
		if r.Header.Get("Authorization") != "Bearer t1" {
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+f.realm+`/token"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = io.WriteString(w, "ok "+r.URL.Path)
	}).URL
	return f
}

// authorizer fetches tokens as the challenge says, and remembers the last.
func (f *tokens) authorizer() fake {
	var mu sync.Mutex
	var known string
	return fake{
		known: func(Request) string {
			mu.Lock()
			defer mu.Unlock()
			return known
		},
		authorize: func(ctx context.Context, req Request, challenges []string, send Send, cred Credentials) (string, error) {
			f.add(fmt.Sprintf("authorize %s %d %s", req.Path, len(challenges), cred.Username))
			realm := strings.Trim(strings.TrimPrefix(challenges[0], "Bearer realm="), `"`)
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, realm, nil)
			if err != nil {
				return "", err
			}
			r.SetBasicAuth(cred.Username, cred.Password)
			resp, err := send(r)
			if err != nil {
				return "", err
			}
			defer resp.Body.Close()
			token, err := io.ReadAll(resp.Body)
			if err != nil {
				return "", err
			}
			if resp.StatusCode == http.StatusTooManyRequests {
				return "", &Error{Kind: TooManyRequests, Host: r.URL.Host, RetryAfter: time.Minute}
			}
			if resp.StatusCode != http.StatusOK {
				return "", fmt.Errorf("token server answers %d", resp.StatusCode)
			}
			mu.Lock()
			defer mu.Unlock()
			known = "Bearer " + string(token)
			return known, nil
		},
	}
}

func userConfig() Config {
	return Config{AutoBlock: true, Authentication: &Authentication{Type: TypeUsername, Username: "u", Password: "hush"}}
}

func TestAuthorizer(t *testing.T) {
	const sent = "token Basic dTpodXNo"
	t.Run("the dance, and the known token", func(t *testing.T) {
		f := newTokens(t)
		c := newClient(t, f.upstream, userConfig(), Options{Authorizer: f.authorizer()})
		wantBody(t, c, Request{Path: "a"}, "ok /a")
		if got, want := f.take(), []string{"upstream ", "authorize a 1 u", sent, "upstream Bearer t1"}; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		wantBody(t, c, Request{Path: "b"}, "ok /b")
		if got, want := f.take(), []string{"upstream Bearer t1"}; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	})
	t.Run("a token that is not taken", func(t *testing.T) {
		f := newTokens(t)
		f.answer = func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "t2") }
		c := newClient(t, f.upstream, userConfig(), Options{Authorizer: f.authorizer()})
		_, _, err := get(c, Request{Path: "a"})
		wantKind(t, err, Unauthorized)
		if got, want := f.take(), []string{"upstream ", "authorize a 1 u", sent, "upstream Bearer t2"}; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	})
	for _, tt := range []struct {
		name, challenge string
		want            Kind
	}{
		{"a token without the scope", `Bearer realm="%s",scope="a",error="insufficient_scope"`, Denied},
		{"a token without the scope, in other words", `Bearer realm="%s",scope="a"`, Denied},
		{"a token that is no good", `Bearer realm="%s",scope="a",error="invalid_token"`, Unauthorized},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newTokens(t)
			upstream := server(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("WWW-Authenticate", fmt.Sprintf(tt.challenge, f.realm))
				w.WriteHeader(http.StatusUnauthorized)
			}).URL
			authorizer := f.authorizer()
			inner := authorizer.authorize
			authorizer.authorize = func(ctx context.Context, req Request, _ []string, send Send, cred Credentials) (string, error) {
				return inner(ctx, req, []string{`Bearer realm="` + f.realm + `"`}, send, cred)
			}
			c := newClient(t, upstream, userConfig(), Options{Authorizer: authorizer})
			_, _, err := get(c, Request{Path: "a"})
			if e := wantKind(t, err, tt.want); e.Status != http.StatusUnauthorized {
				t.Errorf("error %v", e)
			}
			if got := c.State().Status; got != map[Kind]Availability{Denied: Available, Unauthorized: Unavailable}[tt.want] {
				t.Errorf("state %+v", c.State())
			}
			// A token of the configuration is not one that was got for the request.
			bearer := Config{Authentication: &Authentication{Type: TypeBearer, BearerToken: "x"}}
			_, _, err = get(newClient(t, upstream, bearer, Options{Authorizer: authorizer}), Request{Path: "a"})
			wantKind(t, err, Unauthorized)
		})
	}
	failures := []struct {
		name   string
		status int
		kind   Kind
		state  Availability
	}{
		{"refused", 403, Unauthorized, Unavailable}, {"broken", 500, Unauthorized, Unavailable}, {"rate", 429, TooManyRequests, Available},
	}
	for _, tt := range failures {
		t.Run(tt.name, func(t *testing.T) {
			f := newTokens(t)
			f.answer = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(tt.status) }
			c := newClient(t, f.upstream, userConfig(), Options{Authorizer: f.authorizer()})
			_, _, err := get(c, Request{Path: "a"})
			wantKind(t, err, tt.kind)
			s := c.State()
			if s.Status != tt.state || s.NotBefore.IsZero() == (tt.status == 429) {
				t.Errorf("state %+v", s)
			}
			f.take()
			if _, _, err = get(c, Request{}); tt.status == 429 && len(f.take()) > 0 {
				t.Errorf("asked again at once, error %v", err)
			}
		})
	}
	t.Run("token server down", func(t *testing.T) {
		f := newTokens(t)
		f.realm = deadURL(t)
		c := newClient(t, f.upstream, userConfig(), Options{Authorizer: f.authorizer()})
		_, _, err := get(c, Request{Path: "a"})
		if e := wantKind(t, err, Unreachable); "http://"+e.Host != f.realm {
			t.Errorf("host %q", e.Host)
		}
		if s := c.State(); s.Status != Unavailable || !s.BlockedUntil.IsZero() || s.LastSuccess.IsZero() {
			t.Errorf("state %+v: the upstream answered, but not what it was asked", s)
		}
		if got := f.take(); len(got) != 6 {
			t.Errorf("%q, want three tries", got)
		}
	})
	t.Run("token server forbidden", func(t *testing.T) {
		f := newTokens(t)
		f.realm = "http://169.254.169.254"
		c := newClient(t, f.upstream, userConfig(), Options{Authorizer: f.authorizer()})
		_, _, err := get(c, Request{Path: "a"})
		if e := wantKind(t, err, Refused); !e.Outage() || e.Misconfigured() {
			t.Errorf("error %v", e)
		}
	})
	t.Run("redirected, without credentials", func(t *testing.T) {
		f := newTokens(t)
		other := server(t, func(w http.ResponseWriter, r *http.Request) {
			f.add("other " + r.Header.Get("Authorization"))
			_, _ = io.WriteString(w, "t1")
		})
		f.answer = func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, http.StatusFound) }
		c := newClient(t, f.upstream, userConfig(), Options{Authorizer: f.authorizer()})
		wantBody(t, c, Request{Path: "a"}, "ok /a")
		if got, want := f.take(), []string{"upstream ", "authorize a 1 u", sent, "other ", "upstream Bearer t1"}; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	})
	t.Run("a silent token server", func(t *testing.T) {
		f := newTokens(t)
		f.answer = func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
		c := newClient(t, f.upstream, userConfig(), Options{Authorizer: f.authorizer()})
		c.reach().timeout = 500 * time.Millisecond
		timed(t, func() {
			_, _, err := get(c, Request{Path: "a"})
			wantKind(t, err, Timeout)
		})
	})
	t.Run("an authorization that is no header", func(t *testing.T) {
		f := newTokens(t)
		f.answer = func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "a\r\nb") }
		c := newClient(t, f.upstream, userConfig(), Options{Authorizer: f.authorizer()})
		_, _, err := get(c, Request{Path: "a"})
		wantKind(t, err, Unauthorized)
		if _, _, err := get(c, Request{Path: "a"}); err == nil || c.State().Status != Unavailable {
			t.Errorf("error %v, state %+v", err, c.State())
		}
	})
}

// TestTokenDowngrade shows that credentials don't go out unencrypted because an https upstream sends for a token to an http URL.
func TestTokenDowngrade(t *testing.T) {
	f := newTokens(t)
	n := newNetwork(t, NetworkConfig{})
	c := newClientOn(t, n, "https://127.0.0.1:1", userConfig(), Options{})
	for _, secret := range []bool{true, false} {
		r, _ := http.NewRequest(http.MethodGet, f.realm, nil)
		if secret {
			r.SetBasicAuth("u", "hush")
		}
		resp, err := c.send(r)
		if secret {
			wantKind(t, err, Unauthorized)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	if got, want := f.take(), []string{"token "}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
