package app

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/repomgr/repomgr/core/config"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/repository"
)

// preset creates the repositories of the presets that aren't there yet. One that an admin changed is left alone.
func preset(ctx context.Context, cfg config.Config, repositories *repository.Manager) error {
	if !slices.Contains(cfg.Presets, "docker") {
		return nil
	}
	const name = "docker-hosted"
	if _, err := repositories.Get(ctx, name); !errs.Is(err, errs.NotFound) {
		return err
	}
	settings, err := json.Marshal(map[string]any{"httpPort": cfg.PresetDockerPort, "forceBasicAuth": true, "v1Enabled": false, "pathEnabled": true})
	if err != nil {
		return err
	}
	err = repositories.Create(ctx, repository.Config{
		Name: name, Format: "docker", Type: repository.Hosted, Online: true,
		Storage:  repository.Storage{BlobStore: repository.DefaultBlobStore, StrictContentTypeValidation: true, WritePolicy: repository.Allow},
		Settings: settings,
	})
	if err != nil {
		return fmt.Errorf("preset docker: %w", err)
	}
	return nil
}
