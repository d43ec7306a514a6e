package proxy

import (
	"fmt"
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

// subject is what referrers are asked for.
const subject = "sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"

// A list of referrers without any is no answer while a member can't be asked: the client would believe that there are no signatures.
func TestReferrersWhileAway(t *testing.T) {
	u, s := newScriptedProxy(t)
	s.group(t, "turned", "", "local", "far")
	s.hosted(t, "second", false)
	s.group(t, "hosts", "", "local", "second")
	const list = "/a/referrers/" + subject
	expect := func(name, repository string, code int, warning, has string) {
		t.Helper()
		got, h, body := call(t, "GET", s.host+"/v2/"+repository+list, "", "")
		if got != code || !strings.Contains(strings.Join(h.Values("Warning"), " "), warning) || warning == "" && h.Get("Warning") != "" || !strings.Contains(body, has) {
			t.Errorf("%s, %s: %d %s, warnings %q; want %d with %q, warning %q", name, repository, got, body, h.Values("Warning"), code, has, warning)
		}
	}
	u.handle(status(404))
	for _, repository := range []string{"far", "local", "hosts", "all", "turned"} {
		expect("nowhere", repository, 200, "", `"manifests":[]`)
	}
	u.handle(status(500))
	expect("down", "far", 503, "", "UNAVAILABLE")
	expect("down", "hosts", 200, "", `"manifests":[]`)
	for _, repository := range []string{"all", "turned"} {
		expect("down", repository, 503, "", "UNAVAILABLE")
	}
	signature := `{"schemaVersion":2,"mediaType":"` + typeIndex + `","artifactType":"application/x.signature","manifests":[],"subject":{"mediaType":"` + typeIndex + `","digest":"` + subject + `","size":1}}`
	if code, _, body := call(t, "PUT", s.host+"/v2/local/a/manifests/signed", typeIndex, signature); code != 201 {
		t.Fatal(code, body)
	}
	for _, repository := range []string{"all", "turned"} {
		expect("down, with a hit", repository, 200, "199 ", "application/x.signature")
	}
	u.handle(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", typeIndex)
		fmt.Fprint(w, image)
	})
	for _, repository := range []string{"far", "all"} {
		expect("up again", repository, 200, "", "manifests")
	}
	u.handle(status(500))
	for _, repository := range []string{"far", "all"} {
		expect("stale", repository, 200, "110 ", "manifests")
	}
}

// A list that is made of stale copies, or that lacks a part, says so, as a stale manifest does.
func TestMarkedLists(t *testing.T) {
	u, s := newScriptedProxy(t)
	if code, _, body := call(t, "PUT", s.host+"/v2/local/a/manifests/own", typeIndex, image); code != 201 {
		t.Fatal(code, body)
	}
	lists := []string{
		"/v2/far/a/tags/list", "/v2/all/a/tags/list", "/repository/far/v2/_catalog", "/repository/all/v2/_catalog", "/v2/_catalog",
	}
	expect := func(name, list, warning string, aged bool) {
		t.Helper()
		code, h, body := call(t, "GET", s.host+list, "", "")
		got := strings.Join(h.Values("Warning"), ", ")
		if code != 200 || !strings.HasPrefix(got, warning) || (got == "") != (warning == "") || (h.Get("Age") != "") != aged {
			t.Errorf("%s: %s: %d %s, warnings %q, age %q; want warning %q", name, list, code, body, got, h.Get("Age"), warning)
		}
	}
	u.handle(status(500))
	for _, list := range lists {
		if !strings.Contains(list, "/far/") {
			expect("down", list, "199 ", false)
		}
	}
	u.handle(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/manifests/") {
			serve(image)(w, r)
			return
		}
		fmt.Fprint(w, `{"name":"a","tags":["1"],"repositories":["a"]}`)
	})
	for _, list := range lists {
		warning := ""
		if list == "/v2/_catalog" {
			warning = "199 " // lasting is left alone for a while
		}
		expect("up", list, warning, false)
	}
	u.handle(status(500))
	for _, list := range lists {
		expect("stale", list, "110 ", true)
	}
	t.Run("what is kept", func(t *testing.T) {
		u.handle(serve(image))
		if code, _, body := call(t, "GET", s.host+"/v2/far/b/manifests/1", "", ""); code != 200 {
			t.Fatal(code, body)
		}
		u.handle(status(500))
		for _, repository := range []string{"far", "all"} {
			expect("no list", "/v2/"+repository+"/b/tags/list", "199 ", false)
		}
	})
}
