package ui

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestHandler(t *testing.T) {
	tests := []struct {
		name       string
		page       Page
		want, lack []string
	}{
		{
			name: "anonymous", page: Page{Version: "1.2.3", API: "/api", Login: "/login"},
			want: []string{"Version 1.2.3.", "not signed in", "admin.password", `href="/login"`, `href="/api"`},
			lack: []string{"Repositories"},
		},
		{
			name: "no repositories", page: Page{User: "jane"},
			want: []string{"<strong>jane</strong>", "no repository that you may browse"},
			lack: []string{"admin.password", "Version"},
		},
		{
			name: "repositories",
			page: Page{User: "<b>", Repositories: []Repository{
				{Name: "images", Format: "docker", Type: "hosted", URL: "http://h/repository/images", Online: true,
					Entrances: []Entrance{{Address: "h:8082", Commands: "docker login h:8082\ndocker push h:8082/alpine"}}},
				{Name: "files", Format: "raw", Type: "hosted"},
			}},
			want: []string{"&lt;b&gt;", "<code>http://h/repository/images</code>", "Address: <code>h:8082</code>",
				"docker login h:8082\ndocker push h:8082/alpine</pre>", "raw, hosted, <strong>offline</strong>"},
			lack: []string{"<strong><b>", "no repository"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			Handler(func(*http.Request) Page { return test.page }).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
			html := w.Body.String()
			for _, text := range test.want {
				if !strings.Contains(html, text) {
					t.Errorf("%q is missing in\n%s", text, html)
				}
			}
			for _, text := range test.lack {
				if strings.Contains(html, text) {
					t.Errorf("%q is in\n%s", text, html)
				}
			}
			style := html[strings.Index(html, "<style>")+len("<style>") : strings.Index(html, "</style>")]
			sum := sha256.Sum256([]byte(style))
			if policy := w.Header().Get("Content-Security-Policy"); !strings.Contains(policy, base64.StdEncoding.EncodeToString(sum[:])) {
				t.Errorf("the policy %q forbids the page's style", policy)
			}
		})
	}
}
