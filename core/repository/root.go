package repository

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

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
		part, err := repo.namesInTime(ctx, strings.ToLower(prefix), inner)
		if errs.Is(err, errs.Forbidden) {
			continue // a routing rule denies its list
		}
		if err != nil && repo.config.Type != Hosted && ctx.Err() == nil {
			x.manager.log.Warn("a repository's names are missing in a list of all", "repo", repo.Name(), "err", err)
			page.Flaws.Incomplete = true
			continue
		}
		if err != nil {
			return content.Page{}, err
		}
		page.Flaws = page.Flaws.And(part.Flaws)
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

// listTime is how long a list of all waits for what another server must be asked for.
const listTime = 10 * time.Second

// namesInTime is namesContaining that doesn't wait for upstream servers for long.
func (r *Repository) namesInTime(ctx context.Context, prefix string, l content.List) (content.Page, error) {
	if r.config.Type != Hosted {
		var cancel func()
		ctx, cancel = context.WithTimeout(ctx, listTime)
		defer cancel()
	}
	return r.namesContaining(ctx, prefix, l)
}

// searchBatch is how many names are fetched at once while looking for some that match together with their prefix.
const searchBatch = 500

// namesContaining is list for names of which l.Contains may match the prefix too, which is in lower case.
func (r *Repository) namesContaining(ctx context.Context, prefix string, l content.List) (content.Page, error) {
	term, limit := strings.ToLower(l.Contains), l.Limit
	rest := afterPrefix(prefix, term)
	if l.Contains = rest; rest == "" || rest == term {
		return r.list(ctx, l, r.listed(l))
	}
	// Names that contain the rest are more than those that go on from the prefix with it.
	page := content.Page{Known: true}
	l.Limit = searchBatch
	for {
		part, err := r.list(ctx, l, r.listed(l))
		if err != nil {
			return content.Page{}, err
		}
		page.Flaws = page.Flaws.And(part.Flaws)
		for _, name := range part.Names {
			if !strings.Contains(prefix+strings.ToLower(name), term) {
				continue
			}
			if len(page.Names) == limit {
				page.More = true
				return page, nil
			}
			page.Names = append(page.Names, name)
		}
		if !part.More {
			return page, nil
		}
		l.After = part.Names[len(part.Names)-1]
	}
}

// afterPrefix is what a name must contain at least for prefix and name together to contain the term: nothing when the prefix
// does, what is left of the term when the prefix ends with its beginning, else all of it.
func afterPrefix(prefix, term string) string {
	if strings.Contains(prefix, term) {
		return ""
	}
	for n := len(term); n > 0; n-- {
		if strings.HasSuffix(prefix, term[:n]) {
			return term[n:]
		}
	}
	return term
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
