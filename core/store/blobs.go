package store

import (
	"cmp"
	"fmt"

	"github.com/repomgr/repomgr/core/content"
)

// BlobState says what a blob's row is good for.
type BlobState string

// The states of blobs.
const (
	// Live bytes are served and may be named. There is at most one live blob with the same bytes in a blob store.
	Live BlobState = "live"
	// Suspect bytes were found missing or wrong. Those who name them keep doing so, but nobody else can.
	Suspect BlobState = "suspect"
	// Condemned bytes are garbage collection's.
	Condemned BlobState = "condemned"
)

// Suspect takes a live blob out of use, for all who name it, since its bytes were found missing or wrong. PutBlob of the same
// bytes mends that. It tells whether the blob was live until now.
func (tx *Tx) Suspect(blobID int64) (bool, error) {
	n, err := tx.exec(`UPDATE blobs SET state = 'suspect' WHERE id = ? AND state = 'live'`, blobID)
	if err == nil && n > 0 {
		err = tx.changeNamed(blobID)
	}
	if err != nil {
		return false, fmt.Errorf("suspect blob %d: %w", blobID, err)
	}
	return n > 0, nil
}

// Acquit puts a suspect blob back to use whose bytes were found to be right, for example because somebody restored them. It
// tells whether it did: a blob is not needed when another one with the same bytes is live.
func (tx *Tx) Acquit(blobID int64) (bool, error) {
	n, err := tx.exec(`UPDATE blobs SET state = 'live', touched_at = $NOW WHERE id = ? AND state = 'suspect' AND NOT EXISTS
 (SELECT 1 FROM blobs l WHERE l.store_id = blobs.store_id AND l.sha256 = blobs.sha256 AND l.state = 'live')`, blobID)
	if err == nil && n > 0 {
		err = tx.changeNamed(blobID)
	}
	if err != nil {
		return false, fmt.Errorf("acquit blob %d: %w", blobID, err)
	}
	return n > 0, nil
}

// named is where an asset is.
type named struct {
	RepositoryID int64
	Path, Name   string
}

// changeNamed says that tx changes the assets that name the blob.
func (tx *Tx) changeNamed(blobID int64) error {
	if tx.epochs == nil {
		return nil
	}
	var assets []named
	_, err := tx.scan(&assets, `SELECT repository_id, path, name FROM assets WHERE blob_id = ? AND deleted_at IS NULL`, blobID)
	tx.changeAll(assets)
	return err
}

// changeAll is change for many assets. A slot can't count as many writers as a blob may have names, so each slot is opened once.
func (tx *Tx) changeAll(assets []named) {
	if tx.epochs == nil {
		return
	}
	open := make(map[int]bool)
	for _, a := range assets {
		open[PathSlot(a.RepositoryID, a.Path)] = true
		open[NameSlot(a.RepositoryID, a.Name)] = true
	}
	for slot := range open {
		tx.epochs.begin(slot)
		tx.dirty = append(tx.dirty, slot)
	}
}

// mend puts a blob that was just recorded in the place of the suspect ones with the same bytes, for all who name them. Their
// rows go; what is left of their bytes is then a file without a row. That a row which somebody names meanwhile does not go is
// the foreign key's doing: on PostgreSQL the transaction then runs again.
func (tx *Tx) mend(blob *content.Blob) error {
	var suspects []struct {
		ID                int64
		Sha512, Sha1, Md5 string
	}
	if _, err := tx.scan(&suspects, `SELECT id, sha512, sha1, md5 FROM blobs WHERE store_id = ? AND sha256 = ? AND state = 'suspect' ORDER BY id`,
		blob.StoreID, blob.SHA256); err != nil {
		return fmt.Errorf("look for suspects of blob %s: %w", blob.SHA256, err)
	}
	for _, s := range suspects {
		if err := tx.replaceBlob(s.ID, *blob); err != nil {
			return fmt.Errorf("replace suspect blob %s: %w", blob.SHA256, err)
		}
		was := *blob
		blob.SHA512, blob.SHA1, blob.MD5 = cmp.Or(blob.SHA512, s.Sha512), cmp.Or(blob.SHA1, s.Sha1), cmp.Or(blob.MD5, s.Md5)
		if *blob == was {
			continue
		}
		if _, err := tx.exec(`UPDATE blobs SET sha512 = ?, sha1 = ?, md5 = ? WHERE id = ?`, blob.SHA512, blob.SHA1, blob.MD5, blob.ID); err != nil {
			return fmt.Errorf("replace suspect blob %s: %w", blob.SHA256, err)
		}
	}
	return nil
}

// replaceBlob makes all assets that name the old blob, deleted ones too, name the new one, and removes the old one's row.
func (tx *Tx) replaceBlob(old int64, blob content.Blob) error {
	var assets []named
	if _, err := tx.scan(&assets, `UPDATE assets SET blob_id = ? WHERE blob_id = ? RETURNING repository_id, path, name`, blob.ID, old); err != nil {
		return err
	}
	tx.changeAll(assets)
	_, err := tx.exec(`DELETE FROM blobs WHERE id = ? AND state = 'suspect'`, old)
	return err
}
