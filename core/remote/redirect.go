package remote

import (
	"errors"
	"net/http"
	"net/url"
)

// crossing are the header fields that follow a request to another host. What is not named here may be a credential by a name of
// its own.
var crossing = []string{
	"Accept", "Accept-Encoding", "Accept-Language", "Cache-Control", "Range", "If-Range", "If-Match", "If-None-Match",
	"If-Modified-Since", "If-Unmodified-Since", "User-Agent",
}

func foreign(header http.Header) http.Header {
	h := http.Header{}
	for _, name := range crossing {
		if values := header.Values(name); len(values) > 0 {
			h[name] = values
		}
	}
	return h
}

// maxRedirects is how many redirects one request follows.
const maxRedirects = 10

// trail is the way of one request through redirects.
type trail struct {
	at       *url.URL
	left     bool // it was at another origin than the first
	hops     int
	circular bool
	visited  map[string]bool
}

func (c *Client) newTrail(start *url.URL) *trail {
	return &trail{at: start, circular: c.circular, visited: map[string]bool{start.String(): true}}
}

// strayed marks the error of a visit to where the upstream led.
func (t *trail) strayed(err error) error {
	if t.hops > 0 && t.left {
		return elsewhere(err)
	}
	return err
}

// elsewhere marks an error as one of a place that the upstream named.
func elsewhere(err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	marked := *e
	marked.Elsewhere = true
	return &marked
}

// follow goes where resp leads to; it tells that resp leads nowhere else, or why it can't be followed. The body of an answer that
// is followed is done with.
func (t *trail) follow(resp *http.Response) (bool, error) {
	switch resp.StatusCode {
	default:
		return false, nil
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	}
	bad := func(reason string) (bool, error) {
		return false, &Error{Kind: Redirect, Host: t.at.Host, Status: resp.StatusCode, Err: errors.New(reason)}
	}
	location := resp.Header.Get("Location")
	next, err := t.at.Parse(location)
	switch {
	case location == "" || err != nil || next.Hostname() == "":
		return bad("it names no place to go to")
	case next.Scheme != "http" && next.Scheme != "https":
		return bad("it leads to something other than http and https")
	case t.hops == maxRedirects:
		return bad("there were too many before")
	}
	next = clean(next)
	if t.visited[next.String()] && !t.circular {
		return bad("it leads in a circle")
	}
	discard(resp)
	t.left = t.left || origin(next) != origin(t.at)
	t.visited[next.String()] = true
	t.at, t.hops = next, t.hops+1
	return true, nil
}
