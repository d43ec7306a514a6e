package docker

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/format"
)

// maxReferrers is the most bytes of one answer, since clients read no larger manifests. What doesn't fit is on further pages.
const maxReferrers = MaxManifest

// referrersStep is how many assets are read at a time; each may have maxStored bytes of annotations.
const referrersStep = 50

// referrersRoute is a question for the manifests about a digest (distribution-spec 1.1, end-12a and end-12b).
func referrersRoute(t target, q url.Values) (format.Route, error) {
	route := format.Route{Action: actionPull, Class: content.Index, Kind: kindReferrers, Name: t.name}
	d, err := parseDigest(t.ref)
	if err != nil {
		return route, err
	}
	route.Path = referrersPath(t.name, d)
	limit, last, err := paging(q)
	if err != nil {
		return route, err
	}
	route.Variant = question{artifactType: q.Get("artifactType"), last: last, limit: max(limit, 1)}.String()
	return route, nil
}

// question is what part of a list of referrers is asked for.
type question struct {
	// artifactType is the type wanted; any when empty.
	artifactType string
	// last is the digest before the first one wanted.
	last  string
	limit int
}

// String is the question as a query; empty for the beginning of the list.
func (q question) String() string {
	v := url.Values{}
	for name, value := range map[string]string{"artifactType": q.artifactType, "last": q.last} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if q.limit != pageSize {
		v.Set("n", strconv.Itoa(q.limit))
	}
	return v.Encode()
}

// parseQuestion reads what String wrote.
func parseQuestion(s string) (question, error) {
	v, err := url.ParseQuery(s)
	if err != nil {
		return question{}, err
	}
	limit, last, err := paging(v)
	return question{v.Get("artifactType"), last, limit}, err
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

// Generate lists manifests of the image whose subject is the digest, ordered by their own digest: those that the route's variant asks
// for, as far as one answer holds them. These include those that clients without the API also listed under the fallback tag:
// without a subject there is no referrer (distribution-spec 1.1, "Enabling the Referrers API"). An image that nobody knows has none.
func (docker) Generate(ctx context.Context, route format.Route, view format.View) (format.Document, error) {
	subject := digest.Digest(tagOf(route.Path))
	q, err := parseQuestion(route.Variant)
	if err != nil {
		return format.Document{}, fmt.Errorf("variant %q of referrers: %w", route.Variant, err)
	}
	l := content.List{Kind: kindManifest, Name: route.Name, Subject: subject, Limit: referrersStep}
	if q.last != "" {
		l.After = manifestPath(route.Name, q.last)
	}
	page := sheet{limit: q.limit}
	for more := true; more && page.next == ""; {
		found, err := view.List(ctx, l)
		if err != nil {
			return format.Document{}, fmt.Errorf("list referrers of %s: %w", subject, err)
		}
		for _, a := range found.Assets {
			l.After = a.Path
			if q.artifactType != "" && factsOf(a).ArtifactType != q.artifactType {
				continue
			}
			if err := page.add(ctx, a, view); err != nil {
				return format.Document{}, fmt.Errorf("describe referrer %s: %w", a.Digest, err)
			}
			if page.next != "" {
				break
			}
		}
		more = found.More
	}
	return page.document()
}

// sheet is a page of referrers that is being made.
type sheet struct {
	descriptors []json.RawMessage
	// limit is the most descriptors, size how many bytes they have.
	limit, size int
	// end is the digest of the last one; next is the same once it is known that more follow.
	end, next string
}

// add adds an asset's descriptor, unless the page is full.
func (s *sheet) add(ctx context.Context, a content.Asset, view format.View) error {
	if len(s.descriptors) == s.limit {
		s.next = s.end
		return nil
	}
	r, err := describe(ctx, a, view)
	if err != nil {
		return err
	}
	raw, err := encode(r)
	if err != nil {
		return err
	}
	if len(raw) > maxReferrers-frame {
		r.Annotations = nil // they alone are more than clients read
		if raw, err = encode(r); err != nil {
			return err
		}
	}
	s.put(a.Digest, raw)
	return nil
}

// frame is more than what is around the descriptors.
const frame = 256

// put adds a descriptor, unless the page is full.
func (s *sheet) put(d digest.Digest, raw json.RawMessage) {
	if len(s.descriptors) == s.limit || len(s.descriptors) > 0 && s.size+len(raw) > maxReferrers-frame {
		s.next = s.end
		return
	}
	s.descriptors, s.size, s.end = append(s.descriptors, raw), s.size+len(raw)+1, d.String()
}

// document is the page as an index.
func (s *sheet) document() (format.Document, error) {
	body, err := encode(newIndex(s.descriptors))
	if err != nil {
		return format.Document{}, fmt.Errorf("encode referrers: %w", err)
	}
	return format.Document{Body: body, ContentType: v1.MediaTypeImageIndex, Next: s.next, Empty: len(s.descriptors) == 0}, nil
}

// encode is json.Marshal without escapes for HTML, which make six bytes of one.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// loadManifest reads a stored manifest; the zero value when its bytes are not one (any more), or are lost.
func loadManifest(ctx context.Context, a content.Asset, view format.View) (manifest, error) {
	if a.Blob.Size > MaxManifest {
		return manifest{}, nil
	}
	body, err := readAsset(ctx, a, view)
	if err != nil || body == nil {
		return manifest{}, err
	}
	m, err := parseManifest(body, a.ContentType)
	if err != nil {
		return manifest{}, nil //nolint:nilerr // it names nothing then
	}
	return m, nil
}

// describe is the descriptor of a stored manifest.
func describe(ctx context.Context, a content.Asset, view format.View) (referrer, error) {
	facts := factsOf(a)
	r := referrer{
		MediaType: a.ContentType, Digest: a.Digest, Size: a.Blob.Size, ArtifactType: facts.ArtifactType, Annotations: facts.Annotations,
	}
	if facts.Truncated {
		m, err := loadManifest(ctx, a, view)
		if err != nil {
			return referrer{}, err
		}
		r.Annotations = m.annotations
	}
	return r, nil
}

// Rewrite adds to a list of referrers what its header says of the filter and of further pages.
func (docker) Rewrite(_ *http.Request, entry format.Entry, route format.Route, doc format.Document, h http.Header) (format.Document, error) {
	setVersion(h)
	q, err := parseQuestion(route.Variant)
	if err != nil {
		return doc, fmt.Errorf("variant %q of referrers: %w", route.Variant, err)
	}
	if q.artifactType != "" {
		h.Set(headerFilters, "artifactType")
	}
	if doc.Next != "" {
		v := url.Values{"last": {doc.Next}, "n": {strconv.Itoa(q.limit)}}
		if q.artifactType != "" {
			v.Set("artifactType", q.artifactType)
		}
		h.Set("Link", "<"+location(entry, route.Path)+"?"+v.Encode()+`>; rel="next"`)
	}
	return doc, nil
}
