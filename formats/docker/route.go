package docker

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
)

// MaxManifest is the most bytes that a manifest may have: what distribution-spec 1.1, "Pushing Manifests", wants accepted at
// least, and what clients read at most.
const MaxManifest = 4 << 20

// maxAliases is the most tags that one manifest upload by digest may set.
const maxAliases = 100

// The paths without a name.
const (
	pathPing    = "/v2/"
	pathToken   = "/v2/token"
	pathCatalog = "/v2/_catalog"
	pathPingV1  = "/v1/_ping"
	pathSearch  = "/v1/search"
)

// target is what a path names.
type target struct {
	kind string
	// name is the image's.
	name string
	// ref is the last part: a tag, a digest or an upload's id.
	ref string
}

// Resolve says what a request means.
func (docker) Resolve(r *http.Request, path string) (format.Route, error) {
	t, err := parsePath(path)
	if err != nil {
		return format.Route{}, err
	}
	if err := checkMethod(r.Method, methods(t)); err != nil {
		return format.Route{Path: path, Kind: t.kind, Name: t.name}, err
	}
	switch t.kind {
	case kindPing:
		return format.Route{Action: content.Public, Path: path, Kind: kindPing, Handler: ping}, nil
	case kindToken:
		return format.Route{Action: content.Public, Open: true, Path: path, Kind: kindToken, Handler: token}, nil
	case kindPingV1:
		return format.Route{Action: content.Public, Open: true, Path: path, Kind: kindPingV1, Handler: pingV1}, nil
	case kindSearch:
		return format.Route{Action: content.Browse, Path: path, Kind: kindSearch, Handler: search}, nil
	case kindCatalog:
		return catalogRoute(r.URL.Query())
	case kindTags:
		return tagsRoute(t.name, r.URL.Query())
	case kindReferrers:
		return referrersRoute(t, r.URL.Query())
	case kindUpload:
		return uploadRoute(t, r.Method), nil
	case kindBlob:
		return blobAsset(t, r.Method)
	}
	return manifestRoute(t, r)
}

// parsePath takes a path apart. A name may contain the words that separate it from what follows, so the path is read from
// the right.
func parsePath(path string) (target, error) {
	switch path {
	case pathPing, "/v2":
		return target{kind: kindPing}, nil
	case pathToken:
		return target{kind: kindToken}, nil
	case pathCatalog:
		return target{kind: kindCatalog}, nil
	case pathPingV1:
		return target{kind: kindPingV1}, nil
	case pathSearch:
		return target{kind: kindSearch}, nil
	}
	rest, ok := strings.CutPrefix(path, "/v2/")
	if !ok {
		return target{}, errs.New(errs.NotFound, "no such endpoint")
	}
	t, ok := split(strings.TrimSuffix(rest, "/"))
	if !ok || strings.HasSuffix(rest, "/") && (t.kind != kindUpload || t.ref != "") {
		return target{}, errs.New(errs.NotFound, "no such endpoint")
	}
	return t, checkName(t.name)
}

// split reads <name>/tags/list, <name>/blobs/uploads, <name>/blobs/uploads/<id> and <name>/<word>/<ref>.
func split(s string) (target, bool) {
	if name, ok := strings.CutSuffix(s, "/tags/list"); ok {
		return target{kind: kindTags, name: name}, true
	}
	if name, ok := strings.CutSuffix(s, "/blobs/uploads"); ok {
		return target{kind: kindUpload, name: name}, true
	}
	s, ref, ok := cutLast(s)
	if !ok {
		return target{}, false
	}
	if name, ok := strings.CutSuffix(s, "/blobs/uploads"); ok {
		return target{kind: kindUpload, name: name, ref: ref}, true
	}
	name, word, ok := cutLast(s)
	if !ok {
		return target{}, false
	}
	switch word {
	case "blobs":
		return target{kind: kindBlob, name: name, ref: ref}, true
	case "referrers":
		return target{kind: kindReferrers, name: name, ref: ref}, true
	case "manifests":
		return target{kind: kindManifest, name: name, ref: ref}, true
	}
	return target{}, false
}

// cutLast cuts s at its last slash.
func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, '/')
	if i < 0 {
		return "", s, false
	}
	return s[:i], s[i+1:], true
}

// methods are those that a target allows.
func methods(t target) []string {
	switch t.kind {
	case kindToken:
		return []string{http.MethodGet, http.MethodPost}
	case kindUpload:
		if t.ref == "" {
			return []string{http.MethodPost}
		}
		return []string{http.MethodGet, http.MethodHead, http.MethodPatch, http.MethodPut, http.MethodDelete}
	case kindBlob:
		return []string{http.MethodGet, http.MethodHead, http.MethodDelete}
	case kindManifest:
		return []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete}
	}
	return []string{http.MethodGet, http.MethodHead}
}

func checkMethod(method string, allowed []string) error {
	for _, m := range allowed {
		if m == method {
			return nil
		}
	}
	e := errs.New(errs.MethodNotAllowed, "method is not allowed here")
	e.Code, e.Detail = codeUnsupported, format.Allow(allowed)
	return e
}

// action is the right that a method on an asset needs.
func action(method string) content.Action {
	switch method {
	case http.MethodPut:
		return actionPush
	case http.MethodDelete:
		return content.Delete
	}
	return actionPull
}

func blobPath(name string, d digest.Digest) string { return "/v2/" + name + "/blobs/" + d.String() }
func manifestPath(name, ref string) string         { return "/v2/" + name + "/manifests/" + ref }
func uploadPath(name, id string) string            { return "/v2/" + name + "/blobs/uploads/" + id }
func tagsPath(name string) string                  { return "/v2/" + name + "/tags/list" }
func referrersPath(name string, d digest.Digest) string {
	return "/v2/" + name + "/referrers/" + d.String()
}

// location is the URL path by which the client who came by entry reaches an in-repository path below /v2/.
func location(entry format.Entry, path string) string {
	return entry.Base + "/v2/" + entry.NamePrefix + strings.TrimPrefix(path, "/v2/")
}

// blobRoute is where an image's blob is stored.
func blobRoute(name string, d digest.Digest) format.Route {
	return format.Route{
		Action: actionUpload, Path: blobPath(name, d), Class: content.Immutable, Kind: kindBlob, Name: name, Expect: d,
	}
}

// blobAsset is a request for an image's blob.
func blobAsset(t target, method string) (format.Route, error) {
	d, err := parseDigest(t.ref)
	if err != nil {
		return format.Route{Kind: kindBlob, Name: t.name}, err
	}
	route := blobRoute(t.name, d)
	route.Action = action(method)
	return route, nil
}

// manifestRoute is a request for a manifest, by tag or by digest.
func manifestRoute(t target, r *http.Request) (format.Route, error) {
	route := format.Route{
		Action: action(r.Method), Path: manifestPath(t.name, t.ref), Class: content.Mutable, Kind: kindTag, Name: t.name,
	}
	// With the limit a proxy takes a manifest for a document: it looks into it before anybody gets it, and answers a HEAD from it.
	route.MaxSize, route.Metadata = MaxManifest, true
	if r.Method == http.MethodPut {
		route.ContentType = r.Header.Get("Content-Type")
	}
	if isTag(t.ref) {
		return route, nil
	}
	route.Kind, route.Class = kindManifest, content.Immutable
	if !strings.Contains(t.ref, ":") {
		return route, badTag(r.Method, t.ref)
	}
	d, err := parseDigest(t.ref)
	if err != nil {
		return route, err
	}
	route.Expect = d
	switch r.Method {
	case http.MethodPut:
		route.Aliases, err = aliases(r.URL.Query())
	case http.MethodDelete:
		route.Along = &content.List{Kind: kindTag, Name: t.name, Digest: d}
	}
	return route, err
}

// badTag is the error for what is neither a tag nor a digest: nothing can be stored there, so nothing is found there.
func badTag(method, ref string) error {
	if method == http.MethodPut {
		return invalid(codeTagInvalid, "invalid tag %q", clip(ref))
	}
	e := errs.New(errs.NotFound, "there is no manifest %q", clip(ref))
	e.Code = codeManifestUnknown
	return e
}

// aliases are the tags that an upload by digest sets beside (distribution-spec main, end-7b).
func aliases(q url.Values) ([]string, error) {
	var tags []string
	seen := map[string]bool{}
	for _, tag := range q["tag"] {
		if !isTag(tag) {
			return nil, invalid(codeTagInvalid, "invalid tag %q", clip(tag))
		}
		if !seen[tag] {
			seen[tag], tags = true, append(tags, tag)
		}
	}
	if len(tags) > maxAliases {
		return nil, invalid(codeTagInvalid, "more than %d tags in one request", maxAliases)
	}
	return tags, nil
}

// tagOf is the tag in the path of a tag's asset, or the digest in that of a manifest's.
func tagOf(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }
