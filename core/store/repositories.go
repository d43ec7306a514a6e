package store

import (
	"context"
	"fmt"

	"github.com/repomgr/repomgr/core/errs"
)

// Repository is a repository's row.
type Repository struct {
	ID                 int64
	Name, Format, Type string
	BlobStoreID        int64
	// Config is the configuration in JSON.
	Config string
	// InvalidatedAt: what was checked before is stale, in milliseconds since 1970; zero for never.
	InvalidatedAt int64
}

// Repositories returns all repositories in order of name.
func (s *Store) Repositories(ctx context.Context) ([]Repository, error) {
	var rows []Repository
	_, err := s.scan(ctx, &rows, `SELECT id, name, format, type, blob_store_id, config, invalidated_at FROM repositories WHERE deleted_at IS NULL ORDER BY name`)
	return rows, err
}

// CreateRepository records a new repository and returns its id.
func (tx *Tx) CreateRepository(r Repository) (int64, error) {
	var one int
	if n, err := tx.scan(&one, `SELECT 1 FROM repositories WHERE lower(name) = lower(?) AND deleted_at IS NULL`, r.Name); err != nil {
		return 0, err
	} else if n > 0 {
		return 0, errs.Field("name", "Name is already used, must be unique (ignoring case)")
	}
	var id int64
	_, err := tx.scan(&id, `INSERT INTO repositories (name, format, type, blob_store_id, config, created_at, updated_at)
 VALUES (?, ?, ?, ?, ?, $NOW, $NOW) RETURNING id`, r.Name, r.Format, r.Type, r.BlobStoreID, r.Config)
	if err != nil {
		return 0, fmt.Errorf("create repository %s: %w", r.Name, err)
	}
	return id, tx.emit("repository.created", id, repositoryEvent{Name: r.Name})
}

type repositoryEvent struct {
	Name string `json:"name"`
}

// UpdateRepository replaces the repository's configuration.
func (tx *Tx) UpdateRepository(id int64, config string) error {
	n, err := tx.exec(`UPDATE repositories SET config = ?, updated_at = $NOW WHERE id = ? AND deleted_at IS NULL`, config, id)
	if err != nil {
		return fmt.Errorf("update repository %d: %w", id, err)
	}
	if n == 0 {
		return errs.New(errs.NotFound, "Repository not found")
	}
	return tx.emit("repository.updated", id, repositoryEvent{})
}

// InvalidateRepository makes all that was checked before now stale, and returns the time.
func (tx *Tx) InvalidateRepository(id int64) (at int64, err error) {
	n, err := tx.scan(&at, `UPDATE repositories SET invalidated_at = $NOW WHERE id = ? AND deleted_at IS NULL RETURNING invalidated_at`, id)
	if err != nil {
		return 0, fmt.Errorf("invalidate repository %d: %w", id, err)
	}
	if n == 0 {
		return 0, errs.New(errs.NotFound, "Repository not found")
	}
	return at, nil
}

// DeleteRepository takes away the repository's name at once, and its hold on a routing rule. Its content is purged later, by
// PurgeRepositories.
func (tx *Tx) DeleteRepository(id int64) error {
	n, err := tx.exec(`UPDATE repositories SET deleted_at = $NOW, routing_rule = NULL WHERE id = ? AND deleted_at IS NULL`, id)
	if err != nil {
		return fmt.Errorf("delete repository %d: %w", id, err)
	}
	if n == 0 {
		return errs.New(errs.NotFound, "Repository not found")
	}
	return tx.emit("repository.deleted", id, repositoryEvent{})
}

// RepositoryExists checks that nobody deleted the repository; a NotFound error otherwise.
func (tx *Tx) RepositoryExists(id int64) error {
	var one int
	n, err := tx.scan(&one, `SELECT 1 FROM repositories WHERE id = ? AND deleted_at IS NULL`, id)
	if err == nil && n == 0 {
		err = errs.New(errs.NotFound, "Repository not found")
	}
	return err
}

// purgeBatch is how many assets a purge deletes in one transaction: it bounds how long other writers wait.
const purgeBatch = 500

// PurgeRepositories removes the rows of deleted repositories, a batch each transaction, and tells how many assets went.
// Their bytes are garbage collection's.
func (s *Store) PurgeRepositories(ctx context.Context) (int64, error) {
	var total int64
	for {
		var assets, components int64
		err := s.Update(ctx, func(tx *Tx) (err error) {
			if assets, err = tx.purge("assets"); err != nil || assets > 0 {
				return err
			}
			if components, err = tx.purge("components"); err != nil || components > 0 {
				return err
			}
			_, err = tx.exec(`DELETE FROM repositories WHERE deleted_at IS NOT NULL`)
			return err
		})
		if err != nil {
			return total, fmt.Errorf("purge deleted repositories: %w", err)
		}
		total += assets
		if assets == 0 && components == 0 {
			return total, nil
		}
	}
}

// purge deletes a batch of the table's rows that belong to deleted repositories.
func (tx *Tx) purge(table string) (int64, error) {
	return tx.exec(`DELETE FROM `+table+` WHERE id IN (SELECT t.id FROM `+table+` t JOIN repositories r ON r.id = t.repository_id
 WHERE r.deleted_at IS NOT NULL LIMIT ?)`, purgeBatch)
}

// BlobStore is a blob store's row.
type BlobStore struct {
	ID         int64
	UUID       string `gorm:"column:uuid"`
	Name, Type string
	// Config is the configuration in JSON.
	Config string
	// InvalidatedAt: what was checked before is stale, in milliseconds since 1970; zero for never.
	InvalidatedAt int64
}

// BlobStores returns all blob stores: "default" first, then in order of name.
func (s *Store) BlobStores(ctx context.Context) ([]BlobStore, error) {
	var rows []BlobStore
	_, err := s.scan(ctx, &rows, `SELECT id, uuid, name, type, config FROM blob_stores ORDER BY CASE WHEN name = 'default' THEN 0 ELSE 1 END, name`)
	return rows, err
}

// CreateBlobStore records a new blob store and returns its id.
func (tx *Tx) CreateBlobStore(b BlobStore) (int64, error) {
	var one int
	if n, err := tx.scan(&one, `SELECT 1 FROM blob_stores WHERE lower(name) = lower(?)`, b.Name); err != nil {
		return 0, err
	} else if n > 0 {
		return 0, errs.Field("name", "Name is already used, must be unique (ignoring case)")
	}
	var id int64
	_, err := tx.scan(&id, `INSERT INTO blob_stores (uuid, name, type, config, created_at) VALUES (?, ?, ?, ?, $NOW) RETURNING id`,
		b.UUID, b.Name, b.Type, b.Config)
	if err != nil {
		return 0, fmt.Errorf("create blob store %s: %w", b.Name, err)
	}
	return id, nil
}

// UpdateBlobStore replaces the blob store's configuration.
func (tx *Tx) UpdateBlobStore(id int64, config string) error {
	_, err := tx.exec(`UPDATE blob_stores SET config = ? WHERE id = ?`, config, id)
	return err
}

// DeleteBlobStore removes a blob store that no repository and no asset's blob is in; an Invalid error otherwise.
func (tx *Tx) DeleteBlobStore(id int64) error {
	var used int
	n, err := tx.scan(&used, `SELECT 1 FROM repositories WHERE blob_store_id = ? UNION ALL SELECT 1 FROM assets a JOIN blobs b ON b.id = a.blob_id
 WHERE b.store_id = ? LIMIT 1`, id, id)
	if err != nil {
		return err
	}
	if n > 0 {
		return errs.New(errs.Invalid, "Blob store is in use by a repository")
	}
	if _, err := tx.exec(`DELETE FROM blobs WHERE store_id = ?`, id); err != nil {
		return err
	}
	_, err = tx.exec(`DELETE FROM blob_stores WHERE id = ?`, id)
	return err
}

// Usage tells how many live blobs a store holds and their size in bytes.
func (s *Store) Usage(ctx context.Context, blobStoreID int64) (count, bytes int64, err error) {
	var row struct{ Count, Bytes int64 }
	_, err = s.scan(ctx, &row, `SELECT count(*) AS count, coalesce(sum(size), 0) AS bytes FROM blobs WHERE store_id = ?`, blobStoreID)
	return row.Count, row.Bytes, err
}
