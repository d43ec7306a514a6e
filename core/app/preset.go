package app

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/repomgr/repomgr/core/config"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/repository"
	"github.com/repomgr/repomgr/core/store"
)

// settingPreset is the setting that tells that a preset was set up.
const settingPreset = "preset.docker"

// preset creates the repositories of the presets, once: one that an admin changed, or deleted, is left alone.
func preset(ctx context.Context, cfg config.Config, db *store.Store, repositories *repository.Manager) error {
	if !slices.Contains(cfg.Presets, "docker") {
		return nil
	}
	if done, err := db.Setting(ctx, settingPreset); err != nil || done != "" {
		return err
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
	return db.Update(ctx, func(tx *store.Tx) error { return tx.SetSetting(settingPreset, "done") })
}
