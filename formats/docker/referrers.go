package docker

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
)

// Limits of a list of referrers, in bytes: of one answer, since clients read no larger manifests, and of all annotations
// in the list; past that descriptors come without annotations.
const (
	maxReferrers   = MaxManifest
	maxAnnotations = 32 << 20
)

// referrersStep is how many assets are read at a time; each may have maxStored bytes of annotations.
const referrersStep = 200

// referrersRoute is a question for the manifests about a digest (distribution-spec 1.1, end-12a and end-12b).
func referrersRoute(t target) (format.Route, error) {
	d, err := parseDigest(t.ref)
	if err != nil {
		return format.Route{Kind: kindReferrers, Name: t.name}, err
	}
	return format.Route{
		Action: actionPull, Path: referrersPath(t.name, d), Class: content.Index, Kind: kindReferrers, Name: t.name,
	}, nil
}

// referrer is a descriptor in a list of referrers.
type referrer struct {
	MediaType    string            `json:"mediaType"`
	Digest       digest.Digest     `json:"digest"`
	Size         int64             `json:"size"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
}

// index is an OCI image index; Manifests is never null.
type index[T any] struct {
	SchemaVersion int    `json:"schemaVersion"`
	MediaType     string `json:"mediaType"`
	Manifests     []T    `json:"manifests"`
}

func newIndex[T any](manifests []T) index[T] {
	if manifests == nil {
		manifests = []T{}
	}
	return index[T]{SchemaVersion: 2, MediaType: v1.MediaTypeImageIndex, Manifests: manifests}
}

// Generate lists the manifests of the image whose subject is the digest, ordered by their own digest. These include those
// that clients without the API also listed under the fallback tag: without a subject there is no referrer (distribution-spec
// 1.1, "Enabling the Referrers API"). An image that nobody knows has none.
func (docker) Generate(ctx context.Context, route format.Route, view format.View) (format.Document, error) {
	subject := digest.Digest(tagOf(route.Path))
	l := content.List{Kind: kindManifest, Name: route.Name, Subject: subject, Limit: referrersStep}
	var list []referrer
	room := maxAnnotations
	for more := true; more; {
		page, err := view.List(ctx, l)
		if err != nil {
			return format.Document{}, fmt.Errorf("list referrers of %s: %w", subject, err)
		}
		for _, a := range page.Assets {
			r, err := describe(ctx, a, view, &room)
			if err != nil {
				return format.Document{}, fmt.Errorf("describe referrer %s: %w", a.Digest, err)
			}
			list = append(list, r)
			l.After = a.Path
		}
		more = page.More
	}
	body, err := json.Marshal(newIndex(list))
	if err != nil {
		return format.Document{}, fmt.Errorf("encode referrers of %s: %w", subject, err)
	}
	return format.Document{Body: body, ContentType: v1.MediaTypeImageIndex}, nil
}

// loadManifest reads a stored manifest; the zero value when its bytes are not one (any more), or are lost.
func loadManifest(ctx context.Context, a content.Asset, view format.View) (manifest, error) {
	if a.Blob.Size > MaxManifest {
		return manifest{}, nil
	}
	r, err := view.Open(ctx, a)
	if errs.Is(err, errs.NotFound) {
		return manifest{}, nil
	}
	if err != nil {
		return manifest{}, err
	}
	defer r.Close()
	body, err := io.ReadAll(io.LimitReader(r, MaxManifest))
	if err != nil {
		return manifest{}, err
	}
	m, err := parseManifest(body, a.ContentType)
	if err != nil {
		return manifest{}, nil //nolint:nilerr // it names nothing then
	}
	return m, nil
}

// describe is the descriptor of a stored manifest. room is what is left for annotations.
func describe(ctx context.Context, a content.Asset, view format.View, room *int) (referrer, error) {
	facts := factsOf(a)
	r := referrer{
		MediaType: a.ContentType, Digest: a.Digest, Size: a.Blob.Size, ArtifactType: facts.ArtifactType, Annotations: facts.Annotations,
	}
	if facts.Truncated && *room > 0 {
		m, err := loadManifest(ctx, a, view)
		if err != nil {
			return referrer{}, err
		}
		r.Annotations = m.annotations
	}
	if *room -= annotationSize(r.Annotations); *room < 0 {
		r.Annotations = nil
	}
	return r, nil
}

// Rewrite filters a list of referrers by artifactType, and cuts it into pages.
func (docker) Rewrite(r *http.Request, entry format.Entry, route format.Route, doc format.Document, h http.Header) (format.Document, error) {
	setVersion(h)
	if route.Kind != kindReferrers {
		return doc, nil
	}
	q := r.URL.Query()
	wanted := q.Get("artifactType")
	limit, err := count(q.Get("n"), pageSize, pageSize)
	if err != nil {
		return format.Document{}, err
	}
	limit = max(limit, 1)
	last := q.Get("last")
	if wanted != "" {
		h.Set(headerFilters, "artifactType")
	} else if len(doc.Body) <= maxReferrers && last == "" && q.Get("n") == "" {
		return doc, nil
	}
	var all index[json.RawMessage]
	if err := json.Unmarshal(doc.Body, &all); err != nil {
		return format.Document{}, fmt.Errorf("read referrers: %w", err)
	}
	page, next, err := referrersPage(all.Manifests, wanted, last, limit)
	if err != nil {
		return format.Document{}, fmt.Errorf("read referrers: %w", err)
	}
	if next != "" {
		q.Set("last", next)
		q.Set("n", strconv.Itoa(limit))
		path := location(entry, route.Path)
		h.Set("Link", "<"+path+"?"+q.Encode()+`>; rel="next"`)
	}
	body, err := json.Marshal(newIndex(page))
	if err != nil {
		return format.Document{}, fmt.Errorf("encode referrers: %w", err)
	}
	return format.Document{Body: body, ContentType: doc.ContentType}, nil
}

// referrersPage is the descriptors of the wanted type (any when empty) after the digest last, at most limit of them and
// maxReferrers bytes; next is the last one's digest when more follow.
func referrersPage(all []json.RawMessage, wanted, last string, limit int) (page []json.RawMessage, next string, err error) {
	size, end := 0, ""
	for _, raw := range all {
		var d referrer
		if err := json.Unmarshal(raw, &d); err != nil {
			return nil, "", err
		}
		if wanted != "" && d.ArtifactType != wanted || last != "" && d.Digest.String() <= last {
			continue
		}
		if len(page) > 0 && (len(page) == limit || size+len(raw) > maxReferrers-256) {
			return page, end, nil
		}
		page, size, end = append(page, bytes.TrimSpace(raw)), size+len(raw)+1, d.Digest.String()
	}
	return page, "", nil
}
