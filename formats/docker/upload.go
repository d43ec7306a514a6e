package docker

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
)

// uploadRoute is a request about upload sessions. All of them, status and cancelling included, are part of adding a blob.
// An id that no session can have is left to the handler, so that a caller without rights is refused first.
func uploadRoute(t target, method string) format.Route {
	route := format.Route{
		Action: actionUpload, Path: uploadPath(t.name, t.ref), Class: content.Mutable, Kind: kindUpload, Name: t.name,
	}
	switch method {
	case http.MethodPost:
		route.Handler = startUpload
	case http.MethodPatch:
		route.Handler = inSession(patchUpload)
	case http.MethodPut:
		route.Handler = inSession(finishUpload)
	case http.MethodDelete:
		route.Handler = inSession(cancelUpload)
	default:
		route.Handler = inSession(uploadStatus)
	}
	return route
}

// startUpload answers a POST (distribution-spec 1.1, end-4a, end-4b and end-11; end-4c of its main branch): a mount, a blob in
// the body, or, where neither comes about, a new session.
func startUpload(w http.ResponseWriter, r *http.Request, x format.Exchange) error {
	q, name := r.URL.Query(), x.Route().Name
	algs, err := sessionAlgorithms(q.Get("digest-algorithm"))
	if err != nil {
		return err
	}
	if mount := q.Get("mount"); mount != "" {
		d, err := parseDigest(mount)
		if err != nil {
			return err
		}
		done, err := mountBlob(w, r, x, blobRoute(name, d), q.Get("from"))
		if done || err != nil {
			return err
		}
		algs = beside(d.Algorithm())
	}
	if want := q.Get("digest"); want != "" {
		d, err := parseDigest(want)
		if err != nil {
			return err
		}
		// A POST with a digest and no body comes from a client that goes on with PUT; only the empty blob is complete.
		if r.ContentLength != 0 || d == d.Algorithm().FromBytes(nil) {
			return pushBlob(w, r, x, blobRoute(name, d))
		}
		algs = beside(d.Algorithm())
	}
	up, err := x.Begin(r.Context(), name, algs...)
	if err != nil {
		return err
	}
	writeSession(w.Header(), x, up)
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// sessionAlgorithms are those to compute beside sha256 when a client announces the one of its digest.
func sessionAlgorithms(s string) ([]digest.Algorithm, error) {
	if s == "" {
		return nil, nil
	}
	alg := digest.Algorithm(s)
	if hexLength(alg) == 0 {
		return nil, invalid(codeDigestInvalid, "digest algorithm %q is not supported; sha256 and sha512 are", clip(s))
	}
	return beside(alg), nil
}

// beside is alg, unless it is sha256, which is always computed.
func beside(alg digest.Algorithm) []digest.Algorithm {
	if alg == digest.SHA256 {
		return nil
	}
	return []digest.Algorithm{alg}
}

// mountBlob tries to give the image a blob that the registry has. It tells whether it answered: a source that is not there, or
// that the caller may not read, is no error but a reason to upload.
func mountBlob(w http.ResponseWriter, r *http.Request, x format.Exchange, route format.Route, from string) (bool, error) {
	source, ok := mountSource(x.Entry(), from, route.Expect)
	if !ok {
		return false, nil
	}
	a, err := x.Mount(r.Context(), route, source)
	if errs.Is(err, errs.NotFound) || errs.Is(err, errs.Forbidden) || errs.Is(err, errs.Unauthenticated) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	writeBlob(w, x, a)
	return true, nil
}

// mountSource is where the blob of the image that the client calls from stands; the zero Location, which means anywhere, when
// the client doesn't say.
func mountSource(entry format.Entry, from string, d digest.Digest) (format.Location, bool) {
	if from == "" {
		return format.Location{}, true
	}
	var source format.Location
	name := from
	if entry.NamePrefix != "" {
		var ok bool
		if source.Repository, name, ok = strings.Cut(from, "/"); !ok {
			return format.Location{}, false
		}
	}
	if checkName(name) != nil {
		return format.Location{}, false
	}
	source.Path = blobPath(name, d)
	return source, true
}

// pushBlob stores the body of a POST.
func pushBlob(w http.ResponseWriter, r *http.Request, x format.Exchange, route format.Route) error {
	assets, err := x.Receive(r.Context(), route, r.Body)
	if err != nil {
		return err
	}
	writeBlob(w, x, assets[0])
	return nil
}

// inSession finds the session that the path names.
func inSession(next func(http.ResponseWriter, *http.Request, format.Exchange, format.Upload) error) format.Handler {
	return func(w http.ResponseWriter, r *http.Request, x format.Exchange) error {
		route := x.Route()
		id := tagOf(route.Path)
		if !isUploadID(id) {
			e := errs.New(errs.NotFound, "upload unknown to registry")
			e.Code = codeUploadUnknown
			return e
		}
		up, err := x.Resume(r.Context(), route.Name, id)
		if err != nil {
			return err
		}
		return next(w, r, x, up)
	}
}

// uploadStatus answers a GET (end-13).
func uploadStatus(w http.ResponseWriter, _ *http.Request, x format.Exchange, up format.Upload) error {
	writeSession(w.Header(), x, up)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// cancelUpload answers a DELETE (end-14).
func cancelUpload(w http.ResponseWriter, r *http.Request, _ format.Exchange, up format.Upload) error {
	if err := up.Cancel(r.Context()); err != nil {
		return err
	}
	setVersion(w.Header())
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// patchUpload appends a chunk or a stream (end-5).
func patchUpload(w http.ResponseWriter, r *http.Request, x format.Exchange, up format.Upload) error {
	if err := appendBody(w, r, x, up); err != nil {
		return err
	}
	writeSession(w.Header(), x, up)
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// finishUpload closes a session, with the last chunk in the body or without (end-6).
func finishUpload(w http.ResponseWriter, r *http.Request, x format.Exchange, up format.Upload) error {
	d, err := parseDigest(r.URL.Query().Get("digest"))
	if err != nil {
		return err
	}
	if r.ContentLength != 0 {
		if err := appendBody(w, r, x, up); err != nil {
			return err
		}
	}
	assets, err := up.Commit(r.Context(), blobRoute(x.Route().Name, d))
	if err != nil {
		return err
	}
	writeBlob(w, x, assets[0])
	return nil
}

// appendBody appends the request's body where its Content-Range says, or at the end. What came of a body that breaks off
// is kept; an error goes with the session's state, so that the client can go on.
func appendBody(w http.ResponseWriter, r *http.Request, x format.Exchange, up format.Upload) error {
	span, err := parseContentRange(r.Header.Values("Content-Range"))
	if err != nil {
		return err
	}
	if err := span.check(up.Size(), r.ContentLength); err != nil {
		writeSession(w.Header(), x, up)
		return err
	}
	body := &chunk{r: r.Body, left: span.size()}
	if err := body.verdict(up.Append(r.Context(), span.at(up.Size()), body)); err != nil {
		writeSession(w.Header(), x, up)
		return err
	}
	return nil
}

// span is a Content-Range: first and last byte, inclusive. The zero value of set means that there was none.
type span struct {
	first, last int64
	set         bool
}

// parseContentRange parses <first>-<last> (distribution-spec 1.1, "Pushing a blob in chunks": ^[0-9]+-[0-9]+$).
func parseContentRange(values []string) (span, error) {
	if len(values) == 0 {
		return span{}, nil
	}
	first, last, ok := strings.Cut(values[0], "-")
	s := span{set: true}
	var err1, err2 error
	s.first, err1 = parseOffset(first)
	s.last, err2 = parseOffset(last)
	if !ok || len(values) > 1 || err1 != nil || err2 != nil {
		return span{}, invalid(codeUploadInvalid, "Content-Range is not of the form <first>-<last>")
	}
	return s, nil
}

// parseOffset parses decimal digits only, unlike strconv, which takes signs.
func parseOffset(s string) (int64, error) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseInt(s, 10, 63) // one bit less, so that a size never overflows
}

// at is the offset to append at; where none is given, the end that the upload had when the request came: of two requests at the
// same time one is refused, where else neither would get the bytes that it sent.
func (s span) at(end int64) int64 {
	if !s.set {
		return end
	}
	return s.first
}

// size is the number of bytes; -1 when it is not known.
func (s span) size() int64 {
	if !s.set {
		return -1
	}
	return s.last - s.first + 1
}

// check compares the range with what the session has and what the request announces (-1: unknown).
func (s span) check(have, length int64) error {
	switch {
	case !s.set:
		return nil
	case s.first != have || s.last < s.first:
		e := errs.New(errs.RangeNotSatisfiable, "the next chunk must start at byte %d", have)
		e.Code = codeUploadInvalid
		return e
	case length >= 0 && length != s.size():
		return invalid(codeSizeInvalid, "Content-Range and Content-Length differ")
	}
	return nil
}

// errTooLong: a body goes on after what its Content-Range says.
var errTooLong = errors.New("body is longer than its range")

// chunk reads a request's body and remembers how it ended: errors of the client's connection come back from Append
// mixed with those of the store.
type chunk struct {
	r io.Reader
	// left is how many bytes are still to come; negative means any number.
	left int64
	err  error
}

func (c *chunk) Read(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	if c.left == 0 {
		return 0, c.probe()
	}
	if c.left > 0 && int64(len(p)) > c.left {
		p = p[:c.left]
	}
	n, err := c.r.Read(p)
	if c.left > 0 {
		c.left -= int64(n)
	}
	c.err = err
	return n, err
}

// probe looks whether the body ends where its range does.
func (c *chunk) probe() error {
	var b [1]byte
	n, err := io.ReadFull(c.r, b[:])
	if n > 0 {
		err = errTooLong
	}
	c.err = err
	return err
}

// verdict is what came out of an Append that ended with err: a fault of the body is the client's, whatever the store made of it.
func (c *chunk) verdict(err error) error {
	var tooLarge *http.MaxBytesError
	broken := c.err != nil && !errors.Is(c.err, io.EOF) && !errors.As(c.err, &tooLarge)
	short := err == nil && c.left > 0
	if !broken && !short {
		return err
	}
	e := errs.Wrap(errs.Invalid, c.err, "the body's length is not what the request says")
	e.Code = codeSizeInvalid
	return e
}

// writeSession sets the headers that tell the state of a session. "Range: 0-0" stands for no bytes as for one: there is no
// form for none, and clients expect this one.
func writeSession(h http.Header, x format.Exchange, up format.Upload) {
	setVersion(h)
	h.Set("Location", location(x.Entry(), uploadPath(x.Route().Name, up.ID())))
	h.Set("Range", "0-"+strconv.FormatInt(max(up.Size()-1, 0), 10))
	h.Set(headerUpload, up.ID())
}

// writeBlob answers that the blob is there, under the digest that the client named.
func writeBlob(w http.ResponseWriter, x format.Exchange, a content.Asset) {
	h := w.Header()
	setVersion(h)
	h.Set("Location", location(x.Entry(), a.Path))
	h.Set(headerDigest, a.Digest.String())
	w.WriteHeader(http.StatusCreated)
}
