package httpapi

import (
	"context"

	"github.com/repomgr/repomgr/api"
	"github.com/repomgr/repomgr/core/repository"
)

// dockerFormat is the format's name in the paths of its operations.
const dockerFormat = "docker"

// CreateDockerHostedRepository is the generated operation.
func (s *server) CreateDockerHostedRepository(ctx context.Context, r api.CreateDockerHostedRepositoryRequestObject) (api.CreateDockerHostedRepositoryResponseObject, error) {
	return api.CreateDockerHostedRepository201Response{}, s.createRepository(ctx, dockerFormat, repository.Hosted, *r.Body)
}

// UpdateDockerHostedRepository is the generated operation.
func (s *server) UpdateDockerHostedRepository(ctx context.Context, r api.UpdateDockerHostedRepositoryRequestObject) (api.UpdateDockerHostedRepositoryResponseObject, error) {
	return api.UpdateDockerHostedRepository204Response{}, s.updateRepository(ctx, dockerFormat, repository.Hosted, r.RepositoryName, *r.Body)
}

// GetDockerHostedRepository is the generated operation.
func (s *server) GetDockerHostedRepository(ctx context.Context, r api.GetDockerHostedRepositoryRequestObject) (api.GetDockerHostedRepositoryResponseObject, error) {
	settings, err := s.repositorySettings(ctx, dockerFormat, repository.Hosted, r.RepositoryName)
	return api.GetDockerHostedRepository200JSONResponse{RawMessage: settings}, err
}

// CreateDockerProxyRepository is the generated operation.
func (s *server) CreateDockerProxyRepository(ctx context.Context, r api.CreateDockerProxyRepositoryRequestObject) (api.CreateDockerProxyRepositoryResponseObject, error) {
	return api.CreateDockerProxyRepository201Response{}, s.createRepository(ctx, dockerFormat, repository.Proxy, *r.Body)
}

// UpdateDockerProxyRepository is the generated operation.
func (s *server) UpdateDockerProxyRepository(ctx context.Context, r api.UpdateDockerProxyRepositoryRequestObject) (api.UpdateDockerProxyRepositoryResponseObject, error) {
	return api.UpdateDockerProxyRepository204Response{}, s.updateRepository(ctx, dockerFormat, repository.Proxy, r.RepositoryName, *r.Body)
}

// GetDockerProxyRepository is the generated operation.
func (s *server) GetDockerProxyRepository(ctx context.Context, r api.GetDockerProxyRepositoryRequestObject) (api.GetDockerProxyRepositoryResponseObject, error) {
	settings, err := s.repositorySettings(ctx, dockerFormat, repository.Proxy, r.RepositoryName)
	return api.GetDockerProxyRepository200JSONResponse{RawMessage: settings}, err
}

// CreateDockerGroupRepository is the generated operation.
func (s *server) CreateDockerGroupRepository(ctx context.Context, r api.CreateDockerGroupRepositoryRequestObject) (api.CreateDockerGroupRepositoryResponseObject, error) {
	return api.CreateDockerGroupRepository201Response{}, s.createRepository(ctx, dockerFormat, repository.Group, *r.Body)
}

// UpdateDockerGroupRepository is the generated operation.
func (s *server) UpdateDockerGroupRepository(ctx context.Context, r api.UpdateDockerGroupRepositoryRequestObject) (api.UpdateDockerGroupRepositoryResponseObject, error) {
	return api.UpdateDockerGroupRepository204Response{}, s.updateRepository(ctx, dockerFormat, repository.Group, r.RepositoryName, *r.Body)
}

// GetDockerGroupRepository is the generated operation.
func (s *server) GetDockerGroupRepository(ctx context.Context, r api.GetDockerGroupRepositoryRequestObject) (api.GetDockerGroupRepositoryResponseObject, error) {
	settings, err := s.repositorySettings(ctx, dockerFormat, repository.Group, r.RepositoryName)
	return api.GetDockerGroupRepository200JSONResponse{RawMessage: settings}, err
}
