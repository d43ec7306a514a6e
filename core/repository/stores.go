package repository

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/repomgr/repomgr/core/blobstore"
	"github.com/repomgr/repomgr/core/blobstore/file"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/store"
)

// DefaultBlobStore is the blob store that an empty data directory gets.
const DefaultBlobStore = "default"

// fileType is the type of file blob stores in the REST API.
const fileType = "File"

// blobStore is an open blob store.
type blobStore struct {
	id     int64
	uuid   string
	config BlobStoreConfig
	*file.Store
}

var _ blobstore.Uploader = (*file.Store)(nil)

// BlobStores opens and manages the blob stores.
type BlobStores struct {
	db *store.Store
	// dir is where stores with a relative path are.
	dir          string
	installation string
	log          *slog.Logger

	mu     sync.RWMutex
	stores map[int64]*blobStore
}

// settingInstallation is the setting that holds the installation's id.
const settingInstallation = "installation.id"

// OpenBlobStores opens all blob stores of the database. In a database without one it creates "default" below dir.
func OpenBlobStores(ctx context.Context, db *store.Store, dir string, log *slog.Logger) (*BlobStores, error) {
	installation, err := db.InitSetting(ctx, settingInstallation, uuid.NewString())
	if err != nil {
		return nil, fmt.Errorf("installation id: %w", err)
	}
	s := &BlobStores{db: db, dir: dir, installation: installation, log: log, stores: map[int64]*blobStore{}}
	rows, err := db.BlobStores(ctx)
	if err != nil {
		return nil, fmt.Errorf("read blob stores: %w", err)
	}
	for _, row := range rows {
		b := &blobStore{id: row.ID, uuid: row.UUID}
		if err := json.Unmarshal([]byte(row.Config), &b.config); err != nil {
			return nil, fmt.Errorf("configuration of blob store %s: %w", row.Name, err)
		}
		if err := s.open(b, false); err != nil {
			return nil, err
		}
		s.stores[b.id] = b
	}
	if len(rows) == 0 {
		if err := s.Create(ctx, BlobStoreConfig{Name: DefaultBlobStore, Type: fileType, Path: DefaultBlobStore}); err != nil {
			return nil, fmt.Errorf("create blob store %s: %w", DefaultBlobStore, err)
		}
	}
	return s, nil
}

// open opens b's files. A store that can't be used is open too, and says why.
func (s *BlobStores) open(b *blobStore, create bool) (err error) {
	id := file.Identity{Store: b.uuid, Installation: s.installation}
	b.Store, err = file.Open(s.root(b.config), id, file.Options{Create: create})
	if err != nil {
		return fmt.Errorf("open blob store %s: %w", b.config.Name, err)
	}
	if reason := b.Unavailable(); reason != "" {
		s.log.Error("blob store is unavailable", "blobstore", b.config.Name, "reason", reason)
	}
	return nil
}

func (s *BlobStores) root(c BlobStoreConfig) string {
	if filepath.IsAbs(c.Path) {
		return filepath.Clean(c.Path)
	}
	return filepath.Join(s.dir, c.Path)
}

// Close closes all stores.
func (s *BlobStores) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var first error
	for _, b := range s.stores {
		if err := b.Store.Close(); err != nil && first == nil {
			first = err
		}
	}
	return first
}

func (s *BlobStores) byName(name string) *blobStore {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, b := range s.stores {
		if b.config.Name == name {
			return b
		}
	}
	return nil
}

// Each calls fn for each open blob store, in order of name, with its row's id. One that is unavailable is open too.
func (s *BlobStores) Each(fn func(id int64, name string, store blobstore.Store)) {
	s.mu.RLock()
	open := slices.SortedFunc(maps.Values(s.stores), func(a, b *blobStore) int { return strings.Compare(a.config.Name, b.config.Name) })
	s.mu.RUnlock()
	for _, b := range open {
		fn(b.id, b.config.Name, b.Store)
	}
}

func (s *BlobStores) byID(id int64) *blobStore {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.stores[id]
}

// List returns the status of all blob stores, "default" first, then in order of name.
func (s *BlobStores) List(ctx context.Context) ([]BlobStoreStatus, error) {
	rows, err := s.db.BlobStores(ctx)
	if err != nil {
		return nil, err
	}
	var list []BlobStoreStatus
	for _, row := range rows {
		if b := s.byID(row.ID); b != nil {
			status, err := s.status(ctx, b)
			if err != nil {
				return nil, err
			}
			list = append(list, status)
		}
	}
	return list, nil
}

// Get returns the status of one; a NotFound error when there is none of that name.
func (s *BlobStores) Get(ctx context.Context, name string) (BlobStoreStatus, error) {
	b := s.byName(name)
	if b == nil {
		return BlobStoreStatus{}, blobStoreNotFound(name)
	}
	return s.status(ctx, b)
}

func blobStoreNotFound(name string) error {
	return errs.New(errs.NotFound, "Blob store %q not found", name)
}

func (s *BlobStores) status(ctx context.Context, b *blobStore) (BlobStoreStatus, error) {
	status := BlobStoreStatus{BlobStoreConfig: b.config, Unavailable: b.Unavailable()}
	var err error
	if status.BlobCount, status.TotalSize, err = s.db.Usage(ctx, b.id); err != nil {
		return status, fmt.Errorf("usage of blob store %s: %w", b.config.Name, err)
	}
	if status.Unavailable == "" {
		if status.AvailableSpace, err = b.Space(); err != nil {
			return status, fmt.Errorf("free space of blob store %s: %w", b.config.Name, err)
		}
	}
	return status, nil
}

// Create makes a new blob store: its directory, with its marker, before its row. A directory that holds anything else is
// refused; one that an interrupted Create left is taken over.
func (s *BlobStores) Create(ctx context.Context, c BlobStoreConfig) error {
	if err := CheckName(c.Name); err != nil {
		return err
	}
	if err := s.check(c); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	root := s.root(c)
	for _, other := range s.stores {
		if strings.EqualFold(other.config.Name, c.Name) {
			return errs.Field("name", "Name is already used, must be unique (ignoring case)")
		}
		if o := s.root(other.config); within(o, root) || within(root, o) {
			return errs.Field("path", "path overlaps that of blob store %q", other.config.Name)
		}
	}
	// The store's id follows from its name, so that a directory left by a crash before the row was written is known again.
	b := &blobStore{config: c, uuid: uuid.NewSHA1(uuid.MustParse(s.installation), []byte(c.Name+"\n"+root)).String()}
	if err := s.open(b, true); err != nil {
		return err
	}
	if reason := b.Unavailable(); reason != "" {
		_ = b.Store.Close()
		return errs.Field("path", "path can't be used: %s", reason)
	}
	config, err := json.Marshal(c)
	if err != nil {
		return err
	}
	err = s.db.Update(ctx, func(tx *store.Tx) (err error) {
		b.id, err = tx.CreateBlobStore(store.BlobStore{UUID: b.uuid, Name: c.Name, Type: c.Type, Config: string(config)})
		return err
	})
	if err != nil {
		_ = b.Store.Close()
		return err
	}
	s.stores[b.id] = b
	return nil
}

// within tells whether path is dir or below it.
func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

func (s *BlobStores) check(c BlobStoreConfig) error {
	if c.Type != fileType {
		return errs.Field("type", "blob stores of type %q are not supported", c.Type)
	}
	if strings.TrimSpace(c.Path) == "" || strings.ContainsRune(c.Path, 0) {
		return errs.Field("path", "path must not be empty")
	}
	if !filepath.IsAbs(c.Path) && !filepath.IsLocal(c.Path) {
		return errs.Field("path", "a relative path must stay below the data directory")
	}
	if q := c.SoftQuota; q != nil {
		if q.Type != "spaceRemainingQuota" && q.Type != "spaceUsedQuota" {
			return errs.Field("softQuota.type", "quota type must be spaceRemainingQuota or spaceUsedQuota")
		}
		if q.Limit <= 0 {
			return errs.Field("softQuota.limit", "quota limit must be a positive number of bytes")
		}
	}
	return nil
}

// Update changes the quota of a store. Moving its path is refused: the bytes would stay behind.
func (s *BlobStores) Update(ctx context.Context, c BlobStoreConfig) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b *blobStore
	for _, other := range s.stores {
		if other.config.Name == c.Name {
			b = other
		}
	}
	if b == nil {
		return blobStoreNotFound(c.Name)
	}
	if err := s.check(c); err != nil {
		return err
	}
	if s.root(c) != s.root(b.config) {
		return errs.Field("path", "the path of a blob store can't be changed")
	}
	config, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if err := s.db.Update(ctx, func(tx *store.Tx) error { return tx.UpdateBlobStore(b.id, string(config)) }); err != nil {
		return err
	}
	next := *b
	next.config = c
	s.stores[b.id] = &next
	return nil
}

// Delete takes a blob store that no repository uses out of the database. Its files stay: nothing is lost by a wrong click.
func (s *BlobStores) Delete(ctx context.Context, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, b := range s.stores {
		if b.config.Name != name {
			continue
		}
		if err := s.db.Update(ctx, func(tx *store.Tx) error { return tx.DeleteBlobStore(id) }); err != nil {
			return err
		}
		delete(s.stores, id)
		return b.Store.Close()
	}
	return blobStoreNotFound(name)
}

// Writable tells why no blob store can take bytes now; nil when one can.
func (s *BlobStores) Writable(ctx context.Context) error {
	var all []error
	s.Each(func(_ int64, name string, b blobstore.Store) {
		// Some bytes: an empty file finds room on a full disk.
		info, err := b.Put(ctx, strings.NewReader(strings.Repeat("x", 4096)))
		if err == nil {
			err = b.Delete(ctx, info.Key)
		}
		if err != nil {
			err = fmt.Errorf("blob store %s: %w", name, storeError(err))
		}
		all = append(all, err)
	})
	if slices.Contains(all, nil) {
		return nil
	}
	return errors.Join(all...)
}

// ExpireUploads ends the uploads of all stores that did not grow since before, and tells how many. A store that fails keeps none of the
// others; the error is that of all that did.
func (s *BlobStores) ExpireUploads(ctx context.Context, before time.Time) (int, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	total := 0
	var failed []error
	for _, b := range s.stores {
		if b.Unavailable() != "" {
			continue
		}
		n, err := b.Expire(ctx, before)
		total += n
		if err != nil {
			failed = append(failed, fmt.Errorf("expire uploads of blob store %s: %w", b.config.Name, err))
		}
	}
	return total, errors.Join(failed...)
}
