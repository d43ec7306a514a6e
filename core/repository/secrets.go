package repository

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/repomgr/repomgr/core/remote"
	"github.com/repomgr/repomgr/core/secret"
	"github.com/repomgr/repomgr/core/store"
)

// encode is how the database keeps a configuration: its secrets are encrypted, for this repository.
func (m *Manager) encode(c Config) (string, error) {
	if a := c.authentication(); a != nil {
		sealed, client := *a, *c.HTTPClient
		sealed.Password = m.key.Seal(c.place("password"), a.Password)
		sealed.BearerToken = m.key.Seal(c.place("bearerToken"), a.BearerToken)
		client.Authentication, c.HTTPClient = &sealed, &client
	}
	text, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("configuration of repository %s: %w", c.Name, err)
	}
	return string(text), nil
}

// decode is encode's inverse. It tells whether a secret was stored in clear. One that can't be decrypted keeps its upstream from being
// asked, and nothing else.
func (m *Manager) decode(row store.Repository) (c Config, clear bool, err error) {
	if err := json.Unmarshal([]byte(row.Config), &c); err != nil {
		return c, false, fmt.Errorf("configuration of repository %s: %w", row.Name, err)
	}
	c.Name = row.Name // whatever configuration has been put there
	a := c.authentication()
	if a == nil {
		return c, false, nil
	}
	for field, value := range map[string]*string{"password": &a.Password, "bearerToken": &a.BearerToken} {
		clear = clear || *value != "" && !secret.Sealed(*value)
		if *value, err = m.key.Open(c.place(field), *value); err != nil {
			a.Lost = fmt.Errorf("its %s can't be decrypted: %w; set it again", field, err)
			m.log.Error("upstream can't be asked", "repo", row.Name, "err", a.Lost)
		}
	}
	return c, clear && a.Lost == nil, nil
}

func (c Config) authentication() *remote.Authentication {
	if c.HTTPClient == nil {
		return nil
	}
	return c.HTTPClient.Authentication
}

// place is where a secret is, for its encryption. Names of repositories don't change.
func (c Config) place(field string) string {
	return "repository/" + c.Name + "/httpClient.authentication." + field
}

// seal encrypts what was stored in clear, of the repositories with these ids.
func (m *Manager) seal(ctx context.Context, configs map[int64]Config) error {
	for id, c := range configs {
		text, err := m.encode(c)
		if err != nil {
			return err
		}
		if err := m.db.Update(ctx, func(tx *store.Tx) error { return tx.UpdateRepository(id, text) }); err != nil {
			return fmt.Errorf("encrypt the secrets of repository %s: %w", c.Name, err)
		}
	}
	return nil
}
