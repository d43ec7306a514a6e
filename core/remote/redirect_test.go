package remote

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

func TestRedirects(t *testing.T) {
	s := server(t, func(w http.ResponseWriter, r *http.Request) {
		to := func(status int, location string) {
			w.Header().Set("Location", location)
			w.WriteHeader(status)
		}
		switch p := r.URL.Path; {
		case p == "/end":
			fmt.Fprintf(w, "%s %s %s", r.Method, r.RequestURI, r.Header.Get("Range"))
		case strings.HasPrefix(p, "/status/"):
			var status int
			_, _ = fmt.Sscanf(p, "/status/%d", &status)
			to(status, "../end?a=b c%2F#d")
		case strings.HasPrefix(p, "/count/"):
			var n int
			_, _ = fmt.Sscanf(p, "/count/%d", &n)
			if n == 0 {
				to(302, "/end")
				return
			}
			to(302, fmt.Sprintf("/count/%d", n-1))
		case p == "/circle":
			to(302, "/circle2")
		case p == "/circle2":
			to(302, "/circle#other")
		case p == "/nowhere":
			w.WriteHeader(302)
		case p == "/bad":
			to(302, "http://[::1/?token=hush")
		case p == "/ftp":
			to(302, "ftp://user:hush@host/file")
		case p == "/user":
			to(302, "http://user:hush@"+r.Host+"/end")
		}
	})
	const end = "GET /end "
	tests := []struct {
		name, path, want string // no want: kind Redirect
		circular         bool
		reason           string
	}{
		{name: "301", path: "status/301", want: "GET /end?a=b%20c%2F "},
		{name: "302", path: "status/302", want: "GET /end?a=b%20c%2F "},
		{name: "303", path: "status/303", want: "GET /end?a=b%20c%2F "},
		{name: "307", path: "status/307", want: "GET /end?a=b%20c%2F "},
		{name: "308", path: "status/308", want: "GET /end?a=b%20c%2F "},
		{name: "ten", path: "count/9", want: end},
		{name: "eleven", path: "count/10", reason: "too many"},
		{name: "circle", path: "circle", reason: "circle"},
		{name: "circle that is allowed", path: "circle", circular: true, reason: "too many"},
		{name: "nowhere", path: "nowhere", reason: "no place"},
		{name: "no URL", path: "bad", reason: "no place"},
		{name: "no HTTP", path: "ftp", reason: "other than http"},
		{name: "credentials are dropped", path: "user", want: end},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			config := Config{AutoBlock: true, Connection: &Connection{EnableCircularRedirects: tt.circular}}
			c := newClient(t, s.URL, config, Options{})
			if tt.want != "" {
				wantBody(t, c, Request{Path: tt.path, Header: http.Header{"Range": {"bytes=0-100"}}}, tt.want+"bytes=0-100")
				return
			}
			_, _, err := get(c, Request{Path: tt.path})
			e := wantKind(t, err, Redirect)
			if !strings.Contains(e.Error(), tt.reason) || strings.Contains(e.Error(), "hush") || !e.Outage() {
				t.Errorf("error %v, want one with %q", e, tt.reason)
			}
			if s := c.State(); s.Status != Available {
				t.Errorf("state %+v", s)
			}
		})
	}
	t.Run("HEAD stays HEAD", func(t *testing.T) {
		c := newClient(t, s.URL, Config{}, Options{})
		resp, err := c.Do(t.Context(), Request{Method: http.MethodHead, Path: "status/303"})
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.Request.Method != http.MethodHead || resp.Request.URL.String() != s.URL+"/end?a=b%20c%2F" {
			t.Errorf("the answer is of %s %s", resp.Request.Method, resp.Request.URL)
		}
	})
	t.Run("others are not followed", func(t *testing.T) {
		c := newClient(t, s.URL, Config{}, Options{})
		if status, _, err := get(c, Request{Method: http.MethodPost, Path: "status/307"}); err != nil || status != 307 {
			t.Errorf("status %d, error %v", status, err)
		}
	})
}

// TestCircular shows the use of circular redirects: a server that sets a cookie and sends the client back.
func TestCircular(t *testing.T) {
	s := server(t, func(w http.ResponseWriter, r *http.Request) {
		if _, err := r.Cookie("seen"); err != nil {
			http.SetCookie(w, &http.Cookie{Name: "seen", Value: "1", Path: "/"})
			http.Redirect(w, r, r.URL.Path, http.StatusFound)
			return
		}
		_, _ = io.WriteString(w, "ok")
	})
	for _, tt := range []struct{ circular, cookies, ok bool }{{true, true, true}, {true, false, false}, {false, true, false}} {
		t.Run(fmt.Sprint(tt), func(t *testing.T) {
			c := newClient(t, s.URL, Config{Connection: &Connection{EnableCircularRedirects: tt.circular, EnableCookies: tt.cookies}}, Options{})
			if tt.ok {
				wantBody(t, c, Request{Path: "x"}, "ok")
				return
			}
			_, _, err := get(c, Request{Path: "x"})
			wantKind(t, err, Redirect)
		})
	}
}

// TestSecretsStay shows that credentials, cookies and fields of unknown meaning are for the upstream's own origin only.
func TestSecretsStay(t *testing.T) {
	var own *atomic.Value = new(atomic.Value)
	record := func(r *http.Request) string {
		return fmt.Sprintf("auth=%q cookie=%q key=%q accept=%q",
			r.Header.Get("Authorization"), r.Header.Get("Cookie"), r.Header.Get("X-Api-Key"), r.Header.Get("Accept"))
	}
	other := server(t, func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "other", Value: "1"})
		switch r.URL.Path {
		case "/back":
			http.Redirect(w, r, own.Load().(string)+"/end", http.StatusFound)
		case "/on":
			http.Redirect(w, r, "/x", http.StatusFound)
		case "/unauthorized":
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
		default:
			_, _ = io.WriteString(w, "other "+record(r))
		}
	})
	s := server(t, func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "own", Value: "1", Path: "/"})
		if to, ok := strings.CutPrefix(r.URL.Path, "/to"); ok {
			http.Redirect(w, r, other.URL+to, http.StatusTemporaryRedirect)
			return
		}
		if r.URL.Path == "/twice" {
			http.Redirect(w, r, "/end", http.StatusFound)
			return
		}
		_, _ = io.WriteString(w, "own "+record(r))
	})
	own.Store(s.URL)
	config := Config{
		Connection:     &Connection{EnableCookies: true},
		Authentication: &Authentication{Type: TypeBearer, BearerToken: "hush"},
	}
	header := http.Header{"X-Api-Key": {"hush"}, "Accept": {"a/b"}}
	const full, bare = `auth="Bearer hush" cookie="own=1" key="hush" accept="a/b"`, `auth="" cookie="" key="" accept="a/b"`
	tests := []struct {
		name string
		req  Request
		want string
	}{
		{"own host", Request{Path: "x"}, "own " + full},
		{"own host by URL", Request{URL: s.URL + "/x"}, "own " + full},
		{"redirect on the own host", Request{Path: "twice"}, "own " + full},
		{"redirect to another", Request{Path: "to/x"}, "other " + bare},
		{"redirect to another, and on there", Request{Path: "to/on"}, "other " + bare},
		{"and back", Request{Path: "to/back"}, "own " + bare},
		{"another by URL", Request{URL: other.URL + "/x"}, "other " + bare},
		{"another by name", Request{URL: strings.Replace(s.URL, "127.0.0.1", "localhost", 1) + "/x"}, "own " + bare},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newClient(t, s.URL, config, Options{})
			_, _, _ = get(c, Request{Path: "cookie"})
			tt.req.Header = header
			wantBody(t, c, tt.req, tt.want)
		})
	}
	t.Run("another asks", func(t *testing.T) {
		for _, req := range []Request{{URL: other.URL + "/unauthorized"}, {Path: "to/unauthorized"}} {
			c := newClient(t, s.URL, config, Options{Authorizer: fake{}})
			_, _, err := get(c, req)
			if e := wantKind(t, err, Unauthorized); !strings.Contains(e.Error(), "only") {
				t.Errorf("error %v", e)
			}
		}
	})
}

// TestOtherHostFails shows that the failure of a host that the upstream redirects to isn't the upstream's.
func TestOtherHostFails(t *testing.T) {
	dead := deadURL(t)
	broken := server(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "100")
		if r.URL.Path == "/429" {
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		w.WriteHeader(http.StatusInternalServerError)
	})
	targets := map[string]string{"/dead": dead, "/500": broken.URL, "/429": broken.URL + "/429"}
	s := server(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, targets[r.URL.Path], http.StatusFound)
	})
	for path, kind := range map[string]Kind{"/dead": Unreachable, "/500": ServerError, "/429": TooManyRequests} {
		t.Run(path, func(t *testing.T) {
			c := newClient(t, s.URL, Config{AutoBlock: true}, Options{})
			for _, req := range []Request{{Path: path}, {Path: path}, {URL: targets[path]}} {
				_, _, err := get(c, req)
				e := wantKind(t, err, kind)
				if "http://"+e.Host != dead && "http://"+e.Host != broken.URL {
					t.Errorf("host %q", e.Host)
				}
			}
			if s := c.State(); s.Status != Available || !s.NotBefore.IsZero() || s.LastError == "" {
				t.Errorf("state %+v", s)
			}
		})
	}
}
