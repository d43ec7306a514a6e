package remote

import (
	"net"
	"net/url"
	"strings"

	"github.com/repomgr/repomgr/core/errs"
)

// parseBase reads the URL of an upstream. Its query is dropped. The error doesn't repeat the URL, which may hold a password.
func parseBase(s string) (*url.URL, error) {
	const field = "proxy.remoteUrl"
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return nil, errs.Field(field, "remote URL must be of the form http://host/path or https://host/path")
	case u.User != nil:
		return nil, errs.Field(field, "remote URL must not contain credentials: use the authentication settings")
	}
	base := &url.URL{Scheme: u.Scheme, Host: u.Host}
	setPath(base, rawPath(u))
	return base, nil
}

// target returns the URL that a request is for.
func target(base *url.URL, req Request) (*url.URL, error) {
	if req.URL != "" {
		u, err := url.Parse(req.URL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
			return nil, errs.New(errs.Invalid, "a URL must be http or https, with a host and without credentials")
		}
		return clean(u), nil
	}
	return join(base, req.Path, req.Query)
}

// join returns the URL of a path below base. The base's path stays in front, whatever the path is.
func join(base *url.URL, path, query string) (*url.URL, error) {
	u := &url.URL{Scheme: base.Scheme, Host: base.Host, RawQuery: escape(query, "/?")}
	if path == "" {
		setPath(u, base.EscapedPath())
		return u, nil
	}
	setPath(u, strings.TrimSuffix(base.EscapedPath(), "/")+"/"+strings.TrimPrefix(path, "/"))
	// Servers resolve dot segments, some only after they have decoded %2e and %2f.
	below, err := url.PathUnescape(escape(path, "/"))
	if err != nil {
		return nil, errs.New(errs.Invalid, "a path has a wrong escape")
	}
	for segment := range strings.FieldsFuncSeq(below, func(r rune) bool { return r == '/' || r == '\\' }) {
		if segment == "." || segment == ".." {
			return nil, errs.New(errs.Invalid, "a path must not have the segments . and ..")
		}
	}
	return u, nil
}

// clean returns u as it is sent: without fragment and credentials.
func clean(u *url.URL) *url.URL {
	c := &url.URL{Scheme: u.Scheme, Host: u.Host, RawQuery: escape(u.RawQuery, "/?")}
	setPath(c, rawPath(u))
	return c
}

// rawPath is the path of a parsed URL as it was written. EscapedPath alone makes up another where one character should have been
// escaped and was not, and loses the escapes of others.
func rawPath(u *url.URL) string {
	if u.RawPath != "" {
		return u.RawPath
	}
	return u.EscapedPath()
}

// setPath sets the path of u to an escaped one, without changing its escapes.
func setPath(u *url.URL, path string) {
	u.RawPath = escape(path, "/")
	u.Path, _ = url.PathUnescape(u.RawPath) // escape leaves no wrong escapes
}

// escape escapes what may not stand in a path segment (RFC 3986 section 3.3), besides the characters in and. Escapes stay as they
// are; a percent sign that begins none is escaped.
func escape(s, and string) string {
	const upper = "0123456789ABCDEF"
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]),
			'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9',
			strings.IndexByte("-._~!$&'()*+,;=:@", c) >= 0, strings.IndexByte(and, c) >= 0:
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(upper[c>>4])
			b.WriteByte(upper[c&15])
		}
	}
	return b.String()
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// origin returns scheme, host and port in one form for all URLs of one server (RFC 6454 section 4).
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = "80"
		if u.Scheme == "https" {
			port = "443"
		}
	}
	return u.Scheme + "://" + net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}
