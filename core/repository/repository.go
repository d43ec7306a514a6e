// Package repository is what repositories do: it finds the repository that a request is for, lets the format say what
// the request means, checks the caller's rights, and answers, or stores what was sent.
package repository

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
)

// The types of repositories.
const (
	Hosted = "hosted"
	Proxy  = "proxy"
	Group  = "group"
)

// plugin is a format with its optional interfaces, looked up once; those it doesn't have are nil.
type plugin struct {
	format.Format
	describe  format.Descriptor
	settler   format.Settler
	proxies   format.ProxySettler
	dialect   format.Dialect
	headers   format.Headers
	lister    format.Lister
	generator format.Generator
	rewriter  format.Rewriter
	entrance  format.Entrance
	remoter   format.Remoter
	forwarder format.Forwarder
	comparer  format.Comparer
	paginator format.Paginator
	merger    format.Merger
	selector  format.Selector
	// substituter is asked where upstream lacks a document.
	substituter   format.Substituter
	canonicalizer format.Canonicalizer
	// locator is asked where upstream lacks bytes.
	locator  format.Locator
	mirrorer format.Mirrorer
}

func newPlugin(f format.Format) *plugin {
	p := &plugin{Format: f, describe: f.Describe()}
	p.settler, _ = f.(format.Settler)
	p.proxies, _ = f.(format.ProxySettler)
	p.dialect, _ = f.(format.Dialect)
	p.headers, _ = f.(format.Headers)
	p.lister, _ = f.(format.Lister)
	p.generator, _ = f.(format.Generator)
	p.rewriter, _ = f.(format.Rewriter)
	p.entrance, _ = f.(format.Entrance)
	p.remoter, _ = f.(format.Remoter)
	p.forwarder, _ = f.(format.Forwarder)
	p.comparer, _ = f.(format.Comparer)
	p.paginator, _ = f.(format.Paginator)
	p.merger, _ = f.(format.Merger)
	p.selector, _ = f.(format.Selector)
	p.substituter, _ = f.(format.Substituter)
	p.canonicalizer, _ = f.(format.Canonicalizer)
	p.locator, _ = f.(format.Locator)
	p.mirrorer, _ = f.(format.Mirrorer)
	return p
}

// Repository is a repository at work: its configuration, checked and resolved. It never changes; a new configuration
// makes a new one.
type Repository struct {
	id       int64
	config   Config
	plugin   *plugin
	settings any
	access   format.Access
	store    *blobStore
	manager  *Manager
	// proxySettings are the format's own settings of a proxy.
	proxySettings any
	// upstream is a proxy's; nil for the others.
	upstream *upstream
	// rule says which paths are served; nil is all.
	rule *rule
	// invalidated: what a proxy checked before is stale, in milliseconds since 1970.
	invalidated *atomic.Int64
	// invalidations counts them; each is counted before its time is taken.
	invalidations *atomic.Int64
}

// Name is the repository's name.
func (r *Repository) Name() string { return r.config.Name }

// Config is the repository's configuration.
func (r *Repository) Config() Config { return r.config }

// Access says by which entries clients reach the repository.
func (r *Repository) Access() format.Access { return r.access }

func (r *Repository) info() format.Repository {
	info := format.Repository{Name: r.config.Name, Settings: r.settings, ProxySettings: r.proxySettings}
	if r.upstream != nil {
		info.Remote = r.upstream.base
	}
	return info
}

// build checks a configuration and makes a repository of it. id is zero for one that is not stored yet.
func (m *Manager) build(id int64, c Config) (*Repository, error) {
	if err := CheckName(c.Name); err != nil {
		return nil, err
	}
	p := m.formats[c.Format]
	if p == nil {
		return nil, errs.Field("format", "format %q is not known", c.Format)
	}
	store := m.stores.byName(c.Storage.BlobStore)
	if store == nil {
		return nil, errs.Field("BlobStoreName", "Blob store %q does not exist", c.Storage.BlobStore)
	}
	r := &Repository{id: id, config: c, plugin: p, store: store, manager: m, invalidated: new(atomic.Int64), invalidations: new(atomic.Int64)}
	var err error
	switch c.Type {
	case Hosted:
		err = r.buildHosted()
	case Proxy:
		err = m.buildProxy(r)
	case Group:
		err = r.buildGroup()
	default:
		err = errs.Field("type", "%s repositories of type %q are not supported", c.Format, c.Type)
	}
	if err != nil {
		return nil, err
	}
	if p.settler == nil {
		if c.Settings != nil {
			return nil, errs.Field("settings", "format %s has no settings", c.Format)
		}
		return r, nil
	}
	if r.settings, r.access, err = p.settler.Settings(c.Settings); err != nil {
		return nil, err
	}
	// What is shown and stored is what is meant: with the defaults filled in.
	if r.config.Settings, err = json.Marshal(r.settings); err != nil {
		return nil, fmt.Errorf("settings of repository %s: %w", c.Name, err)
	}
	return r, nil
}

// buildHosted checks the parts of a configuration that only hosted repositories have.
func (r *Repository) buildHosted() error {
	policy, err := ParseWritePolicy(string(r.config.Storage.WritePolicy))
	if err != nil {
		return err
	}
	r.config.Storage.WritePolicy = policy
	if r.config.Component == nil {
		r.config.Component = &Component{}
	}
	return nil
}

// ports are the connector ports that the repository asks for.
func (r *Repository) ports() []int {
	var ports []int
	for _, port := range []int{r.access.HTTPPort, r.access.HTTPSPort} {
		if port != 0 {
			ports = append(ports, port)
		}
	}
	return ports
}

// portField is the field of the configuration that asks for the port.
func (r *Repository) portField(port int) string {
	if port == r.access.HTTPSPort {
		return r.plugin.describe.Settings + ".httpsPort"
	}
	return r.plugin.describe.Settings + ".httpPort"
}

// table is what requests are routed by. It never changes; a new configuration makes a new one.
type table struct {
	// names are in lower case: names are unique ignoring case, and docker clients write them in lower case.
	names      map[string]*Repository
	ids        map[int64]*Repository
	ports      map[int]*Repository
	subdomains map[string]*Repository
	// members are what each group shows, by the group's id.
	members map[int64]members
}

func newTable(repositories map[int64]*Repository) *table {
	t := &table{map[string]*Repository{}, map[int64]*Repository{}, map[int]*Repository{}, map[string]*Repository{}, map[int64]members{}}
	for _, r := range repositories {
		t.names[strings.ToLower(r.config.Name)] = r
		t.ids[r.id] = r
		for _, port := range r.ports() {
			t.ports[port] = r
		}
		if r.access.Subdomain != "" {
			t.subdomains[strings.ToLower(r.access.Subdomain)] = r
		}
	}
	for id, r := range repositories {
		if r.config.Group != nil {
			t.members[id] = t.membersOf(r)
		}
	}
	return t
}

// conflict tells which other repository has an entry that r asks for.
func (t *table) conflict(r *Repository) error {
	for _, port := range r.ports() {
		if other := t.ports[port]; other != nil && other.id != r.id {
			return errs.Field(r.portField(port), "port %d is already used by repository %q", port, other.Name())
		}
	}
	if other := t.subdomains[strings.ToLower(r.access.Subdomain)]; r.access.Subdomain != "" && other != nil && other.id != r.id {
		return errs.Field(r.plugin.describe.Settings+".subdomain", "subdomain %q is already used by repository %q", r.access.Subdomain, other.Name())
	}
	return nil
}

// policy decides whether a record may be stored over existing, which is nil when its path is free.
func (r *Repository) policy(rec format.Record, existing *content.Asset, blob content.Blob) error {
	if existing == nil || existing.Blob.ID == blob.ID || rec.Class != content.Mutable || r.config.Type == Proxy {
		return nil
	}
	if r.config.Storage.WritePolicy == Allow || rec.Latest && r.config.Storage.LatestPolicy {
		return nil
	}
	e := errs.New(errs.Conflict, "%s%s cannot be updated as asset already exists and redeploy is not allowed", r.config.Name, rec.Path)
	e.Code = format.CodePolicy
	return e
}

// writable tells whether the repository takes changes at all.
func (r *Repository) writable() error {
	if r.config.Type != Hosted {
		return readable("repository %s is a %s: nothing can be changed in it", r.config.Name, r.config.Type)
	}
	if r.config.Storage.WritePolicy == Deny {
		return r.readOnly(errs.Forbidden)
	}
	return nil
}

func (r *Repository) readOnly(kind errs.Kind) error {
	e := errs.New(kind, "repository %s is read-only", r.config.Name)
	e.Code = format.CodePolicy
	return e
}

// readable is the error where all that can be done is to read.
func readable(text string, args ...any) error {
	e := errs.New(errs.MethodNotAllowed, text, args...)
	e.Detail = format.Allow{http.MethodGet, http.MethodHead}
	return e
}
