package repository

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/repomgr/repomgr/core/format"
)

// rest is the continuation of a body that broke off.
type rest struct {
	io.ReadCloser
	// end is the position after its last byte: it may be less than all that is left.
	end int64
	// total is how many bytes the whole has.
	total int64
}

// rest asks for the bytes from offset on, of the same representation (RFC 9110 section 13.1.5). length is how many there are in all; -1
// when that is not known, and then the answer must say it.
func (x *exchange) rest(ctx context.Context, route format.Route, res *http.Response, offset, length int64) (rest, error) {
	h := http.Header{"Range": {"bytes=" + strconv.FormatInt(offset, 10) + "-"}}
	etag := strongETag(res.Header)
	switch {
	case etag != "":
		h.Set("If-Range", etag)
	case route.Expect == "":
		return rest{}, errors.New("upstream's bytes can't be asked for in parts")
	}
	part, err := x.again(ctx, route, h)
	if err != nil {
		return rest{}, err
	}
	r, err := continuation(part, etag, route.Expect != "", offset, length)
	if err == nil {
		err = coded(part.Header, route)
	}
	if err != nil {
		part.Body.Close()
		return rest{}, err
	}
	return r, nil
}

// continuation checks that part are bytes from offset on of what has the etag and the length. Not all servers heed If-Range, so that their
// word for it is not enough. named tells that a digest will show whose bytes they are; then an etag may be missing.
func continuation(part *http.Response, etag string, named bool, offset, length int64) (rest, error) {
	value := part.Header.Get("Content-Range")
	first, last, total, ok := contentRange(value)
	got := strongETag(part.Header)
	switch {
	case part.StatusCode != http.StatusPartialContent || !ok || first != offset:
		return rest{}, fmt.Errorf("upstream answers a request for the rest with status %d and Content-Range %.100q", part.StatusCode, value)
	case got != etag && (part.Header.Get("ETag") != "" || !named):
		return rest{}, fmt.Errorf("upstream answers a request for the rest of what has ETag %.100s by a part of what has %.100q", etag, part.Header.Get("ETag"))
	case length < 0 && total < 0:
		return rest{}, errors.New("upstream does not say how much there is of what it sends in parts")
	case length >= 0 && total >= 0 && length != total:
		return rest{}, fmt.Errorf("upstream has %d bytes where it had %d", total, length)
	}
	total = max(total, length)
	if last >= total {
		return rest{}, fmt.Errorf("upstream answers a request for the rest of %d bytes with Content-Range %.100q", total, value)
	}
	return rest{part.Body, last + 1, total}, nil
}

// strongETag is the entity tag of an answer, if it is one by which parts can be put together (RFC 9110 section 8.8.3); else empty.
func strongETag(h http.Header) string {
	etag := strings.TrimSpace(h.Get("ETag"))
	if !strings.HasPrefix(etag, `"`) {
		return ""
	}
	return etag
}

// contentRange reads a Content-Range of bytes (RFC 9110 section 14.4). total is -1 where it is not told.
func contentRange(value string) (first, last, total int64, ok bool) {
	unit, value, _ := strings.Cut(value, " ")
	positions, size, _ := strings.Cut(value, "/")
	from, to, _ := strings.Cut(positions, "-")
	first, err1 := strconv.ParseInt(from, 10, 64)
	last, err2 := strconv.ParseInt(to, 10, 64)
	total, err3 := int64(-1), error(nil)
	if size != "*" {
		total, err3 = strconv.ParseInt(size, 10, 64)
	}
	ok = strings.EqualFold(unit, "bytes") && errors.Join(err1, err2, err3) == nil && first >= 0 && last >= first && (total < 0 && size == "*" || total > last)
	return first, last, total, ok
}
