package formattest

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/repomgr/repomgr/core/remote"
	"github.com/repomgr/repomgr/core/repository"
)

// script is an upstream that answers as a test says, and counts the requests by method.
type script struct {
	*httptest.Server
	mu      sync.Mutex
	handler http.HandlerFunc
	asked   map[string]int
}

func newScript(t *testing.T, handler http.HandlerFunc) *script {
	s := &script{handler: handler, asked: map[string]int{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.asked[r.Method]++
		handler := s.handler
		s.mu.Unlock()
		handler(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *script) handle(handler http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handler = handler
}

// take returns how many requests of the method there were since it was last asked.
func (s *script) take(method string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.asked[method]
	delete(s.asked, method)
	return n
}

// proxied is a server with a proxy of the script, whose copies are stale at once, and which tries each request once.
func (s *script) proxied(t *testing.T, change func(*repository.Config)) *Server {
	t.Helper()
	c := proxyOf(s.Server, Suite{})
	zero := 0
	c.HTTPClient.Connection = &remote.Connection{Retries: &zero}
	c.Proxy.ContentMaxAge, c.Proxy.MetadataMaxAge = 0, 0
	change(&c)
	server := newServer(t, plain{})
	server.Create(c)
	return server
}

func as(*repository.Config) {}

func lasting(c *repository.Config) { c.Proxy.ContentMaxAge, c.Proxy.MetadataMaxAge = 1440, 1440 }

func answer(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func wantAnswer(t *testing.T, when string, r *Response, status int, body string) {
	t.Helper()
	if r.Status != status || string(r.Body) != body {
		t.Errorf("%s: %d %.100q, want %d %.100q", when, r.Status, r.Body, status, body)
	}
}

// TestUpstream_Heads: clients who ask for the size of the same missing file at once cost one request to upstream.
func TestUpstream_Heads(t *testing.T) {
	for _, status := range []int{200, 404} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			gate := make(chan struct{})
			up := newScript(t, func(w http.ResponseWriter, _ *http.Request) {
				<-gate
				w.Header().Set("Content-Length", "5")
				w.WriteHeader(status)
			})
			s := up.proxied(t, as)
			s.Do(Admin, "GET", "/", nil) // the password's hash is computed once, and takes its time
			var wg sync.WaitGroup
			for range 30 {
				wg.Go(func() {
					if r := s.Do(Admin, "HEAD", "/f", nil); r.Status != status || status == 200 && r.Header.Get("Content-Length") != "5" {
						t.Errorf("%d %v", r.Status, r.Header)
					}
				})
			}
			time.Sleep(300 * time.Millisecond)
			close(gate)
			wg.Wait()
			if n := up.take("HEAD"); n != 1 {
				t.Errorf("upstream was asked %d times", n)
			}
		})
	}
}

// TestUpstream_Headless: where upstream has no answer to HEAD, what a GET brings answers it, and upstream is not taken for broken.
func TestUpstream_Headless(t *testing.T) {
	for _, status := range []int{400, 403, 405, 501} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			up := newScript(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodHead {
					w.WriteHeader(status)
					return
				}
				answer(200, "bytes")(w, r)
			})
			s := up.proxied(t, lasting)
			if r := s.Do(Admin, "HEAD", "/f", nil); r.Status != 200 || r.Header.Get("Content-Length") != "5" {
				t.Errorf("HEAD: %d %v", r.Status, r.Header)
			}
			wantAnswer(t, "GET", s.Do(Admin, "GET", "/f", nil), 200, "bytes")
			wantAnswer(t, "another", s.Do(Admin, "GET", "/g", nil), 200, "bytes")
			state, err := s.manager.Upstream(t.Context(), repositoryName)
			if err != nil || state.Status != remote.Available {
				t.Errorf("state %+v, %v", state, err)
			}
			if n := up.take("GET"); n != 2 {
				t.Errorf("upstream was asked by GET %d times", n)
			}
		})
	}
}

// TestUpstream_Slow: who may have a stale copy waits no longer for the new version than upstream may take for an answer. The fetch goes
// on, and who comes later doesn't wait for it either.
func TestUpstream_Slow(t *testing.T) {
	const size = 200_000
	old, now := strings.Repeat("1", size), strings.Repeat("2", size)
	for _, sends := range []int{0, 1000, size - 1} {
		t.Run(fmt.Sprintf("after %d bytes", sends), func(t *testing.T) {
			up := newScript(t, answer(200, old, "ETag", `"1"`))
			one := 1
			s := up.proxied(t, func(c *repository.Config) { c.HTTPClient.Connection.Timeout = &one })
			for range 2 { // the first one may be answered before its fetch is over
				wantAnswer(t, "before", s.Do(Admin, "GET", "/f", nil), 200, old)
			}
			gate := make(chan struct{})
			up.handle(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("ETag", `"2"`)
				_, _ = io.WriteString(w, now[:sends])
				_ = http.NewResponseController(w).Flush()
				<-gate
				_, _ = io.WriteString(w, now[sends:])
			})
			up.take("GET")
			for i, method := range []string{"HEAD", "GET", "GET"} {
				began := time.Now()
				r := s.Do(Admin, method, "/f", nil)
				took := time.Since(began)
				if r.Status != 200 || method == "GET" && string(r.Body) != old || r.Header.Get("Warning") == "" || r.Header.Get("Age") == "" {
					t.Errorf("%s %d: %d, %d bytes, %v", method, i, r.Status, len(r.Body), r.Header)
				}
				if took > 5*time.Second || i > 0 && took > 500*time.Millisecond {
					t.Errorf("%s %d took %v", method, i, took)
				}
			}
			close(gate)
			for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
				r := s.Do(Admin, "GET", "/f", nil)
				if string(r.Body) == now && r.Header.Get("Warning") == "" {
					break
				}
				if time.Now().After(end) {
					t.Fatalf("the new version: %d, %d bytes, %v", r.Status, len(r.Body), r.Header)
				}
			}
		})
	}
}

// TestUpstream_Gone: what upstream has no longer is asked for again when the copy is too old again, whatever the negative cache says.
func TestUpstream_Gone(t *testing.T) {
	for name, change := range map[string]func(*repository.Config){"always stale": as, "lasting": lasting} {
		t.Run(name, func(t *testing.T) {
			up := newScript(t, answer(200, "old"))
			s := up.proxied(t, change)
			wantAnswer(t, "before", s.Do(Admin, "GET", "/f", nil), 200, "old")
			s.invalidate()
			up.handle(answer(404, ""))
			r := s.Do(Admin, "GET", "/f", nil)
			wantAnswer(t, "gone", r, 200, "old")
			if r.Header.Get("Warning") == "" {
				t.Error("the copy is not said to be stale")
			}
			up.take("GET")
			up.handle(answer(200, "new"))
			r = s.Do(Admin, "GET", "/f", nil)
			if name == "lasting" {
				wantAnswer(t, "for the time of a copy", r, 200, "old")
				if n := up.take("GET"); n != 0 || r.Header.Get("Warning") != "" {
					t.Errorf("upstream was asked %d times; %v", n, r.Header)
				}
				return
			}
			wantAnswer(t, "there again", r, 200, "new")
		})
	}
}

// TestUpstream_Lost: what has lost its bytes is fetched again at once.
func TestUpstream_Lost(t *testing.T) {
	const size = 200_000 // more than is kept in memory
	body := strings.Repeat("x", size)
	for name, do := range map[string]func(path string) error{"missing": os.Remove, "truncated": func(path string) error { return os.Truncate(path, 1) }} {
		for _, method := range []string{"GET", "HEAD"} {
			for _, repo := range []string{"", "group"} {
				t.Run(name+" "+method+" "+repo, func(t *testing.T) {
					up := newScript(t, answer(200, body, "Content-Length", fmt.Sprint(size)))
					s := up.proxied(t, func(c *repository.Config) {
						lasting(c)
						if repo != "" {
							c.Name = "member"
						}
					})
					if repo != "" {
						s.Create(repository.Config{Name: repositoryName, Type: repository.Group, Group: &repository.GroupConfig{MemberNames: []string{"member"}}})
					}
					for range 2 { // the first one may be answered before its fetch is over
						wantAnswer(t, "before", s.Do(Admin, "GET", "/f", nil), 200, body)
					}
					s.eachFile(do)
					r := s.Do(Admin, method, "/f", nil)
					if r.Status != 200 || method == "GET" && string(r.Body) != body || r.Header.Get("Content-Length") != fmt.Sprint(size) && method == "HEAD" {
						t.Errorf("%d, %d bytes, %v", r.Status, len(r.Body), r.Header)
					}
					wantAnswer(t, "afterwards", s.Do(Admin, "GET", "/f", nil), 200, body)
				})
			}
		}
	}
}

// TestUpstream_Moved: what comes from another server than the one that is configured now is stale, and what that server said about it
// means nothing to this one.
func TestUpstream_Moved(t *testing.T) {
	const etag, modified = `"1"`, "Wed, 01 Jan 2025 00:00:00 GMT"
	// unconditional answers 304 to whoever names a validator.
	unconditional := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			status, body := 200, body
			if r.Header.Get("If-None-Match") != "" || r.Header.Get("If-Modified-Since") != "" {
				status, body = 304, ""
			}
			answer(status, body, "ETag", etag, "Last-Modified", modified)(w, r)
		}
	}
	first, second := newScript(t, unconditional("first")), newScript(t, unconditional("second"))
	s := first.proxied(t, lasting)
	for _, path := range []string{"/f", "/gone", "/kept"} {
		for range 2 {
			wantAnswer(t, "before", s.Do(Admin, "GET", path, nil), 200, "first")
		}
	}
	move := func(to *script) {
		t.Helper()
		s.Configure(func(c *repository.Config) {
			c.Proxy = &repository.ProxyConfig{RemoteURL: to.URL, ContentMaxAge: c.Proxy.ContentMaxAge, MetadataMaxAge: c.Proxy.MetadataMaxAge}
		})
	}
	move(first) // another path there
	first.take("GET")
	wantAnswer(t, "elsewhere there", s.Do(Admin, "GET", "/kept", nil), 200, "first")
	if n := first.take("GET"); n != 1 {
		t.Errorf("upstream was asked %d times", n)
	}
	move(first) // no change
	move(second)
	s.Restart()
	wantAnswer(t, "moved", s.Do(Admin, "GET", "/f", nil), 200, "second")
	wantAnswer(t, "moved, again", s.Do(Admin, "GET", "/f", nil), 200, "second")
	second.handle(answer(404, ""))
	wantAnswer(t, "not there", s.Do(Admin, "GET", "/gone", nil), 200, "first")
	second.handle(unconditional("second"))
	s.invalidate()
	for _, path := range []string{"/f", "/gone", "/kept"} {
		wantAnswer(t, "asked once more", s.Do(Admin, "GET", path, nil), 200, "second")
	}
	second.take("GET")
	move(second)
	wantAnswer(t, "the same URL", s.Do(Admin, "GET", "/f", nil), 200, "second")
	if n := second.take("GET"); n != 0 {
		t.Errorf("the same URL: upstream was asked %d times", n)
	}
}
