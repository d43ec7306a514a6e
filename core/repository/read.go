package repository

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/core/blobstore"
	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
	"github.com/repomgr/repomgr/core/store"
)

// serveAsset answers a GET or HEAD for what is at the route's path.
func (x *exchange) serveAsset(w http.ResponseWriter, r *http.Request) error {
	err := x.serveFindable(w, r)
	if err != nil && x.lacksSlash(r.Context(), err) {
		redirectBelow(w, r)
		return nil
	}
	return err
}

// serveFindable answers with what there is or can be had. What a proxy has lost the bytes of is looked for once more: it doesn't count as
// kept any more.
func (x *exchange) serveFindable(w http.ResponseWriter, r *http.Request) error {
	for again := x.repo.config.Type != Hosted; ; again = false {
		f, err := x.find(r.Context(), r.Method)
		if err == nil && x.directory() && !strings.HasSuffix(r.URL.Path, "/") {
			redirectBelow(w, r) // the root of the repository
			return nil
		}
		if err == nil {
			err = f.serve(w, r)
		}
		if !again || !errors.Is(err, errLost) {
			return err
		}
		delete(w.Header(), "Age")
		delete(w.Header(), "Warning")
	}
}

// serveStored answers a GET or HEAD with an asset.
func (x *exchange) serveStored(w http.ResponseWriter, r *http.Request, a content.Asset) error {
	var err error
	if r.Method == http.MethodHead {
		if a, err = x.confirm(r.Context(), a); err != nil {
			return err
		}
	}
	if r.Method == http.MethodHead || !plainGet(r) {
		return x.serveContent(w, r, a)
	}
	h := w.Header()
	if body, ok, err := x.small(r.Context(), a); err != nil {
		return err
	} else if ok {
		x.head(h, a)
		h["Content-Length"] = []string{strconv.Itoa(len(body))}
		w.WriteHeader(http.StatusOK)
		_, _ = w.Write(body)
		return nil
	}
	f, err := x.repo.openBlob(r.Context(), a.Blob)
	if err != nil {
		return err
	}
	defer f.Close()
	x.head(h, a)
	h["Content-Length"] = []string{strconv.FormatInt(a.Blob.Size, 10)}
	w.WriteHeader(http.StatusOK)
	// The connection's ReadFrom sends a file without copying it through this process.
	_, _ = io.Copy(w, f)
	return nil
}

// head sets the headers of a representation (RFC 9110 section 8).
func (x *exchange) head(h http.Header, a content.Asset) {
	contentType := a.ContentType
	if contentType == "" {
		contentType = "application/octet-stream"
	}
	h["Content-Type"] = []string{contentType}
	h["Etag"] = []string{etag(a)}
	if a.Origin != nil && len(a.Origin.Modified) == len(http.TimeFormat) {
		h["Last-Modified"] = []string{a.Origin.Modified} // it needs no parsing
	} else if modified := x.modified(a); !modified.IsZero() {
		h["Last-Modified"] = []string{modified.Format(http.TimeFormat)}
	}
	h["X-Content-Type-Options"] = nosniff
	// What is stored came from somebody: opened in a browser, it must not act as a part of this site.
	h["Content-Security-Policy"] = sandbox
	if len(x.repo.plugin.describe.Algorithms) > 0 {
		setChecksums(h, a.Blob)
	}
	if x.repo.plugin.headers != nil {
		x.repo.plugin.headers.Headers(h, x.Repository(), x.entry, x.route, a, http.StatusOK)
	}
}

// etag is the entity tag of an asset: a strong one, as its bytes make it.
func etag(a content.Asset) string { return `"` + a.Digest.String() + `"` }

// modified is what Last-Modified says and If-Modified-Since is compared with. It is zero for bytes that may be replaced within
// the same second again: a date has whole seconds, and must not be one of two versions (RFC 9110 section 8.8.2.2). Of what came from
// upstream it is upstream's, where that says.
func (x *exchange) modified(a content.Asset) time.Time {
	if a.Origin != nil && a.Origin.Modified != "" {
		if t, err := http.ParseTime(a.Origin.Modified); err == nil {
			return t.UTC()
		}
	}
	if x.route.Class == content.Mutable && time.Since(a.UpdatedAt) < time.Second {
		return time.Time{}
	}
	return a.UpdatedAt
}

var (
	nosniff = []string{"nosniff"}
	sandbox = []string{"sandbox"}
)

// plainGet tells whether a request wants the whole representation whatever the client has.
func plainGet(r *http.Request) bool {
	for _, name := range [...]string{"Range", "If-None-Match", "If-Modified-Since", "If-Match", "If-Unmodified-Since", "If-Range"} {
		if len(r.Header[name]) > 0 {
			return false
		}
	}
	return true
}

// serveContent answers conditional and range requests (RFC 9110 sections 13 and 14), and HEAD.
func (x *exchange) serveContent(w http.ResponseWriter, r *http.Request, a content.Asset) error {
	if r.Method == http.MethodHead {
		x.head(w.Header(), a)
		http.ServeContent(w, r, "", x.modified(a), &sized{size: a.Blob.Size})
		return nil
	}
	r, err := ranged(w.Header(), r, a.Blob.Size)
	if err != nil {
		return err
	}
	f, err := x.repo.openBlob(r.Context(), a.Blob)
	if err != nil {
		return err
	}
	defer f.Close()
	x.head(w.Header(), a)
	http.ServeContent(w, r, "", x.modified(a), f)
	return nil
}

// sized is the content of a HEAD: it has a size and is never read.
type sized struct{ size, at int64 }

func (s *sized) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func (s *sized) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += s.at
	case io.SeekEnd:
		offset += s.size
	}
	s.at = offset
	return offset, nil
}

// Asset returns the asset at path; a NotFound error when there is none.
func (x *exchange) Asset(ctx context.Context, path string) (content.Asset, error) {
	return x.repo.asset(ctx, path)
}

func (r *Repository) asset(ctx context.Context, path string) (content.Asset, error) {
	a, err := r.manager.caches.assets.get(place{r.id, path}, store.PathSlot(r.id, path), func() (content.Asset, error) {
		return r.manager.db.Asset(ctx, r.id, path)
	})
	if err == nil && a.Blob.Suspect {
		return content.Asset{}, r.lost(a)
	}
	return a, err
}

// lost is the answer about an asset whose bytes are gone. It is not an error of the server's: a client that hears that the asset is
// not there uploads it again when it has it, and that mends the damage.
func (r *Repository) lost(a content.Asset) error {
	r.manager.log.Warn("asset can't be served: its bytes are lost", "repo", r.Name(), "path", a.Path, "digest", "sha256:"+a.Blob.SHA256)
	return assetNotFound(nil)
}

// errLost is in the NotFound error of the one who found out that an asset's bytes are not there.
var errLost = errors.New("its bytes are lost")

func assetNotFound(cause error) error { return errs.Wrap(errs.NotFound, cause, "asset not found") }

// confirm keeps an asset from garbage collection for a while: a client is about to be told that it is there.
func (x *exchange) confirm(ctx context.Context, a content.Asset) (content.Asset, error) {
	if x.route.Class == content.Immutable || x.repo.upstream != nil {
		if err := x.repo.present(ctx, a.Blob); err != nil {
			return a, err
		}
	}
	now := time.Now()
	if !store.Stale(a.TouchedAt, now) && !store.Stale(a.Blob.TouchedAt, now) {
		return a, nil
	}
	if err := x.manager.db.Update(ctx, func(tx *store.Tx) error { return tx.Touch(a) }); err != nil {
		return a, err
	}
	return x.Asset(ctx, a.Path)
}

// storeOf is the blob store that has a blob's bytes.
func (r *Repository) storeOf(b content.Blob) (*blobStore, error) {
	if b.StoreID == r.store.id {
		return r.store, nil
	}
	if s := r.manager.stores.byID(b.StoreID); s != nil {
		return s, nil
	}
	return nil, fmt.Errorf("blob %s: blob store %d is not there", b.SHA256, b.StoreID)
}

// present checks that a blob's bytes are there, as far as that can be told without reading them. A NotFound error tells that they
// are lost.
func (r *Repository) present(ctx context.Context, b content.Blob) error {
	s, err := r.storeOf(b)
	if err != nil {
		return err
	}
	info, err := s.Stat(ctx, b.Key)
	switch {
	case errors.Is(err, blobstore.ErrNotFound):
		return r.suspect(ctx, b, err)
	case err != nil:
		return fmt.Errorf("look for blob %s: %w", b.SHA256, err)
	case info.Size != b.Size:
		return r.suspect(ctx, b, wrongSize(info.Size, b.Size))
	}
	return nil
}

// intact is present for bytes that are read to their end, too.
func (r *Repository) intact(ctx context.Context, b content.Blob) error {
	f, err := r.openBlob(ctx, b)
	if err != nil {
		return err
	}
	defer f.Close()
	got, err := digest.SHA256.FromReader(f)
	if err != nil {
		return fmt.Errorf("read blob %s: %w", b.SHA256, err)
	}
	if got.Encoded() != b.SHA256 {
		return r.suspect(ctx, b, fmt.Errorf("its bytes have digest %s", got))
	}
	return nil
}

func wrongSize(got, want int64) error { return fmt.Errorf("it has %d bytes, not %d", got, want) }

// openBlob opens a blob's bytes.
func (r *Repository) openBlob(ctx context.Context, b content.Blob) (io.ReadSeekCloser, error) {
	s, err := r.storeOf(b)
	if err != nil {
		return nil, err
	}
	f, size, err := s.Open(ctx, b.Key)
	if errors.Is(err, blobstore.ErrNotFound) {
		return nil, r.suspect(ctx, b, err)
	}
	if err != nil {
		return nil, fmt.Errorf("open blob %s: %w", b.SHA256, err)
	}
	if size != b.Size {
		f.Close()
		return nil, r.suspect(ctx, b, wrongSize(size, b.Size))
	}
	return f, nil
}

// suspect takes a blob out of use whose bytes are not there, or not all of them, and returns the error for the client.
func (r *Repository) suspect(ctx context.Context, b content.Blob, cause error) error {
	was := false
	err := r.manager.db.Update(context.WithoutCancel(ctx), func(tx *store.Tx) (err error) {
		was, err = tx.Suspect(b.ID)
		return err
	})
	if err != nil {
		return fmt.Errorf("open blob %s: %w", b.SHA256, errors.Join(cause, err))
	}
	if was {
		r.manager.log.Error("blob is damaged; the next upload of the same bytes mends it", "repo", r.Name(),
			"digest", "sha256:"+b.SHA256, "key", b.Key, "err", cause)
	}
	return assetNotFound(fmt.Errorf("%w: %w", errLost, cause))
}

// small returns the bytes of an asset that is small enough to be kept in memory.
func (x *exchange) small(ctx context.Context, a content.Asset) (body []byte, ok bool, err error) {
	if a.Blob.Size > maxBody {
		return nil, false, nil
	}
	bodies := x.manager.caches.bodies
	if body, ok := bodies.get(a.Blob.ID); ok {
		return body, true, nil
	}
	f, err := x.repo.openBlob(ctx, a.Blob)
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	body = make([]byte, a.Blob.Size)
	if _, err := io.ReadFull(f, body); err != nil {
		return nil, false, fmt.Errorf("read blob %s: %w", a.Blob.SHA256, err)
	}
	bodies.add(a.Blob.ID, body)
	return body, true, nil
}

// Open reads an asset's bytes; the caller closes. A NotFound error tells that they are lost.
func (x *exchange) Open(ctx context.Context, a content.Asset) (io.ReadCloser, error) {
	if a.Blob.Suspect {
		return nil, x.repo.lost(a)
	}
	body, ok, err := x.small(ctx, a)
	if err != nil {
		return nil, err
	}
	if ok {
		return io.NopCloser(bytes.NewReader(body)), nil
	}
	return x.repo.openBlob(ctx, a.Blob)
}

// List returns a page.
func (x *exchange) List(ctx context.Context, l content.List) (content.Page, error) {
	q := x.asking()
	if x.route.Class != content.Query {
		q = x.repo.listed(l)
	}
	return x.repo.list(ctx, l, q)
}

// list returns a page. The rules are asked q about it.
func (r *Repository) list(ctx context.Context, l content.List, q question) (content.Page, error) {
	if r.denies(q) {
		return content.Page{}, denied()
	}
	switch r.config.Type {
	case Group:
		return r.listMembers(ctx, l, q)
	case Proxy:
		return r.listRemote(ctx, l)
	}
	return r.local(ctx, l)
}

// local is list for what the repository has itself.
func (r *Repository) local(ctx context.Context, l content.List) (content.Page, error) {
	if l.Names {
		return r.manager.db.Names(ctx, r.id, l)
	}
	if !l.Brief || l.Limit > maxPage {
		return r.assets(ctx, l)
	}
	key := place{r.id, fmt.Sprintf("%+v", l)}
	return r.manager.caches.pages.get(key, store.NameSlot(r.id, l.Name), func() (content.Page, error) { return r.assets(ctx, l) })
}

func (r *Repository) assets(ctx context.Context, l content.List) (content.Page, error) {
	page, err := r.manager.db.Assets(ctx, r.id, l)
	if err == nil && !page.Known {
		page.Known, err = r.manager.db.HasName(ctx, r.id, r.plugin.describe.NamedBy, l.Name)
	}
	return page, err
}

// serveDocument answers a GET or HEAD for a document that is made from what the repository holds.
func (x *exchange) serveDocument(w http.ResponseWriter, r *http.Request) error {
	p := x.repo.plugin
	if p.generator == nil {
		return fmt.Errorf("format %s has an index route but no Generator", x.repo.config.Format)
	}
	h := w.Header()
	doc, f, err := x.document(r, h)
	if err != nil {
		return err
	}
	h["Content-Type"] = []string{doc.ContentType}
	h["X-Content-Type-Options"] = nosniff
	doc.Flaws.Mark(h)
	if f != nil {
		defer f.Close()
		http.ServeContent(w, r, "", time.Time{}, f)
		return nil
	}
	h["Etag"] = []string{`"` + digest.FromBytes(doc.Body).String() + `"`}
	if !plainGet(r) {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(doc.Body))
		return nil
	}
	h["Content-Length"] = []string{strconv.Itoa(len(doc.Body))}
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(doc.Body)
	}
	return nil
}

// document makes the document that the route asks for. A large one is in a file, with its ETag set: clients may take long over it,
// and there may be many.
func (x *exchange) document(r *http.Request, h http.Header) (format.Document, blobstore.Reader, error) {
	ctx, m, p := r.Context(), x.manager, x.repo.plugin
	x.permit = &permit{of: m.generating}
	defer x.permit.give()
	key := place{x.repo.id, x.route.Path + "?" + x.route.Variant}
	get := m.caches.documents.get
	if x.repo.config.Type != Hosted {
		get = uncached // what it is made of is elsewhere
	}
	doc, err := get(key, store.NameSlot(x.repo.id, x.route.Name), func() (format.Document, error) {
		if err := x.permit.take(ctx); err != nil {
			return format.Document{}, err
		}
		return x.made(ctx)
	})
	flaws := doc.Flaws
	if err == nil && p.rewriter != nil {
		doc, err = p.rewriter.Rewrite(r, x.entry, x.route, doc, h)
		doc.Flaws = flaws
	}
	if err != nil || len(doc.Body) <= maxDocument {
		return doc, nil, err
	}
	f, etag, err := x.repo.spool(ctx, doc.Body)
	if err != nil {
		x.manager.log.Warn("a large document can't be put aside while it is sent", "repo", x.repo.Name(), "path", x.route.Path, "err", err)
		return doc, nil, nil // reads go on when the disk is full
	}
	h["Etag"] = []string{`"` + etag.String() + `"`}
	doc.Body = nil
	return doc, f, nil
}

func uncached(_ place, _ int, load func() (format.Document, error)) (format.Document, error) {
	return load()
}

// made is the document that the route asks for.
func (x *exchange) made(ctx context.Context) (format.Document, error) {
	switch x.repo.config.Type {
	case Proxy:
		return x.canonical().remoteDocument(ctx)
	case Group:
		return x.mergeDocuments(ctx)
	}
	return x.repo.plugin.generator.Generate(ctx, x.route, x)
}

// spool puts bytes into a file that is gone when the reader is closed.
func (r *Repository) spool(ctx context.Context, body []byte) (blobstore.Reader, digest.Digest, error) {
	stage, err := r.store.Stage(ctx)
	if err != nil {
		return nil, "", err
	}
	defer stage.Close()
	if err := stage.Append(ctx, bytes.NewReader(body), nil); err != nil {
		return nil, "", err
	}
	f, err := stage.Open()
	return f, stage.Digests()[digest.SHA256], err
}

// remove deletes the asset at the route's path, and those that go along with it, in one transaction.
func (x *exchange) remove(ctx context.Context) error {
	if x.repo.config.Storage.WritePolicy == Deny {
		// Not Forbidden: distribution-spec 1.1, "Content Management", has 400 and 405 for a repository without deletion.
		return x.repo.readOnly(errs.MethodNotAllowed)
	}
	return x.manager.db.Update(ctx, func(tx *store.Tx) error {
		a, err := tx.Asset(x.repo.id, x.route.Path)
		if err != nil {
			return err
		}
		if err := x.conditions.check(present(a)); err != nil {
			return err
		}
		if err := tx.DeleteAsset(a, x.principal.User); err != nil {
			return err
		}
		if required, err := tx.Required(a); err != nil {
			return err
		} else if required {
			e := errs.New(errs.Conflict, "%s is required by other content of the repository", a.Path)
			e.Code = format.CodeRequired
			return e
		}
		if x.route.Along == nil {
			return nil
		}
		return x.removeAlong(tx, *x.route.Along)
	})
}

// alongPage is how many assets that go along with a deleted one are read at once.
const alongPage = 500

func (x *exchange) removeAlong(tx *store.Tx, l content.List) error {
	for l.Limit = alongPage; ; {
		page, err := tx.Assets(x.repo.id, l)
		if err != nil {
			return err
		}
		for _, a := range page.Assets {
			if err := tx.DeleteAsset(a, x.principal.User); err != nil && !errs.Is(err, errs.NotFound) {
				return err
			}
			l.After = a.Path
		}
		if !page.More {
			return nil
		}
	}
}

// missing is the error for required content that isn't there.
func missing(references []content.Reference) error {
	e := errs.New(errs.Invalid, "content that this requires is not in the repository")
	e.Code, e.Detail = format.CodeMissing, references
	return e
}

func tooLarge(limit int64) error {
	return errs.New(errs.TooLarge, "at most %d bytes are allowed here", limit)
}
