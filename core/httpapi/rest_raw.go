package httpapi

import (
	"context"

	"github.com/repomgr/repomgr/api"
)

// CreateRawHostedRepository is the generated operation.
func (s *server) CreateRawHostedRepository(ctx context.Context, r api.CreateRawHostedRepositoryRequestObject) (api.CreateRawHostedRepositoryResponseObject, error) {
	return api.CreateRawHostedRepository201Response{}, s.createRepository(ctx, "raw", "hosted", *r.Body)
}

// UpdateRawHostedRepository is the generated operation.
func (s *server) UpdateRawHostedRepository(ctx context.Context, r api.UpdateRawHostedRepositoryRequestObject) (api.UpdateRawHostedRepositoryResponseObject, error) {
	return api.UpdateRawHostedRepository204Response{}, s.updateRepository(ctx, "raw", "hosted", r.RepositoryName, *r.Body)
}

// GetRawHostedRepository is the generated operation.
func (s *server) GetRawHostedRepository(ctx context.Context, r api.GetRawHostedRepositoryRequestObject) (api.GetRawHostedRepositoryResponseObject, error) {
	settings, err := s.repositorySettings(ctx, "raw", "hosted", r.RepositoryName)
	return api.GetRawHostedRepository200JSONResponse{RawMessage: settings}, err
}
