package repository

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/repomgr/repomgr/core/errs"
)

// ranged looks at a request's Range before net/http does, whose answer to one that can't be satisfied is not in the dialect of the
// format. Units other than bytes are ignored (RFC 9110 section 14.2), and so is a Range that depends on a condition.
func ranged(h http.Header, r *http.Request, size int64) (*http.Request, error) {
	value := r.Header.Get("Range")
	if value == "" || r.Header.Get("If-Range") != "" || r.Header.Get("If-None-Match") != "" || r.Header.Get("If-Modified-Since") != "" ||
		r.Header.Get("If-Match") != "" || r.Header.Get("If-Unmodified-Since") != "" {
		return r, nil
	}
	unit, set, ok := strings.Cut(value, "=")
	if ok && !strings.EqualFold(strings.TrimSpace(unit), "bytes") {
		r = r.Clone(r.Context())
		r.Header.Del("Range")
		return r, nil
	}
	for spec := range strings.SplitSeq(set, ",") {
		if satisfiable(strings.TrimSpace(spec), size) {
			return r, nil
		}
	}
	h.Set("Content-Range", fmt.Sprintf("bytes */%d", size))
	return nil, errs.New(errs.RangeNotSatisfiable, "range %.100q is not in the %d bytes that there are", value, size)
}

// satisfiable tells whether a range-spec selects anything of so many bytes.
func satisfiable(spec string, size int64) bool {
	first, last, ok := strings.Cut(spec, "-")
	if !ok {
		return false
	}
	if first == "" {
		n, err := strconv.ParseInt(last, 10, 64)
		return err == nil && n > 0 && size > 0
	}
	from, err := strconv.ParseInt(first, 10, 64)
	if err != nil || from < 0 || from >= size {
		return false
	}
	to, err := strconv.ParseInt(last, 10, 64)
	return last == "" || err == nil && to >= from
}
