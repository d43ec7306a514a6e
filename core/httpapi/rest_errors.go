package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strings"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/repomgr/repomgr/core/errs"
)

// challenge asks for credentials. Clients of Nexus know it by its upper-case scheme and its realm.
const challenge = `BASIC realm="Sonatype Nexus Repository Manager"`

// contentTypeInvalid is the content type of a list of violations.
const contentTypeInvalid = "application/vnd.siesta-validation-errors-v1+json"

// violation is what is wrong with one field of a request, or with the whole of it ("*").
type violation struct {
	ID      string `json:"id"`
	Message string `json:"message"`
}

// invalid is all that is wrong with a request.
type invalid []violation

func (v invalid) Error() string {
	texts := make([]string, len(v))
	for i, one := range v {
		texts[i] = one.ID + ": " + one.Message
	}
	return strings.Join(texts, "; ")
}

func (v *invalid) add(id, message string) {
	if id == "" {
		id = "*"
	}
	*v = append(*v, violation{id, message})
}

// sentence is a failure whose body is one sentence, whatever its kind is rendered as elsewhere.
type sentence struct {
	status int
	text   string
}

func (s sentence) Error() string { return s.text }

// refused makes an operation that can't be done a sentence: 400 when the state of things or the input forbids it.
func refused(err error) error {
	if e := errs.As(err); e.Kind == errs.Invalid || e.Kind == errs.Conflict {
		return sentence{http.StatusBadRequest, e.Message}
	}
	return err
}

// fault is the body of an error that needs no words.
type fault struct {
	Code    int    `json:"status-code"`
	ID      string `json:"siesta-faultid"`
	Message string `json:"status-message"`
}

// handleError is echo's error handler.
func (s *server) handleError(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	var routed *echo.HTTPError
	if errors.As(err, &routed) && routed.Code == http.StatusBadRequest {
		// the generated code could not bind a parameter or the body
		err = mismatch(err)
	}
	r := c.Request()
	id := uuid.NewString()
	if isREST(r) {
		c.Response().Header().Set("X-Siesta-FaultId", id)
	}
	status := statusOf(err)
	if status == http.StatusInternalServerError && r.Context().Err() == nil {
		s.Log.ErrorContext(r.Context(), "request failed", "method", r.Method, "path", r.URL.Path, "fault", id, "err", err)
	}
	if e := errs.As(err); e.RetryAfter > 0 {
		c.Response().Header().Set("Retry-After", fmt.Sprint(int64(max(e.RetryAfter.Seconds(), 1))))
	}
	if status == http.StatusUnauthorized {
		c.Response().Header().Set("WWW-Authenticate", challenge)
	}
	if !isREST(r) {
		writeText(c.Response(), status, http.StatusText(status))
		return
	}
	if isOwn(r) {
		writeProblem(c.Response(), err, status, id)
		return
	}
	writeError(c.Response(), r, err, status, id)
}

func statusOf(err error) int {
	var bad invalid
	var said sentence
	var routed *echo.HTTPError
	switch {
	case errors.As(err, &bad):
		return http.StatusBadRequest
	case errors.As(err, &said):
		return said.status
	case errors.As(err, &routed):
		return routed.Code
	}
	return errs.As(err).Kind.Status()
}

// writeError writes an error in one of the shapes of nexus-api.md section 1.3.
func writeError(w http.ResponseWriter, r *http.Request, err error, status int, id string) {
	var bad invalid
	var said sentence
	e := errs.As(err)
	switch {
	case errors.As(err, &bad):
		writeJSON(w, status, invalidType(r), bad)
	case errors.As(err, &said):
		writeJSON(w, status, echo.MIMEApplicationJSON, said.text)
	case e.Kind == errs.Invalid:
		bad.add(e.Field, e.Message)
		writeJSON(w, status, invalidType(r), bad)
	case e.Kind == errs.ReadOnly:
		writeText(w, status, fmt.Sprintf("Nexus Repository Manager is in read-only mode: (ID %s)", id))
	case status == http.StatusInternalServerError:
		writeText(w, status, fmt.Sprintf("ERROR: (ID %s) internal error; the server's log has more under this ID", id))
	case e.Message != "" && speaks(e.Kind):
		writeJSON(w, status, echo.MIMEApplicationJSON, e.Message)
	default:
		name := strings.ToUpper(strings.ReplaceAll(http.StatusText(status), " ", "_"))
		writeJSON(w, status, echo.MIMEApplicationJSON, fault{status, id, name})
	}
}

// speaks tells whether the body of an error of the kind is its message.
func speaks(k errs.Kind) bool {
	switch k {
	case errs.NotFound, errs.Conflict, errs.Unprocessable, errs.TooManyRequests, errs.Unavailable, errs.StorageFull:
		return true
	}
	return false
}

// invalidType is the content type of a list of violations: the special one, unless the client wants none of it.
func invalidType(r *http.Request) string {
	if accepts(r.Header.Values("Accept"), contentTypeInvalid) {
		return contentTypeInvalid
	}
	return echo.MIMEApplicationJSON
}

// accepts tells whether a client with these Accept headers takes the media type (RFC 9110 section 12.5.1): the most
// specific range that matches decides.
func accepts(headers []string, want string) bool {
	if len(headers) == 0 {
		return true
	}
	kind, _, _ := strings.Cut(want, "/")
	best, ok := 0, false
	for _, item := range strings.Split(strings.Join(headers, ","), ",") {
		mediaRange, params, err := mime.ParseMediaType(item)
		if err != nil {
			continue
		}
		rank := map[string]int{"*/*": 1, kind + "/*": 2, want: 3}[mediaRange]
		if rank > best {
			best, ok = rank, strings.Trim(params["q"], "0.") != "" || params["q"] == ""
		}
	}
	return ok
}

func writeJSON(w http.ResponseWriter, status int, contentType string, v any) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		writeText(w, http.StatusInternalServerError, http.StatusText(http.StatusInternalServerError))
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	// the client may be gone
	_, _ = w.Write(bytes.TrimSpace(out.Bytes()))
}

func writeText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	// the client may be gone
	_, _ = w.Write([]byte(text))
}
