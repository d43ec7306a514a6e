package store

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
)

// stale is the SQL condition under which a touched_at must be refreshed before its bytes are confirmed or named.
func stale(column string) string {
	return fmt.Sprintf("%s < $NOW - %d", column, (Grace / 2).Milliseconds())
}

// Stale is the same question for a value that was read: whether a client may be told that the bytes are there.
func Stale(touched, now time.Time) bool { return touched.Before(now.Add(-Grace / 2)) }

// PutBlob records staged bytes and returns the live blob with them: a new one, or one that was there before. In the
// latter case its Key differs from staged.Key, and the staged bytes are the caller's to delete after the commit. A new one
// takes the place of a suspect one with the same bytes, for all who name it.
func (tx *Tx) PutBlob(staged content.Staged) (content.Blob, error) {
	var row struct {
		ID                int64
		Key               string
		TouchedAt         int64
		Sha512, Sha1, Md5 string
	}
	_, err := tx.scan(&row, `INSERT INTO blobs (store_id, key, sha256, sha512, sha1, md5, size, state, created_at, touched_at)
 VALUES (?, ?, ?, ?, ?, ?, ?, 'live', $NOW, $NOW)
 ON CONFLICT (store_id, sha256) WHERE state = 'live' DO UPDATE SET
 touched_at = CASE WHEN `+stale("blobs.touched_at")+` THEN $NOW ELSE blobs.touched_at END,
 sha512 = CASE WHEN blobs.sha512 = '' THEN excluded.sha512 ELSE blobs.sha512 END,
 sha1 = CASE WHEN blobs.sha1 = '' THEN excluded.sha1 ELSE blobs.sha1 END,
 md5 = CASE WHEN blobs.md5 = '' THEN excluded.md5 ELSE blobs.md5 END
 RETURNING id, key, touched_at, sha512, sha1, md5`,
		staged.StoreID, staged.Key, staged.SHA256, staged.SHA512, staged.SHA1, staged.MD5, staged.Size)
	if err != nil {
		return content.Blob{}, fmt.Errorf("record blob %s: %w", staged.SHA256, err)
	}
	blob := content.Blob{ID: row.ID, StoreID: staged.StoreID, Key: row.Key, SHA256: staged.SHA256, SHA512: row.Sha512, SHA1: row.Sha1, MD5: row.Md5,
		Size: staged.Size, TouchedAt: millis(row.TouchedAt)}
	if row.Key != staged.Key {
		return blob, nil // whoever recorded it has mended what there was to mend
	}
	err = tx.mend(&blob)
	return blob, err
}

// Touch refreshes the times of the asset and its blob, if they are stale, so that they are safe for Grace. It returns a
// NotFound error when the asset or its blob is gone.
func (tx *Tx) Touch(a content.Asset) error {
	if _, err := tx.exec(`UPDATE assets SET touched_at = $NOW WHERE id = ? AND `+stale("touched_at"), a.ID); err != nil {
		return fmt.Errorf("touch asset %s: %w", a.Path, err)
	}
	if _, err := tx.exec(`UPDATE blobs SET touched_at = $NOW WHERE id = ? AND state = 'live' AND `+stale("touched_at"), a.Blob.ID); err != nil {
		return fmt.Errorf("touch blob %s: %w", a.Blob.SHA256, err)
	}
	var one int
	n, err := tx.scan(&one, `SELECT 1 FROM assets a JOIN blobs b ON b.id = a.blob_id AND b.state = 'live' WHERE a.id = ? AND a.deleted_at IS NULL`, a.ID)
	if err == nil && n == 0 {
		err = errs.New(errs.NotFound, "asset not found")
	}
	tx.change(a.RepositoryID, a.Path, a.Name)
	return err
}

// Require refreshes the times of the assets at the references' paths, which are about to be relied on, and returns
// the references with nothing there.
func (tx *Tx) Require(repositoryID int64, references []content.Reference) (missing []content.Reference, err error) {
	references = slices.Clone(references)
	slices.SortFunc(references, func(a, b content.Reference) int { return strings.Compare(a.Path, b.Path) })
	references = slices.CompactFunc(references, func(a, b content.Reference) bool { return a.Path == b.Path })
	for chunk := range slices.Chunk(references, 200) {
		paths := make([]string, len(chunk))
		for i, ref := range chunk {
			paths[i] = ref.Path
		}
		var rows []assetRow
		if _, err := tx.scan(&rows, `SELECT `+assetColumns+assetFrom+
			`WHERE a.repository_id = ? AND a.path IN (?) AND a.deleted_at IS NULL AND b.state = 'live' ORDER BY b.id`+tx.dialect.share, repositoryID, paths); err != nil {
			return nil, fmt.Errorf("look for required assets: %w", err)
		}
		there := make(map[string]bool, len(rows))
		now := time.Now()
		for _, row := range rows {
			a := row.asset()
			// A generous margin makes up for a clock that differs from the database's: a touch too many costs nothing.
			if Stale(a.TouchedAt, now.Add(Grace/8)) || Stale(a.Blob.TouchedAt, now.Add(Grace/8)) {
				if err := tx.Touch(a); errs.Is(err, errs.NotFound) {
					continue
				} else if err != nil {
					return nil, err
				}
			}
			there[row.Path] = true
		}
		for _, ref := range chunk {
			if !there[ref.Path] {
				missing = append(missing, ref)
			}
		}
	}
	return missing, nil
}

// AssetRecord is an asset to store.
type AssetRecord struct {
	RepositoryID         int64
	Path, Kind, Name     string
	Digest               digest.Digest
	ContentType          string
	Attributes           json.RawMessage
	Component            *content.Component
	References           []content.Reference
	Uploader, UploaderIP string
	// Origin is set for what came from elsewhere. Its CheckedAt is not used: it is checked now, by the database's clock.
	Origin *content.Origin
}

// checked is the SQL for a record's checked_at, and its validators.
func (rec AssetRecord) checked() (at, etag, modified string) {
	if rec.Origin == nil {
		return "NULL", "", ""
	}
	return "$NOW", rec.Origin.ETag, rec.Origin.Modified
}

// PutAsset records that the record's path names blob. existing is the asset at that path, as tx.Asset returned it in
// this transaction, or nil when there is none: it then names the new bytes.
func (tx *Tx) PutAsset(rec AssetRecord, blob content.Blob, existing *content.Asset) (content.Asset, error) {
	component, err := tx.putComponent(rec)
	if err != nil {
		return content.Asset{}, err
	}
	tx.change(rec.RepositoryID, rec.Path, rec.Name)
	var attributes *string
	if rec.Attributes != nil {
		s := string(rec.Attributes)
		attributes = &s
	}
	var row assetTimes
	topic := "asset.created"
	if existing == nil {
		at, etag, modified := rec.checked()
		_, err = tx.scan(&row, `INSERT INTO assets (repository_id, component_id, path, kind, name, digest, content_type, attributes, blob_id,
 uploader, uploader_ip, etag, modified, checked_at, created_at, updated_at, touched_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, `+at+`, $NOW, $NOW, $NOW)
 RETURNING id, created_at, updated_at, touched_at`,
			rec.RepositoryID, nullable(component), rec.Path, rec.Kind, rec.Name, rec.Digest.String(), rec.ContentType, attributes, blob.ID,
			rec.Uploader, rec.UploaderIP, etag, modified)
	} else {
		topic = "asset.updated"
		row, err = tx.replace(rec, component, attributes, blob, *existing)
	}
	if err != nil {
		return content.Asset{}, fmt.Errorf("record asset %s: %w", rec.Path, err)
	}
	if err := tx.putReferences(row.ID, rec.References); err != nil {
		return content.Asset{}, fmt.Errorf("record references of %s: %w", rec.Path, err)
	}
	if err := tx.emit(topic, rec.RepositoryID, assetEvent{Path: rec.Path, Kind: rec.Kind, Name: rec.Name, Digest: rec.Digest, User: rec.Uploader}); err != nil {
		return content.Asset{}, err
	}
	origin := rec.Origin
	if origin != nil {
		origin = &content.Origin{CheckedAt: millis(row.TouchedAt), ETag: origin.ETag, Modified: origin.Modified}
	}
	return content.Asset{
		Origin: origin,
		ID:     row.ID, RepositoryID: rec.RepositoryID, ComponentID: component, Path: rec.Path, Kind: rec.Kind, Name: rec.Name,
		Digest: rec.Digest, ContentType: rec.ContentType, Attributes: rec.Attributes, Uploader: rec.Uploader, UploaderIP: rec.UploaderIP,
		CreatedAt: millis(row.CreatedAt), UpdatedAt: millis(row.UpdatedAt), TouchedAt: millis(row.TouchedAt), Blob: blob,
	}, nil
}

// Checked records that upstream has the asset's bytes at its path now, with its validators. An asset that is gone stays so.
func (tx *Tx) Checked(a content.Asset, origin content.Origin) error {
	if _, err := tx.exec(`UPDATE assets SET checked_at = $NOW, etag = ?, modified = ? WHERE id = ? AND blob_id = ? AND deleted_at IS NULL`,
		origin.ETag, origin.Modified, a.ID, a.Blob.ID); err != nil {
		return fmt.Errorf("note that asset %s was checked: %w", a.Path, err)
	}
	tx.change(a.RepositoryID, a.Path, a.Name)
	return nil
}

// Doubt makes an asset that came from elsewhere one that was never checked.
func (tx *Tx) Doubt(a content.Asset) error {
	if _, err := tx.exec(`UPDATE assets SET checked_at = 0 WHERE id = ? AND checked_at IS NOT NULL AND deleted_at IS NULL`, a.ID); err != nil {
		return fmt.Errorf("doubt asset %s: %w", a.Path, err)
	}
	tx.change(a.RepositoryID, a.Path, a.Name)
	return nil
}

// assetTimes is what the database says of an asset that was just written.
type assetTimes struct{ ID, CreatedAt, UpdatedAt, TouchedAt int64 }

// replace gives the existing asset new content unless another transaction was faster: updated_at grows with every change.
func (tx *Tx) replace(rec AssetRecord, component int64, attributes *string, blob content.Blob, existing content.Asset) (row assetTimes, err error) {
	at, etag, modified := rec.checked()
	n, err := tx.scan(&row, `UPDATE assets SET component_id = ?, kind = ?, name = ?, digest = ?, content_type = ?, attributes = ?, blob_id = ?,
 uploader = ?, uploader_ip = ?, etag = ?, modified = ?, checked_at = `+at+`, updated_at = CASE WHEN updated_at < $NOW THEN $NOW ELSE updated_at + 1 END, touched_at = $NOW
 WHERE id = ? AND deleted_at IS NULL AND updated_at = ?
 RETURNING id, created_at, updated_at, touched_at`,
		nullable(component), rec.Kind, rec.Name, rec.Digest.String(), rec.ContentType, attributes, blob.ID, rec.Uploader, rec.UploaderIP, etag, modified,
		existing.ID, existing.UpdatedAt.UnixMilli())
	if err != nil {
		return row, err
	}
	if n == 0 {
		return row, errRetry
	}
	_, err = tx.exec(`DELETE FROM asset_references WHERE asset_id = ?`, existing.ID)
	return row, err
}

// nullable is NULL for the id of nothing.
func nullable(id int64) *int64 {
	if id == 0 {
		return nil
	}
	return &id
}

// putComponent returns the id of the record's component; zero when it has none.
func (tx *Tx) putComponent(rec AssetRecord) (int64, error) {
	if rec.Component == nil {
		return 0, nil
	}
	c := *rec.Component
	var id int64
	_, err := tx.scan(&id, `INSERT INTO components (repository_id, kind, namespace, name, version, created_at) VALUES (?, ?, ?, ?, ?, $NOW)
 ON CONFLICT (repository_id, namespace, name, version) DO UPDATE SET kind = excluded.kind RETURNING id`,
		rec.RepositoryID, c.Kind, c.Namespace, c.Name, c.Version)
	if err != nil {
		return 0, fmt.Errorf("record component %s %s: %w", c.Name, c.Version, err)
	}
	return id, nil
}

func (tx *Tx) putReferences(assetID int64, references []content.Reference) error {
	for chunk := range slices.Chunk(references, 100) {
		args := make([]any, 0, 3*len(chunk))
		for _, ref := range chunk {
			args = append(args, assetID, string(ref.Kind), ref.To.String())
		}
		values := strings.TrimSuffix(strings.Repeat("(?, ?, ?), ", len(chunk)), ", ")
		if _, err := tx.exec(`INSERT INTO asset_references (asset_id, kind, to_digest) VALUES `+values+` ON CONFLICT DO NOTHING`, args...); err != nil {
			return err
		}
	}
	return nil
}

// DeleteAsset takes away the asset's name; its bytes stay until garbage collection, and whoever else names them keeps
// them. A component that has no other asset goes with it. a is as tx.Asset or tx.Assets returned it in this transaction: what
// another one stored at the path since is not deleted unseen.
func (tx *Tx) DeleteAsset(a content.Asset, user string) error {
	tx.change(a.RepositoryID, a.Path, a.Name)
	n, err := tx.exec(`UPDATE assets SET deleted_at = $NOW WHERE id = ? AND deleted_at IS NULL AND updated_at = ?`, a.ID, a.UpdatedAt.UnixMilli())
	if err != nil {
		return fmt.Errorf("delete asset %s: %w", a.Path, err)
	}
	if n == 0 {
		return tx.gone(a)
	}
	if a.ComponentID != 0 {
		if _, err := tx.exec(`DELETE FROM components WHERE id = ? AND NOT EXISTS
 (SELECT 1 FROM assets WHERE component_id = components.id AND deleted_at IS NULL)`, a.ComponentID); err != nil {
			return fmt.Errorf("delete component of %s: %w", a.Path, err)
		}
	}
	return tx.emit("asset.deleted", a.RepositoryID, assetEvent{Path: a.Path, Kind: a.Kind, Name: a.Name, Digest: a.Digest, User: user})
}

// gone is the error for an asset that is not there any more as it was read: the transaction runs again where there is a newer one.
func (tx *Tx) gone(a content.Asset) error {
	var one int
	n, err := tx.scan(&one, `SELECT 1 FROM assets WHERE id = ? AND deleted_at IS NULL`, a.ID)
	switch {
	case err != nil:
		return fmt.Errorf("delete asset %s: %w", a.Path, err)
	case n > 0:
		return errRetry
	}
	return errs.New(errs.NotFound, "asset not found")
}

// assetEvent is the payload of the outbox's asset topics.
type assetEvent struct {
	Path   string        `json:"path"`
	Kind   string        `json:"kind"`
	Name   string        `json:"name,omitempty"`
	Digest digest.Digest `json:"digest"`
	User   string        `json:"user,omitempty"`
}

// emit writes an event into the outbox: it is there if and only if the transaction is committed.
func (tx *Tx) emit(topic string, repositoryID int64, payload any) error {
	body, err := json.Marshal(payload)
	if err != nil {
		return fmt.Errorf("event %s: %w", topic, err)
	}
	tx.emitted = true
	if _, err := tx.exec(`INSERT INTO outbox (at, topic, repository_id, payload) VALUES ($NOW, ?, ?, ?)`, topic, repositoryID, string(body)); err != nil {
		return fmt.Errorf("event %s: %w", topic, err)
	}
	return nil
}

// Required tells whether an asset of the same name requires a. Asked after DeleteAsset in the same transaction, the answer
// holds until the commit: Require, in another one, waits for it.
func (tx *Tx) Required(a content.Asset) (bool, error) {
	var one int
	n, err := tx.scan(&one, `SELECT 1 FROM asset_references r JOIN assets a ON a.id = r.asset_id
 WHERE r.to_digest = ? AND r.kind = 'requires' AND a.repository_id = ? AND a.name = ? AND a.deleted_at IS NULL LIMIT 1`,
		a.Digest.String(), a.RepositoryID, a.Name)
	return n > 0, err
}
