package store

import (
	"context"
	"fmt"
)

// BlobRow is a blob's row as a check of its bytes sees it.
type BlobRow struct {
	ID     int64
	Key    string
	SHA256 string `gorm:"column:sha256"`
	// Size is in bytes.
	Size  int64
	State BlobState
}

const blobColumns = `SELECT id, key, sha256, size, state FROM blobs WHERE store_id = ?`

// BlobRows returns the rows of a blob store, of any state, with keys greater than after: at most limit, in byte order of keys.
func (s *Store) BlobRows(ctx context.Context, blobStoreID int64, after string, limit int) ([]BlobRow, error) {
	var rows []BlobRow
	if _, err := s.scan(ctx, &rows, blobColumns+` AND key > ? ORDER BY key LIMIT ?`, blobStoreID, after, limit); err != nil {
		return nil, fmt.Errorf("read blobs: %w", err)
	}
	return rows, nil
}

// BlobRow returns the row with the key; ok is false when there is none.
func (s *Store) BlobRow(ctx context.Context, blobStoreID int64, key string) (row BlobRow, ok bool, err error) {
	n, err := s.scan(ctx, &row, blobColumns+` AND key = ?`, blobStoreID, key)
	if err != nil {
		return row, false, fmt.Errorf("read blob %s: %w", key, err)
	}
	return row, n > 0, nil
}

// Place is where an asset is, for people to read.
type Place struct {
	Repository string `json:"repository"`
	Path       string `json:"path"`
}

// Named returns the assets, of all repositories, that name the blob: at most limit, the oldest first, and how many there are.
func (s *Store) Named(ctx context.Context, blobID int64, limit int) (places []Place, total int64, err error) {
	const from = ` FROM assets a JOIN repositories r ON r.id = a.repository_id
 WHERE a.blob_id = ? AND a.deleted_at IS NULL AND r.deleted_at IS NULL`
	if _, err = s.scan(ctx, &places, `SELECT r.name AS repository, a.path`+from+` ORDER BY a.id LIMIT ?`, blobID, limit); err != nil {
		return nil, 0, fmt.Errorf("read assets of blob %d: %w", blobID, err)
	}
	if len(places) < limit {
		return places, int64(len(places)), nil
	}
	if _, err = s.scan(ctx, &total, `SELECT count(*)`+from, blobID); err != nil {
		return nil, 0, fmt.Errorf("count assets of blob %d: %w", blobID, err)
	}
	return places, total, nil
}
