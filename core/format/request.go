package format

import (
	"net/http"
	"strings"
)

// ClientScheme is the scheme that the client used, as a proxy in front says (X-Forwarded-Proto), or as the request came.
func ClientScheme(r *http.Request) string {
	switch s := firstValue(r.Header.Get("X-Forwarded-Proto")); strings.ToLower(s) {
	case "http", "https":
		return strings.ToLower(s)
	}
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

// ClientHost is the host, with the port if it named one, that the client used, as a proxy in front says (X-Forwarded-Host), or as
// the request came. What is no host can't be: it would leave its place in a URL or a header.
func ClientHost(r *http.Request) string {
	for _, host := range []string{firstValue(r.Header.Get("X-Forwarded-Host")), r.Host} {
		if isHost(host) {
			return host
		}
	}
	return "localhost"
}

// firstValue is the first of a header's comma-separated values: that of the proxy nearest to the client.
func firstValue(s string) string {
	s, _, _ = strings.Cut(s, ",")
	return strings.TrimSpace(s)
}

// isHost tells whether s has only characters of host names, addresses and ports (RFC 3986 section 3.2.2).
func isHost(s string) bool {
	if s == "" || len(s) > 255 {
		return false
	}
	for _, c := range []byte(strings.ToLower(s)) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && !strings.ContainsRune(".-_:[]", rune(c)) {
			return false
		}
	}
	return true
}
