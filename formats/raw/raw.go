// Package raw is the format of plain files: what is stored at a path is what is read there.
package raw

import (
	"context"
	"net/http"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
)

// raw is the format. It has no state.
type raw struct{}

// New returns the format.
func New() format.Format { return raw{} }

// All that the format is beside format.Format.
var (
	_ format.Settler   = raw{}
	_ format.Headers   = raw{}
	_ format.Forwarder = raw{}
	_ format.Mirrorer  = raw{}
)

// kindFile is the kind of all assets.
const kindFile = "file"

// maxPath is the most bytes of a path. With its directory, which the component and the asset are found by, it fits into a page of
// the database's indexes.
const maxPath = 1024

// Describe says what the format is.
func (raw) Describe() format.Descriptor {
	return format.Descriptor{
		Name: "raw", Settings: "raw", Algorithms: []digest.Algorithm{format.MD5, format.SHA1}, NamedBy: kindFile,
		Usage: "curl -u USER -T file.zip {url}/dir/file.zip\ncurl -u USER -O {url}/dir/file.zip",
	}
}

// actions are the rights that the methods need, in Nexus's mapping.
var actions = map[string]content.Action{
	http.MethodGet: content.Read, http.MethodHead: content.Read, http.MethodPut: content.Edit, http.MethodDelete: content.Delete,
}

// Resolve says what a request means: a path is a file, or, with a slash at the end, a directory, which can only be read.
func (raw) Resolve(r *http.Request, p string) (format.Route, error) {
	action, ok := actions[r.Method]
	if !ok {
		e := errs.New(errs.MethodNotAllowed, "method %.20q is not allowed here", r.Method)
		e.Detail = format.Allow{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete}
		return format.Route{}, e
	}
	if err := checkPath(p); err != nil {
		return format.Route{}, err
	}
	route := format.Route{Action: action, Path: p, Class: content.Mutable, Kind: kindFile, Name: path.Dir(p)}
	if action == content.Read {
		route.Index = []string{"index.html", "index.htm"}
	} else if strings.HasSuffix(p, "/") {
		return format.Route{}, errs.New(errs.Invalid, "a path with a slash at the end is a directory, not a file")
	}
	return route, nil
}

// checkPath refuses paths that mean another one to somebody: to a client, a proxy in front, or a file system.
func checkPath(p string) error {
	inner := strings.TrimSuffix(strings.TrimPrefix(p, "/"), "/")
	segments := strings.Split(inner, "/")
	switch {
	case !strings.HasPrefix(p, "/"):
		return errs.New(errs.Invalid, "a path must start with a slash")
	case len(p) > maxPath:
		return errs.New(errs.Invalid, "a path must have at most %d bytes", maxPath)
	case !utf8.ValidString(p):
		return errs.New(errs.Invalid, "a path must be UTF-8")
	case strings.ContainsRune(p, '\\'), strings.ContainsFunc(p, unicode.IsControl):
		return errs.New(errs.Invalid, "a path must have no backslash and no control character")
	case slices.Contains(segments, "."), slices.Contains(segments, ".."):
		return errs.New(errs.Invalid, `a path must have no segment "." or ".."`)
	case p != "/" && slices.Contains(segments, ""):
		return errs.New(errs.Invalid, "a path must have no empty segment")
	}
	return nil
}

// Ingest takes any bytes. As in Nexus, a file is a component: the directory is its namespace, the path its name.
func (raw) Ingest(_ context.Context, in format.Incoming) ([]format.Record, error) {
	return []format.Record{{
		Path: in.Route.Path, Kind: kindFile, Name: in.Route.Name, Class: content.Mutable,
		Digest:    digest.NewDigestFromEncoded(digest.SHA256, in.Staged.SHA256),
		Component: &content.Component{Namespace: in.Route.Name, Name: in.Route.Path, Kind: kindFile},
	}}, nil
}
