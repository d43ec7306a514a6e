package docker

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
)

// foreign is a descriptor of somebody else's list of referrers: raw is as it came.
type foreign struct {
	digest       digest.Digest
	artifactType string
	raw          json.RawMessage
}

// Select cuts the page that the route's variant asks for out of upstream's list of referrers (distribution-spec 1.1, "Listing
// Referrers"), in the order of digests. Descriptors without a digest that can be verified are left out.
func (docker) Select(route format.Route, doc format.Document) (format.Document, error) {
	q, err := parseQuestion(route.Variant)
	if err != nil {
		return format.Document{}, fmt.Errorf("variant %q of referrers: %w", route.Variant, err)
	}
	list, err := readReferrers(doc.Body)
	if err != nil {
		return format.Document{}, err
	}
	list = slices.DeleteFunc(list, func(r foreign) bool {
		return r.digest.String() <= q.last || q.artifactType != "" && r.artifactType != q.artifactType
	})
	return sheetOf(list, q.limit).document()
}

// Merge unites lists of referrers by digest; the first of several descriptors counts. Where a list has a Next, its member has more
// beyond that: there the page ends.
func (docker) Merge(_ context.Context, route format.Route, docs []format.Document) (format.Document, error) {
	q, err := parseQuestion(route.Variant)
	if err != nil {
		return format.Document{}, fmt.Errorf("variant %q of referrers: %w", route.Variant, err)
	}
	var list []foreign
	next := ""
	for _, doc := range docs {
		part, err := readReferrers(doc.Body)
		if err != nil {
			return format.Document{}, err
		}
		list = append(list, part...)
		if doc.Next != "" && (next == "" || doc.Next < next) {
			next = doc.Next
		}
	}
	list = inOrder(list)
	if next != "" {
		list = slices.DeleteFunc(list, func(r foreign) bool { return r.digest.String() > next })
	}
	page := sheetOf(list, q.limit)
	if page.next == "" {
		page.next = next
	}
	return page.document()
}

// sheetOf is the first page of a list.
func sheetOf(list []foreign, limit int) *sheet {
	page := &sheet{limit: limit}
	for _, r := range list {
		if page.put(r.digest, r.raw); page.next != "" {
			break
		}
	}
	return page
}

// readReferrers reads a list of referrers, in the order of digests. An index without manifests has none.
func readReferrers(body []byte) ([]foreign, error) {
	var doc struct {
		Manifests []json.RawMessage `json:"manifests"`
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return nil, errs.Wrap(errs.Invalid, err, "a list of referrers is no index")
	}
	list := make([]foreign, 0, len(doc.Manifests))
	for _, raw := range doc.Manifests {
		var d struct {
			Digest       string `json:"digest"`
			ArtifactType string `json:"artifactType"`
		}
		if json.Unmarshal(raw, &d) != nil {
			continue
		}
		if checked, err := parseDigest(d.Digest); err == nil && len(raw) <= maxReferrers-frame {
			list = append(list, foreign{checked, d.ArtifactType, raw})
		}
	}
	return inOrder(list), nil
}

// inOrder sorts by digest, and drops all but the first of the same.
func inOrder(list []foreign) []foreign {
	slices.SortStableFunc(list, func(a, b foreign) int { return cmp.Compare(a.digest, b.digest) })
	return slices.CompactFunc(list, func(a, b foreign) bool { return a.digest == b.digest })
}

// Substitute is the fallback tag, sha256-<hex>, under which clients keep the list of referrers where the registry has no such API
// (distribution-spec 1.1, "Referrers Tag Schema"). Where there is none either there are no referrers.
func (docker) Substitute(route format.Route) (asset format.Route, otherwise format.Document, ok bool) {
	if route.Kind != kindReferrers {
		return format.Route{}, format.Document{}, false
	}
	subject := digest.Digest(tagOf(route.Path))
	tag := subject.Algorithm().String() + "-" + subject.Encoded()
	tag = tag[:min(len(tag), maxTag)] // that of a sha512 digest is cut
	body, err := encode(newIndex[json.RawMessage](nil))
	return format.Route{
		Action: actionPull, Path: manifestPath(route.Name, tag), Class: content.Mutable, Kind: kindTag, Name: route.Name,
		MaxSize: MaxManifest, Metadata: true,
	}, format.Document{Body: body, ContentType: v1.MediaTypeImageIndex}, err == nil
}
