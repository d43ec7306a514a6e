package raw

import (
	"net/http"
	"strings"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
)

// Names: HTTP servers have no list of their files.
func (raw) Names() (content.List, bool) { return content.List{}, false }

// Versions: a file is one thing.
func (raw) Versions(string) (content.List, bool) { return content.List{}, false }

// Version is not asked for.
func (raw) Version(content.Asset) string { return "" }

// Begin is the route of a file; its name is the path, with or without a slash at the beginning.
func (f raw) Begin(name, _ string) (format.Route, error) {
	if strings.HasSuffix(name, "/") {
		return format.Route{}, errs.New(errs.Invalid, "%q is a directory, not a file", name)
	}
	return f.Resolve(&http.Request{Method: http.MethodGet}, "/"+strings.TrimPrefix(name, "/"))
}

// Next: a file has no parts.
func (raw) Next(format.Route, format.Document, format.Wanted) ([]format.Part, error) { return nil, nil }
