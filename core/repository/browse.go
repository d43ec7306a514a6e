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
// there is NotFound, but for the root. A group has what its members have, the first one's where several have it, by the rights on the group.
func (m *Manager) Browse(ctx context.Context, p security.Principal, name, directory, after string, limit int) (children []store.Child, next string, err error) {
	r := m.find(name)
	if r == nil || !r.browsable(p, directory) {
		return nil, "", m.hidden(p)
	}
	children, next, err = r.children(ctx, directory, after, limit)
	if err != nil {
		return nil, "", err
	}
	if len(children) == 0 && after == "" && next == "" && directory != "/" {
		return nil, "", errs.New(errs.NotFound, "there is no directory %s", directory)
	}
	children = slices.DeleteFunc(children, func(c store.Child) bool { return !c.Directory && !r.browsable(p, directory+c.Name) })
	return children, next, nil
}

// children is what is directly in a directory, of a group what is in that of any of its members: a page, and what to ask for after it.
func (r *Repository) children(ctx context.Context, directory, after string, limit int) (merged []store.Child, next string, err error) {
	members := []*Repository{r}
	if r.config.Type == Group {
		members = r.showing(question{})
	}
	more := false
	for _, member := range members {
		list, rest, err := r.manager.db.Children(ctx, member.id, directory, after, limit, r.plugin.describe.Answers...)
		if err != nil {
			return nil, "", err
		}
		if member.forwards() {
			for i := range list {
				list[i].Link = forwardedLink(list[i].Name)
			}
		}
		// A page that is not the last has as many as there may be: what is beyond its end is cut off below.
		merged, more = mergeSorted(merged, list, store.Child.Key), more || rest
	}
	if len(merged) > limit {
		merged, more = merged[:limit], true
	}
	if more {
		next = merged[len(merged)-1].Key()
	}
	return merged, next, nil
}

// browsable tells whether the caller may see that there is a path.
func (r *Repository) browsable(p security.Principal, path string) bool {
	return !(p.Anonymous && r.access.NoAnonymous) && r.manager.security.Allowed(p, r.config.Format, r.config.Name, content.Browse, path, "")
}
