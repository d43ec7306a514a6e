package repository

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
	"github.com/repomgr/repomgr/core/remote"
	"github.com/repomgr/repomgr/core/secret"
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
	// Secure tells whether the port speaks TLS.
	Secure() bool

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
	// key encrypts the secrets in the database.
	key    *secret.Key
	log    *slog.Logger
	caches caches
	// parsing bounds the bytes of the documents that formats look into at the same moment.
	parsing *semaphore.Weighted
	// generating bounds how many documents are made at the same moment.
	generating *semaphore.Weighted
	// network is what all requests to upstream servers have in common; fetches are those under way.
	network *remote.Network
	fetches *fetches
	// loop is the name of this installation in requests to upstream servers.
	loop string
	stop context.CancelFunc

	table atomic.Pointer[table]

	// mu orders changes of the configuration.
	mu           sync.Mutex
	repositories map[int64]*Repository
	connectors   map[int]Connector
	// started tells whether connectors are open, or were tried.
	started, closed bool
}

// maxParsing is how many bytes of documents are parsed and recorded at once, each counted parsingCost times: that is what they
// become in memory. A document may have a quarter of it (MaxSize of a route).
const maxParsing = 16 << 20

const parsingCost = 4

// NewManager returns a manager of the repositories in the database, whose secrets are encrypted with the key. Start opens their
// connectors.
func NewManager(ctx context.Context, db *store.Store, stores *BlobStores, formats []format.Format, security *security.Service,
	listeners Listeners, network *remote.Network, key *secret.Key, log *slog.Logger) (*Manager, error) {
	m := &Manager{
		db: db, stores: stores, formats: map[string]*plugin{}, security: security, listeners: listeners, key: key, log: log,
		caches: newCaches(db.Epochs), parsing: semaphore.NewWeighted(maxParsing), generating: semaphore.NewWeighted(maxGenerating), network: network, loop: remote.LoopName(stores.installation), repositories: map[int64]*Repository{}, connectors: map[int]Connector{},
	}
	for _, f := range formats {
		p := newPlugin(f)
		m.formats[p.describe.Name] = p
		m.order = append(m.order, p)
	}
	lifetime, stop := context.WithCancel(context.Background())
	m.stop, m.fetches = stop, newFetches(lifetime)
	rows, err := db.Repositories(ctx)
	if err != nil {
		return nil, fmt.Errorf("read repositories: %w", err)
	}
	clear := map[int64]Config{}
	for _, row := range rows {
		c, isClear, err := m.decode(row)
		if err != nil {
			return nil, err
		}
		if isClear {
			clear[row.ID] = c
		}
		r, err := m.build(row.ID, c)
		if err == nil {
			err = m.setRule(ctx, r)
		}
		if err != nil {
			// One repository that this version can't run must not keep the others from running.
			log.Error("repository is not available", "repo", row.Name, "err", err)
			continue
		}
		r.invalidated.Store(row.InvalidatedAt)
		m.repositories[row.ID] = r
	}
	m.table.Store(newTable(m.repositories))
	return m, m.seal(ctx, clear)
}

// retryPort is how often a connector is tried again whose port was taken when the server started.
const retryPort = 5 * time.Second

// Start opens the connectors of all repositories. A port that is taken is tried again until ctx ends.
func (m *Manager) Start(ctx context.Context) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.started = true
	if !m.openAll(slog.LevelError) {
		go m.retry(ctx)
	}
}

// openAll opens the connectors that are not open, and tells whether all are. The level is that of the log for those that
// can't be opened.
func (m *Manager) openAll(level slog.Level) bool {
	all := true
	for port, r := range m.table.Load().ports {
		if m.closed || m.connectors[port] != nil {
			continue
		}
		if err := m.open(r, port); err != nil {
			m.log.Log(context.Background(), level, "connector is not open; it is tried again", "repo", r.Name(), "port", port, "err", err)
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
		done := ctx.Err() != nil || m.closed || m.openAll(slog.LevelDebug)
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

// closeUnused closes the connectors that no repository asks for any more.
func (m *Manager) closeUnused() {
	ports := m.table.Load().ports
	for port, c := range m.connectors {
		if ports[port] == nil {
			delete(m.connectors, port)
			c.Close()
		}
	}
}

// openFor opens a port for r, which may have had it before, and returns how to undo that.
func (m *Manager) openFor(r *Repository, port int) (undo func(), err error) {
	was := m.connectors[port]
	secure := port == r.access.HTTPSPort
	if was != nil && was.Secure() == secure {
		return func() {}, nil
	}
	// Another protocol on the same port: it has to be free first.
	if was != nil {
		delete(m.connectors, port)
		was.Close()
	}
	undo = func() {
		if c := m.connectors[port]; c != nil {
			delete(m.connectors, port)
			c.Close()
		}
		if old := m.table.Load().ports[port]; was != nil && old != nil {
			_ = m.open(old, port)
		}
	}
	if err := m.open(r, port); err != nil {
		undo()
		return nil, err
	}
	return undo, nil
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

func (m *Manager) byID(id int64) *Repository { return m.table.Load().ids[id] }

func notFound() error { return errs.New(errs.NotFound, "Repository not found") }

// Create makes a repository. Its connector is open when Create returns, or, before Start, will be opened by that; nothing has
// changed when it fails.
func (m *Manager) Create(ctx context.Context, c Config) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, err := m.build(0, c)
	if err != nil {
		return err
	}
	if err := m.setRule(ctx, r); err != nil {
		return err
	}
	if err := m.checkMembers(r); err != nil {
		return err
	}
	if m.table.Load().names[strings.ToLower(c.Name)] != nil {
		return errs.Field("name", "Name is already used, must be unique (ignoring case)")
	}
	return m.change(r, func() error {
		config, err := m.encode(r.config)
		if err != nil {
			return err
		}
		return m.db.Update(ctx, func(tx *store.Tx) error {
			id, err := tx.CreateRepository(store.Repository{Name: c.Name, Format: c.Format, Type: c.Type, BlobStoreID: r.store.id, Config: config})
			if r.id = id; err != nil {
				return err
			}
			return tx.SetRoutingRule(id, c.RoutingRule)
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
	if err := m.setRule(ctx, r); err != nil {
		return err
	}
	if r.store.id != old.store.id {
		return errs.Field("BlobStoreName", "Blob store can't be changed")
	}
	if err := m.checkMembers(r); err != nil {
		return err
	}
	r.invalidated, r.invalidations = old.invalidated, old.invalidations
	moved := r.moves(old)
	if moved {
		r.invalidations.Add(1) // what is being fetched is from elsewhere
	}
	err = m.change(r, func() error {
		return m.db.Update(ctx, func(tx *store.Tx) error {
			if err := r.move(tx, moved); err != nil {
				return err
			}
			config, err := m.encode(r.config)
			if err != nil {
				return err
			}
			if err := tx.UpdateRepository(r.id, config); err != nil {
				return err
			}
			return tx.SetRoutingRule(r.id, c.RoutingRule)
		})
	})
	if err != nil {
		return err
	}
	if moved {
		r.invalidated.Store(r.config.MovedAt)
		r.invalidations.Add(1) // by those, too, who still met the old configuration
	}
	old.retire()
	return nil
}

// change opens what r needs, lets save record it, and puts it to work. When anything fails all is as before.
func (m *Manager) change(r *Repository, save func() error) error {
	if err := m.table.Load().conflict(r); err != nil {
		return err
	}
	// Connectors that no repository asks for any more are closed at the end, whatever that is.
	defer m.closeUnused()
	var undo []func()
	rollBack := func() {
		for _, f := range slices.Backward(undo) {
			f()
		}
	}
	for _, port := range r.ports() {
		if !m.started {
			break
		}
		f, err := m.openFor(r, port)
		if err != nil && m.had(r, port) {
			// It was not to be had before either: that must not stand in the way of another change.
			continue
		}
		if err != nil {
			rollBack()
			return portError(r, port, err)
		}
		undo = append(undo, f)
	}
	if err := save(); err != nil {
		rollBack()
		return err
	}
	m.repositories[r.id] = r
	m.table.Store(newTable(m.repositories))
	return nil
}

// had tells whether the repository has the port, with the same protocol, in its present configuration.
func (m *Manager) had(r *Repository, port int) bool {
	old := m.table.Load().ports[port]
	return old != nil && old.id == r.id && (port == old.access.HTTPSPort) == (port == r.access.HTTPSPort)
}

// portError is the error about a port that can't be opened.
func portError(r *Repository, port int, err error) error {
	e := errs.Field(r.portField(port), "port %d can't be opened", port)
	var known *errs.Error
	if errors.As(err, &known) {
		e.Message, err = known.Message, known.Err
	}
	e.Err = err
	return e
}

// Delete removes a repository, also from the groups that it is in: it is gone at once, its rows and bytes go later.
func (m *Manager) Delete(ctx context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.find(name)
	if r == nil {
		return notFound()
	}
	groups := m.without(name)
	err := m.db.Update(ctx, func(tx *store.Tx) error {
		for _, g := range groups {
			config, err := m.encode(g.config)
			if err != nil {
				return err
			}
			if err := tx.UpdateRepository(g.id, config); err != nil {
				return err
			}
		}
		return tx.DeleteRepository(r.id)
	})
	if err != nil {
		return err
	}
	for _, g := range groups {
		m.repositories[g.id] = g
	}
	delete(m.repositories, r.id)
	r.retire()
	m.table.Store(newTable(m.repositories))
	m.closeUnused()
	return nil
}

// Close closes all connectors, and gives up what is being fetched from upstream servers.
func (m *Manager) Close() {
	m.mu.Lock()
	m.closed = true
	for port, c := range m.connectors {
		delete(m.connectors, port)
		c.Close()
	}
	m.mu.Unlock()
	m.stop()
	m.fetches.running.Wait()
}
