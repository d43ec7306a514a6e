package formattest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
	"github.com/repomgr/repomgr/core/repository"
)

// Suite is what a format tells about itself to be tested.
type Suite struct {
	// Settings are those of the repository that is used; nil for a format without.
	Settings json.RawMessage
	// Fill stores some content as the user, in the way of the format's clients, and tells what can then be read. It returns
	// the first response that is not a success, if any: where nothing may be stored, Fill is expected to fail.
	Fill func(s *Server, user string) ([]Stored, *Response)
	// Absent are paths of content that is never there.
	Absent []string
	// Hostile are paths that must be refused with a status of 400 or 404.
	Hostile []string
}

// Stored is something that can be read.
type Stored struct {
	Path        string
	Body        []byte
	ContentType string
	// Deletable tells that DELETE on the path is part of the protocol.
	Deletable bool
}

// Run runs the contract suite on a format.
func Run(t *testing.T, f format.Format, suite Suite) {
	t.Run("Describe", func(t *testing.T) { describe(t, f) })
	t.Run("Resolve", func(t *testing.T) { resolve(t, f, suite) })
	t.Run("Settings", func(t *testing.T) { settings(t, f, suite) })
	t.Run("ProxySettings", func(t *testing.T) { proxySettings(t, f) })
	t.Run("Errors", func(t *testing.T) { dialect(t, f) })
	t.Run("Read", func(t *testing.T) { read(t, f, suite) })
	t.Run("Rights", func(t *testing.T) { rights(t, f, suite) })
	t.Run("Policies", func(t *testing.T) { policies(t, f, suite) })
	t.Run("Delete", func(t *testing.T) { remove(t, f, suite) })
	t.Run("Hostile", func(t *testing.T) { hostile(t, f, suite) })
	t.Run("Damage", func(t *testing.T) { damage(t, f, suite) })
	t.Run("Proxy", func(t *testing.T) { proxied(t, f, suite) })
	t.Run("Group", func(t *testing.T) { grouped(t, f, suite) })
	t.Run("Routing", func(t *testing.T) { routed(t, f, suite) })
	t.Run("Upstream", func(t *testing.T) { upstreamFaults(t, f, suite) })
}

func describe(t *testing.T, f format.Format) {
	d := f.Describe()
	if d.Name == "" {
		t.Error("a format needs a name")
	}
	if _, ok := f.(format.Settler); ok != (d.Settings != "") {
		t.Errorf("settings key %q, but Settler is %t", d.Settings, ok)
	}
	if !reflect.DeepEqual(d, f.Describe()) {
		t.Error("Describe changes its mind")
	}
}

// paths that no format may stumble over.
var awkward = []string{"", "/", "//", "/.", "/..", "/../..", "/a/../../b", "/%2e%2e", "/\x00", "/\xff\xfe", "/a\nb", "/" + strings.Repeat("a/", 5000),
	strings.Repeat("x", 100_000), "/v2/", "/v2//", "/\\..\\..", "a", "/a?b", "/ä/ö"}

func resolve(t *testing.T, f format.Format, suite Suite) {
	paths := append(append([]string{}, awkward...), suite.Hostile...)
	for _, method := range []string{"GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "TRACE", "FOO"} {
		for _, path := range paths {
			r := httptest.NewRequest(method, "/", nil)
			route, err := f.Resolve(r, path)
			if err != nil {
				if kind := errs.As(err).Kind; kind == errs.Internal {
					t.Errorf("%s %.60q: an error without a kind: %v", method, path, err)
				}
				continue
			}
			if route.Handler == nil && !strings.HasPrefix(route.Path, "/") {
				t.Errorf("%s %.60q: path %q does not start with a slash", method, path, route.Path)
			}
			if route.Action != content.Public && route.Path == "" {
				t.Errorf("%s %.60q: action %s without a path to check it on", method, path, route.Action)
			}
			for part := range strings.SplitSeq(route.Path, "/") {
				if part == ".." || part == "." {
					t.Errorf("%s %.60q: path %q climbs", method, path, route.Path)
				}
			}
		}
	}
}

// settings that were filled in must mean the same when they are read again.
func settings(t *testing.T, f format.Format, suite Suite) {
	settler, ok := f.(format.Settler)
	if !ok {
		return
	}
	for _, raw := range []json.RawMessage{nil, suite.Settings} {
		first, access, err := settler.Settings(raw)
		if err != nil {
			t.Fatalf("settings %s: %v", raw, err)
		}
		b, err := json.Marshal(first)
		if err != nil {
			t.Fatal(err)
		}
		second, access2, err := settler.Settings(b)
		if err != nil || !reflect.DeepEqual(first, second) || access != access2 {
			t.Errorf("settings %s read again: %+v, %+v, %v; first %+v, %+v", b, second, access2, err, first, access)
		}
	}
	for _, raw := range invalidSettings {
		if _, _, err := settler.Settings(json.RawMessage(raw)); err == nil || errs.As(err).Kind != errs.Invalid {
			t.Errorf("settings %s: %v", raw, err)
		}
	}
}

// invalidSettings are not JSON objects.
var invalidSettings = []string{"1", `"x"`, "[]", "{", `{"a":`}

// proxySettings is settings for those of proxies.
func proxySettings(t *testing.T, f format.Format) {
	settler, ok := f.(format.ProxySettler)
	if key := f.Describe().ProxySettings; ok != (key != "") {
		t.Errorf("the key of the settings of proxies is %q", key)
	}
	if !ok {
		return
	}
	first, err := settler.ProxySettings(nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(first)
	if err != nil {
		t.Fatal(err)
	}
	if second, err := settler.ProxySettings(b); err != nil || !reflect.DeepEqual(first, second) {
		t.Errorf("settings of proxies %s read again: %+v, %v; first %+v", b, second, err, first)
	}
	for _, raw := range invalidSettings {
		if _, err := settler.ProxySettings(json.RawMessage(raw)); err == nil || errs.As(err).Kind != errs.Invalid {
			t.Errorf("settings of proxies %s: %v", raw, err)
		}
	}
}

const secret = "secret-internals"

func dialect(t *testing.T, f format.Format) {
	d, ok := f.(format.Dialect)
	if !ok {
		return
	}
	for kind := errs.Internal; kind <= errs.StorageFull; kind++ {
		for _, err := range []error{errs.Wrap(kind, errors.New(secret), "told"), fmt.Errorf("outer: %w", errs.New(kind, "told"))} {
			w := httptest.NewRecorder()
			d.WriteError(w, httptest.NewRequest("GET", "/x", nil), format.Repository{}, format.Entry{}, format.Route{}, err)
			// A protocol may have a status of its own for a kind, but never blame the other side.
			if w.Code/100 != kind.Status()/100 || kind == errs.Unauthenticated && w.Code != http.StatusUnauthorized {
				t.Errorf("%v: status %d, want %d", err, w.Code, kind.Status())
			}
			if strings.Contains(w.Body.String(), secret) {
				t.Errorf("%v: the cause reaches the client: %s", err, w.Body)
			}
			if w.Code == http.StatusUnauthorized && w.Header().Get("WWW-Authenticate") == "" {
				t.Errorf("%v: no challenge", err)
			}
		}
	}
	w := httptest.NewRecorder()
	d.WriteError(w, httptest.NewRequest("GET", "/x", nil), format.Repository{}, format.Entry{}, format.Route{}, errors.New(secret))
	if w.Code != 500 || strings.Contains(w.Body.String(), secret) {
		t.Errorf("an unclassified error: %d %s", w.Code, w.Body)
	}
}

// filled is a server with the suite's content.
func filled(t *testing.T, f format.Format, suite Suite) (*Server, []Stored) {
	t.Helper()
	s := NewServer(t, f, suite.Settings)
	stored, failed := suite.Fill(s, Admin)
	if failed != nil {
		t.Fatalf("fill: %d %s", failed.Status, failed.Body)
	}
	if len(stored) == 0 {
		t.Fatal("the suite stores nothing")
	}
	return s, stored
}

func read(t *testing.T, f format.Format, suite Suite) {
	s, stored := filled(t, f, suite)
	check := func() {
		for _, a := range stored {
			checkRead(t, s, a)
		}
	}
	check()
	s.Restart()
	check()
	for _, path := range suite.Absent {
		for _, method := range []string{"GET", "HEAD"} {
			if r := s.Do(Admin, method, path, nil); r.Status != http.StatusNotFound {
				t.Errorf("%s %s: %d, want 404", method, path, r.Status)
			}
		}
	}
}

// checkRead checks a representation as RFC 9110 sections 8, 9.3.2, 13 and 14 have it.
func checkRead(t *testing.T, s *Server, a Stored) {
	t.Helper()
	get := s.Do(Admin, "GET", a.Path, nil)
	if get.Status != 200 || !bytes.Equal(get.Body, a.Body) {
		t.Errorf("GET %s: %d with %d bytes, want 200 with %d", a.Path, get.Status, len(get.Body), len(a.Body))
		return
	}
	length := fmt.Sprint(len(a.Body))
	if got := get.Header.Get("Content-Type"); got != a.ContentType {
		t.Errorf("GET %s: content type %q, want %q", a.Path, got, a.ContentType)
	}
	head := s.Do(Admin, "HEAD", a.Path, nil)
	if head.Status != 200 || len(head.Body) != 0 || head.Header.Get("Content-Length") != length {
		t.Errorf("HEAD %s: %d, %d bytes, length %q", a.Path, head.Status, len(head.Body), head.Header.Get("Content-Length"))
	}
	for _, name := range []string{"Etag", "Content-Type", "Content-Length"} {
		if g, h := get.Header.Get(name), head.Header.Get(name); g == "" || g != h {
			t.Errorf("%s: %s is %q in GET and %q in HEAD", a.Path, name, g, h)
		}
	}
	if r := s.Do(Admin, "GET", a.Path, nil, "If-None-Match", get.Header.Get("Etag")); r.Status != http.StatusNotModified || len(r.Body) != 0 {
		t.Errorf("GET %s with its ETag: %d", a.Path, r.Status)
	}
	if r := s.Do(Admin, "GET", a.Path, nil, "If-None-Match", `"other"`); r.Status != 200 || !bytes.Equal(r.Body, a.Body) {
		t.Errorf("GET %s with another ETag: %d", a.Path, r.Status)
	}
	if len(a.Body) < 4 {
		return
	}
	if r := s.Do(Admin, "GET", a.Path, nil, "Range", "bytes=1-2"); r.Status != http.StatusPartialContent || !bytes.Equal(r.Body, a.Body[1:3]) {
		t.Errorf("GET %s, range: %d %q", a.Path, r.Status, r.Body)
	}
	if r := s.Do(Admin, "GET", a.Path, nil, "Range", "bytes="+length+"-"); r.Status != http.StatusRequestedRangeNotSatisfiable {
		t.Errorf("GET %s, range beyond the end: %d", a.Path, r.Status)
	}
}

func rights(t *testing.T, f format.Format, suite Suite) {
	s, stored := filled(t, f, suite)
	s.AddUser(Reader, "nx-anonymous")
	s.AddUser(Writer, "contributor")
	for _, a := range stored {
		if r := s.Do(Reader, "GET", a.Path, nil); r.Status != 200 {
			t.Errorf("reader GET %s: %d", a.Path, r.Status)
		}
		if r := s.Do("stranger", "GET", a.Path, nil); r.Status != http.StatusUnauthorized {
			t.Errorf("GET %s with wrong credentials: %d", a.Path, r.Status)
		}
		if !a.Deletable {
			continue
		}
		for _, user := range []string{Reader, Writer, Nobody} {
			if r := s.Do(user, "DELETE", a.Path, nil); r.Status != http.StatusUnauthorized && r.Status != http.StatusForbidden {
				t.Errorf("%q DELETE %s: %d", user, a.Path, r.Status)
			}
		}
	}
	for _, user := range []string{Reader, Nobody} {
		if _, failed := suite.Fill(s, user); failed == nil || failed.Status != http.StatusUnauthorized && failed.Status != http.StatusForbidden {
			t.Errorf("%q may store: %v", user, failed)
		}
	}
	if _, failed := suite.Fill(s, Writer); failed != nil {
		t.Errorf("writer may not store: %d %s", failed.Status, failed.Body)
	}
	// Whether a path exists is nothing that somebody without rights may learn.
	s.Configure(func(c *repository.Config) {})
	for _, path := range append([]string{stored[0].Path}, suite.Absent...) {
		if _, err := s.Security.SetAnonymous(t.Context(), disabled(s)); err != nil {
			t.Fatal(err)
		}
		if r := s.Do(Nobody, "GET", path, nil); r.Status != http.StatusUnauthorized || r.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("anonymous GET %s: %d, challenge %q", path, r.Status, r.Header.Get("WWW-Authenticate"))
		}
	}
}

func policies(t *testing.T, f format.Format, suite Suite) {
	s, stored := filled(t, f, suite)
	s.Configure(func(c *repository.Config) { c.Storage.WritePolicy = repository.AllowOnce })
	if _, failed := suite.Fill(s, Admin); failed != nil {
		t.Errorf("the same content again under ALLOW_ONCE: %d %s", failed.Status, failed.Body)
	}
	s.Configure(func(c *repository.Config) { c.Storage.WritePolicy = repository.Deny })
	if _, failed := suite.Fill(s, Admin); failed == nil {
		t.Error("content was stored under DENY")
	}
	for _, a := range stored {
		if r := s.Do(Admin, "DELETE", a.Path, nil); a.Deletable && r.Status < 400 {
			t.Errorf("DELETE %s under DENY: %d", a.Path, r.Status)
		}
		checkRead(t, s, a)
	}
	s.Configure(func(c *repository.Config) { c.Online = false })
	if r := s.Do(Admin, "GET", stored[0].Path, nil); r.Status != http.StatusServiceUnavailable {
		t.Errorf("GET from an offline repository: %d", r.Status)
	}
}

func remove(t *testing.T, f format.Format, suite Suite) {
	s, stored := filled(t, f, suite)
	// What was stored last may need what was stored first.
	for i := len(stored) - 1; i >= 0; i-- {
		a := stored[i]
		if !a.Deletable {
			continue
		}
		if r := s.Do(Admin, "DELETE", a.Path, nil); r.Status >= 300 {
			t.Errorf("DELETE %s: %d %s", a.Path, r.Status, r.Body)
		}
		if r := s.Do(Admin, "GET", a.Path, nil); r.Status != http.StatusNotFound {
			t.Errorf("GET %s after DELETE: %d", a.Path, r.Status)
		}
		if r := s.Do(Admin, "DELETE", a.Path, nil); r.Status != http.StatusNotFound {
			t.Errorf("DELETE %s again: %d", a.Path, r.Status)
		}
	}
	again, failed := suite.Fill(s, Admin)
	if failed != nil {
		t.Fatalf("fill again: %d %s", failed.Status, failed.Body)
	}
	for _, a := range again {
		checkRead(t, s, a)
	}
}

func hostile(t *testing.T, f format.Format, suite Suite) {
	s, _ := filled(t, f, suite)
	for _, path := range suite.Hostile {
		for _, method := range []string{"GET", "PUT", "DELETE"} {
			if r := s.Do(Admin, method, path, []byte("x")); r.Status != 400 && r.Status != 404 && r.Status != 405 {
				t.Errorf("%s %.80q: %d", method, path, r.Status)
			}
		}
	}
}
