package httpapi

import (
	"errors"
	"net/http"
	"strings"

	"github.com/repomgr/repomgr/api"
	"github.com/repomgr/repomgr/core/errs"
)

// contentTypeProblem is the content type of errors of operations that Nexus has no counterpart of (RFC 9457).
const contentTypeProblem = "application/problem+json"

// problem is the body of such an error (RFC 9457 section 3). Its type is about:blank, as the status says what it is.
type problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	// Detail is a sentence; empty when the title says enough.
	Detail string `json:"detail,omitempty"`
	// RequestID is under which the server's log has more.
	RequestID string         `json:"requestId"`
	Errors    []problemField `json:"errors,omitempty"`
}

// problemField is what is wrong with one field, which a JSON pointer in a URI fragment names (RFC 6901 section 6).
type problemField struct {
	Pointer string `json:"pointer"`
	Detail  string `json:"detail"`
}

// isOwn tells whether the request is for an operation that Nexus has no counterpart of.
func isOwn(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, api.Own) }

func writeProblem(w http.ResponseWriter, err error, status int, id string) {
	p := problem{Title: http.StatusText(status), Status: status, RequestID: id}
	var bad invalid
	var said sentence
	e := errs.As(err)
	switch {
	case errors.As(err, &bad):
	case errors.As(err, &said):
		p.Detail = said.text
	case e.Kind == errs.Invalid:
		bad.add(e.Field, e.Message)
	case status != http.StatusInternalServerError && e.Message != p.Title:
		p.Detail = e.Message
	}
	for _, v := range bad {
		p.Errors = append(p.Errors, problemField{pointer(v.ID), v.Message})
	}
	if len(bad) == 1 {
		p.Detail = bad[0].Message
	}
	writeJSON(w, status, contentTypeProblem, p)
}

// pointer is that of a field whose parts are joined by dots; of the whole for an asterisk.
func pointer(field string) string {
	if field == "*" {
		return "#"
	}
	return "#/" + strings.ReplaceAll(field, ".", "/")
}
