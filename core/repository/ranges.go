package repository

import (
	"errors"
	"fmt"
	"math"
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
	specs := strings.Split(set, ",")
	any, changed := false, false
	for i, spec := range specs {
		if specs[i] = strings.TrimSpace(spec); satisfiable(specs[i], size) {
			any = true
		}
		if short := clamp(specs[i]); short != specs[i] {
			specs[i], changed = short, true
		}
	}
	if !any {
		h.Set("Content-Range", fmt.Sprintf("bytes */%d", size))
		return nil, errs.New(errs.RangeNotSatisfiable, "range %.100q is not in the %d bytes that there are", value, size)
	}
	if changed {
		r = r.Clone(r.Context())
		r.Header.Set("Range", "bytes="+strings.Join(specs, ", "))
	}
	return r, nil
}

// satisfiable tells whether a range-spec selects anything of so many bytes.
func satisfiable(spec string, size int64) bool {
	first, last, ok := strings.Cut(clamp(spec), "-")
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

// clamp writes positions that are beyond any size as the largest one. They mean the end (RFC 9110 section 14.1.2), however many
// digits they have; net/http refuses them.
func clamp(spec string) string {
	first, last, ok := strings.Cut(spec, "-")
	if !ok {
		return spec
	}
	return position(first) + "-" + position(last)
}

func position(digits string) string {
	if _, err := strconv.ParseInt(digits, 10, 64); errors.Is(err, strconv.ErrRange) && strings.Trim(digits, "0123456789") == "" {
		return strconv.Itoa(math.MaxInt64)
	}
	return digits
}
