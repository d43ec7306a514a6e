package repository

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/repomgr/repomgr/core/errs"
)

// ranged looks at a request's Range before net/http does, whose answer to one that can't be satisfied is not in the dialect of the
// format, and which knows the unit in lower case only. Units other than bytes are ignored (RFC 9110 section 14.2). Where a Range depends
// on a condition, net/http decides; one that is no Range at all is then ignored.
func ranged(h http.Header, r *http.Request, size int64) (*http.Request, error) {
	value := r.Header.Get("Range")
	if value == "" {
		return r, nil
	}
	unit, set, ok := strings.Cut(value, "=")
	if ok && !strings.EqualFold(strings.TrimSpace(unit), "bytes") {
		return withRange(r, ""), nil
	}
	var specs []string
	some, valid := false, true
	for spec := range strings.SplitSeq(set, ",") {
		if spec = clamp(strings.TrimSpace(spec)); spec == "" {
			continue // lists may have empty elements (section 5.6.1)
		}
		within, known := satisfiable(spec, size)
		specs, some, valid = append(specs, spec), some || within, valid && known
	}
	conditional := slices.ContainsFunc([]string{"If-Range", "If-None-Match", "If-Modified-Since", "If-Match", "If-Unmodified-Since"}, func(name string) bool {
		return r.Header.Get(name) != ""
	})
	switch {
	case conditional && (!valid || len(specs) == 0):
		return withRange(r, ""), nil
	case !conditional && !(some && valid):
		h.Set("Content-Range", fmt.Sprintf("bytes */%d", size))
		return nil, errs.New(errs.RangeNotSatisfiable, "range %.100q is not in the %d bytes that there are", value, size)
	}
	if canonical := "bytes=" + strings.Join(specs, ", "); canonical != value {
		return withRange(r, canonical), nil
	}
	return r, nil
}

// withRange is the request with another Range; with none for an empty one.
func withRange(r *http.Request, value string) *http.Request {
	r = r.Clone(r.Context())
	if r.Header.Del("Range"); value != "" {
		r.Header.Set("Range", value)
	}
	return r
}

// satisfiable tells whether a range-spec selects anything of so many bytes, and whether it is one at all.
func satisfiable(spec string, size int64) (some, valid bool) {
	first, last, ok := strings.Cut(spec, "-")
	if !ok {
		return false, false
	}
	if first == "" {
		n, err := strconv.ParseUint(last, 10, 63)
		return err == nil && n > 0 && size > 0, err == nil
	}
	from, err := strconv.ParseUint(first, 10, 63)
	if err != nil {
		return false, false
	}
	to, err := strconv.ParseUint(last, 10, 63)
	if last != "" && (err != nil || to < from) {
		return false, false
	}
	return from < uint64(max(size, 0)), true
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
