package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"

	"github.com/repomgr/repomgr/core/config"
	"github.com/repomgr/repomgr/core/secret"
	"github.com/repomgr/repomgr/core/store"
)

// settingKey is the setting with the id of the key that the database's secrets are encrypted with.
const settingKey = "secrets.key"

// openKey opens the key of the secrets, or makes one. A database that several nodes may share has one key: a node with another is an
// error. On a database of the server's own it goes on without what another key has encrypted.
func openKey(ctx context.Context, cfg config.Config, db *store.Store, log *slog.Logger) (*secret.Key, error) {
	known, err := db.Setting(ctx, settingKey)
	if err != nil {
		return nil, fmt.Errorf("key of secrets: %w", err)
	}
	path, shared := cfg.SecretsKeyFile, cfg.DatabaseURL != ""
	if path == "" {
		path = filepath.Join(cfg.Data, secret.FileName)
	}
	key, err := secret.Read(path)
	if errors.Is(err, fs.ErrNotExist) && cfg.SecretsKeyFile == "" {
		if known != "" && shared {
			return nil, fmt.Errorf("the database's secrets are encrypted with key %s, and there is no %s: copy it from another node, or set secrets.keyFile", known, path)
		}
		key, err = secret.Create(path)
	}
	if err != nil {
		return nil, err
	}
	if known, err = db.InitSetting(ctx, settingKey, key.ID()); err != nil {
		return nil, fmt.Errorf("key of secrets: %w", err)
	}
	switch {
	case known == key.ID():
		return key, nil
	case shared:
		return nil, fmt.Errorf("the database's secrets are encrypted with key %s, and %s holds key %s: copy the file from another node, or set secrets.keyFile", known, path, key.ID())
	}
	log.Error("the key of secrets is another than before: passwords and tokens of upstream servers have to be set again", "file", path, "before", known, "now", key.ID())
	return key, db.Update(ctx, func(tx *store.Tx) error { return tx.SetSetting(settingKey, key.ID()) })
}
