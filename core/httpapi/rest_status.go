package httpapi

import (
	"context"

	"github.com/repomgr/repomgr/api"
)

// IsAvailable is the generated operation.
func (s *server) IsAvailable(ctx context.Context, _ api.IsAvailableRequestObject) (api.IsAvailableResponseObject, error) {
	if !s.well(ctx, s.Ready) {
		return api.IsAvailable503Response{}, nil
	}
	return api.IsAvailable200Response{}, nil
}

// IsWritable is the generated operation.
func (s *server) IsWritable(ctx context.Context, _ api.IsWritableRequestObject) (api.IsWritableResponseObject, error) {
	if !s.well(ctx, s.Ready) || !s.well(ctx, s.Writable) {
		return api.IsWritable503Response{}, nil
	}
	return api.IsWritable200Response{}, nil
}

// well runs a check, and logs why it fails.
func (s *server) well(ctx context.Context, check func(context.Context) error) bool {
	if check == nil {
		return true
	}
	err := check(ctx)
	if err != nil {
		s.Log.WarnContext(ctx, "not ready", "err", err)
	}
	return err == nil
}
