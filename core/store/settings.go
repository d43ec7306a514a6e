package store

import (
	"context"
	"fmt"
)

// Setting returns a setting's value; empty when it was never set.
func (s *Store) Setting(ctx context.Context, key string) (string, error) {
	var value string
	_, err := s.scan(ctx, &value, `SELECT value FROM settings WHERE key = ?`, key)
	return value, err
}

// SetSetting stores a setting.
func (tx *Tx) SetSetting(key, value string) error {
	_, err := tx.exec(`INSERT INTO settings (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value`, key, value)
	if err != nil {
		return fmt.Errorf("set %s: %w", key, err)
	}
	return nil
}

// InitSetting stores value unless the setting has one, and returns the one it has now.
func (s *Store) InitSetting(ctx context.Context, key, value string) (string, error) {
	var now string
	err := s.Update(ctx, func(tx *Tx) error {
		if _, err := tx.exec(`INSERT INTO settings (key, value) VALUES (?, ?) ON CONFLICT (key) DO NOTHING`, key, value); err != nil {
			return fmt.Errorf("init %s: %w", key, err)
		}
		_, err := tx.scan(&now, `SELECT value FROM settings WHERE key = ?`, key)
		return err
	})
	return now, err
}
