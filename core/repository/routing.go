package repository

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/store"
)

// RoutingRules are the rules that repositories may use.
type RoutingRules struct{ manager *Manager }

// RoutingRules returns the rules that the manager's repositories may use.
func (m *Manager) RoutingRules() *RoutingRules { return &RoutingRules{m} }

// List returns all rules in order of name.
func (s *RoutingRules) List(ctx context.Context) ([]RoutingRule, error) {
	rows, err := s.manager.db.RoutingRules(ctx)
	if err != nil {
		return nil, fmt.Errorf("read routing rules: %w", err)
	}
	list := make([]RoutingRule, len(rows))
	for i, row := range rows {
		if list[i], err = ruleOf(row); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// Get returns a rule; a NotFound error when there is none of that name.
func (s *RoutingRules) Get(ctx context.Context, name string) (RoutingRule, error) {
	row, err := s.manager.db.RoutingRule(ctx, name)
	if err != nil {
		return RoutingRule{}, err
	}
	return ruleOf(row)
}

func ruleOf(row store.RoutingRule) (r RoutingRule, err error) {
	if err := json.Unmarshal([]byte(row.Config), &r); err != nil {
		return r, fmt.Errorf("routing rule %s: %w", row.Name, err)
	}
	r.Name = row.Name
	return r, nil
}

func rowOf(r RoutingRule) (store.RoutingRule, error) {
	config, err := json.Marshal(r)
	return store.RoutingRule{Name: r.Name, Config: string(config)}, err
}

// Create makes a rule. What is wrong with it is an Invalid error with the field.
func (s *RoutingRules) Create(ctx context.Context, r RoutingRule) error {
	compiled, err := compileRule(r)
	if err != nil {
		return err
	}
	row, err := rowOf(compiled.RoutingRule)
	if err != nil {
		return err
	}
	return s.manager.db.Update(ctx, func(tx *store.Tx) error { return tx.CreateRoutingRule(row) })
}

// Update changes what a rule says, for all repositories that use it, at once. Transfers that have begun go on.
func (s *RoutingRules) Update(ctx context.Context, r RoutingRule) error {
	m := s.manager
	m.mu.Lock()
	defer m.mu.Unlock()
	compiled, err := compileRule(r)
	if err != nil {
		return err
	}
	row, err := rowOf(compiled.RoutingRule)
	if err != nil {
		return err
	}
	if err := m.db.Update(ctx, func(tx *store.Tx) error { return tx.UpdateRoutingRule(row) }); err != nil {
		return err
	}
	for id, old := range m.repositories {
		if old.config.RoutingRule != r.Name {
			continue
		}
		next := *old // with the same connections to upstream, and the same memory of what it lacks
		next.rule = compiled
		m.repositories[id] = &next
	}
	m.table.Store(newTable(m.repositories))
	return nil
}

// Delete removes a rule; a Conflict error when a repository uses it.
func (s *RoutingRules) Delete(ctx context.Context, name string) error {
	return s.manager.db.Update(ctx, func(tx *store.Tx) error { return tx.DeleteRoutingRule(name) })
}

// Test tells whether a rule, which need not be one that there is, allows a path, which may have a query.
func (s *RoutingRules) Test(r RoutingRule, path string) (allowed bool, err error) {
	r.Name = "test"
	compiled, err := compileRule(r)
	if err != nil {
		return false, err
	}
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	path, query, _ := strings.Cut(path, "?")
	return compiled.allows(question{path: path, query: query}), nil
}

// setRule gives a repository the rule that its configuration names. One that isn't there is an Invalid error: a repository is not served
// without the rule that it is to have.
func (m *Manager) setRule(ctx context.Context, r *Repository) error {
	name := r.config.RoutingRule
	switch {
	case name == "":
		return nil
	case r.config.Type == Hosted:
		return errs.Field("routingRuleName", "hosted repositories have no routing rules")
	}
	found, err := m.RoutingRules().Get(ctx, name)
	if errs.Is(err, errs.NotFound) {
		return store.UnknownRoutingRule(name)
	}
	if err == nil {
		r.rule, err = compileRule(found)
	}
	return err
}

// asking is what the rules are asked about the request. A query that has no meaning for the format is no part of it: containerd adds one.
func (x *exchange) asking() question {
	q := question{path: x.route.Path}
	if x.request != nil && x.repo.plugin.forwarder != nil {
		q.query = x.request.URL.RawQuery
	}
	return q
}

// ruled checks a request that reads against the repository's own rule. Uploads are no matter of rules.
func (x *exchange) ruled() error {
	if (x.route.Action == content.Read || x.route.Action == content.Browse) && x.repo.denies(x.asking()) {
		return denied()
	}
	return nil
}

// denies tells whether the repository's own rule keeps everything from answering. Of a group it is enough that the rule allows what is asked
// for by the name that a member knows it by.
func (r *Repository) denies(q question) bool {
	if r.rule == nil || r.config.Group != nil && r.rule.allows(q) {
		return false
	}
	return len(r.showing(q)) == 0
}

// showing are the members of the repository, in order, that the rules let answer: its own, the members', and those of groups between. Those
// that are offline or gone are left out. The list is shared.
func (r *Repository) showing(q question) []*Repository {
	t := r.manager.table.Load()
	all, ok := t.members[r.id]
	if !ok {
		all = members{t.leaves(r, online), r.rule != nil}
	}
	if !all.ruled || q.path == "" {
		return all.list
	}
	allowed := map[string][]*Repository{} // by the whole name of what is asked for
	return slices.DeleteFunc(slices.Clone(all.list), func(leaf *Repository) bool {
		inner := q
		inner.whole = leaf.wholePath(q.path)
		list, ok := allowed[inner.whole]
		if !ok {
			list = t.leaves(r, func(r *Repository) bool { return online(r) && r.rule.allows(inner) })
			allowed[inner.whole] = list
		}
		return !slices.Contains(list, leaf)
	})
}

func online(r *Repository) bool { return r.config.Online }

// members are what a group shows, and whether there is a rule about any of it.
type members struct {
	list  []*Repository
	ruled bool
}

func (t *table) membersOf(group *Repository) members {
	m := members{}
	m.list = t.leaves(group, func(r *Repository) bool {
		m.ruled = m.ruled || r.rule != nil
		return online(r)
	})
	return m
}

// wholePath is the path at which the repository keeps what clients ask for at the one given; empty where that is the same.
func (r *Repository) wholePath(path string) string {
	if r.plugin.canonicalizer == nil || r.upstream == nil {
		return ""
	}
	route, err := r.routeOf(path)
	if err != nil {
		return ""
	}
	if whole := r.canonicalRoute(route).Path; whole != path {
		return whole
	}
	return ""
}

// shows tells whether the rules let the member, or the repository itself, answer.
func (r *Repository) shows(member *Repository, q question) bool {
	return slices.ContainsFunc(r.showing(q), func(one *Repository) bool { return one.id == member.id })
}

// listed is what the rules are asked about a list that no request has named: the path at which clients ask for it.
func (r *Repository) listed(l content.List) question {
	if r.rule == nil && r.config.Type != Group || r.plugin.paginator == nil {
		return question{}
	}
	route, ok := r.plugin.paginator.Ask(l)
	if !ok {
		return question{}
	}
	path, _, _ := strings.Cut(route.Path, "?")
	return question{path: path}
}
