package store

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
)

// assetRow is an asset beside its blob, as assetColumns selects them.
type assetRow struct {
	ID            int64
	RepositoryID  int64
	ComponentID   *int64
	Path          string
	Kind          string
	Name          string
	Digest        string
	ContentType   string
	Attributes    *string
	Uploader      string
	UploaderIP    string `gorm:"column:uploader_ip"`
	CreatedAt     int64
	UpdatedAt     int64
	TouchedAt     int64
	CheckedAt     *int64
	Etag          string
	Modified      string
	BlobID        int64
	StoreID       int64
	Key           string
	Sha256        string
	Sha512        string
	Sha1          string
	Md5           string
	Size          int64
	State         BlobState
	BlobTouchedAt int64
}

const assetColumns = `a.id, a.repository_id, a.component_id, a.path, a.kind, a.name, a.digest, a.content_type, a.attributes,
 a.uploader, a.uploader_ip, a.created_at, a.updated_at, a.touched_at, a.checked_at, a.etag, a.modified,
 b.id AS blob_id, b.store_id, b.key, b.sha256, b.sha512, b.sha1, b.md5, b.size, b.state,
 b.touched_at AS blob_touched_at`

const assetFrom = ` FROM assets a JOIN blobs b ON b.id = a.blob_id `

func (r assetRow) asset() content.Asset {
	a := content.Asset{
		ID: r.ID, RepositoryID: r.RepositoryID, Path: r.Path, Kind: r.Kind, Name: r.Name,
		Digest: digest.Digest(r.Digest), ContentType: r.ContentType, Uploader: r.Uploader, UploaderIP: r.UploaderIP,
		CreatedAt: millis(r.CreatedAt), UpdatedAt: millis(r.UpdatedAt), TouchedAt: millis(r.TouchedAt),
		Blob: content.Blob{ID: r.BlobID, StoreID: r.StoreID, Key: r.Key, SHA256: r.Sha256, SHA512: r.Sha512, SHA1: r.Sha1, MD5: r.Md5, Size: r.Size,
			TouchedAt: millis(r.BlobTouchedAt), Suspect: r.State == Suspect},
	}
	if r.ComponentID != nil {
		a.ComponentID = *r.ComponentID
	}
	if r.CheckedAt != nil {
		a.Origin = &content.Origin{CheckedAt: millis(*r.CheckedAt), ETag: r.Etag, Modified: r.Modified}
	}
	if r.Attributes != nil {
		a.Attributes = json.RawMessage(*r.Attributes)
	}
	return a
}

const assetByPath = `SELECT ` + assetColumns + assetFrom + `WHERE a.repository_id = ? AND a.path = ? AND a.deleted_at IS NULL`

// Asset returns the asset at path; a NotFound error when there is none.
func (s *Store) Asset(ctx context.Context, repositoryID int64, path string) (content.Asset, error) {
	var row assetRow
	n, err := s.scan(ctx, &row, assetByPath, repositoryID, path)
	return found(row, n, err)
}

// Asset is Store.Asset inside the transaction.
func (tx *Tx) Asset(repositoryID int64, path string) (content.Asset, error) {
	var row assetRow
	n, err := tx.scan(&row, assetByPath, repositoryID, path)
	return found(row, n, err)
}

func found(row assetRow, n int64, err error) (content.Asset, error) {
	switch {
	case err != nil:
		return content.Asset{}, err
	case n == 0:
		return content.Asset{}, errs.New(errs.NotFound, "asset not found")
	}
	return row.asset(), nil
}

// Holders returns up to limit assets, of all repositories, whose bytes have the digest, beginning at the asset with an id
// above after.
func (s *Store) Holders(ctx context.Context, d digest.Digest, kind string, after int64, limit int) ([]content.Asset, error) {
	var rows []assetRow
	_, err := s.scan(ctx, &rows, `SELECT `+assetColumns+assetFrom+
		`WHERE a.digest = ? AND a.kind = ? AND a.id > ? AND a.deleted_at IS NULL ORDER BY a.id LIMIT ?`, d.String(), kind, after, limit)
	return assetsOf(rows), err
}

func assetsOf(rows []assetRow) []content.Asset {
	assets := make([]content.Asset, len(rows))
	for i, row := range rows {
		assets[i] = row.asset()
	}
	return assets
}

// Assets returns the page that l asks for; l.Names must not be set.
func (s *Store) Assets(ctx context.Context, repositoryID int64, l content.List) (content.Page, error) {
	if l.Brief {
		return s.paths(ctx, repositoryID, l)
	}
	var rows []assetRow
	query, args := s.dialect.assetsQuery(assetColumns+assetFrom, repositoryID, l)
	if _, err := s.scan(ctx, &rows, query, args...); err != nil {
		return content.Page{}, err
	}
	return pageOf(assetsOf(rows), l.Limit), nil
}

// Assets is Store.Assets inside the transaction.
func (tx *Tx) Assets(repositoryID int64, l content.List) (content.Page, error) {
	var rows []assetRow
	query, args := tx.dialect.assetsQuery(assetColumns+assetFrom, repositoryID, l)
	if _, err := tx.scan(&rows, query, args...); err != nil {
		return content.Page{}, err
	}
	return pageOf(assetsOf(rows), l.Limit), nil
}

func pageOf(assets []content.Asset, limit int) content.Page {
	more := len(assets) > limit
	if more {
		assets = assets[:limit]
	}
	return content.Page{Assets: assets, More: more, Known: len(assets) > 0}
}

// paths is Assets for a Brief list: an index has all that it needs.
func (s *Store) paths(ctx context.Context, repositoryID int64, l content.List) (content.Page, error) {
	var paths []string
	query, args := s.dialect.assetsQuery(`a.path FROM assets a `, repositoryID, l)
	if _, err := s.scan(ctx, &paths, query, args...); err != nil {
		return content.Page{}, err
	}
	assets := make([]content.Asset, len(paths))
	for i, path := range paths {
		assets[i] = content.Asset{RepositoryID: repositoryID, Path: path, Kind: l.Kind, Name: l.Name}
	}
	return pageOf(assets, l.Limit), nil
}

func (d dialect) assetsQuery(what string, repositoryID int64, l content.List) (string, []any) {
	// A digest or a reference selects few assets, a name may have a million.
	by := ""
	if l.Digest != "" || l.Subject != "" || l.Child != "" {
		by = d.aside
	}
	var b strings.Builder
	b.WriteString(`SELECT ` + what + `WHERE ` + by + `a.repository_id = ? AND a.deleted_at IS NULL AND ` + by + `a.kind = ? AND ` + by + `a.name = ?`)
	args := []any{repositoryID, l.Kind, l.Name}
	if l.Digest != "" {
		b.WriteString(` AND a.digest = ?`)
		args = append(args, l.Digest.String())
	}
	if l.Subject != "" {
		b.WriteString(` AND a.id IN (SELECT asset_id FROM asset_references WHERE to_digest = ? AND kind = 'subject')`)
		args = append(args, l.Subject.String())
	}
	if l.Child != "" {
		b.WriteString(` AND a.id IN (SELECT asset_id FROM asset_references WHERE to_digest = ? AND kind = 'child')`)
		args = append(args, l.Child.String())
	}
	if l.After != "" {
		b.WriteString(` AND ` + by + `a.path > ?`)
		args = append(args, l.After)
	}
	b.WriteString(` ORDER BY ` + by + `a.path LIMIT ?`)
	return b.String(), append(args, l.Limit+1)
}

// nameStep walks the index of names: each step is one look-up, however many assets a name has.
const nameStep = `WITH RECURSIVE n (name) AS (
 SELECT (SELECT min(name) FROM assets WHERE repository_id = ? AND deleted_at IS NULL AND kind = ? AND name > ?)
 UNION ALL
 SELECT (SELECT min(a.name) FROM assets a WHERE a.repository_id = ? AND a.deleted_at IS NULL AND a.kind = ? AND a.name > n.name)
 FROM n WHERE n.name IS NOT NULL)
 SELECT name FROM n WHERE name IS NOT NULL LIMIT ?`

// nameBatch is how many names are fetched at once while looking for some that match.
const nameBatch = 500

// Names returns the page of distinct names of assets of l.Kind.
func (s *Store) Names(ctx context.Context, repositoryID int64, l content.List) (content.Page, error) {
	page := content.Page{Known: true}
	contains := strings.ToLower(l.Contains)
	for after := l.After; ; {
		want := l.Limit + 1 - len(page.Names)
		if contains != "" {
			want = nameBatch
		}
		var names []string
		if _, err := s.scan(ctx, &names, nameStep, repositoryID, l.Kind, after, repositoryID, l.Kind, want); err != nil {
			return content.Page{}, err
		}
		for _, name := range names {
			if !strings.Contains(strings.ToLower(name), contains) {
				continue
			}
			if len(page.Names) == l.Limit {
				page.More = true
				return page, nil
			}
			page.Names = append(page.Names, name)
		}
		if len(names) < want {
			return page, nil
		}
		after = names[len(names)-1]
	}
}

// HasName tells whether the repository has assets of that kind and name.
func (s *Store) HasName(ctx context.Context, repositoryID int64, kind, name string) (bool, error) {
	var one int
	n, err := s.scan(ctx, &one, `SELECT 1 FROM assets WHERE repository_id = ? AND deleted_at IS NULL AND kind = ? AND name = ? LIMIT 1`,
		repositoryID, kind, name)
	return n > 0, err
}
