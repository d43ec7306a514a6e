package remote

import (
	"net/http"
	"strings"

	"github.com/repomgr/repomgr/core/errs"
)

// Request is a request to an upstream, or to a host that the upstream's documents name.
type Request struct {
	// Method is GET if empty.
	Method string
	// Path is below the base URL, with or without a slash in front, and escaped as in a URL: its escapes are sent as they are, and what
	// may not stand in a path is escaped, ? and # too. Empty is the base URL itself. The segments . and .. are refused.
	Path string
	// Query is what follows the question mark, escaped; empty for none.
	Query string
	// URL is an absolute URL that counts in place of Path and Query. Where it is not on the upstream's own host, no credentials are
	// sent, and of Header only what concerns the representation; neither does it count for or against the upstream.
	URL string
	// Header is sent but for fields that are the client's own affair: Authorization, Cookie, User-Agent, Accept-Encoding, Host, and
	// those of the connection.
	Header http.Header
	// Body is nil for none.
	Body []byte
}

// check refuses what net/http would, whose error would look like the upstream's.
func check(req Request) error {
	if _, err := http.NewRequest(req.Method, "http://host/", nil); err != nil {
		return errs.New(errs.Invalid, "%q is no method", req.Method)
	}
	for name, values := range req.Header {
		for _, value := range values {
			if !isToken(name) || !isValue(value) {
				return errs.New(errs.Invalid, "the header field %q is wrong", name)
			}
		}
	}
	return nil
}

// isToken tells whether s can be the name of a header field (RFC 9110 section 5.6.2).
func isToken(s string) bool {
	for _, b := range []byte(s) {
		if b <= ' ' || b >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, b) >= 0 {
			return false
		}
	}
	return s != ""
}
