package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/repomgr/repomgr/core/config"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/remote"
	"github.com/repomgr/repomgr/core/repository"
	"github.com/repomgr/repomgr/core/store"
)

// settingPreset is the setting that tells that a preset was set up.
const settingPreset = "preset.docker"

// preset creates the repositories of the presets, once: one that an admin changed, or deleted, is left alone. What can't be created
// besides others that an admin has made is told, and tried again at the next start; it doesn't keep the server from starting.
func preset(ctx context.Context, cfg config.Config, db *store.Store, repositories *repository.Manager, log *slog.Logger) error {
	if !slices.Contains(cfg.Presets, "docker") {
		return nil
	}
	if done, err := db.Setting(ctx, settingPreset); err != nil || done != "" {
		return err
	}
	complete := true
	for _, c := range dockerPreset(cfg) {
		if _, err := repositories.Get(ctx, c.Name); !errs.Is(err, errs.NotFound) {
			if err != nil {
				return err
			}
			continue
		}
		err := repositories.Create(ctx, c)
		var known *errs.Error
		if errors.As(err, &known) && known.Kind == errs.Invalid {
			log.Error("a repository of the preset is not created", "preset", "docker", "repo", c.Name, "err", err)
			complete = false
			continue
		}
		if err != nil {
			return fmt.Errorf("preset docker: %s: %w", c.Name, err)
		}
	}
	if !complete {
		return nil
	}
	return db.Update(ctx, func(tx *store.Tx) error { return tx.SetSetting(settingPreset, "done") })
}

// dockerPreset are the repositories of the docker preset, in an order in which they can be created.
//
// The proxy and the group offer tokens, as docker's engine has no credentials for a mirror: it can pull when anonymous access is on.
// While it is off, which is the default, they show nothing to who has not signed in.
func dockerPreset(cfg config.Config) []repository.Config {
	hosted := repository.Config{
		Name: "docker-hosted", Type: repository.Hosted,
		Storage:  repository.Storage{WritePolicy: repository.Allow},
		Settings: fmt.Appendf(nil, `{"httpPort": %d, "forceBasicAuth": true, "v1Enabled": false, "pathEnabled": true}`, cfg.PresetDockerPort),
	}
	hub := repository.Config{
		Name: "docker-hub", Type: repository.Proxy,
		Proxy:         &repository.ProxyConfig{RemoteURL: "https://registry-1.docker.io", ContentMaxAge: -1, MetadataMaxAge: 1440},
		NegativeCache: &repository.NegativeCache{Enabled: true, TimeToLive: 1440},
		HTTPClient:    &remote.Config{AutoBlock: true},
		Settings:      json.RawMessage(`{"forceBasicAuth": false, "v1Enabled": false, "pathEnabled": true}`),
		ProxySettings: json.RawMessage(`{"indexType": "HUB"}`),
	}
	all := repository.Config{
		Name: "docker-all", Type: repository.Group,
		Group:    &repository.GroupConfig{MemberNames: []string{hosted.Name, hub.Name}, WritableMember: hosted.Name},
		Settings: fmt.Appendf(nil, `{"httpPort": %d, "forceBasicAuth": false, "v1Enabled": false, "pathEnabled": true}`, cfg.PresetDockerGroupPort),
	}
	list := []repository.Config{hosted, hub, all}
	for i := range list {
		list[i].Format, list[i].Online = "docker", true
		list[i].Storage.BlobStore, list[i].Storage.StrictContentTypeValidation = repository.DefaultBlobStore, true
	}
	return list
}
