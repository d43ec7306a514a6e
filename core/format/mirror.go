package format

import "github.com/repomgr/repomgr/core/content"

// Mirrorer is a format whose repositories can be filled from an upstream server by what a filter chooses. Its methods are pure: the core
// asks upstream, and shows the format what came.
type Mirrorer interface {
	// Names selects the list of all names; ok is false where upstream servers have none, so that names must be given as they are.
	Names() (l content.List, ok bool)
	// Versions selects the list of the versions of a name; ok is false where a name is one thing without versions.
	Versions(name string) (l content.List, ok bool)
	// Version is the version that an asset of such a list is.
	Version(a content.Asset) string
	// Begin is the route of a version of a name, or, where there are no versions, of the name. What can't be one is an Invalid error.
	Begin(name, version string) (Route, error)
	// Next says what else is wanted, given what is at a route; doc is empty where the route is not one of a document (MaxSize) nor an
	// Index. It is called for the routes that it returns as well.
	Next(route Route, doc Document, want Wanted) ([]Part, error)
}

// Wanted is what is to be mirrored of each version.
type Wanted struct {
	// Platforms are those wanted, as os/architecture or os/architecture/variant; empty for all.
	Platforms []string
	// Referrers: also what is about it, such as signatures.
	Referrers bool
}

// Part is what else is wanted.
type Part struct {
	Route Route
	// About: it is no part of the content, but about it. It may be missing upstream.
	About bool
}
