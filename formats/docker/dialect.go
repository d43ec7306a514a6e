package docker

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
)

// problem is an error in the body of an answer (distribution-spec 1.1, "Error Codes").
type problem struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Detail  any    `json:"detail,omitempty"`
}

// WriteError writes {"errors":[...]} with one of the codes of the specification, and a challenge where the caller should
// sign in, or fetch a token that reaches further.
func (docker) WriteError(w http.ResponseWriter, r *http.Request, repo format.Repository, entry format.Entry, route format.Route, err error) {
	e, h := errs.As(err), w.Header()
	status := statusOf(e, route)
	switch {
	case e.Kind == errs.Unauthenticated:
		h.Set("WWW-Authenticate", challenge(r, repo, entry, route, e))
	case status == http.StatusMethodNotAllowed:
		h.Set("Allow", allowed(e))
	}
	if e.RetryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64((e.RetryAfter+time.Second-1)/time.Second), 10))
	}
	writeJSON(w, status, map[string][]problem{"errors": problems(e, route)})
}

// statusOf is the kind's status, but for the cases where the protocol has its own.
func statusOf(e *errs.Error, route format.Route) int {
	switch {
	case e.Kind == errs.Conflict && e.Code == format.CodeRequired:
		// distribution-spec 1.1, "Deleting Blobs", has 404, 400 and 405 for a blob that is not deleted.
		return http.StatusMethodNotAllowed
	case e.Kind == errs.Conflict && route.Kind != kindUpload:
		// What the write policy refuses is 400 in Nexus.
		return http.StatusBadRequest
	}
	return e.Kind.Status()
}

func allowed(e *errs.Error) string {
	if methods, ok := e.Detail.(format.Allow); ok {
		return strings.Join(methods, ", ")
	}
	return "GET, HEAD"
}

// problems renders an error. An internal error's text is not for clients.
func problems(e *errs.Error, route format.Route) []problem {
	if e.Kind == errs.Internal {
		return []problem{{Code: codeUnknown, Message: "internal server error"}}
	}
	if refs, ok := e.Detail.([]content.Reference); ok && len(refs) > 0 {
		return missing(refs)
	}
	p := problem{Code: codeOf(e, route), Message: e.Message, Detail: e.Detail}
	if _, ok := e.Detail.(format.Allow); ok {
		p.Detail = nil
	}
	return []problem{p}
}

// missing is an error for each digest that a manifest requires and the image doesn't have.
func missing(refs []content.Reference) []problem {
	ps := make([]problem, len(refs))
	for i, ref := range refs {
		ps[i] = problem{
			Code: codeManifestBlobUnknown, Message: "manifest references a manifest or blob unknown to registry",
			Detail: map[string]string{"digest": ref.To.String()},
		}
	}
	return ps
}

// codeOf is the error's own code, or the one that its kind means on the route.
func codeOf(e *errs.Error, route format.Route) string {
	switch e.Code {
	case format.CodeMissing:
		return codeManifestBlobUnknown
	case format.CodeDigest:
		return codeDigestInvalid
	case format.CodeRequired:
		return codeUnsupported
	case format.CodeScope:
		return codeDenied
	}
	if isCode(e.Code) {
		return e.Code
	}
	return codeOfKind(e.Kind, route.Kind)
}

// isCode tells whether a code is one that clients know.
func isCode(code string) bool {
	switch code {
	case codeBlobUnknown, codeUploadInvalid, codeUploadUnknown, codeDigestInvalid, codeManifestBlobUnknown,
		codeManifestInvalid, codeManifestUnknown, codeNameInvalid, codeNameUnknown, codeSizeInvalid, codeTagInvalid,
		codeUnauthorized, codeDenied, codeUnsupported, codeTooManyRequests, codePageInvalid, codeUnavailable:
		return true
	}
	return false
}

func codeOfKind(kind errs.Kind, route string) string {
	switch kind {
	case errs.Unauthenticated:
		return codeUnauthorized
	case errs.Forbidden:
		return codeDenied
	case errs.NotFound:
		return unknownCode(route)
	case errs.MethodNotAllowed:
		return codeUnsupported
	case errs.TooManyRequests:
		return codeTooManyRequests
	case errs.Unavailable, errs.BadGateway, errs.ReadOnly, errs.StorageFull:
		return codeUnavailable
	case errs.Conflict:
		if route == kindUpload {
			return codeUploadInvalid
		}
		return codeDenied
	}
	return invalidCode(route)
}

// unknownCode is for what is not there.
func unknownCode(route string) string {
	switch route {
	case kindBlob:
		return codeBlobUnknown
	case kindManifest, kindTag:
		return codeManifestUnknown
	case kindUpload:
		return codeUploadUnknown
	}
	return codeNameUnknown
}

// invalidCode is for what is wrong, too large or out of range.
func invalidCode(route string) string {
	switch route {
	case kindManifest, kindTag:
		return codeManifestInvalid
	case kindUpload:
		return codeUploadInvalid
	case kindBlob:
		return codeSizeInvalid
	}
	return codeUnsupported
}

// challenge is the one way of signing in that the client is offered: Bearer, or Basic where the repository forces it. With
// both, docker's engine takes Basic, and can then not pull anonymously, as only the token endpoint gives anonymous callers
// what to pull with.
func challenge(r *http.Request, repo format.Repository, entry format.Entry, route format.Route, e *errs.Error) string {
	s, _ := repo.Settings.(Settings)
	if s.ForceBasicAuth || route.Kind == kindToken || r.URL.Path == entry.Base+pathToken {
		return `Basic realm="Sonatype Nexus Repository Manager"`
	}
	host := format.ClientHost(r)
	realm := url.URL{Scheme: format.ClientScheme(r), Host: host, Path: entry.Base + pathToken}
	var b strings.Builder
	b.WriteString(`Bearer realm="` + realm.String() + `",service="` + host + `"`)
	if scope := wantedScope(r, entry, route); scope != "" {
		b.WriteString(`,scope="` + scope + `"`)
	}
	if e.Code == format.CodeScope {
		b.WriteString(`,error="insufficient_scope"`)
	}
	return b.String()
}

// wantedScope is the scopes that the request needs, separated by spaces; empty when it needs none. Resolve has checked the name.
func wantedScope(r *http.Request, entry format.Entry, route format.Route) string {
	if route.Name == "" {
		if route.Kind == kindCatalog || route.Kind == kindSearch {
			return "registry:catalog:*"
		}
		return ""
	}
	name := "repository:" + entry.NamePrefix + route.Name + ":"
	switch route.Action {
	case actionUpload, actionPush:
		return name + wordPull + "," + wordPush + mountScope(r, entry)
	case content.Delete:
		return name + wordDelete
	}
	return name + wordPull
}

// mountScope is the scope that a mount needs beside that of its target: clients ask for what the challenge names, and no more.
func mountScope(r *http.Request, entry format.Entry) string {
	q := r.URL.Query()
	from := q.Get("from")
	if r.Method != http.MethodPost || q.Get("mount") == "" || from == "" {
		return ""
	}
	if _, ok := mountSource(entry, from, ""); !ok {
		return ""
	}
	return " repository:" + from + ":" + wordPull
}
