package proxy

import (
	"net/http"
	"strings"
	"testing"
)

// A list through a group of which a member can't be asked is an error where the others have nothing: that there is no such image, or
// that it has no tags, would be believed.
func TestListWhileAway(t *testing.T) {
	for _, test := range []struct {
		name    string
		handler http.HandlerFunc
		code    int
		word    string
	}{
		{"down", status(500), 503, "UNAVAILABLE"},
		{"too many requests", status(429, "Retry-After", "0"), 429, "TOOMANYREQUESTS"},
		{"nonsense", serve("<html>"), 502, "UNAVAILABLE"},
		{"absent", status(404), 404, "NAME_UNKNOWN"},
	} {
		t.Run(test.name, func(t *testing.T) {
			u, s := newScriptedProxy(t)
			s.group(t, "turned", "", "local", "far")
			u.handle(test.handler)
			for _, repository := range []string{"all", "turned"} {
				code, _, body := call(t, "GET", s.host+"/v2/"+repository+"/a/tags/list", "", "")
				if code != test.code || !strings.Contains(body, `"`+test.word+`"`) {
					t.Errorf("%s: %d %s, want %d %s", repository, code, body, test.code, test.word)
				}
				code, _, body = call(t, "GET", s.host+"/repository/"+repository+"/v2/_catalog", "", "")
				if want := test.code; want != 404 && code != want {
					t.Errorf("catalog of %s: %d %s, want %d", repository, code, body, want)
				}
			}
			if code, _, body := call(t, "PUT", s.host+"/v2/local/a/manifests/1", typeIndex, image); code != 201 {
				t.Fatal(code, body)
			}
			for _, repository := range []string{"all", "turned"} {
				if code, _, body := call(t, "GET", s.host+"/v2/"+repository+"/a/tags/list", "", ""); code != 200 || !strings.Contains(body, `["1"]`) {
					t.Errorf("%s with a hit: %d %s", repository, code, body)
				}
			}
		})
	}
}
