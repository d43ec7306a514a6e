package remote

import (
	"net/url"
	"strings"
	"testing"

	"github.com/repomgr/repomgr/core/errs"
)

func TestTarget(t *testing.T) {
	tests := []struct {
		name, base string
		req        Request
		want       string // empty: refused
	}{
		{"root", "http://h", Request{}, "http://h"},
		{"base as it is", "http://h/a/", Request{}, "http://h/a/"},
		{"below a file", "http://h/a", Request{Path: "b/c"}, "http://h/a/b/c"},
		{"below a directory", "http://h/a/", Request{Path: "/b/c/"}, "http://h/a/b/c/"},
		{"the base's query stays out", "https://h:8443/a?secret=1#x", Request{Path: "b", Query: "q=1&r=%2F"}, "https://h:8443/a/b?q=1&r=%2F"},
		{"escapes stay", "http://h/a%2Fb", Request{Path: "c%2Fd%20e+f@1"}, "http://h/a%2Fb/c%2Fd%20e+f@1"},
		{"what needs it is escaped", "http://h", Request{Path: "a b/ä?c#d[1]\\%zz%"}, "http://h/a%20b/%C3%A4%3Fc%23d%5B1%5D%5C%25zz%25"},
		{"query", "http://h", Request{Path: "a", Query: "b c\r\nd#e"}, "http://h/a?b%20c%0D%0Ad%23e"},
		{"a host in the path", "http://h/a", Request{Path: "//evil/x"}, "http://h/a//evil/x"},
		{"a URL in the path", "http://h/a", Request{Path: "http://evil/x"}, "http://h/a/http://evil/x"},
		{"dots in names", "http://h/a", Request{Path: "..a/b../..."}, "http://h/a/..a/b../..."},
		{"up", "http://h/a", Request{Path: "../b"}, ""},
		{"up in the middle", "http://h/a", Request{Path: "b/../../c"}, ""},
		{"up at the end", "http://h/a", Request{Path: "b/.."}, ""},
		{"encoded dots", "http://h/a", Request{Path: "%2e%2E/b"}, ""},
		{"half encoded dots", "http://h/a", Request{Path: ".%2e/b"}, ""},
		{"encoded slash", "http://h/a", Request{Path: "b/..%2fc"}, ""},
		{"backslash", "http://h/a", Request{Path: `..\b`}, ""},
		{"dot", "http://h/a", Request{Path: "./b"}, ""},
		{"absolute", "http://h/a", Request{URL: "https://other/b?c=d e#f", Path: "x"}, "https://other/b?c=d%20e"},
		{"absolute with escapes", "http://h/a", Request{URL: "http://other/b%2Fc d"}, "http://other/b%2Fc%20d"},
		{"credentials", "http://h/a", Request{URL: "http://u:p@h/b"}, ""},
		{"a file", "http://h/a", Request{URL: "file:///etc/passwd"}, ""},
		{"no host", "http://h/a", Request{URL: "http:///b"}, ""},
		{"opaque", "http://h/a", Request{URL: "http:b"}, ""},
		{"relative", "http://h/a", Request{URL: "/b"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			base, err := parseBase(tt.base)
			if err != nil {
				t.Fatal(err)
			}
			got, err := target(base, tt.req)
			switch {
			case tt.want == "" && !errs.Is(err, errs.Invalid):
				t.Errorf("URL %v, error %v; want it refused", got, err)
			case tt.want != "" && (err != nil || got.String() != tt.want):
				t.Errorf("URL %v, error %v; want %s", got, err, tt.want)
			}
		})
	}
}

func TestBase(t *testing.T) {
	for _, s := range []string{"", "host/path", "ftp://host/", "http://", "http://:80/", "http://user:hush@host/", "http://user:hush@ho st/", "http://[::1"} {
		_, err := parseBase(s)
		if e := errs.As(err); e.Field != "proxy.remoteUrl" || strings.Contains(e.Error(), "hush") {
			t.Errorf("%q: error %v, want one about the remote URL without secrets", s, err)
		}
	}
}

func TestOrigin(t *testing.T) {
	same := []string{"http://host/a", "http://HOST:80/b", "http://host:80"}
	other := []string{"https://host/", "http://host:81/", "http://host2/", "http://a.host/", "http://host./"}
	for _, s := range same {
		if got := origin(mustParse(t, s)); got != "http://host:80" {
			t.Errorf("%s: origin %s", s, got)
		}
	}
	for _, s := range other {
		if got := origin(mustParse(t, s)); got == "http://host:80" {
			t.Errorf("%s: origin %s", s, got)
		}
	}
}

func mustParse(t testing.TB, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// FuzzJoin shows that no path gets out of the base.
func FuzzJoin(f *testing.F) {
	for _, s := range []string{"a/b", "../x", "%2e%2e/x", "a%2Fb", "//h", "a?b#c", "%", "%zz\x00é"} {
		f.Add(s, s)
	}
	base, err := parseBase("http://host/some/base")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, path, query string) {
		u, err := join(base, path, query)
		if err != nil {
			return
		}
		again, err := url.Parse(u.String())
		if err != nil {
			t.Fatalf("%q is no URL: %v", u, err)
		}
		if again.String() != u.String() || again.EscapedPath() != u.EscapedPath() {
			t.Errorf("%q is read as %q", u, again)
		}
		if again.Host != "host" || again.Fragment != "" || again.User != nil {
			t.Errorf("%q is elsewhere", u)
		}
		if resolved := base.ResolveReference(again); path != "" && !strings.HasPrefix(resolved.EscapedPath(), "/some/base/") {
			t.Errorf("%q leads to %q", u, resolved)
		}
		if strings.ContainsAny(again.RequestURI(), " \r\n#") {
			t.Errorf("request line %q", again.RequestURI())
		}
	})
}
