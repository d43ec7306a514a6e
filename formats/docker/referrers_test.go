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
		if a.Kind == l.Kind && a.Name == l.Name && factsOf(a).Subject == l.Subject && a.Path > l.After {
			p.Assets = append(p.Assets, a)
		}
	}
	slices.SortFunc(p.Assets, func(a, b content.Asset) int { return strings.Compare(a.Path, b.Path) })
	if p.More = len(p.Assets) > l.Limit; p.More {
		p.Assets = p.Assets[:l.Limit]
	}
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

// ask is a request for referrers: the list, and the header that goes with it.
func ask(t *testing.T, i *image, subject digest.Digest, query string) (index[referrer], []byte, http.Header) {
	t.Helper()
	r := httptest.NewRequest("GET", "/v2/a/referrers/"+subject.String()+"?"+query, nil)
	route, err := docker{}.Resolve(r, r.URL.Path)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := docker{}.Generate(context.Background(), route, i)
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{}
	if doc, err = (docker{}).Rewrite(r, format.Entry{NamePrefix: "r/"}, route, doc, h); err != nil {
		t.Fatal(err)
	}
	var got index[referrer]
	if err := json.Unmarshal(doc.Body, &got); err != nil || got.Manifests == nil || doc.ContentType != v1.MediaTypeImageIndex {
		t.Fatalf("%s: %v", doc.Body, err)
	}
	return got, doc.Body, h
}

func TestReferrersPages(t *testing.T) {
	subject := dig("5")
	i := &image{bytes: map[string]string{}}
	var digests []digest.Digest
	types := map[digest.Digest]string{}
	for n := range 5 {
		artifactType := fmt.Sprint("type", n%2)
		d := i.push(t, "", artifact(subject, artifactType, fmt.Sprint(n)))
		digests, types[d] = append(digests, d), artifactType
	}
	slices.Sort(digests)
	of := func(artifactType string) (list []digest.Digest) {
		for _, d := range digests {
			if types[d] == artifactType {
				list = append(list, d)
			}
		}
		return list
	}
	next := func(last digest.Digest, n int, more string) string {
		return "</v2/r/a/referrers/" + subject.String() + "?" + more + "last=sha256%3A" + last.Encoded() + fmt.Sprintf(`&n=%d>; rel="next"`, n)
	}
	zero := of("type0")
	tests := []struct {
		name    string
		query   string
		want    []digest.Digest
		filters string
		link    string
	}{
		{"all", "", digests, "", ""},
		{"filter", "artifactType=type1", of("type1"), "artifactType", ""},
		{"filter without match", "artifactType=x", nil, "artifactType", ""},
		{"empty filter", "artifactType=", digests, "", ""},
		{"page", "n=2", digests[:2], "", next(digests[1], 2, "")},
		{"middle", "n=2&last=" + digests[1].String(), digests[2:4], "", next(digests[3], 2, "")},
		{"last page", "n=2&last=" + digests[3].String(), digests[4:], "", ""},
		{"page of a filter", "n=2&artifactType=type0", zero[:2], "artifactType", next(zero[1], 2, "artifactType=type0&")},
		{"exactly", "n=5", digests, "", ""},
		{"exactly, of a filter", "n=3&artifactType=type0", zero, "artifactType", ""},
		{"one", "n=1", digests[:1], "", next(digests[0], 1, "")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			list, _, h := ask(t, i, subject, tt.query)
			var got []digest.Digest
			for _, r := range list.Manifests {
				got = append(got, r.Digest)
			}
			if !slices.Equal(got, tt.want) || h.Get(headerFilters) != tt.filters || h.Get("Link") != tt.link {
				t.Errorf("got %s, filters %q, link %q, want %s, %q, %q", got, h.Get(headerFilters), h.Get("Link"), tt.want, tt.filters, tt.link)
			}
		})
	}
}

// A list that is too large for one answer comes in pages, none of them too large, that together are the list.
func TestReferrersLarge(t *testing.T) {
	subject := dig("5")
	i := &image{bytes: map[string]string{}}
	want := map[digest.Digest]string{}
	for n, text := range []string{"x", "<", "\\u0001", "y", "z"} {
		annotation := strings.Repeat(text, 1<<20/len(text)*(1+n%3))
		want[i.push(t, "", artifact(subject, "t", annotation))] = annotation
	}
	query, pages := "", 0
	for {
		list, body, h := ask(t, i, subject, query)
		if pages++; len(body) > maxReferrers {
			t.Errorf("a page of %d bytes", len(body))
		}
		for _, r := range list.Manifests {
			var text string
			if err := json.Unmarshal([]byte(`"`+want[r.Digest]+`"`), &text); err != nil || want[r.Digest] == "" || r.Annotations["k"] != text {
				t.Errorf("%s comes twice, or without its annotation: %v", r.Digest, err)
			}
			delete(want, r.Digest)
		}
		link := h.Get("Link")
		if link == "" {
			break
		}
		_, query, _ = strings.Cut(strings.TrimSuffix(link, `>; rel="next"`), "?")
	}
	if len(want) > 0 || pages < 2 {
		t.Errorf("%d are not on the %d pages", len(want), pages)
	}
}
