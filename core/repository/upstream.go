package repository

import (
	"context"
	"slices"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/remote"
	"github.com/repomgr/repomgr/core/store"
)

// Upstream is what is known of a proxy's upstream server; a NotFound error when there is no repository of that name, or it is not a
// proxy.
func (m *Manager) Upstream(_ context.Context, name string) (remote.State, error) {
	r := m.find(name)
	switch {
	case r == nil:
		return remote.State{}, notFound()
	case r.upstream == nil:
		return remote.State{}, errs.New(errs.NotFound, "Repository %s is not a proxy: it has no upstream server", name)
	}
	return r.upstream.client.State(), nil
}

// Invalidate makes all that a proxy keeps stale, so that upstream is asked before it is served again, and lets the proxy forget what
// upstream did not have. Of a group it does that to all members, also those of groups in it. A hosted repository is an Invalid error.
func (m *Manager) Invalidate(ctx context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.find(name)
	switch {
	case r == nil:
		return notFound()
	case r.config.Type == Hosted:
		return errs.New(errs.Invalid, "You can invalidate cache of proxy or group repository only")
	}
	proxies := slices.DeleteFunc(r.leaves(func(*Repository) bool { return true }), func(r *Repository) bool { return r.upstream == nil })
	for _, leaf := range proxies {
		leaf.invalidations.Add(1)
	}
	at := map[*Repository]int64{}
	err := m.db.Update(ctx, func(tx *store.Tx) (err error) {
		for _, leaf := range proxies {
			if at[leaf], err = tx.InvalidateRepository(leaf.id); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for leaf, at := range at {
		leaf.invalidated.Store(at)
		leaf.upstream.absent.clear()
	}
	return nil
}

// moves tells whether the repository has another upstream server than the old one, which it takes the place of.
func (r *Repository) moves(old *Repository) bool {
	r.config.MovedAt = old.config.MovedAt
	return r.upstream != nil && old.config.Proxy.RemoteURL != r.config.Proxy.RemoteURL
}

// move makes all stale that the repository keeps from another upstream server.
func (r *Repository) move(tx *store.Tx, moved bool) (err error) {
	if moved {
		r.config.MovedAt, err = tx.InvalidateRepository(r.id)
	}
	return err
}

// origin is what upstream said about its bytes when they were last found to be the asset's. What another server said before the remote
// URL was changed means nothing to this one.
func (r *Repository) origin(a content.Asset) content.Origin {
	switch {
	case a.Origin == nil:
		return content.Origin{}
	case a.Origin.CheckedAt.UnixMilli() <= r.config.MovedAt:
		return content.Origin{CheckedAt: a.Origin.CheckedAt}
	}
	return *a.Origin
}

// retire ends what a repository has of its own when it is replaced or gone. Requests that have begun go on.
func (r *Repository) retire() {
	if r.upstream != nil {
		r.upstream.client.Close()
	}
}
