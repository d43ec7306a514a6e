package docker

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
)

// image is the content of an image, in order of paths: a format.View of what Ingest made of pushed manifests.
type image struct {
	assets []content.Asset
	bytes  map[string]string
}

// push stores a manifest and returns its digest.
func (i *image) push(t *testing.T, ref, body string) digest.Digest {
	t.Helper()
	if ref == "" {
		ref = digest.FromString(body).String()
	}
	records, err := ingest(t, "PUT", "/v2/a/manifests/"+ref, "", body)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		attributes, _ := json.Marshal(r.Attributes)
		i.assets = append(i.assets, content.Asset{Path: r.Path, Kind: r.Kind, Name: r.Name, Digest: r.Digest, ContentType: r.ContentType,
			Attributes: attributes, Blob: content.Blob{Size: int64(len(body))}})
		i.bytes[r.Path] = body
	}
	return records[0].Digest
}

func (i *image) Asset(_ context.Context, path string) (content.Asset, error) {
	for _, a := range i.assets {
		if a.Path == path {
			return a, nil
		}
	}
	return content.Asset{}, errs.New(errs.NotFound, "asset not found")
}

func (i *image) List(_ context.Context, l content.List) (content.Page, error) {
	var p content.Page
	for _, a := range i.assets {
		if a.Kind == l.Kind && a.Name == l.Name && factsOf(a).Subject == l.Subject {
			p.Assets = append(p.Assets, a)
		}
	}
	slices.SortFunc(p.Assets, func(a, b content.Asset) int { return strings.Compare(a.Path, b.Path) })
	return p, nil
}

func (i *image) Open(_ context.Context, a content.Asset) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(i.bytes[a.Path])), nil
}

// artifact is a manifest about a subject (none when empty), of a type, with an annotation.
func artifact(subject digest.Digest, artifactType, annotation string) string {
	s := `{"schemaVersion":2,"mediaType":"` + v1.MediaTypeImageManifest + `","config":` + desc("c", "application/vnd.config")
	if artifactType != "" {
		s += `,"artifactType":"` + artifactType + `"`
	}
	if subject != "" {
		s += `,"subject":{"mediaType":"x/y","size":1,"digest":"` + subject.String() + `"}`
	}
	return s + `,"annotations":{"k":"` + annotation + `"}}`
}

func generate(t *testing.T, i *image, d digest.Digest) index[referrer] {
	t.Helper()
	route, err := resolve("GET", "/v2/a/referrers/"+d.String())
	if err != nil {
		t.Fatal(err)
	}
	doc, err := docker{}.Generate(context.Background(), route, i)
	if err != nil {
		t.Fatal(err)
	}
	if doc.ContentType != v1.MediaTypeImageIndex {
		t.Errorf("content type %q", doc.ContentType)
	}
	var got index[referrer]
	if err := json.Unmarshal(doc.Body, &got); err != nil {
		t.Fatal(err)
	}
	if got.SchemaVersion != 2 || got.MediaType != v1.MediaTypeImageIndex || got.Manifests == nil {
		t.Errorf("not an index: %s", doc.Body)
	}
	return got
}

func TestGenerate(t *testing.T) {
	subject, other := dig("5"), dig("6")
	i := &image{bytes: map[string]string{}}
	byType := artifact(subject, "application/sbom", "v")
	byConfig := artifact(subject, "", "w")
	large := artifact(subject, "application/large", strings.Repeat("x", maxStored+1))
	elsewhere := artifact(other, "application/other", "v")
	without := artifact("", "application/listed", "v")
	want := map[digest.Digest]referrer{}
	for _, r := range []struct{ body, artifactType, annotation string }{
		{byType, "application/sbom", "v"},
		{byConfig, "application/vnd.config", "w"},
		{large, "application/large", strings.Repeat("x", maxStored+1)},
	} {
		d := i.push(t, "", r.body)
		want[d] = referrer{MediaType: v1.MediaTypeImageManifest, Digest: d, Size: int64(len(r.body)), ArtifactType: r.artifactType,
			Annotations: map[string]string{"k": r.annotation}}
	}
	about := i.push(t, "tagged", elsewhere)
	i.push(t, "", without)
	entry := func(d digest.Digest) string {
		return `{"mediaType":"lie/lie","size":1,"artifactType":"lie","digest":"` + d.String() + `"}`
	}
	fallback := `{"schemaVersion":2,"mediaType":"` + v1.MediaTypeImageIndex + `","manifests":[` + entry(digest.FromString(without)) + `,` +
		entry(digest.FromString(byType)) + `,` + entry(about) + `,` + entry(dig("9")) + `]}`
	// What a fallback tag lists counts by what it says itself.
	i.push(t, "sha256-"+subject.Encoded(), fallback)

	got := generate(t, i, subject)
	last := digest.Digest("")
	for _, r := range got.Manifests {
		if r.Digest <= last {
			t.Errorf("%s comes after %s", r.Digest, last)
		}
		if diff := cmp.Diff(want[r.Digest], r); diff != "" {
			t.Error(diff)
		}
		last = r.Digest
	}
	if len(got.Manifests) != len(want) {
		t.Errorf("%d referrers, want %d", len(got.Manifests), len(want))
	}
}

func TestGenerateNothing(t *testing.T) {
	i := &image{bytes: map[string]string{}}
	if got := generate(t, i, dig("5")); len(got.Manifests) != 0 {
		t.Errorf("got %v", got)
	}
}

func TestRewrite(t *testing.T) {
	var all []referrer
	for n := range 5 {
		all = append(all, referrer{MediaType: "m", Digest: dig(fmt.Sprint(n)), Size: 1, ArtifactType: fmt.Sprint("type", n%2)})
	}
	body, _ := json.Marshal(newIndex(all))
	next := func(n int, more string) string {
		return `</v2/r/a/referrers/` + dig("5").String() + `?` + more + `last=sha256%3A` + dig(fmt.Sprint(n)).Encoded() + `&n=2>; rel="next"`
	}
	tests := []struct {
		name    string
		query   string
		want    string
		filters string
		link    string
	}{
		{"all", "", "01234", "", ""},
		{"filter", "artifactType=type1", "13", "artifactType", ""},
		{"filter without match", "artifactType=x", "", "artifactType", ""},
		{"empty filter", "artifactType=", "01234", "", ""},
		{"page", "n=2", "01", "", next(1, "")},
		{"middle", "n=2&last=" + dig("1").String(), "23", "", next(3, "")},
		{"last page", "n=2&last=" + dig("3").String(), "4", "", ""},
		{"page of a filter", "n=2&artifactType=type0", "02", "artifactType", next(2, "artifactType=type0&")},
		{"exactly", "n=5", "01234", "", ""},
		{"one", "n=1", "0", "", strings.Replace(next(0, ""), "n=2", "n=1", 1)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			route, err := resolve("GET", "/v2/a/referrers/"+dig("5").String())
			if err != nil {
				t.Fatal(err)
			}
			h := http.Header{}
			r := httptest.NewRequest("GET", "/?"+tt.query, nil)
			doc := format.Document{Body: body, ContentType: v1.MediaTypeImageIndex}
			doc, err = docker{}.Rewrite(r, format.Entry{NamePrefix: "r/"}, route, doc, h)
			if err != nil {
				t.Fatal(err)
			}
			var got index[referrer]
			if err := json.Unmarshal(doc.Body, &got); err != nil || got.Manifests == nil || doc.ContentType != v1.MediaTypeImageIndex {
				t.Fatalf("%s: %v", doc.Body, err)
			}
			var digests string
			for _, r := range got.Manifests {
				digests += r.Digest.Encoded()[:1]
			}
			if digests != tt.want || h.Get(headerFilters) != tt.filters || h.Get("Link") != tt.link {
				t.Errorf("got %s, filters %q, link %q, want %s, %q, %q", digests, h.Get(headerFilters), h.Get("Link"), tt.want, tt.filters, tt.link)
			}
		})
	}
}

// A list that is too large for one answer comes in pages, none of them too large, that together are the list.
func TestRewriteLarge(t *testing.T) {
	var all []referrer
	for n := range 5 {
		all = append(all, referrer{MediaType: "m", Digest: dig(fmt.Sprint(n)), Annotations: map[string]string{"k": strings.Repeat("x", 1<<20)}})
	}
	body, _ := json.Marshal(newIndex(all))
	route, _ := resolve("GET", "/v2/a/referrers/"+dig("5").String())
	target, seen := "/", ""
	for range 5 {
		h := http.Header{}
		doc, err := docker{}.Rewrite(httptest.NewRequest("GET", target, nil), format.Entry{}, route, format.Document{Body: body}, h)
		if err != nil {
			t.Fatal(err)
		}
		if len(doc.Body) > maxReferrers {
			t.Errorf("a page of %d bytes", len(doc.Body))
		}
		var got index[referrer]
		if err := json.Unmarshal(doc.Body, &got); err != nil {
			t.Fatal(err)
		}
		for _, r := range got.Manifests {
			seen += r.Digest.Encoded()[:1]
		}
		link := h.Get("Link")
		if link == "" {
			break
		}
		target = strings.TrimPrefix(strings.TrimSuffix(link, `>; rel="next"`), "<")
	}
	if seen != "01234" {
		t.Errorf("pages show %s", seen)
	}
}
