package repository

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/core/blobstore"
	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
	"github.com/repomgr/repomgr/core/security"
	"github.com/repomgr/repomgr/core/store"
)

// exchange is one request to one repository. It is what the format sees of both.
type exchange struct {
	manager   *Manager
	repo      *Repository
	entry     format.Entry
	route     format.Route
	principal security.Principal
	// request is nil for what the server does by itself.
	request *http.Request
	// front is the repository that the request was for, whose rights count, where repo is a member of it; else nil.
	front *Repository
	// origin is set while what came from upstream is stored; kept are then the attributes of a document.
	origin *content.Origin
	kept   any
	// elsewhere is the URL that the bytes come from where it is not upstream's.
	elsewhere string
	// permit is set while a document is made.
	permit *permit
	// conditions are those of a request that writes.
	conditions conditions
	// mirror is set while a prefetch asks: it wants what upstream has now, and waits for it.
	mirror *asking
}

var (
	_ format.Exchange = (*exchange)(nil)
	_ format.View     = (*exchange)(nil)
)

// exchangeOf is an exchange without a repository, for errors.
func exchangeOf(m *Manager, p security.Principal) *exchange {
	return &exchange{manager: m, repo: &Repository{}, principal: p}
}

func (x *exchange) Repository() format.Repository { return x.repo.info() }
func (x *exchange) Entry() format.Entry           { return x.entry }
func (x *exchange) Route() format.Route           { return x.route }
func (x *exchange) Caller() format.Caller         { return x.principal.Caller() }
func (x *exchange) Tokens() format.Tokens {
	return x.manager.security.Tokens(x.principal, x.repo.config.Format)
}

// Receive stores r as the route asks.
func (x *exchange) Receive(ctx context.Context, route format.Route, r io.Reader) ([]content.Asset, error) {
	x, err := x.writer()
	if err != nil {
		return nil, err
	}
	if route.MaxSize == 0 {
		return x.receive(ctx, route, body{r})
	}
	doc, err := io.ReadAll(io.LimitReader(body{r}, smallDocument+1))
	if err != nil {
		return nil, storeError(err)
	}
	if len(doc) <= smallDocument {
		return x.receiveSmall(ctx, route, doc)
	}
	return x.receive(ctx, route, io.LimitReader(io.MultiReader(bytes.NewReader(doc), body{r}), route.MaxSize+1))
}

// smallDocument is how much of a document is received into memory. A client may take its time over the rest, and many may.
const smallDocument = 64 << 10

// receive is Receive by way of the blob store.
func (x *exchange) receive(ctx context.Context, route format.Route, r io.Reader) ([]content.Asset, error) {
	info, err := x.repo.store.Put(ctx, r, x.algorithms(route)...)
	if err != nil {
		return nil, storeError(err)
	}
	staged := x.staged(info)
	if err := x.parsable(ctx, route, info); err != nil {
		x.discard(ctx, staged.Key)
		return nil, err
	}
	defer x.parsed(route, info.Size)
	records, err := x.ingest(ctx, route, staged, func() (io.ReadCloser, error) {
		f, _, err := x.repo.store.Open(ctx, staged.Key)
		return f, err
	})
	if err == nil {
		err = x.gather(ctx, route, info.Size, records)
	}
	if err != nil {
		x.discard(ctx, staged.Key)
		return nil, err
	}
	return x.commit(ctx, staged, records, x.discard)
}

// parsable checks received bytes, and waits for the permission to parse them: that takes a multiple of a document's size, and
// not all who send large ones are parsed at once. parsed gives it back.
func (x *exchange) parsable(ctx context.Context, route format.Route, info blobstore.Info) error {
	if route.MaxSize > 0 && info.Size > route.MaxSize {
		return tooLarge(route.MaxSize)
	}
	if err := verify(route, info.Digests); err != nil {
		return err
	}
	if route.MaxSize == 0 {
		return nil
	}
	return storeError(x.manager.parsing.Acquire(ctx, parsingWeight(info.Size)))
}

// parsingWeight is what a document takes of maxParsing.
func parsingWeight(size int64) int64 { return min(size*parsingCost, maxParsing) }

func (x *exchange) parsed(route format.Route, size int64) {
	if route.MaxSize > 0 {
		x.manager.parsing.Release(parsingWeight(size))
	}
}

// receiveSmall is Receive for a document in memory: what is wrong with it is found before it is written.
func (x *exchange) receiveSmall(ctx context.Context, route format.Route, doc []byte) ([]content.Asset, error) {
	digests := map[digest.Algorithm]digest.Digest{digest.SHA256: digest.FromBytes(doc)}
	for _, alg := range x.algorithms(route) {
		digests[alg] = blobstore.Sum(alg, doc)
	}
	info := blobstore.Info{Size: int64(len(doc)), Digests: digests}
	if err := x.parsable(ctx, route, info); err != nil {
		return nil, err
	}
	defer x.parsed(route, info.Size)
	staged := x.staged(info)
	records, err := x.ingest(ctx, route, staged, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(doc)), nil })
	if err == nil {
		err = x.gather(ctx, route, info.Size, records)
	}
	if err != nil {
		return nil, err
	}
	if info, err = x.repo.store.Put(ctx, bytes.NewReader(doc), x.algorithms(route)...); err != nil {
		return nil, storeError(err)
	}
	staged.Key = info.Key
	return x.commit(ctx, staged, records, x.discard)
}

// algorithms are the digests to compute, beside sha256, of bytes that come for the route.
func (x *exchange) algorithms(route format.Route) []digest.Algorithm {
	algs := slices.Clone(x.repo.plugin.describe.Algorithms)
	if route.Expect != "" {
		algs = append(algs, route.Expect.Algorithm())
	}
	for _, sum := range route.Checksums {
		algs = append(algs, sum.Algorithm())
	}
	return algs
}

// verify checks that bytes have the digests that the route names.
func verify(route format.Route, got map[digest.Algorithm]digest.Digest) error {
	for _, want := range append([]digest.Digest{route.Expect}, route.Checksums...) {
		if err := expect(want, got); err != nil {
			return err
		}
	}
	return nil
}

// expect checks that bytes are those that want names; an empty want names any.
func expect(want digest.Digest, got map[digest.Algorithm]digest.Digest) error {
	if want == "" || got[want.Algorithm()] == want {
		return nil
	}
	return wrongDigest(&blobstore.DigestError{Want: want, Got: got[want.Algorithm()]})
}

func wrongDigest(err *blobstore.DigestError) error {
	e := errs.Wrap(errs.Invalid, err, "the bytes have digest %s, not %s", err.Got, err.Want)
	e.Code = format.CodeDigest
	return e
}

func (x *exchange) staged(info blobstore.Info) content.Staged {
	return content.Staged{
		StoreID: x.repo.store.id, Key: info.Key, Size: info.Size,
		SHA256: info.Digests[digest.SHA256].Encoded(), SHA512: encoded(info.Digests[digest.SHA512]),
		SHA1: encoded(info.Digests[blobstore.SHA1]), MD5: encoded(info.Digests[blobstore.MD5]),
	}
}

func encoded(d digest.Digest) string {
	if d == "" {
		return ""
	}
	return d.Encoded()
}

// discard deletes bytes that no row names. Those it can't delete are found by a sweep.
func (x *exchange) discard(ctx context.Context, key string) {
	if err := x.repo.store.Delete(context.WithoutCancel(ctx), key); err != nil {
		x.manager.log.Warn("bytes that nothing names are left behind", "repo", x.repo.Name(), "key", key, "err", err)
	}
}

func (x *exchange) ingest(ctx context.Context, route format.Route, staged content.Staged, open func() (io.ReadCloser, error)) ([]format.Record, error) {
	if x.origin != nil && route.Class == content.Index {
		// It is kept as upstream sent it.
		return []format.Record{{Path: route.Path, Kind: route.Kind, Name: route.Name, Class: content.Mutable,
			Digest: digest.NewDigestFromEncoded(digest.SHA256, staged.SHA256), ContentType: route.ContentType, Attributes: x.kept}}, nil
	}
	records, err := x.repo.plugin.Ingest(ctx, format.Incoming{Route: route, Staged: staged, Open: open, Settings: x.repo.settings, Upstream: x.origin != nil})
	if err != nil {
		return nil, err
	}
	if len(records) == 0 {
		return nil, fmt.Errorf("format %s records nothing for %s", x.repo.config.Format, route.Path)
	}
	c := x.asked().config
	for _, rec := range records {
		if x.request == nil {
			break
		}
		if rec.Path != route.Path && !x.manager.security.Allowed(x.principal, c.Format, c.Name, route.Action, rec.Path, rec.Name) {
			return nil, x.refusal()
		}
	}
	return records, x.fillTypes(records, open)
}

// commit records staged bytes, in one transaction. What was staged is deleted when it turns out not to be needed, and left to
// failed when it could not be recorded.
func (x *exchange) commit(ctx context.Context, staged content.Staged, records []format.Record, failed func(ctx context.Context, key string)) ([]content.Asset, error) {
	assetRecords, err := x.assetRecords(records)
	if err != nil {
		failed(ctx, staged.Key)
		return nil, err
	}
	assets := make([]content.Asset, len(records))
	var blob content.Blob
	// The client may be gone; what it sent whole is stored all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTime)
	defer cancel()
	err = x.manager.db.Update(ctx, func(tx *store.Tx) (err error) {
		if err = tx.RepositoryExists(x.repo.id); err != nil {
			return err
		}
		c, err := x.conditions.before(tx, x.repo.id, records[0].Path)
		if err != nil {
			return err
		}
		if blob, err = tx.PutBlob(staged); err != nil {
			return err
		}
		for i := range records {
			if assets[i], err = x.record(tx, records[i], assetRecords[i], blob, c); err != nil {
				return err
			}
			c = conditions{} // they are about what the route asked for
		}
		return nil
	})
	// A row may name the bytes when a commit's answer was lost.
	switch {
	case err != nil && !store.InDoubt(err):
		failed(ctx, staged.Key)
	case err == nil && blob.Key != staged.Key:
		err = x.settle(ctx, blob, staged)
	}
	if err == nil && x.origin != nil {
		x.repo.upstream.expect(records)
	}
	return assets, err
}

// commitTime is how long the recording of received bytes may wait.
const commitTime = time.Minute

// settle decides between the bytes that a blob has and the same ones that were staged now: these are dropped, unless the
// others turn out to be lost or damaged: they are read, as this is the moment when they can be mended.
func (x *exchange) settle(ctx context.Context, blob content.Blob, staged content.Staged) error {
	err := x.repo.intact(ctx, blob)
	if !errs.Is(err, errs.NotFound) {
		x.discard(ctx, staged.Key)
		return err
	}
	return x.manager.db.Update(ctx, func(tx *store.Tx) error {
		_, err := tx.PutBlob(staged) // takes the place of the suspect blob, for all who name it
		return err
	})
}

// record records one asset under the conditions and the write policy.
func (x *exchange) record(tx *store.Tx, rec format.Record, row store.AssetRecord, blob content.Blob, c conditions) (content.Asset, error) {
	var requires []content.Reference
	for _, ref := range rec.References {
		// What a proxy lacks it fetches when somebody asks for it.
		if ref.Kind == content.Requires && x.repo.config.Type == Hosted {
			requires = append(requires, ref)
		}
	}
	gone, err := tx.Require(x.repo.id, requires)
	if err == nil && len(gone) > 0 {
		gone, err = x.adopt(tx, gone)
	}
	if err != nil {
		return content.Asset{}, err
	}
	if len(gone) > 0 {
		return content.Asset{}, missing(gone)
	}
	var existing *content.Asset
	if a, err := tx.Asset(x.repo.id, rec.Path); err == nil {
		existing = &a
	} else if !errs.Is(err, errs.NotFound) {
		return content.Asset{}, err
	}
	if err := c.check(existing); err != nil {
		return content.Asset{}, err
	}
	if err := x.repo.policy(rec, existing, blob); err != nil {
		return content.Asset{}, err
	}
	if existing != nil && existing.Blob.ID == blob.ID && existing.ContentType == row.ContentType && existing.Digest == row.Digest &&
		(x.origin == nil || bytes.Equal(existing.Attributes, row.Attributes)) {
		err := tx.Touch(*existing)
		if err == nil && x.origin != nil {
			err = tx.Checked(*existing, *x.origin)
		}
		if !errs.Is(err, errs.NotFound) {
			return *existing, err
		}
		existing = nil // somebody deleted it meanwhile
	}
	return tx.PutAsset(row, blob, existing)
}

func (x *exchange) assetRecords(records []format.Record) ([]store.AssetRecord, error) {
	rows := make([]store.AssetRecord, len(records))
	for i, rec := range records {
		rows[i] = store.AssetRecord{
			RepositoryID: x.repo.id, Path: rec.Path, Kind: rec.Kind, Name: rec.Name, Digest: rec.Digest, ContentType: rec.ContentType,
			Component: rec.Component, References: rec.References, Uploader: x.principal.User, UploaderIP: x.address(),
			Origin: x.origin,
		}
		if rec.Attributes == nil {
			continue
		}
		attributes, err := json.Marshal(rec.Attributes)
		if err != nil {
			return nil, fmt.Errorf("attributes of %s: %w", rec.Path, err)
		}
		rows[i].Attributes = attributes
	}
	return rows, nil
}

// address is where the request came from.
func (x *exchange) address() string {
	if x.request == nil {
		return ""
	}
	host, _, err := net.SplitHostPort(x.request.RemoteAddr)
	if err != nil {
		return x.request.RemoteAddr
	}
	return host
}

// upload is an open upload session.
type upload struct {
	x     *exchange
	owner string
	state blobstore.Upload
}

// owner binds an upload session to the repository beside what the format binds it to.
func (x *exchange) owner(of string) string { return strconv.FormatInt(x.repo.id, 10) + ":" + of }

// Begin starts an upload session.
func (x *exchange) Begin(ctx context.Context, owner string, algs ...digest.Algorithm) (format.Upload, error) {
	x, err := x.writer()
	if err != nil {
		return nil, err
	}
	u := &upload{x: x, owner: x.owner(owner)}
	u.state, err = x.repo.store.Begin(ctx, u.owner, append(algs, x.repo.plugin.describe.Algorithms...)...)
	return u, storeError(err)
}

// Resume finds an upload session.
func (x *exchange) Resume(ctx context.Context, owner, id string) (format.Upload, error) {
	x, err := x.writer()
	if err != nil && !errs.Is(err, errs.Forbidden) { // a session that was begun before can be cancelled
		return nil, err
	}
	u := &upload{x: x, owner: x.owner(owner)}
	u.state, err = x.repo.store.Upload(ctx, u.owner, id)
	return u, uploadError(err)
}

func uploadError(err error) error {
	var wrong *blobstore.DigestError
	switch {
	case errors.Is(err, blobstore.ErrNotFound):
		return errs.Wrap(errs.NotFound, err, "upload not found")
	case errors.As(err, &wrong):
		return wrongDigest(wrong)
	}
	return storeError(err)
}

func (u *upload) ID() string  { return u.state.ID }
func (u *upload) Size() int64 { return u.state.Size }

func (u *upload) Append(ctx context.Context, at int64, r io.Reader) error {
	state, err := u.x.repo.store.Append(ctx, u.owner, u.state.ID, at, body{r})
	if state.ID != "" {
		u.state = state
	}
	return uploadError(err)
}

func (u *upload) Commit(ctx context.Context, route format.Route) ([]content.Asset, error) {
	x := u.x
	if err := x.repo.writable(); err != nil {
		return nil, err
	}
	info, err := x.repo.store.Finish(ctx, u.owner, u.state.ID, route.Expect)
	if err != nil {
		return nil, uploadError(err)
	}
	staged := x.staged(info)
	records, err := x.ingest(ctx, route, staged, func() (io.ReadCloser, error) {
		f, _, err := x.repo.store.Open(ctx, staged.Key)
		return f, err
	})
	if err != nil {
		u.reopen(ctx, staged.Key)
		return nil, err
	}
	return x.commit(ctx, staged, records, u.reopen)
}

// reopen gives the session its bytes back, for a client that comes again.
func (u *upload) reopen(ctx context.Context, key string) {
	if err := u.x.repo.store.Reopen(context.WithoutCancel(ctx), u.owner, u.state.ID, key); err != nil {
		u.x.manager.log.Warn("an upload that could not be recorded is lost", "repo", u.x.repo.Name(), "upload", u.state.ID, "err", err)
		u.x.discard(ctx, key)
	}
}

func (u *upload) Cancel(ctx context.Context) error {
	return uploadError(u.x.repo.store.Cancel(ctx, u.owner, u.state.ID))
}

// maxHolders is how many assets with the same bytes a mount without a source looks at.
const maxHolders = 500

// Mount gives bytes that are in a repository another name.
func (x *exchange) Mount(ctx context.Context, route format.Route, from format.Location) (content.Asset, error) {
	x, err := x.writer()
	if err != nil {
		return content.Asset{}, err
	}
	source, err := x.source(ctx, route, from)
	if err != nil {
		return content.Asset{}, err
	}
	var asset content.Asset
	err = x.manager.db.Update(ctx, func(tx *store.Tx) error {
		if err := tx.RepositoryExists(x.repo.id); err != nil {
			return err
		}
		if err := tx.Touch(source); err != nil {
			return err
		}
		rec := format.Record{Path: route.Path, Kind: route.Kind, Name: route.Name, Class: route.Class, Digest: route.Expect, ContentType: source.ContentType}
		rows, err := x.assetRecords([]format.Record{rec})
		if err != nil {
			return err
		}
		asset, err = x.record(tx, rec, rows[0], source.Blob, conditions{})
		return err
	})
	return asset, err
}

// source finds the asset to mount from, among those that the caller may read and whose bytes are in the same store.
func (x *exchange) source(ctx context.Context, route format.Route, from format.Location) (content.Asset, error) {
	gone := errs.New(errs.NotFound, "there is nothing to mount")
	if from.Path == "" {
		return x.holder(ctx, route, gone)
	}
	repo := x.asked()
	if from.Repository != "" {
		repo = x.manager.table.Load().names[strings.ToLower(from.Repository)]
	}
	if repo == nil || repo.plugin != x.repo.plugin {
		return content.Asset{}, gone
	}
	there, err := repo.routeOf(from.Path)
	if err != nil {
		return content.Asset{}, err
	}
	for _, member := range repo.showing(question{path: from.Path}) {
		a, err := member.asset(ctx, member.canonicalRoute(there).Path)
		if err != nil && !errs.Is(err, errs.NotFound) {
			return a, err
		}
		if err == nil && a.Digest == route.Expect && x.mountable(repo, named(a, there)) {
			return a, nil
		}
	}
	return content.Asset{}, gone
}

// mountable tells whether the caller may have an asset's bytes: a token for the target only has no say about them, but what
// everybody may read, its holder may read as well.
func (x *exchange) mountable(repo *Repository, a content.Asset) bool {
	return !a.Blob.Suspect && a.Blob.StoreID == x.repo.store.id && x.mayRead(repo, a.Path, a.Name)
}

func (x *exchange) holder(ctx context.Context, route format.Route, gone error) (content.Asset, error) {
	holders, err := x.manager.db.Holders(ctx, route.Expect, route.Kind, 0, maxHolders)
	if err != nil {
		return content.Asset{}, err
	}
	for _, a := range holders {
		repo := x.manager.byID(a.RepositoryID)
		if repo == nil {
			continue
		}
		q := question{path: a.Path}
		if !repo.denies(q) && x.mountable(repo, a) || x.front != nil && x.front.shows(repo, q) && x.mountable(x.front, a) {
			return a, nil
		}
	}
	return content.Asset{}, gone
}

// adopt gives the repository what it lacks of the references and other members of the group have that the request is for: to the
// client, who was told that it is there, they are one. It returns what none of them has.
func (x *exchange) adopt(tx *store.Tx, gone []content.Reference) (rest []content.Reference, err error) {
	if x.front == nil {
		return gone, nil
	}
	for _, ref := range gone {
		found, err := x.adoptOne(tx, ref)
		if err != nil {
			return nil, err
		}
		if !found {
			rest = append(rest, ref)
		}
	}
	return rest, nil
}

func (x *exchange) adoptOne(tx *store.Tx, ref content.Reference) (bool, error) {
	route, err := x.repo.routeOf(ref.Path)
	if err != nil {
		return false, err
	}
	for _, member := range x.front.showing(question{path: ref.Path}) {
		a, err := tx.Asset(member.id, member.canonicalRoute(route).Path)
		if err == nil && a.Digest == ref.To && x.mountable(x.front, named(a, route)) {
			err = tx.Touch(a)
		} else if err == nil {
			continue
		}
		if errs.Is(err, errs.NotFound) {
			continue
		}
		if err != nil {
			return false, err
		}
		rec := format.Record{Path: route.Path, Kind: a.Kind, Name: route.Name, Class: content.Immutable, Digest: a.Digest, ContentType: a.ContentType}
		rows, err := x.assetRecords([]format.Record{rec})
		if err == nil {
			_, err = x.record(tx, rec, rows[0], a.Blob, conditions{})
		}
		return err == nil, err
	}
	return false, nil
}
