package repository

import (
	"context"
	"slices"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/security"
	"github.com/repomgr/repomgr/core/store"
)

// Browse lists what is directly in a directory of a repository, a path that starts and ends with a slash: at most limit children
// that follow after (store.Store.Children), and what to ask for after them, empty when there are no more. Callers need the right to browse; those without it get
// an Unauthenticated error when they have not signed in, else the NotFound one of a repository that isn't there. What isn't
// there is NotFound, but for the root.
func (m *Manager) Browse(ctx context.Context, p security.Principal, name, directory, after string, limit int) (children []store.Child, next string, err error) {
	r := m.find(name)
	if r == nil || !r.browsable(p, directory) {
		return nil, "", m.hidden(p)
	}
	children, more, err := m.db.Children(ctx, r.id, directory, after, limit, r.plugin.describe.Answers...)
	if err != nil {
		return nil, "", err
	}
	if len(children) == 0 && after == "" && directory != "/" {
		return nil, "", errs.New(errs.NotFound, "there is no directory %s", directory)
	}
	if more {
		next = children[len(children)-1].Key()
	}
	children = slices.DeleteFunc(children, func(c store.Child) bool { return !c.Directory && !r.browsable(p, directory+c.Name) })
	if r.forwards() {
		for i := range children {
			children[i].Link = forwardedLink(children[i].Name)
		}
	}
	return children, next, nil
}

// browsable tells whether the caller may see that there is a path.
func (r *Repository) browsable(p security.Principal, path string) bool {
	return !(p.Anonymous && r.access.NoAnonymous) && r.manager.security.Allowed(p, r.config.Format, r.config.Name, content.Browse, path, "")
}
