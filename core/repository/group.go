package repository

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
)

// buildGroup checks the part of a configuration that only groups have, apart from others: what has come to be of its members
// must not keep a group from working.
func (r *Repository) buildGroup() error {
	if r.config.Group == nil {
		return errs.Field("group", "a group needs members")
	}
	return nil
}

// checkMembers checks what a group is to show. For other repositories there is nothing to check.
func (m *Manager) checkMembers(r *Repository) error {
	g := r.config.Group
	if r.config.Type != Group {
		return nil
	}
	if len(g.MemberNames) == 0 {
		return errs.Field("memberNames", "a group needs at least one member")
	}
	seen, visited := map[string]bool{}, map[string]bool{}
	for _, name := range g.MemberNames {
		member := m.find(name)
		switch {
		case member == nil:
			return errs.Field("memberNames", "Member repository does not exist: %s", name)
		case member.config.Format != r.config.Format:
			return errs.Field("memberNames", "Member repository format does not match group repository format: %s", name)
		case seen[name]:
			return errs.Field("memberNames", "Member repository is there twice: %s", name)
		case member.id == r.id && r.id != 0 || m.reaches(member, r.config.Name, visited):
			return errs.Field("memberNames", "group %s would contain itself by way of %s", r.config.Name, name)
		}
		seen[name] = true
	}
	if w := g.WritableMember; w != "" {
		if member := m.find(w); !seen[w] || member.config.Type != Hosted {
			return errs.Field("group.writableMember", "the writable member must be a hosted repository among the members: %s", w)
		}
	}
	return nil
}

// reaches tells whether a repository is, or contains at any depth, the one of that name. seen are those that are known not to.
func (m *Manager) reaches(r *Repository, name string, seen map[string]bool) bool {
	if r.config.Name == name {
		return true
	}
	if seen[r.config.Name] || r.config.Group == nil {
		return false
	}
	seen[r.config.Name] = true
	return slices.ContainsFunc(r.config.Group.MemberNames, func(member string) bool {
		next := m.find(member)
		return next != nil && m.reaches(next, name, seen)
	})
}

// without are the groups that have a member of that name, as they are without it. That may leave them empty.
func (m *Manager) without(member string) []*Repository {
	var groups []*Repository
	for _, r := range m.repositories {
		if r.config.Group == nil || !slices.Contains(r.config.Group.MemberNames, member) {
			continue
		}
		next, g := *r, *r.config.Group
		g.MemberNames = slices.DeleteFunc(slices.Clone(g.MemberNames), func(name string) bool { return name == member })
		if g.WritableMember == member {
			g.WritableMember = ""
		}
		next.config.Group = &g
		groups = append(groups, &next)
	}
	return groups
}

// leaves are a repository itself or, of a group, its members, in order, groups among them opened; each is there once. Those that are
// not wanted are left out, groups with all that is in them.
func (r *Repository) leaves(wanted func(*Repository) bool) []*Repository {
	return r.manager.table.Load().leaves(r, wanted)
}

func (t *table) leaves(r *Repository, wanted func(*Repository) bool) []*Repository {
	var list []*Repository
	seen := map[int64]bool{}
	var open func(r *Repository)
	open = func(r *Repository) {
		if seen[r.id] || !wanted(r) {
			return
		}
		seen[r.id] = true
		if r.config.Group == nil {
			list = append(list, r)
			return
		}
		for _, name := range r.config.Group.MemberNames {
			if member := t.names[strings.ToLower(name)]; member != nil {
				open(member)
			}
		}
	}
	open(r)
	return list
}

// as is the exchange's view of a member. Rights were checked on the group.
func (x *exchange) as(member *Repository) *exchange {
	inner := *x
	inner.repo, inner.front = member, x.asked()
	return &inner
}

// asked is the repository that the request was for, whose rights count.
func (x *exchange) asked() *Repository {
	if x.front != nil {
		return x.front
	}
	return x.repo
}

// findMember is find for a group: the first member that has it. When none has it, but one could not answer, nobody knows.
func (x *exchange) findMember(ctx context.Context, method string) (found, error) {
	var failed error
	absent := x.nothing()
	inner := x.as(nil) // for one after the other: nothing is left of those that don't have it
	for _, member := range x.repo.showing(x.asking()) {
		inner.repo = member
		f, err := inner.findNow(ctx, method)
		if err == nil {
			return f, nil
		}
		if ctx.Err() != nil {
			return found{}, err
		}
		switch {
		case !errs.Is(err, errs.NotFound):
			failed = cmp.Or(failed, err)
		case errs.As(err).Code != "":
			absent = err // it says why
		}
	}
	if method == http.MethodHead && x.uploads() {
		return found{}, absent
	}
	return found{}, cmp.Or(failed, absent)
}

// uploads tells whether a HEAD is the question of somebody who may upload what is not there: a member that is away must not keep uploads
// from the writable one. To who only reads a 404 would be a lie. What is named by digest is at worst uploaded once more; of the rest it takes
// a token that was asked for to upload.
func (x *exchange) uploads() bool {
	c := x.repo.config
	if c.Group.WritableMember == "" || x.route.Expect == "" && x.principal.Grants == nil {
		return false
	}
	return x.manager.security.Allowed(x.principal, c.Format, c.Name, content.Edit, x.route.Path, x.route.Name)
}

// findNow is find that waits until it is certain that there is something: a fetch may turn out to be of nothing, or of what can't be
// right, and as long as no byte of it may be given away another member can take its place.
func (x *exchange) findNow(ctx context.Context, method string) (found, error) {
	f, err := x.find(ctx, method)
	if err != nil || f.fetch == nil {
		return f, err
	}
	if err := f.fetch.await(ctx, func() bool { return f.fetch.done || f.fetch.readable() > 0 }); err != nil {
		return f, err
	}
	if err := f.fetch.failed(); err != nil {
		return f, x.repo.refused(err)
	}
	return f, nil
}

// listMembers is list for a group: the members' pages merged. A member that can't answer is left out where others have something; where
// they have nothing its error is the answer, as an empty list, or that there is no such name, would be believed.
func (r *Repository) listMembers(ctx context.Context, l content.List, q question) (content.Page, error) {
	var merged content.Page
	var failed error
	for _, member := range r.showing(q) {
		page, err := member.list(ctx, l, q)
		switch {
		case err == nil:
			merged = mergePages(merged, page, l.Limit)
		case ctx.Err() != nil:
			return content.Page{}, err
		case !errs.Is(err, errs.NotFound):
			r.manager.log.Warn("a member's list is missing", "repo", r.Name(), "member", member.Name(), "err", err)
			failed = cmp.Or(failed, err)
		}
	}
	if failed != nil && !hit(l, merged) {
		return content.Page{}, failed
	}
	merged.Flaws.Incomplete = merged.Flaws.Incomplete || failed != nil
	return merged, nil
}

// hit tells whether a page says anything of what there is: that a name is known does, the end of a list does not.
func hit(l content.List, p content.Page) bool {
	if l.Limit > 0 && len(p.Assets)+len(p.Names) == 0 && (l.Names || l.After != "") {
		return false
	}
	return p.Known
}

// mergePages merges the beginnings of two lists. What both have comes from a. A page that is not the last may be shorter than the
// limit: of the other, what lies beyond its end belongs to a later page.
func mergePages(a, b content.Page, limit int) content.Page {
	p := content.Page{More: a.More || b.More, Known: a.Known || b.Known, Flaws: a.Flaws.And(b.Flaws)}
	path, name := func(x content.Asset) string { return x.Path }, func(s string) string { return s }
	p.Assets = mergeSorted(upTo(a.Assets, b.Assets, b.More, path), upTo(b.Assets, a.Assets, a.More, path), path)
	p.Names = mergeSorted(upTo(a.Names, b.Names, b.More, name), upTo(b.Names, a.Names, a.More, name), name)
	if len(p.Assets) > limit {
		p.Assets, p.More = p.Assets[:limit], true
	}
	if len(p.Names) > limit {
		p.Names, p.More = p.Names[:limit], true
	}
	return p
}

// upTo is what of list is not beyond the end of other, where more follows on that.
func upTo[T any](list, other []T, more bool, key func(T) string) []T {
	if !more || len(other) == 0 {
		return list
	}
	end := key(other[len(other)-1])
	for len(list) > 0 && key(list[len(list)-1]) > end {
		list = list[:len(list)-1]
	}
	return list
}

func mergeSorted[T any](a, b []T, key func(T) string) []T {
	if len(a) == 0 {
		return b
	}
	merged := make([]T, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		switch c := strings.Compare(key(a[0]), key(b[0])); {
		case c <= 0:
			merged = append(merged, a[0])
			if c == 0 {
				b = b[1:]
			}
			a = a[1:]
		default:
			merged, b = append(merged, b[0]), b[1:]
		}
	}
	return append(append(merged, a...), b...)
}

// mergeDocuments is the document of a group. One that lists nothing is no answer where a member is missing: who looks for signatures
// would believe that there are none.
func (x *exchange) mergeDocuments(ctx context.Context) (format.Document, error) {
	var docs []format.Document
	var flaws content.Flaws
	var failed error
	for _, member := range x.repo.showing(x.asking()) {
		doc, err := x.as(member).made(ctx)
		switch {
		case err == nil:
			docs, flaws = append(docs, doc), flaws.And(doc.Flaws)
		case ctx.Err() != nil:
			return format.Document{}, err
		case !errs.Is(err, errs.NotFound):
			x.manager.log.Warn("a member's document is missing", "repo", x.repo.Name(), "member", member.Name(), "path", x.route.Path, "err", err)
			failed = cmp.Or(failed, err)
		}
	}
	if len(docs) == 0 {
		return format.Document{}, cmp.Or(failed, assetNotFound(nil))
	}
	merged, err := x.repo.plugin.merger.Merge(ctx, x.route, docs)
	if err == nil && merged.Empty {
		err = failed
	}
	merged.Flaws = flaws.And(content.Flaws{Incomplete: failed != nil})
	return merged, err
}

// writer is the exchange of the repository that changes go to: for a group, its writable member's. A Forbidden error tells that the
// repository's write policy denies uploads; the exchange is returned all the same.
func (x *exchange) writer() (*exchange, error) {
	if x.repo.config.Type != Group {
		return x, x.repo.writable()
	}
	name := x.repo.config.Group.WritableMember
	member := x.manager.find(name)
	switch {
	case member == nil:
		return x, readable("group %s has no writable member: nothing can be changed in it", x.repo.Name())
	case !member.config.Online:
		return x, errs.New(errs.Unavailable, "the writable member of group %s is offline", x.repo.Name())
	}
	return x.as(member), member.writable()
}
