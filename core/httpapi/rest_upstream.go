package httpapi

import (
	"context"
	"time"

	"github.com/repomgr/repomgr/api"
	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/remote"
	"github.com/repomgr/repomgr/core/repository"
)

// InvalidateCache makes a proxy, or all in a group, ask upstream again.
func (s *server) InvalidateCache(ctx context.Context, r api.InvalidateCacheRequestObject) (api.InvalidateCacheResponseObject, error) {
	c, err := s.find(ctx, r.RepositoryName, func(c repository.Config) bool { return s.administers(ctx, c, content.Edit) })
	if err != nil {
		return nil, err
	}
	if err := s.Repositories.Invalidate(ctx, c.Name); err != nil {
		return nil, refused(known(err))
	}
	return api.InvalidateCache204Response{}, nil
}

// GetUpstream tells what is known of a proxy's upstream server.
func (s *server) GetUpstream(ctx context.Context, r api.GetUpstreamRequestObject) (api.GetUpstreamResponseObject, error) {
	c, err := s.find(ctx, r.RepositoryName, func(c repository.Config) bool { return s.administers(ctx, c, content.Read) })
	if err != nil {
		return nil, err
	}
	state, err := s.Repositories.Upstream(ctx, c.Name)
	if err != nil {
		return nil, err
	}
	return api.GetUpstream200JSONResponse(showState(state)), nil
}

func showState(s remote.State) api.UpstreamState {
	shown := api.UpstreamState{
		Status: api.UpstreamStateStatus(s.Status), Reason: set(s.Reason), BlockedUntil: at(s.BlockedUntil), NotBefore: at(s.NotBefore),
		LastError: set(s.LastError), LastErrorAt: at(s.LastErrorAt), LastSuccess: at(s.LastSuccess),
	}
	if l := s.RateLimit; l != nil {
		shown.RateLimit = &api.UpstreamRateLimit{Limit: l.Limit, Remaining: l.Remaining, Source: l.Source, Seen: l.Seen.UTC()}
	}
	return shown
}

// at is nil for never.
func at(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Second)
	return &t
}
