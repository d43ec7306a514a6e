package httpapi

import (
	"context"

	"github.com/repomgr/repomgr/api"
	"github.com/repomgr/repomgr/core/repository"
)

// rawFormat is the format's name in the paths of its operations.
const rawFormat = "raw"

// CreateRawHostedRepository is the generated operation.
func (s *server) CreateRawHostedRepository(ctx context.Context, r api.CreateRawHostedRepositoryRequestObject) (api.CreateRawHostedRepositoryResponseObject, error) {
	return api.CreateRawHostedRepository201Response{}, s.createRepository(ctx, rawFormat, repository.Hosted, *r.Body)
}

// UpdateRawHostedRepository is the generated operation.
func (s *server) UpdateRawHostedRepository(ctx context.Context, r api.UpdateRawHostedRepositoryRequestObject) (api.UpdateRawHostedRepositoryResponseObject, error) {
	return api.UpdateRawHostedRepository204Response{}, s.updateRepository(ctx, rawFormat, repository.Hosted, r.RepositoryName, *r.Body)
}

// GetRawHostedRepository is the generated operation.
func (s *server) GetRawHostedRepository(ctx context.Context, r api.GetRawHostedRepositoryRequestObject) (api.GetRawHostedRepositoryResponseObject, error) {
	settings, err := s.repositorySettings(ctx, rawFormat, repository.Hosted, r.RepositoryName)
	return api.GetRawHostedRepository200JSONResponse{RawMessage: settings}, err
}

// CreateRawProxyRepository is the generated operation.
func (s *server) CreateRawProxyRepository(ctx context.Context, r api.CreateRawProxyRepositoryRequestObject) (api.CreateRawProxyRepositoryResponseObject, error) {
	return api.CreateRawProxyRepository201Response{}, s.createRepository(ctx, rawFormat, repository.Proxy, *r.Body)
}

// UpdateRawProxyRepository is the generated operation.
func (s *server) UpdateRawProxyRepository(ctx context.Context, r api.UpdateRawProxyRepositoryRequestObject) (api.UpdateRawProxyRepositoryResponseObject, error) {
	return api.UpdateRawProxyRepository204Response{}, s.updateRepository(ctx, rawFormat, repository.Proxy, r.RepositoryName, *r.Body)
}

// GetRawProxyRepository is the generated operation.
func (s *server) GetRawProxyRepository(ctx context.Context, r api.GetRawProxyRepositoryRequestObject) (api.GetRawProxyRepositoryResponseObject, error) {
	settings, err := s.repositorySettings(ctx, rawFormat, repository.Proxy, r.RepositoryName)
	return api.GetRawProxyRepository200JSONResponse{RawMessage: settings}, err
}

// CreateRawGroupRepository is the generated operation.
func (s *server) CreateRawGroupRepository(ctx context.Context, r api.CreateRawGroupRepositoryRequestObject) (api.CreateRawGroupRepositoryResponseObject, error) {
	return api.CreateRawGroupRepository201Response{}, s.createRepository(ctx, rawFormat, repository.Group, *r.Body)
}

// UpdateRawGroupRepository is the generated operation.
func (s *server) UpdateRawGroupRepository(ctx context.Context, r api.UpdateRawGroupRepositoryRequestObject) (api.UpdateRawGroupRepositoryResponseObject, error) {
	return api.UpdateRawGroupRepository204Response{}, s.updateRepository(ctx, rawFormat, repository.Group, r.RepositoryName, *r.Body)
}

// GetRawGroupRepository is the generated operation.
func (s *server) GetRawGroupRepository(ctx context.Context, r api.GetRawGroupRepositoryRequestObject) (api.GetRawGroupRepositoryResponseObject, error) {
	settings, err := s.repositorySettings(ctx, rawFormat, repository.Group, r.RepositoryName)
	return api.GetRawGroupRepository200JSONResponse{RawMessage: settings}, err
}
