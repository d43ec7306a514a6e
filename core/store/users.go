package store

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/repomgr/repomgr/core/security"
)

// Directory is where the database keeps users and the settings of security.
func (s *Store) Directory() security.Directory { return directory{s} }

// directory implements security.Directory.
type directory struct{ store *Store }

// epochSecurity is the row of the epochs table that counts changes of users and settings of security.
const epochSecurity = "security"

// Load reads until nothing changed meanwhile: the parts are of one moment then.
func (d directory) Load(ctx context.Context) (security.State, error) {
	for {
		before, err := d.Epoch(ctx)
		if err != nil {
			return security.State{}, err
		}
		state, err := d.read(ctx)
		if err != nil {
			return security.State{}, err
		}
		state.Epoch, err = d.Epoch(ctx)
		if err != nil || state.Epoch == before {
			return state, err
		}
	}
}

func (d directory) Epoch(ctx context.Context) (int64, error) {
	var epoch int64
	if _, err := d.store.scan(ctx, &epoch, `SELECT value FROM epochs WHERE name = ?`, epochSecurity); err != nil {
		return 0, fmt.Errorf("read epoch %s: %w", epochSecurity, err)
	}
	return epoch, nil
}

func (d directory) read(ctx context.Context) (security.State, error) {
	var rows []userRow
	if _, err := d.store.scan(ctx, &rows, selectUsers); err != nil {
		return security.State{}, fmt.Errorf("read users: %w", err)
	}
	users, err := usersOf(rows)
	if err != nil {
		return security.State{}, err
	}
	var settings []struct{ Key, Value string }
	if _, err := d.store.scan(ctx, &settings, `SELECT key, value FROM settings WHERE key LIKE 'security.%'`); err != nil {
		return security.State{}, fmt.Errorf("read settings of security: %w", err)
	}
	state := security.State{Users: users, Settings: make(map[string]string, len(settings))}
	for _, s := range settings {
		state.Settings[s.Key] = s.Value
	}
	return state, nil
}

// Update bumps the epoch first: on PostgreSQL that locks its row, so that changes run one after the other.
func (d directory) Update(ctx context.Context, change func(security.Tx) error) error {
	return d.store.Update(ctx, func(tx *Tx) error {
		in := directoryTx{tx: tx}
		n, err := tx.scan(&in.epoch, `UPDATE epochs SET value = value + 1 WHERE name = ? RETURNING value`, epochSecurity)
		if err == nil && n != 1 {
			err = fmt.Errorf("there are %d", n)
		}
		if err != nil {
			return fmt.Errorf("bump epoch %s: %w", epochSecurity, err)
		}
		return change(in)
	})
}

// directoryTx implements security.Tx.
type directoryTx struct {
	tx    *Tx
	epoch int64
}

func (t directoryTx) Epoch() int64 { return t.epoch }

func (t directoryTx) Users() ([]security.User, error) {
	var rows []userRow
	if _, err := t.tx.scan(&rows, selectUsers); err != nil {
		return nil, fmt.Errorf("read users: %w", err)
	}
	return usersOf(rows)
}

func (t directoryTx) Save(u security.User) error {
	roles, err := json.Marshal(append([]string{}, u.Roles...))
	if err != nil {
		return fmt.Errorf("save user %s: %w", u.ID, err)
	}
	_, err = t.tx.exec(`INSERT INTO users (id, first_name, last_name, email, source, status, roles, password_hash, version)
 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET first_name = excluded.first_name, last_name = excluded.last_name,
 email = excluded.email, source = excluded.source, status = excluded.status, roles = excluded.roles,
 password_hash = excluded.password_hash, version = excluded.version`,
		u.ID, u.FirstName, u.LastName, u.Email, u.Source, string(u.Status), string(roles), u.Hash, u.Version)
	if err != nil {
		return fmt.Errorf("save user %s: %w", u.ID, err)
	}
	return nil
}

func (t directoryTx) Delete(id string) error {
	if _, err := t.tx.exec(`DELETE FROM users WHERE id = ?`, id); err != nil {
		return fmt.Errorf("delete user %s: %w", id, err)
	}
	return nil
}

func (t directoryTx) Setting(key string) (string, error) {
	var value string
	if _, err := t.tx.scan(&value, `SELECT value FROM settings WHERE key = ?`, key); err != nil {
		return "", fmt.Errorf("read setting %s: %w", key, err)
	}
	return value, nil
}

func (t directoryTx) SetSetting(key, value string) error { return t.tx.SetSetting(key, value) }

// selectUsers is in the byte order of ids on both databases.
const selectUsers = `SELECT id, first_name, last_name, email, source, status, roles, password_hash, version FROM users ORDER BY id`

type userRow struct {
	ID, FirstName, LastName, Email, Source, Status, Roles, PasswordHash string
	Version                                                             int64
}

func usersOf(rows []userRow) ([]security.User, error) {
	users := make([]security.User, 0, len(rows))
	for _, r := range rows {
		u := security.User{
			ID: r.ID, FirstName: r.FirstName, LastName: r.LastName, Email: r.Email,
			Source: r.Source, Status: security.Status(r.Status), Hash: r.PasswordHash, Version: r.Version,
		}
		if err := json.Unmarshal([]byte(r.Roles), &u.Roles); err != nil {
			return nil, fmt.Errorf("read user %s: roles: %w", r.ID, err)
		}
		users = append(users, u)
	}
	return users, nil
}
