// Package securitytest has a directory in memory, and the tests that every directory must pass.
package securitytest

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/repomgr/repomgr/core/security"
)

// Memory is a directory that lasts as long as the process. The zero value is empty and ready for use.
type Memory struct {
	mu    sync.Mutex
	state security.State
}

// Load implements security.Directory.
func (m *Memory) Load(ctx context.Context) (security.State, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return clone(m.state), ctx.Err()
}

// Epoch implements security.Directory.
func (m *Memory) Epoch(ctx context.Context) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state.Epoch, ctx.Err()
}

// Update implements security.Directory.
func (m *Memory) Update(ctx context.Context, change func(security.Tx) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	tx := memoryTx{clone(m.state)}
	tx.State.Epoch++
	if err := change(&tx); err != nil {
		return err
	}
	m.state = tx.State
	return nil
}

func clone(s security.State) security.State {
	s.Settings = maps.Clone(s.Settings)
	if s.Settings == nil {
		s.Settings = map[string]string{}
	}
	s.Users = slices.Clone(s.Users)
	for i := range s.Users {
		s.Users[i].Roles = slices.Clone(s.Users[i].Roles)
	}
	return s
}

type memoryTx struct{ security.State }

func (tx *memoryTx) Epoch() int64 { return tx.State.Epoch }

func (tx *memoryTx) Users() ([]security.User, error) { return clone(tx.State).Users, nil }

func (tx *memoryTx) Save(u security.User) error {
	_ = tx.Delete(u.ID)
	u.Roles = slices.Clone(u.Roles)
	tx.State.Users = append(tx.State.Users, u)
	slices.SortFunc(tx.State.Users, func(a, b security.User) int { return cmp.Compare(a.ID, b.ID) })
	return nil
}

func (tx *memoryTx) Delete(id string) error {
	tx.State.Users = slices.DeleteFunc(tx.State.Users, func(u security.User) bool { return u.ID == id })
	return nil
}

func (tx *memoryTx) Setting(key string) (string, error) { return tx.Settings[key], nil }

func (tx *memoryTx) SetSetting(key, value string) error {
	tx.Settings[key] = value
	return nil
}
