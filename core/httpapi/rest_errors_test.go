package httpapi

import (
	"crypto/tls"
	"net/http"
	"testing"
)

func TestInvalidContentType(t *testing.T) {
	tests := []struct {
		name   string
		accept []string
		want   string
	}{
		{"nothing said", nil, contentTypeInvalid},
		{"anything", []string{"*/*"}, contentTypeInvalid},
		{"any application", []string{"text/html", "application/*;q=0.5"}, contentTypeInvalid},
		{"itself", []string{"application/json, " + contentTypeInvalid}, contentTypeInvalid},
		{"JSON only", []string{"application/json"}, "application/json"},
		{"JSON before anything", []string{"application/json, */*;q=0.1"}, contentTypeInvalid},
		{"anything but itself", []string{"*/*, " + contentTypeInvalid + ";q=0"}, "application/json"},
		{"HTML only", []string{"text/html"}, "application/json"},
		{"nonsense", []string{";;"}, "application/json"},
	}
	f := newFixture(t, knownUsers)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), "POST", f.URL+"/service/rest/v1/blobstores/file", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.SetBasicAuth(admin, admin)
			r.Header["Accept"] = test.accept
			response, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			if got := response.Header.Get("Content-Type"); response.StatusCode != 400 || got != test.want {
				t.Errorf("%d %s, not 400 %s", response.StatusCode, got, test.want)
			}
		})
	}
}

func TestBaseURL(t *testing.T) {
	tests := []struct {
		name   string
		secure bool
		header map[string]string
		want   string
	}{
		{name: "plain", want: "http://inner:8081"},
		{name: "TLS", secure: true, want: "https://inner:8081"},
		{name: "forwarded", header: map[string]string{"X-Forwarded-Proto": "HTTPS", "X-Forwarded-Host": "repo.example.org"}, want: "https://repo.example.org"},
		{name: "by several proxies", header: map[string]string{"X-Forwarded-Proto": "https, http", "X-Forwarded-Host": "[::1]:8443 , inner"}, want: "https://[::1]:8443"},
		{name: "nonsense", header: map[string]string{"X-Forwarded-Proto": "javascript", "X-Forwarded-Host": `x"/><b`}, want: "http://inner:8081"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := &http.Request{Host: "inner:8081", Header: http.Header{}}
			if test.secure {
				r.TLS = &tls.ConnectionState{}
			}
			for name, value := range test.header {
				r.Header.Set(name, value)
			}
			if got := baseURL(r); got != test.want {
				t.Errorf("%s, not %s", got, test.want)
			}
		})
	}
}
