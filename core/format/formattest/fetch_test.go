package formattest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/repomgr/repomgr/core/repository"
)

// source is an upstream server with one large file, which it sends as far as it is let.
type source struct {
	*httptest.Server
	content []byte
	gets    atomic.Int64
	// sized: it says how much there is to come.
	sized bool
	// gate lets the first bytes of the content pass, half of it unless the test says otherwise, and all of it once it is closed.
	gate  chan struct{}
	first int
}

func newSource(t *testing.T, sized bool) *source {
	s := &source{content: bytes.Repeat([]byte("0123456789abcdef"), 1<<18), sized: sized, gate: make(chan struct{})}
	s.first = len(s.content) / 2
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		if s.sized {
			w.Header().Set("Content-Length", strconv.Itoa(len(s.content)))
		}
		if r.Method == http.MethodHead {
			return
		}
		s.gets.Add(1)
		_, _ = w.Write(s.content[:s.first])
		_ = http.NewResponseController(w).Flush()
		select {
		case <-s.gate:
			_, _ = w.Write(s.content[s.first:])
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// TestFetch_Once: many clients that want the same missing file cost one request to upstream, which goes on when the client leaves
// that came first. All get what has come before the rest has.
func TestFetch_Once(t *testing.T) {
	for _, sized := range []bool{true, false} {
		t.Run(fmt.Sprintf("length known %v", sized), func(t *testing.T) {
			up := newSource(t, sized)
			s := newServer(t, plain{})
			s.Create(proxyOf(up.Server, Suite{}))
			front := s.Serve()
			get := func(ctx context.Context, header ...string) *http.Response {
				r, err := http.NewRequestWithContext(ctx, http.MethodGet, front.URL+"/repository/"+repositoryName+"/large", nil)
				if err != nil {
					t.Error(err)
					return nil
				}
				r.SetBasicAuth(Admin, Admin)
				for i := 0; i+1 < len(header); i += 2 {
					r.Header.Set(header[i], header[i+1])
				}
				res, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Error(err)
					return nil
				}
				return res
			}
			ctx, leave := context.WithCancel(t.Context())
			first := get(ctx)
			if _, err := io.ReadFull(first.Body, make([]byte, 1000)); err != nil {
				t.Fatal(err)
			}
			leave()
			first.Body.Close()

			var begun, ended sync.WaitGroup
			begun.Add(50)
			for range 50 {
				ended.Go(func() {
					res := get(t.Context())
					if res == nil {
						begun.Done()
						return
					}
					defer res.Body.Close()
					got := make([]byte, 1000)
					_, err := io.ReadFull(res.Body, got)
					begun.Done()
					rest, restErr := io.ReadAll(res.Body)
					if err != nil || restErr != nil || !bytes.Equal(append(got, rest...), up.content) {
						t.Errorf("%d bytes, %v, %v", 1000+len(rest), err, restErr)
					}
				})
			}
			begun.Wait() // and half of the file is not there yet
			if sized {
				res := get(t.Context(), "Range", "bytes=100-199")
				if body, err := io.ReadAll(res.Body); err != nil || res.StatusCode != http.StatusPartialContent || !bytes.Equal(body, up.content[100:200]) {
					t.Errorf("a range of what has come: %d, %d bytes, %v", res.StatusCode, len(body), err)
				}
				if r := s.Do(Admin, "HEAD", "/large", nil); r.Status != 200 || r.Header.Get("Content-Length") != strconv.Itoa(len(up.content)) {
					t.Errorf("HEAD: %d %v", r.Status, r.Header)
				}
			}
			late := make(chan error)
			go func() {
				from := len(up.content) - 100
				res := get(t.Context(), "Range", fmt.Sprintf("bytes=%d-", from))
				body, err := io.ReadAll(res.Body)
				if err == nil && (res.StatusCode != http.StatusPartialContent || !bytes.Equal(body, up.content[from:])) {
					err = fmt.Errorf("status %d, %d bytes", res.StatusCode, len(body))
				}
				late <- err
			}()
			time.Sleep(50 * time.Millisecond)
			close(up.gate)
			ended.Wait()
			if err := <-late; err != nil {
				t.Errorf("a range of what has not come yet: %v", err)
			}
			if n := up.gets.Load(); n != 1 {
				t.Errorf("upstream was asked %d times", n)
			}
			checkRead(t, s, Stored{Path: "/large", Body: up.content, ContentType: "application/octet-stream"})
		})
	}
}

// TestFetch_FirstBytes: when it is known how much there is to come, clients have what upstream has sent, however little that is, but
// for the end, which is held back.
func TestFetch_FirstBytes(t *testing.T) {
	const total, held = 4 << 20, 32 << 10
	tests := []struct {
		name       string
		sent, want int
	}{
		{"one", 1, 1},
		{"a few", 1000, 1000},
		{"all but those held back", total - held, total - held},
		{"all but one", total - 1, total - held},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			up := newSource(t, true)
			up.first = tt.sent
			s := newServer(t, plain{})
			s.Create(proxyOf(up.Server, Suite{}))
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Serve().URL+"/repository/"+repositoryName+"/large", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.SetBasicAuth(Admin, Admin)
			res, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			got := make([]byte, tt.want)
			if n, err := io.ReadFull(res.Body, got); err != nil || !bytes.Equal(got, up.content[:tt.want]) {
				t.Fatalf("%d bytes, %v", n, err)
			}
			more := make(chan int64, 1)
			go func() {
				n, err := io.Copy(io.Discard, res.Body)
				if err != nil {
					t.Error(err)
				}
				more <- n
			}()
			select {
			case n := <-more:
				t.Fatalf("%d bytes more before upstream has sent all", n)
			case <-time.After(50 * time.Millisecond):
			}
			close(up.gate)
			if n := <-more; n != int64(total-tt.want) {
				t.Errorf("%d bytes more, want %d", n, total-tt.want)
			}
		})
	}
}

// TestFetch_Stop: a server that stops doesn't wait for upstream, and leaves nothing behind.
func TestFetch_Stop(t *testing.T) {
	up := newSource(t, true)
	s := newServer(t, plain{})
	s.Create(proxyOf(up.Server, Suite{}))
	front := s.Serve()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, front.URL+"/repository/"+repositoryName+"/large", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth(Admin, Admin)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	began := time.Now()
	s.Restart()
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %v to stop", took)
	}
	if body, err := io.ReadAll(res.Body); err == nil {
		t.Errorf("the client takes %d bytes of %d for all", len(body), len(up.content))
	}
	close(up.gate)
	if r := s.Do(Admin, "GET", "/large", nil); r.Status != 200 || !bytes.Equal(r.Body, up.content) {
		t.Errorf("after the start: %d, %d bytes", r.Status, len(r.Body))
	}
	checkRead(t, s, Stored{Path: "/large", Body: up.content, ContentType: "application/octet-stream"})
}

// TestFetch_Validators: what upstream says of its bytes is what clients are told, the same by GET and HEAD, before and after it is kept.
func TestFetch_Validators(t *testing.T) {
	const modified, before, after = "Wed, 01 Jan 2020 00:00:00 GMT", "Tue, 31 Dec 2019 23:59:59 GMT", "Wed, 01 Jan 2020 00:00:01 GMT"
	large := strings.Repeat("<p>text</p>\n", 20_000)
	tests := []struct {
		name, path, modified, contentType, body, want string
	}{
		{"large", "/large.txt", modified, "text/plain; charset=iso-8859-1", large, "text/plain; charset=iso-8859-1"},
		{"small", "/small.txt", modified, "text/plain; charset=iso-8859-1", "text", "text/plain; charset=iso-8859-1"},
		{"own type", "/large.bin", modified, "application/x-foo", large, "application/x-foo"},
		{"no type", "/large.json", modified, "", large, "application/json"},
		{"neither type nor extension", "/large", modified, "", large, "application/octet-stream"},
		{"type that is none", "/large.html", modified, "text/html; x", large, "text/html"},
		{"nothing at all", "/none.html", "", "", large, "text/html"},
	}
	for _, tt := range tests {
		for _, methods := range []string{"GET HEAD GET", "HEAD GET HEAD"} {
			t.Run(tt.name+" "+methods, func(t *testing.T) {
				var asked atomic.Int64
				up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					asked.Add(1)
					h := w.Header()
					h["Content-Type"] = []string{tt.contentType}
					if tt.contentType == "" {
						h["Content-Type"] = nil
					}
					if tt.modified != "" {
						h.Set("Last-Modified", tt.modified)
					}
					h.Set("ETag", `"e"`)
					if r.Header.Get("If-None-Match") != "" {
						h.Del("Last-Modified") // it need not be there
						w.WriteHeader(http.StatusNotModified)
						return
					}
					h.Set("Content-Length", strconv.Itoa(len(tt.body)))
					_, _ = io.WriteString(w, tt.body)
				}))
				defer up.Close()
				s := newServer(t, typed{})
				s.Create(proxyOf(up, Suite{}))
				for _, method := range strings.Fields(methods) {
					r := s.Do(Admin, method, tt.path, nil)
					if r.Status != 200 || r.Header.Get("Content-Type") != tt.want || r.Header.Get("Content-Length") != strconv.Itoa(len(tt.body)) {
						t.Errorf("%s: %d %v", method, r.Status, r.Header)
					}
					if got := r.Header.Get("Last-Modified"); tt.modified != "" && got != tt.modified {
						t.Errorf("%s: last modified is %q", method, got)
					}
					if r.Header.Get("X-Content-Type-Options") != "nosniff" || r.Header.Get("Content-Security-Policy") == "" {
						t.Errorf("%s: a browser may run it: %v", method, r.Header)
					}
				}
				if tt.modified == "" {
					return
				}
				conditions := []struct {
					name, value string
					status      int
				}{
					{"If-Modified-Since", modified, 304}, {"If-Modified-Since", before, 200},
					{"If-Unmodified-Since", modified, 200}, {"If-Unmodified-Since", before, 412},
					{"If-Range", modified, 206}, {"If-Range", before, 200}, {"If-Range", after, 200},
				}
				check := func(when string) {
					t.Helper()
					for _, c := range conditions {
						if r := s.Do(Admin, "GET", tt.path, nil, c.name, c.value, "Range", "bytes=0-1"); r.Status != c.status && (r.Status != 206 || c.status != 200 || c.name == "If-Range") {
							t.Errorf("%s, %s: %s: %d, want %d", when, c.name, c.value, r.Status, c.status)
						}
					}
				}
				check("kept")
				s.Configure(func(c *repository.Config) { c.Proxy.ContentMaxAge = 0 })
				check("asked again")
				if r := s.Do(Admin, "HEAD", tt.path, nil); r.Header.Get("Last-Modified") != modified {
					t.Errorf("after upstream confirmed it: %v", r.Header)
				}
			})
		}
	}
}

// TestFetch_Condition: a HEAD for what is not kept yet has conditions, too.
func TestFetch_Condition(t *testing.T) {
	const modified = "Wed, 01 Jan 2020 00:00:00 GMT"
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Last-Modified", modified)
		_, _ = io.WriteString(w, "text")
	}))
	defer up.Close()
	s := newServer(t, typed{})
	s.Create(proxyOf(up, Suite{}))
	if r := s.Do(Admin, "HEAD", "/f.txt", nil, "If-Modified-Since", modified); r.Status != http.StatusNotModified {
		t.Errorf("HEAD: %d", r.Status)
	}
	if r := s.Do(Admin, "GET", "/f.txt", nil, "If-Modified-Since", modified); r.Status != http.StatusNotModified {
		t.Errorf("GET: %d", r.Status)
	}
}
