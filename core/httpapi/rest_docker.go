package httpapi

import (
	"context"

	"github.com/repomgr/repomgr/api"
)

// CreateDockerHostedRepository is the generated operation.
func (s *server) CreateDockerHostedRepository(ctx context.Context, r api.CreateDockerHostedRepositoryRequestObject) (api.CreateDockerHostedRepositoryResponseObject, error) {
	return api.CreateDockerHostedRepository201Response{}, s.createRepository(ctx, "docker", "hosted", *r.Body)
}

// UpdateDockerHostedRepository is the generated operation.
func (s *server) UpdateDockerHostedRepository(ctx context.Context, r api.UpdateDockerHostedRepositoryRequestObject) (api.UpdateDockerHostedRepositoryResponseObject, error) {
	return api.UpdateDockerHostedRepository204Response{}, s.updateRepository(ctx, "docker", "hosted", r.RepositoryName, *r.Body)
}

// GetDockerHostedRepository is the generated operation.
func (s *server) GetDockerHostedRepository(ctx context.Context, r api.GetDockerHostedRepositoryRequestObject) (api.GetDockerHostedRepositoryResponseObject, error) {
	settings, err := s.repositorySettings(ctx, "docker", "hosted", r.RepositoryName)
	return api.GetDockerHostedRepository200JSONResponse{RawMessage: settings}, err
}
