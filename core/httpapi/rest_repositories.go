package httpapi

import (
	"context"
	"slices"

	"github.com/repomgr/repomgr/api"
	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/repository"
)

// GetRepositories lists what the caller may browse.
func (s *server) GetRepositories(ctx context.Context, _ api.GetRepositoriesRequestObject) (api.GetRepositoriesResponseObject, error) {
	all, err := s.Repositories.List(ctx)
	if err != nil {
		return nil, err
	}
	answer := api.GetRepositories200JSONResponse{}
	for _, c := range all {
		if s.views(ctx, c, content.Browse) {
			answer = append(answer, summary(callOf(ctx), c))
		}
	}
	return answer, nil
}

// GetRepository answers who may browse or read the content, also by way of a group.
func (s *server) GetRepository(ctx context.Context, r api.GetRepositoryRequestObject) (api.GetRepositoryResponseObject, error) {
	c, err := s.find(ctx, r.RepositoryName, func(c repository.Config) bool {
		return s.views(ctx, c, content.Browse) || s.views(ctx, c, content.Read) || s.viewsGroup(ctx, c.Name)
	})
	if err != nil {
		return nil, err
	}
	return api.GetRepository200JSONResponse(summary(callOf(ctx), c)), nil
}

// viewsGroup tells whether the caller may browse or read a group that has the repository in it, at any depth.
func (s *server) viewsGroup(ctx context.Context, name string) bool {
	all, err := s.Repositories.List(ctx)
	if err != nil {
		return false
	}
	in := map[string]bool{name: true}
	for grown := true; grown; {
		grown = false
		for _, c := range all {
			if c.Group == nil || in[c.Name] || !slices.ContainsFunc(c.Group.MemberNames, func(member string) bool { return in[member] }) {
				continue
			}
			if s.views(ctx, c, content.Browse) || s.views(ctx, c, content.Read) {
				return true
			}
			in[c.Name], grown = true, true
		}
	}
	return false
}

// DeleteRepository deletes a repository of any format and type.
func (s *server) DeleteRepository(ctx context.Context, r api.DeleteRepositoryRequestObject) (api.DeleteRepositoryResponseObject, error) {
	c, err := s.find(ctx, r.RepositoryName, func(c repository.Config) bool { return s.administers(ctx, c, content.Delete) })
	if err != nil {
		return nil, err
	}
	if err := s.Repositories.Delete(ctx, c.Name); err != nil {
		return nil, known(err)
	}
	return api.DeleteRepository204Response{}, nil
}

// GetRepositorySettings lists the settings that the caller may read.
func (s *server) GetRepositorySettings(ctx context.Context, _ api.GetRepositorySettingsRequestObject) (api.GetRepositorySettingsResponseObject, error) {
	all, err := s.Repositories.List(ctx)
	if err != nil {
		return nil, err
	}
	answer := api.GetRepositorySettings200JSONResponse{}
	for _, c := range all {
		if !s.administers(ctx, c, content.Read) {
			continue
		}
		settings, err := s.marshal(callOf(ctx), c)
		if err != nil {
			return nil, err
		}
		answer = append(answer, settings)
	}
	return answer, nil
}

// find returns the repository to a caller for whom allowed says yes. Anonymous callers are not told whether one exists
// that they have no right on.
func (s *server) find(ctx context.Context, name string, allowed func(repository.Config) bool) (repository.Config, error) {
	caller := callOf(ctx)
	c, err := s.Repositories.Get(ctx, name)
	if errs.Is(err, errs.NotFound) {
		// who has the right on all repositories may know that this one is missing
		if caller.Anonymous && !allowed(repository.Config{Name: "*", Format: "*"}) {
			return c, refusal(caller.Principal)
		}
		return c, errNoRepository()
	}
	if err == nil && !allowed(c) {
		err = refusal(caller.Principal)
	}
	return c, err
}

func errNoRepository() error { return errs.New(errs.NotFound, "Repository not found") }

// known makes the error about a missing repository the one that clients know.
func known(err error) error {
	if errs.Is(err, errs.NotFound) {
		return errNoRepository()
	}
	return err
}

// views tells whether the caller may do the action on the repository's content.
func (s *server) views(ctx context.Context, c repository.Config, a content.Action) bool {
	return s.permits(ctx, "repository-view", c.Format, c.Name, a)
}

// administers tells whether the caller may do the action on the repository itself.
func (s *server) administers(ctx context.Context, c repository.Config, a content.Action) bool {
	return s.permits(ctx, "repository-admin", c.Format, c.Name, a)
}

func (s *server) permits(ctx context.Context, domain, format, repo string, a content.Action) bool {
	return s.Security.Permitted(callOf(ctx).Principal, "nexus:"+domain+":"+format+":"+repo+":"+string(a))
}

func summary(caller call, c repository.Config) api.RepositoryXO {
	attributes := map[string]any{}
	if c.Proxy != nil {
		attributes["proxy"] = map[string]any{"remoteUrl": c.Proxy.RemoteURL}
	}
	return api.RepositoryXO{
		Name: c.Name, Format: c.Format, Type: api.RepositoryXOType(c.Type), Url: caller.repositoryURL(c.Name), Online: c.Online,
		Attributes: attributes,
	}
}
