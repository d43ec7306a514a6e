package formattest

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/repomgr/repomgr/core/format"
	"github.com/repomgr/repomgr/core/remote"
	"github.com/repomgr/repomgr/core/repository"
)

// fault is what an upstream does wrong.
type fault struct {
	name string
	// spoil answers in place of the server, whose answer is given; it returns false to let it pass.
	spoil spoiler
	// body: only answers to GET are wrong.
	body bool
	// named: it can be noticed only if the digest is named by the path or by upstream's headers.
	named bool
	// holds: upstream asked to be left alone for longer than a test lasts.
	holds bool
	// status is that of the answer to a client for whom there is no copy, if it is a whole one; zero is any of 500 and above.
	status int
	// broken makes the upstream unusable as a whole, and mended usable again; nil for what spoil does.
	broken func(u *illUpstream)
	mended func(u *illUpstream)
}

type spoiler func(w http.ResponseWriter, r *http.Request, answer *httptest.ResponseRecorder) bool

func spoilStatus(status int, header ...string) spoiler {
	return func(w http.ResponseWriter, _ *http.Request, _ *httptest.ResponseRecorder) bool {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		return true
	}
}

// spoilBody answers with what change makes of the body; the header says it was meant to be so.
func spoilBody(change func([]byte) []byte) spoiler {
	return func(w http.ResponseWriter, _ *http.Request, answer *httptest.ResponseRecorder) bool {
		body := change(bytes.Clone(answer.Body.Bytes()))
		copyHeader(w, answer)
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(answer.Code)
		_, _ = w.Write(body)
		return true
	}
}

// spoilCut sends half of what it should, and ends the connection.
func spoilCut(sized bool) spoiler {
	return func(w http.ResponseWriter, _ *http.Request, answer *httptest.ResponseRecorder) bool {
		body := answer.Body.Bytes()
		copyHeader(w, answer)
		w.Header().Del("Content-Length")
		if sized {
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		}
		w.WriteHeader(answer.Code)
		_, _ = w.Write(body[:len(body)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

func copyHeader(w http.ResponseWriter, answer *httptest.ResponseRecorder) {
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
}

func redirect(target func(r *http.Request) string) spoiler {
	return func(w http.ResponseWriter, r *http.Request, _ *httptest.ResponseRecorder) bool {
		http.Redirect(w, r, target(r), http.StatusFound)
		return true
	}
}

var faults = []fault{
	{name: "500", spoil: spoilStatus(500)},
	{name: "503 for an hour", spoil: spoilStatus(503, "Retry-After", "3600"), holds: true},
	{name: "429", spoil: spoilStatus(429, "Retry-After", "3600"), status: 429, holds: true},
	{name: "429 without a time", spoil: spoilStatus(429), status: 429, holds: true},
	{name: "401", spoil: spoilStatus(401, "WWW-Authenticate", `Basic realm="x"`)},
	{name: "403", spoil: spoilStatus(403)},
	{name: "404", spoil: spoilStatus(404), status: 404},
	{name: "204", spoil: spoilStatus(204)},
	{name: "206 that nobody asked for", spoil: spoilStatus(206, "Content-Range", "bytes 0-0/2")},
	{name: "teapot", spoil: spoilStatus(418)},
	{name: "redirects to itself", spoil: redirect(func(r *http.Request) string { return r.URL.Path })},
	{name: "redirects on and on", spoil: redirect(func(r *http.Request) string { return r.URL.Path + "?" + r.URL.RawQuery + "x" })},
	{name: "redirects to nobody", spoil: redirect(func(*http.Request) string { return "http://127.0.0.1:1/" })},
	{name: "redirects to what is refused", spoil: redirect(func(*http.Request) string { return "http://169.254.169.254/" })},
	{name: "redirects to what is no URL", spoil: spoilStatus(302, "Location", "http://[:x/")},
	{name: "never answers", spoil: func(_ http.ResponseWriter, r *http.Request, _ *httptest.ResponseRecorder) bool {
		<-r.Context().Done()
		return true
	}},
	{name: "hangs up", spoil: func(http.ResponseWriter, *http.Request, *httptest.ResponseRecorder) bool { panic(http.ErrAbortHandler) }},
	{name: "speaks no HTTP", spoil: func(w http.ResponseWriter, _ *http.Request, _ *httptest.ResponseRecorder) bool {
		if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_, _ = io.WriteString(c, "220 mail.example ESMTP\r\n")
			_ = c.Close()
		}
		return true
	}},
	{name: "cut", body: true, spoil: spoilCut(true)},
	{name: "cut, without a length", body: true, spoil: spoilCut(false)},
	{name: "half", body: true, named: true, spoil: spoilBody(func(b []byte) []byte { return b[:len(b)/2] })},
	{name: "one byte more", body: true, named: true, spoil: spoilBody(func(b []byte) []byte { return append(b, 0) })},
	{name: "one byte wrong", body: true, named: true, spoil: spoilBody(func(b []byte) []byte { b[len(b)/2] ^= 1; return b })},
	{name: "nothing", body: true, named: true, spoil: spoilBody(func([]byte) []byte { return nil })},
	{name: "down", broken: (*illUpstream).stop, mended: (*illUpstream).start},
	{name: "bad TLS", broken: func(u *illUpstream) { u.stop(); u.startTLS() }, mended: func(u *illUpstream) { u.stop(); u.start() }},
}

// illUpstream serves a server's repository, at an address that stays, the way a fault makes it.
type illUpstream struct {
	t       *testing.T
	healthy http.Handler
	path    string
	address string
	server  *httptest.Server

	mu    sync.Mutex
	fault *fault
}

func newIllUpstream(t *testing.T, healthy http.Handler, path string) *illUpstream {
	u := &illUpstream{t: t, healthy: healthy, path: path, address: "127.0.0.1:0"}
	u.start()
	t.Cleanup(func() { u.stop() })
	return u
}

func (u *illUpstream) start() { u.listen().Start() }

func (u *illUpstream) startTLS() { u.listen().StartTLS() }

// listen makes a server that waits to be started, at the same address as the one before.
func (u *illUpstream) listen() *httptest.Server {
	u.t.Helper()
	l, err := net.Listen("tcp", u.address)
	if err != nil {
		u.t.Fatal(err)
	}
	u.address = l.Addr().String()
	u.server = httptest.NewUnstartedServer(u)
	_ = u.server.Listener.Close()
	u.server.Listener = l
	return u.server
}

func (u *illUpstream) stop() {
	u.server.CloseClientConnections()
	u.server.Close()
}

// fall ill, or recover with nil.
func (u *illUpstream) fall(f *fault) {
	u.mu.Lock()
	was := u.fault
	u.fault = f
	u.mu.Unlock()
	switch {
	case f != nil && f.broken != nil:
		f.broken(u)
	case was != nil && was.mended != nil:
		was.mended(u)
	}
}

func (u *illUpstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := httptest.NewRecorder()
	u.healthy.ServeHTTP(answer, r)
	u.mu.Lock()
	f := u.fault
	u.mu.Unlock()
	asked := strings.HasPrefix(r.URL.Path, u.path) && (r.Method == http.MethodGet || f != nil && !f.body && r.Method == http.MethodHead)
	if f != nil && f.spoil != nil && asked && f.spoil(w, r, answer) {
		return
	}
	copyHeader(w, answer)
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

// upstreamFaults: whatever upstream does, nothing wrong is stored, a client gets a copy if there is one, else hears that something is
// wrong; and when upstream is well again, all is.
func upstreamFaults(t *testing.T, f format.Format, suite Suite) {
	hosted, stored := filled(t, f, suite)
	// One that is looked into first, where the format has such, and one that is given away as it comes.
	large := stored[0]
	for _, one := range stored {
		if len(one.Body) > len(large.Body) {
			large = one
		}
	}
	s := newServer(t, f)
	for _, name := range []string{repositoryName, "empty"} {
		s.Create(repository.Config{Name: name, Type: repository.Hosted, Storage: repository.Storage{WritePolicy: repository.Allow}, Settings: suite.Settings})
	}
	if _, failed := suite.Fill(s, Admin); failed != nil {
		t.Fatalf("fill: %d %s", failed.Status, failed.Body)
	}
	for i, tt := range faults {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			upstreamFault(t, s, fmt.Sprint(i), suite, hosted, tt, large)
			if stored[0].Path != large.Path {
				upstreamFault(t, s, fmt.Sprintf("%da", i), suite, hosted, tt, stored[0])
			}
		})
	}
}

// upstreamFault goes through the states that a repository can be in when the fault comes upon it.
func upstreamFault(t *testing.T, s *Server, suffix string, suite Suite, hosted *Server, tt fault, a Stored) {
	t.Helper()
	f, inner := s.format, "/repository/"+repositoryName+a.Path
	request := httptest.NewRequest(http.MethodGet, "/", nil)
	request.URL.Path = inner
	request.SetBasicAuth(Admin, Admin)
	answer := httptest.NewRecorder()
	hosted.handler.ServeHTTP(answer, request)
	if route, err := f.Resolve(request, a.Path); tt.named && (err != nil || route.Expect == "" && answer.Header().Get("X-Checksum-Sha256") == "" && answer.Header().Get("Docker-Content-Digest") == "") {
		return
	}
	up := newIllUpstream(t, hosted.handler, inner)
	one, zero := 1, 0
	proxy := func(name string, age int) {
		c := proxyOf(&httptest.Server{URL: "http://" + up.address}, suite)
		c.Name, c.HTTPClient.AutoBlock = name+suffix, false
		c.NegativeCache = &repository.NegativeCache{}
		c.Proxy.ContentMaxAge, c.Proxy.MetadataMaxAge = age, age
		c.HTTPClient.Connection = &remote.Connection{Timeout: &one, Retries: &zero}
		s.Create(c)
	}
	group := func(name string, members ...string) {
		s.Create(repository.Config{Name: name + suffix, Type: repository.Group, Settings: suite.Settings, Group: &repository.GroupConfig{MemberNames: members}})
	}
	proxy("cold", 1440)
	proxy("stale", 0)
	proxy("member", 1440)
	proxy("first", 1440)
	group("nothing-else", "member"+suffix, "empty")
	group("elsewhere-too", "first"+suffix, repositoryName)
	front := s.Serve()
	get := func(method, name string) (int, http.Header, []byte, error) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, front.URL+"/repository/"+name+suffix+(&url.URL{Path: a.Path}).EscapedPath(), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.SetBasicAuth(Admin, Admin)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			return 0, nil, nil, err
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		return res.StatusCode, res.Header, body, err
	}
	for range 2 { // the first one may be answered before its fetch is over
		if status, _, body, err := get("GET", "stale"); status != 200 || err != nil || !bytes.Equal(body, a.Body) {
			t.Fatalf("before: %d, %d bytes, %v", status, len(body), err)
		}
	}

	up.fall(&tt)
	for _, name := range []string{"cold", "nothing-else"} {
		for _, method := range []string{"HEAD", "GET"} {
			if status, _, body, err := get(method, name); err == nil && (method == "GET" || !tt.body) && (tt.status != 0 && status != tt.status || tt.status == 0 && status < 500) {
				t.Errorf("%s of %s in %s: %d, %d bytes, want %d", method, a.Path, name, status, len(body), tt.status)
			}
		}
	}
	for _, method := range []string{"GET", "HEAD"} {
		status, header, body, err := get(method, "stale")
		if status != 200 || err != nil || method == "GET" && !bytes.Equal(body, a.Body) {
			t.Errorf("%s of %s, of which there is a copy: %d, %d bytes, %v", method, a.Path, status, len(body), err)
		}
		if asked := !immutable(f, a.Path) && !tt.body; asked && (header.Get("Warning") == "" || header.Get("Age") == "") {
			t.Errorf("%s of %s: the copy is not said to be stale: %v", method, a.Path, header)
		}
	}
	status, _, body, err := get("GET", "elsewhere-too")
	// Once a client has bytes, or is about to, another member's can't take their place.
	broken := (err != nil || status >= 500) && tt.body && len(a.Body) > 1<<15
	if !broken && (err != nil || status != 200 || !bytes.Equal(body, a.Body)) {
		t.Errorf("GET of %s, which another member has: %d, %d bytes, %v", a.Path, status, len(body), err)
	}

	up.fall(nil)
	if tt.holds {
		return
	}
	for _, name := range []string{"cold", "stale", "nothing-else", "elsewhere-too"} {
		end := time.Now().Add(10 * time.Second)
		for {
			status, header, body, err := get("GET", name)
			if status == 200 && err == nil && bytes.Equal(body, a.Body) && header.Get("Warning") == "" {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("%s of %s, with upstream well again: status %d, %d of %d bytes, %v, %v", a.Path, name, status, len(body), len(a.Body), err, header)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
}

// immutable tells whether what is at the path never has to be asked for again.
func immutable(f format.Format, path string) bool {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.URL.Path = path
	route, err := f.Resolve(r, path)
	return err == nil && route.Expect != ""
}
