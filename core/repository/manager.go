package repository

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
	"github.com/repomgr/repomgr/core/security"
	"github.com/repomgr/repomgr/core/store"
)

// Listeners opens the ports that repositories ask for.
type Listeners interface {
	// Listen serves h on a port of the server's address, with secure by TLS, until the connector is closed. It fails, with
	// a message for the admin, when the port is not to be had.
	Listen(port int, secure bool, h http.Handler) (Connector, error)
}

// Connector is an open port.
type Connector interface {
	// Close frees the port at once; running transfers go on to their end.
	Close()
}

// Manager has all repositories at work.
type Manager struct {
	db        *store.Store
	stores    *BlobStores
	formats   map[string]*plugin
	order     []*plugin
	security  *security.Service
	listeners Listeners
	log       *slog.Logger
	caches    caches

	table atomic.Pointer[table]

	// mu orders changes of the configuration.
	mu           sync.Mutex
	repositories map[int64]*Repository
	connectors   map[int]Connector
}

// NewManager returns a manager of the repositories in the database. Start opens their connectors.
func NewManager(ctx context.Context, db *store.Store, stores *BlobStores, formats []format.Format, security *security.Service,
	listeners Listeners, log *slog.Logger) (*Manager, error) {
	m := &Manager{
		db: db, stores: stores, formats: map[string]*plugin{}, security: security, listeners: listeners, log: log,
		caches: newCaches(db.Epochs), repositories: map[int64]*Repository{}, connectors: map[int]Connector{},
	}
	for _, f := range formats {
		p := newPlugin(f)
		m.formats[p.describe.Name] = p
		m.order = append(m.order, p)
	}
	rows, err := db.Repositories(ctx)
	if err != nil {
		return nil, fmt.Errorf("read repositories: %w", err)
	}
	for _, row := range rows {
		var c Config
		if err := json.Unmarshal([]byte(row.Config), &c); err != nil {
			return nil, fmt.Errorf("configuration of repository %s: %w", row.Name, err)
		}
		r, err := m.build(row.ID, c)
		if err != nil {
			// One repository that this version can't run must not keep the others from running.
			log.Error("repository is not available", "repo", row.Name, "err", err)
			continue
		}
		m.repositories[row.ID] = r
	}
	m.table.Store(newTable(m.repositories))
	return m, nil
}

// retryPort is how often a connector is tried again whose port was taken when the server started.
const retryPort = 5 * time.Second

// Start opens the connectors of all repositories. A port that is taken is tried again until ctx ends.
func (m *Manager) Start(ctx context.Context) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.openAll() {
		go m.retry(ctx)
	}
}

// openAll opens the connectors that are not open, and tells whether all are.
func (m *Manager) openAll() bool {
	all := true
	for port, r := range m.table.Load().ports {
		if m.connectors[port] != nil {
			continue
		}
		if err := m.open(r, port); err != nil {
			m.log.Error("connector is not open", "repo", r.Name(), "port", port, "err", err)
			all = false
		}
	}
	return all
}

func (m *Manager) retry(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(retryPort):
		}
		m.mu.Lock()
		done := ctx.Err() != nil || m.openAll()
		m.mu.Unlock()
		if done {
			return
		}
	}
}

func (m *Manager) open(r *Repository, port int) error {
	c, err := m.listeners.Listen(port, port == r.access.HTTPSPort, m.portHandler(port))
	if err != nil {
		return err
	}
	m.connectors[port] = c
	return nil
}

// close closes the connectors that no repository asks for any more.
func (m *Manager) closeUnused() {
	ports := m.table.Load().ports
	for port, c := range m.connectors {
		if ports[port] == nil {
			delete(m.connectors, port)
			c.Close()
		}
	}
}

// List returns the configurations of all repositories in order of name.
func (m *Manager) List(context.Context) ([]Config, error) {
	var list []Config
	for _, r := range m.table.Load().names {
		list = append(list, r.config)
	}
	slices.SortFunc(list, func(a, b Config) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// Get returns a repository's configuration; a NotFound error when there is none of that name.
func (m *Manager) Get(_ context.Context, name string) (Config, error) {
	r := m.find(name)
	if r == nil {
		return Config{}, notFound()
	}
	return r.config, nil
}

func (m *Manager) find(name string) *Repository {
	if r := m.table.Load().names[strings.ToLower(name)]; r != nil && r.config.Name == name {
		return r
	}
	return nil
}

func (m *Manager) byID(id int64) *Repository {
	for _, r := range m.table.Load().names {
		if r.id == id {
			return r
		}
	}
	return nil
}

func notFound() error { return errs.New(errs.NotFound, "Repository not found") }

// Create makes a repository. Its connector is open when Create returns; nothing has changed when it fails.
func (m *Manager) Create(ctx context.Context, c Config) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, err := m.build(0, c)
	if err != nil {
		return err
	}
	if m.table.Load().names[strings.ToLower(c.Name)] != nil {
		return errs.Field("name", "Name is already used, must be unique (ignoring case)")
	}
	return m.change(r, func() error {
		config, err := json.Marshal(r.config)
		if err != nil {
			return err
		}
		return m.db.Update(ctx, func(tx *store.Tx) error {
			id, err := tx.CreateRepository(store.Repository{Name: c.Name, Format: c.Format, Type: c.Type, BlobStoreID: r.store.id, Config: string(config)})
			r.id = id
			return err
		})
	})
}

// Update gives a repository another configuration. Requests that have begun end under the old one.
func (m *Manager) Update(ctx context.Context, c Config) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.find(c.Name)
	if old == nil || old.config.Format != c.Format || old.config.Type != c.Type {
		return notFound()
	}
	r, err := m.build(old.id, c)
	if err != nil {
		return err
	}
	if r.store.id != old.store.id {
		return errs.Field("BlobStoreName", "Blob store can't be changed")
	}
	return m.change(r, func() error {
		config, err := json.Marshal(r.config)
		if err != nil {
			return err
		}
		return m.db.Update(ctx, func(tx *store.Tx) error { return tx.UpdateRepository(r.id, string(config)) })
	})
}

// change opens what r needs, lets save record it, and puts it to work. When anything fails all is as before.
func (m *Manager) change(r *Repository, save func() error) error {
	if err := m.table.Load().conflict(r); err != nil {
		return err
	}
	// Connectors that were opened for nothing are closed: the table does not name them.
	defer m.closeUnused()
	for _, port := range r.ports() {
		if m.connectors[port] != nil {
			continue
		}
		if err := m.open(r, port); err != nil {
			return errs.Wrap(errs.Invalid, err, "%s", message(err))
		}
	}
	if err := save(); err != nil {
		return err
	}
	m.repositories[r.id] = r
	m.table.Store(newTable(m.repositories))
	return nil
}

func message(err error) string {
	var known *errs.Error
	if errors.As(err, &known) {
		return known.Message
	}
	return "port can't be opened"
}

// Delete removes a repository: it is gone at once, its rows and bytes go later.
func (m *Manager) Delete(ctx context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.find(name)
	if r == nil {
		return notFound()
	}
	if err := m.db.Update(ctx, func(tx *store.Tx) error { return tx.DeleteRepository(r.id) }); err != nil {
		return err
	}
	delete(m.repositories, r.id)
	m.table.Store(newTable(m.repositories))
	m.closeUnused()
	return nil
}

// Close closes all connectors.
func (m *Manager) Close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for port, c := range m.connectors {
		delete(m.connectors, port)
		c.Close()
	}
}
