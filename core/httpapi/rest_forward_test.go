package httpapi

import (
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A raw proxy that forwards queries has a file for each; one that doesn't ignores them.
func TestForwardedQueries(t *testing.T) {
	w, up := newWired(t), &origin{}
	up.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		up.requests.Add(1)
		if strings.Contains(r.URL.RawQuery, "none") {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, r.URL.RequestURI())
	}))
	t.Cleanup(up.Close)
	const path = "/v1/repositories/raw/proxy"
	with := func(name, raw string) string {
		return edit(up.rawProxy(name, "/pub", quick), `"proxy":`, `"raw":`+raw+`,"proxy":`)
	}
	w.want(t, 201, "", "POST", path, with("plain", `{"forwardQueryParameters":false}`))
	w.want(t, 201, "", "POST", path, with("far", `{"forwardQueryParameters":true,"excludedQueryParameters":["token"]}`))
	w.want(t, 201, "", "POST", "/v1/repositories/raw/group", rawGroup("all", `{"memberNames":["far","plain"]}`))
	tests := []struct {
		name, path, want string
		asked            int64
	}{
		{"ignored", "/repository/plain/f.txt?a=1", "/pub/f.txt", 1},
		{"ignored again", "/repository/plain/f.txt?a=2", "/pub/f.txt", 0},
		{"none", "/repository/far/f.txt", "/pub/f.txt", 1},
		{"one", "/repository/far/f.txt?b=2&a=1", "/pub/f.txt?a=1&b=2", 1},
		{"the same", "/repository/far/f.txt?%61=1&token=x&b=2", "/pub/f.txt?a=1&b=2", 0},
		{"another one", "/repository/far/f.txt?a=2", "/pub/f.txt?a=2", 1},
		{"an excluded one only", "/repository/far/f.txt?token=x", "/pub/f.txt", 0},
		{"a question mark in the name", "/repository/far/f.txt%3Fa=2", "/pub/f.txt%3Fa=2", 1},
		{"and a query", "/repository/far/f.txt%3Fa=2?a=2", "/pub/f.txt%3Fa=2?a=2", 1},
		{"by way of a group", "/repository/all/f.txt?b=2&a=1", "/pub/f.txt?a=1&b=2", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			up.seen()
			w := &wired{fixture: w.in(t)}
			for range 2 { // from upstream, and then from what is kept
				got := w.want(t, 200, tt.want, "GET", tt.path, "")
				if mediaType := got.Header.Get("Content-Type"); !strings.HasPrefix(mediaType, "text/plain") {
					t.Errorf("content type is %s", mediaType)
				}
				w.want(t, 200, "", "HEAD", tt.path, "")
			}
			if n := up.seen(); n != tt.asked {
				t.Errorf("upstream was asked %d times, not %d", n, tt.asked)
			}
		})
	}
	w.want(t, 400, "the query has a wrong escape", "GET", "/repository/far/f.txt?a=%zz", "")
	w.want(t, 400, "", "GET", "/repository/far/f.txt?a="+strings.Repeat("x", 1024), "")
	w.want(t, 404, "", "GET", "/repository/far/f.txt?none", "")
	up.seen()
	w.want(t, 404, "", "GET", "/repository/far/f.txt?none", "")
	if n := up.seen(); n != 0 {
		t.Error("an absence is not remembered")
	}
	w.want(t, 200, "", "GET", "/repository/far/f.txt?some", "")

	// The links of the listing lead to what is kept.
	page := w.want(t, 200, "", "GET", "/service/rest/repository/browse/far/", "").body
	links := 0
	for part := range strings.SplitSeq(page, `href="`) {
		link, _, _ := strings.Cut(html.UnescapeString(part), `"`)
		if _, file, ok := strings.Cut(link, "/repository/far/"); ok {
			links++
			w.want(t, 200, "", "GET", "/repository/far/"+file, "")
		}
	}
	if n := up.seen(); links < 6 || n != 1 {
		t.Errorf("%d links in %s: upstream was asked %d times", links, page, n)
	}

	// A change of the setting holds at once; what is shown is taken back.
	shown := w.want(t, 200, "", "GET", path+"/far", "").body
	if !strings.Contains(shown, `"raw":{"contentDisposition":"ATTACHMENT","forwardQueryParameters":true,"excludedQueryParameters":["token"]}`) {
		t.Errorf("shown is %s", shown)
	}
	w.want(t, 204, "", "PUT", path+"/far", shown)
	w.want(t, 200, strings.TrimSpace(shown), "GET", path+"/far", "")
	w.want(t, 204, "", "PUT", path+"/far", with("far", `{}`))
	w.want(t, 200, "/pub/f.txt", "GET", "/repository/far/f.txt?a=2", "")
	w.want(t, 400, violationsOf("raw.excludedQueryParameters", "the name of an excluded parameter must have 1 to 255 bytes"), "PUT", path+"/far", with("far", `{"excludedQueryParameters":[""]}`))
}
