package raw

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
)

func TestResolve(t *testing.T) {
	longest := "/" + strings.Repeat("a", maxPath-1)
	tests := []struct {
		name, method, path string
		action             content.Action
		directory          string
		err                errs.Kind // Internal for none
	}{
		{"read", "GET", "/a/b", content.Read, "/a", 0},
		{"head", "HEAD", "/a/b", content.Read, "/a", 0},
		{"write", "PUT", "/a/b", content.Edit, "/a", 0},
		{"delete", "DELETE", "/a/b", content.Delete, "/a", 0},
		{"file in the root", "GET", "/a", content.Read, "/", 0},
		{"longest path", "PUT", longest, content.Edit, "/", 0},
		{"dots in names", "PUT", "/.../..a/b..", content.Edit, "/.../..a", 0},
		{"root", "GET", "/", content.Read, "/", 0},
		{"directory", "GET", "/a/b/", content.Read, "/a/b", 0},
		{"directory written", "PUT", "/a/", "", "", errs.Invalid},
		{"root written", "PUT", "/", "", "", errs.Invalid},
		{"directory deleted", "DELETE", "/a/", "", "", errs.Invalid},
		{"post", "POST", "/a", "", "", errs.MethodNotAllowed},
		{"WebDAV", "MKCOL", "/a/", "", "", errs.MethodNotAllowed},
		{"nothing", "GET", "", "", "", errs.Invalid},
		{"no slash", "GET", "a", "", "", errs.Invalid},
		{"too long", "GET", longest + "a", "", "", errs.Invalid},
		{"parent", "GET", "/a/../b", "", "", errs.Invalid},
		{"parent at the end", "GET", "/a/..", "", "", errs.Invalid},
		{"parent directory", "GET", "/../", "", "", errs.Invalid},
		{"itself", "GET", "/a/./b", "", "", errs.Invalid},
		{"empty segment", "GET", "/a//b", "", "", errs.Invalid},
		{"empty first segment", "GET", "//a", "", "", errs.Invalid},
		{"empty last segment", "GET", "/a//", "", "", errs.Invalid},
		{"two slashes", "GET", "//", "", "", errs.Invalid},
		{"backslash", "GET", `/a\b`, "", "", errs.Invalid},
		{"NUL", "GET", "/a\x00", "", "", errs.Invalid},
		{"line feed", "GET", "/a\nb", "", "", errs.Invalid},
		{"delete character", "GET", "/\x7f", "", "", errs.Invalid},
		{"C1 control character", "GET", "/\u0085", "", "", errs.Invalid},
		{"no UTF-8", "GET", "/\xff", "", "", errs.Invalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			route, err := raw{}.Resolve(&http.Request{Method: tt.method}, tt.path)
			if tt.err != errs.Internal {
				if !errs.Is(err, tt.err) {
					t.Errorf("error is %v, want kind %d", err, tt.err)
				}
				return
			}
			if err != nil || route.Path != tt.path || route.Action != tt.action || route.Name != tt.directory || (len(route.Index) > 0) != (tt.action == content.Read) {
				t.Errorf("route is %+v, %v", route, err)
			}
		})
	}
}

// FuzzResolve: what is accepted is a path that means the same to everybody.
func FuzzResolve(f *testing.F) {
	for _, p := range []string{"/", "/a", "/a/", "/a/../b", "//", "/\x00", "/ä", `/\..`, "/...", "", "/\xff"} {
		f.Add("GET", p)
		f.Add("PUT", p)
	}
	f.Fuzz(func(t *testing.T, method, p string) {
		route, err := raw{}.Resolve(&http.Request{Method: method}, p)
		if err != nil {
			if errs.As(err).Kind == errs.Internal {
				t.Errorf("an error without a kind: %v", err)
			}
			return
		}
		clean := path.Clean(p)
		if strings.HasSuffix(p, "/") && p != "/" {
			clean += "/"
		}
		if route.Path != p || clean != p || !path.IsAbs(p) || len(p) > maxPath || !utf8.ValidString(p) || strings.ContainsAny(p, "\x00\\\r\n") {
			t.Errorf("%s %q is accepted as %q", method, p, route.Path)
		}
		if route.Action != content.Read && strings.HasSuffix(p, "/") {
			t.Errorf("%s of the directory %q is accepted", method, p)
		}
	})
}

func TestSettings(t *testing.T) {
	tests := []struct {
		name, raw string
		want      Disposition
		field     string
	}{
		{"nothing", "", Attachment, ""},
		{"empty", "{}", Attachment, ""},
		{"null", `{"contentDisposition":null}`, Attachment, ""},
		{"inline", `{"contentDisposition":"INLINE"}`, Inline, ""},
		{"lower case", `{"contentDisposition":"inline"}`, Inline, ""},
		{"other", `{"contentDisposition":"x"}`, "", "raw.contentDisposition"},
		{"header", `{"contentDisposition":"inline\r\nX: y"}`, "", "raw.contentDisposition"},
		{"number", `{"contentDisposition":1}`, "", "raw"},
		{"list", `[]`, "", "raw"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, access, err := raw{}.Settings(json.RawMessage(tt.raw))
			if tt.field != "" {
				if !errs.Is(err, errs.Invalid) || errs.As(err).Field != tt.field {
					t.Errorf("error is %v about %q, want one about %q", err, errs.As(err).Field, tt.field)
				}
				return
			}
			if err != nil || !reflect.DeepEqual(got, Settings{ContentDisposition: tt.want}) || access != (format.Access{}) {
				t.Errorf("settings are %+v, %+v, %v", got, access, err)
			}
		})
	}
}

func TestHeaders(t *testing.T) {
	tests := []struct {
		name        string
		disposition Disposition
		status      int
		want        string
	}{
		{"attachment", Attachment, 200, "attachment"},
		{"inline", Inline, 200, "inline"},
		{"upload", Attachment, 201, ""},
		{"deletion", Attachment, 204, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			raw{}.Headers(w.Header(), format.Repository{Settings: Settings{ContentDisposition: tt.disposition}}, format.Entry{}, format.Route{}, content.Asset{}, tt.status)
			if got := w.Header().Get("Content-Disposition"); got != tt.want {
				t.Errorf("header is %q, want %q", got, tt.want)
			}
		})
	}
}
