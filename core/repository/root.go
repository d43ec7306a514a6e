package repository

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
	"github.com/repomgr/repomgr/core/security"
)

// rootExchange is a request to a format's root on the main port.
type rootExchange struct {
	manager   *Manager
	plugin    *plugin
	principal security.Principal
}

var _ format.RootExchange = (*rootExchange)(nil)

func (x *rootExchange) Caller() format.Caller { return x.principal.Caller() }
func (x *rootExchange) Tokens() format.Tokens {
	return x.manager.security.Tokens(x.principal, x.plugin.describe.Name)
}

// serveRoot answers a request for no single repository of a format.
func (m *Manager) serveRoot(w http.ResponseWriter, r *http.Request, p *plugin) {
	x := &exchange{manager: m, repo: &Repository{plugin: p, manager: m}}
	defer m.recover(w, r, p, x)
	principal, err := m.security.Authenticate(r.Context(), r)
	x.principal = principal
	if err == nil {
		err = m.root(w, r, p, principal)
	}
	if err != nil {
		// The challenge needs the route, as far as there is one.
		x.route, _ = p.Resolve(r, r.URL.Path)
		m.fail(w, r, p, x, err)
	}
}

func (m *Manager) root(w http.ResponseWriter, r *http.Request, p *plugin, principal security.Principal) error {
	route, err := p.entrance.ResolveRoot(r, r.URL.Path)
	if err != nil {
		return err
	}
	// Like a repository's ping: those who show nothing, not even a token for everybody, are told how to sign in.
	if !route.Open && principal.Anonymous && principal.Grants == nil {
		return errs.New(errs.Unauthenticated, "authentication required")
	}
	return route.Handler(w, r, &rootExchange{m, p, principal})
}

// List returns a page of names over the repositories that are reached by the format's entrance and that the caller may
// browse.
func (x *rootExchange) List(ctx context.Context, l content.List) (content.Page, error) {
	caller, err := x.limit()
	if err != nil {
		return content.Page{}, err
	}
	page := content.Page{Known: true}
	for _, repo := range x.repositories(caller) {
		prefix := x.plugin.entrance.Prefix(strings.ToLower(repo.Name())).NamePrefix
		inner := l
		inner.Limit = l.Limit - len(page.Names)
		if inner.After = ""; l.After != "" && !strings.HasPrefix(l.After, prefix) {
			if prefix < l.After {
				continue
			}
		} else if l.After != "" {
			inner.After = l.After[len(prefix):]
		}
		part, err := repo.list(ctx, inner)
		if err != nil {
			return content.Page{}, err
		}
		for _, name := range part.Names {
			page.Names = append(page.Names, prefix+name)
		}
		if part.More {
			page.More = true
			return page, nil
		}
	}
	return page, nil
}

// limit checks that the caller's token, if any, is for the root's lists, and returns the caller without it.
func (x *rootExchange) limit() (security.Principal, error) {
	caller := x.principal
	caller.Grants = nil
	for _, g := range x.principal.Grants {
		if g.Repository == "" && g.Name == "" && slices.Contains(g.Actions, content.Browse) {
			return caller, nil
		}
	}
	if x.principal.Grants != nil {
		e := errs.New(errs.Unauthenticated, "the token does not allow this")
		e.Code = format.CodeScope
		return caller, e
	}
	return caller, nil
}

// repositories are in the order of their prefixes, which is that of the names with them: no prefix begins another one.
func (x *rootExchange) repositories(caller security.Principal) []*Repository {
	var list []*Repository
	for _, r := range x.manager.table.Load().names {
		if r.plugin != x.plugin || !r.access.PathEnabled || !r.config.Online || caller.Anonymous && r.access.NoAnonymous {
			continue
		}
		if x.manager.security.Allowed(caller, r.config.Format, r.config.Name, content.Browse, "/", "") {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b *Repository) int {
		return strings.Compare(strings.ToLower(a.Name())+"/", strings.ToLower(b.Name())+"/")
	})
	return list
}
