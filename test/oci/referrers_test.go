package oci

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
)

// referrers asks for the referrers of a digest.
func (r registry) referrers(t testing.TB, d digest.Digest, options ...option) (response, []descriptor) {
	t.Helper()
	res := r.get(t, r.path("referrers/%s", d), options...).want(t, http.StatusOK).wantHeader(t, "Content-Type", typeIndex)
	var list struct {
		SchemaVersion int           `json:"schemaVersion"`
		MediaType     string        `json:"mediaType"`
		Manifests     *[]descriptor `json:"manifests"`
	}
	res.decode(t, &list)
	if list.SchemaVersion != 2 || list.MediaType != typeIndex || list.Manifests == nil {
		t.Fatalf("%s: not an image index: %.500s", res.request, res.body)
	}
	return res, *list.Manifests
}

// wantReferrers compares descriptors in the order of their digests.
func wantReferrers(t testing.TB, got []descriptor, want ...descriptor) {
	t.Helper()
	byDigest := func(a, b descriptor) int { return strings.Compare(string(a.Digest), string(b.Digest)) }
	want, got = append([]descriptor{}, want...), append([]descriptor{}, got...)
	slices.SortFunc(want, byDigest)
	slices.SortFunc(got, byDigest)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("referrers (-want +got):\n%s", diff)
	}
}

// attach stores an artifact about subject and returns its descriptor in a list of referrers.
func (r registry) attach(t testing.TB, artifactType string, subject descriptor, annotations map[string]string) descriptor {
	t.Helper()
	m := r.artifact(t, artifactType, &subject, annotations)
	b := encode(t, m)
	r.push(t, digest.FromBytes(b), typeManifest, b)
	d := describe(typeManifest, b)
	d.ArtifactType, d.Annotations = artifactType, m.Annotations
	return d
}

// "Listing Referrers", end-12a: 200 and an empty list where there is nothing; a 404 would mean that there is no such API.
func TestReferrers_None200(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		res, got := r.referrers(t, digest.FromBytes(random(8)))
		wantReferrers(t, got)
		res.wantNoHeader(t, "Link").wantNoHeader(t, "OCI-Filters-Applied")
		d, _ := r.pushImage(t, "v1")
		for _, subject := range []digest.Digest{d, digest.FromBytes(random(8)), digest.SHA512.FromBytes(random(8))} {
			_, got := r.referrers(t, subject)
			wantReferrers(t, got)
		}
	})
}

// "Listing Referrers": 400 for what is no digest.
func TestReferrers_BadDigest400(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		r.pushImage(t, "v1")
		for _, d := range append([]string{"v1", "latest"}, badDigests...) {
			r.get(t, r.path("referrers/%s", d)).refused(t, http.StatusBadRequest, "DIGEST_INVALID")
		}
	})
}

// "Listing Referrers": descriptors of images and indexes whose subject is the digest, with the manifest's artifactType, or else the
// type of its config, and annotations.
func TestReferrers_Descriptors(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		d, b := r.pushImage(t, "v1")
		subject := descriptor{MediaType: typeManifest, Digest: d, Size: int64(len(b))}
		notes := map[string]string{"org.opencontainers.image.created": "2026-01-01T00:00:00Z", "ä": "<&>"}
		typed := r.attach(t, "application/vnd.example.sbom.v1", subject, notes)

		byConfig := r.newImage(t)
		byConfig.Subject, byConfig.Config.MediaType, byConfig.Annotations = &subject, "application/vnd.example.config.v1+json", notes
		byConfigBytes := encode(t, byConfig)
		r.push(t, digest.FromBytes(byConfigBytes), typeManifest, byConfigBytes)
		config := describe(typeManifest, byConfigBytes)
		config.ArtifactType, config.Annotations = byConfig.Config.MediaType, notes

		x := encode(t, index{SchemaVersion: 2, MediaType: typeIndex, Manifests: []descriptor{}, Subject: &subject, Annotations: notes})
		r.push(t, digest.FromBytes(x), typeIndex, x)
		plain := describe(typeIndex, x)
		plain.Annotations = notes

		y := encode(t, index{SchemaVersion: 2, MediaType: typeIndex, ArtifactType: "application/vnd.example.set", Manifests: []descriptor{}, Subject: &subject})
		r.push(t, digest.FromBytes(y), typeIndex, y)
		typedIndex := describe(typeIndex, y)
		typedIndex.ArtifactType = "application/vnd.example.set"

		r.attach(t, "application/vnd.example.sbom.v1", describe(typeManifest, random(8)), nil) // about something else

		res, got := r.referrers(t, d)
		wantReferrers(t, got, typed, config, plain, typedIndex)
		res.wantNoHeader(t, "Link")
		// "If the artifactType is empty or missing in an index, the artifactType MUST be omitted."
		var raw struct {
			Manifests []map[string]json.RawMessage `json:"manifests"`
		}
		res.decode(t, &raw)
		for _, m := range raw.Manifests {
			if value, ok := m["artifactType"]; ok && string(value) == `""` {
				t.Errorf("an empty artifactType: %s", m["digest"])
			}
		}
	})
}

// "Push" and "Enabling the Referrers API": a referrer may be pushed before its subject, and each push shows at once.
func TestReferrers_SubjectLater(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		b := encode(t, r.newImage(t))
		subject := describe(typeManifest, b)
		_, got := r.referrers(t, subject.Digest)
		wantReferrers(t, got)
		first := r.attach(t, "application/vnd.example", subject, nil)
		_, got = r.referrers(t, subject.Digest)
		wantReferrers(t, got, first)
		r.push(t, "v1", typeManifest, b)
		second := r.attach(t, "application/vnd.example", subject, nil)
		_, got = r.referrers(t, subject.Digest)
		wantReferrers(t, got, first, second)
	})
}

// A subject may be named by its sha512, and a referrer known by one.
func TestReferrers_Sha512(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		b := encode(t, r.newImage(t))
		subject := descriptor{MediaType: typeManifest, Digest: digest.SHA512.FromBytes(b), Size: int64(len(b))}
		r.push(t, subject.Digest, typeManifest, b)
		m := r.artifact(t, "application/vnd.example", &subject, nil)
		text := encode(t, m)
		want := descriptor{
			MediaType: typeManifest, Digest: digest.SHA512.FromBytes(text), Size: int64(len(text)), ArtifactType: "application/vnd.example", Annotations: m.Annotations,
		}
		r.push(t, want.Digest, typeManifest, text)
		_, got := r.referrers(t, subject.Digest)
		wantReferrers(t, got, want)
	})
}

// A referrer with tags is listed once.
func TestReferrers_TaggedOnce(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		subject := describe(typeManifest, random(8))
		m := r.artifact(t, "application/vnd.example", &subject, nil)
		b := encode(t, m)
		r.push(t, "sig", typeManifest, b)
		r.push(t, "sig2", typeManifest, b)
		_, got := r.referrers(t, subject.Digest)
		if len(got) != 1 || got[0].Digest != digest.FromBytes(b) {
			t.Errorf("%+v", got)
		}
	})
}

// Referrers are the image's own.
func TestReferrers_OfOneImage(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		subject := describe(typeManifest, random(8))
		r.attach(t, "application/vnd.example", subject, nil)
		_, got := r.sibling().referrers(t, subject.Digest)
		wantReferrers(t, got)
	})
}

// A deleted referrer is none.
func TestReferrers_Deleted(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		subject := describe(typeManifest, random(8))
		gone, stays := r.attach(t, "application/vnd.example", subject, nil), r.attach(t, "application/vnd.example", subject, nil)
		_, got := r.referrers(t, subject.Digest)
		wantReferrers(t, got, gone, stays)
		r.do(t, http.MethodDelete, r.manifest(gone.Digest)).want(t, http.StatusAccepted)
		_, got = r.referrers(t, subject.Digest)
		wantReferrers(t, got, stays)
	})
}

// "Listing Referrers", end-12b: filtering by artifactType, told by OCI-Filters-Applied.
func TestReferrers_Filter(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		subject := describe(typeManifest, random(8))
		a := r.attach(t, "application/vnd.example.a", subject, nil)
		b := r.attach(t, "application/vnd.example.b+json", subject, nil)
		for wanted, want := range map[string][]descriptor{
			a.ArtifactType: {a}, b.ArtifactType: {b}, "application/vnd.example": nil, "APPLICATION/VND.EXAMPLE.A": nil, typeEmpty: nil,
		} {
			res, got := r.referrers(t, subject.Digest, query("artifactType", wanted))
			wantReferrers(t, got, want...)
			res.wantHeader(t, "OCI-Filters-Applied", "artifactType")
		}
		res, got := r.referrers(t, subject.Digest)
		wantReferrers(t, got, a, b)
		res.wantNoHeader(t, "OCI-Filters-Applied")
	})
}

// "Listing Referrers": a list too large for one manifest comes in pages, each an image index, with Link.
func TestReferrers_Pages(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		subject := describe(typeManifest, random(8))
		var want []descriptor
		for i := range 3 {
			notes := map[string]string{"org.example.big": strings.Repeat(fmt.Sprint(i), 1_500_000)}
			want = append(want, r.attach(t, "application/vnd.example", subject, notes))
		}
		r.attach(t, "application/vnd.other", subject, nil)
		filter := query("artifactType", "application/vnd.example")
		var got []descriptor
		res, page := r.referrers(t, subject.Digest, filter)
		for pages := 1; ; pages++ {
			if len(res.body) > maxManifest || pages > 10 {
				t.Fatalf("page %d has %d bytes", pages, len(res.body))
			}
			res.wantHeader(t, "OCI-Filters-Applied", "artifactType")
			got = append(got, page...)
			next := res.next(t)
			if next == "" {
				break
			}
			if !strings.HasPrefix(next, r.path("referrers/%s", subject.Digest)) {
				t.Fatalf("the next page is at %q", next)
			}
			res = r.get(t, next).want(t, http.StatusOK).wantHeader(t, "Content-Type", typeIndex)
			var list index
			res.decode(t, &list)
			page = list.Manifests
		}
		wantReferrers(t, got, want...)
	})
}

// fallbackTag is "Referrers Tag Schema"'s, for sha256 and sha512.
func fallbackTag(d digest.Digest) string { return string(d.Algorithm()) + "-" + d.Encoded()[:64] }

// "Enabling the Referrers API": manifests with the subject that an index under the fallback tag lists are included, each once. What
// the list names besides is no referrer: it is not there, or not about the subject.
func TestReferrers_FallbackTagMerged(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		for _, subject := range []descriptor{
			describe(typeManifest, random(8)),
			{MediaType: typeManifest, Digest: digest.SHA512.FromBytes(random(8)), Size: 8},
		} {
			listed := r.attach(t, "application/vnd.example.listed", subject, nil)
			unlisted := r.attach(t, "application/vnd.example.unlisted", subject, nil)
			foreign := r.attach(t, "application/vnd.example", describe(typeManifest, random(8)), nil)
			image, b := r.pushImage(t, "v1")
			without := descriptor{MediaType: typeManifest, Digest: image, Size: int64(len(b)), ArtifactType: "application/vnd.example"}
			x := encode(t, index{SchemaVersion: 2, MediaType: typeIndex, Manifests: []descriptor{listed, foreign, without, describe(typeManifest, random(8))}})
			r.push(t, fallbackTag(subject.Digest), typeIndex, x)
			_, got := r.referrers(t, subject.Digest)
			wantReferrers(t, got, listed, unlisted)
			// Clients that keep the tag still read what they wrote.
			r.get(t, r.manifest(fallbackTag(subject.Digest))).want(t, http.StatusOK).wantBody(t, x)
		}
	})
}

// A fallback tag that is no index is no list.
func TestReferrers_FallbackTagNoIndex(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		subject := describe(typeManifest, random(8))
		want := r.attach(t, "application/vnd.example", subject, nil)
		r.pushImage(t, fallbackTag(subject.Digest))
		_, got := r.referrers(t, subject.Digest)
		wantReferrers(t, got, want)
	})
}
