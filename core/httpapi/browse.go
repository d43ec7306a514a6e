package httpapi

import (
	"bytes"
	"context"
	_ "embed"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/repomgr/repomgr/api"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/security"
	"github.com/repomgr/repomgr/core/store"
)

// Browser lists what is in repositories.
type Browser interface {
	// Browse lists what is directly in a directory, a path that starts and ends with a slash, as far as the caller may see it: up
	// to limit children that follow after, in byte order, and what to ask for after them, empty when there are no more.
	Browse(ctx context.Context, p security.Principal, repository, directory, after string, limit int) (children []store.Child, next string, err error)
}

// pathBrowse is where people see what is in a repository of any format (nexus-api, section 1.1).
const pathBrowse = api.Base + "/repository/browse/"

// browseLimit is how many rows a page has.
const browseLimit = 1000

//go:embed browse.html
var browseHTML string

// listing is a page for people.
type listing struct {
	// Path is the repository's name and the directory's path.
	Path string
	// Parent and Next are links; empty when there is nothing.
	Parent, Next string
	Rows         []listingRow
}

type listingRow struct {
	Name, Link, Modified string
	// Size is a number of bytes for files, nothing for directories.
	Size any
}

// mountBrowse serves listings of directories.
func (s *server) mountBrowse(e *echo.Echo) {
	if s.Browser == nil {
		return
	}
	page := template.Must(template.New("browse").Parse(browseHTML))
	router{e}.GET(pathBrowse+"*", func(c echo.Context) error {
		r := c.Request()
		caller, err := s.Security.Authenticate(r.Context(), r)
		if err != nil {
			return err
		}
		name, directory, found := strings.Cut(strings.TrimPrefix(r.URL.Path, pathBrowse), "/")
		if directory = "/" + directory; !found || !strings.HasSuffix(directory, "/") {
			escaped := r.URL.EscapedPath()
			return c.Redirect(http.StatusSeeOther, "./"+escaped[strings.LastIndexByte(escaped, '/')+1:]+"/")
		}
		after := c.QueryParam("after")
		if !isPath(directory) || !isPath(after) {
			return errs.New(errs.NotFound, "there is no such directory")
		}
		children, next, err := s.Browser.Browse(r.Context(), caller, name, directory, after, browseLimit)
		if err != nil {
			return err
		}
		var out bytes.Buffer
		if err := page.Execute(&out, newListing(name, directory, children, next)); err != nil {
			return err
		}
		h := c.Response().Header()
		h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("Cache-Control", "no-store") // what is shown depends on who asks
		return c.HTMLBlob(http.StatusOK, out.Bytes())
	})
}

// isPath tells whether s can be a path, or a part of one. The database can't even be asked for others.
func isPath(s string) bool {
	return utf8.ValidString(s) && !strings.Contains(s, "//") && !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' })
}

// newListing makes the page. Its links are relative, so that they hold whatever path a proxy in front has put before.
func newListing(name, directory string, children []store.Child, next string) listing {
	l := listing{Path: name + directory}
	if directory != "/" {
		l.Parent = "../"
	}
	// Up from here to the server's root, and down again to where the content is.
	depth := strings.Count(pathBrowse, "/") + strings.Count(directory, "/") - 1
	files := strings.Repeat("../", depth) + "repository/" + url.PathEscape(name) + (&url.URL{Path: directory}).EscapedPath()
	for _, child := range children {
		row := listingRow{Name: child.Key(), Link: files + url.PathEscape(child.Name), Modified: child.UpdatedAt.Format(http.TimeFormat), Size: child.Size}
		if child.Link != "" {
			row.Link = files + child.Link
		}
		if child.Directory {
			row.Link, row.Modified, row.Size = "./"+url.PathEscape(child.Name)+"/", "", ""
		}
		l.Rows = append(l.Rows, row)
	}
	if next != "" {
		l.Next = "?after=" + url.QueryEscape(next)
	}
	return l
}
