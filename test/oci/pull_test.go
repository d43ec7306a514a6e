package oci

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

// "Pulling manifests", end-3: a GET of an existing manifest provides it with 200.
func TestPull_ManifestByTag200(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		d, b := r.pushImage(t, "v1")
		r.get(t, r.manifest("v1")).want(t, http.StatusOK).wantBody(t, b).
			wantHeader(t, "Content-Type", typeManifest).
			wantHeader(t, "Docker-Content-Digest", d.String()).
			wantHeader(t, "Content-Length", strconv.Itoa(len(b)))
	})
}

// "Pulling manifests", end-3: <reference> is a tag or a digest.
func TestPull_ManifestByDigest200(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		d, b := r.pushImage(t, "v1")
		r.get(t, r.manifest(d)).want(t, http.StatusOK).wantBody(t, b).
			wantHeader(t, "Content-Type", typeManifest).
			wantHeader(t, "Docker-Content-Digest", d.String())
	})
}

// "Pulling manifests", end-3: 404 for a manifest that is not in the repository.
func TestPull_ManifestAbsent404(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		r.pushImage(t, "v1")
		r.get(t, r.manifest("v2")).refused(t, http.StatusNotFound, "MANIFEST_UNKNOWN")
		r.get(t, r.manifest(digest.FromBytes(random(8)))).refused(t, http.StatusNotFound, "MANIFEST_UNKNOWN")
		r.get(t, r.manifest(digest.SHA512.FromBytes(random(8)))).refused(t, http.StatusNotFound, "MANIFEST_UNKNOWN")
	})
}

// "Pushing Manifests": an attempt to pull a nonexistent repository gets 404.
func TestPull_NonexistentRepository404(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		r.get(t, r.manifest("latest")).refused(t, http.StatusNotFound, "MANIFEST_UNKNOWN", "NAME_UNKNOWN")
		r.get(t, r.blob(digest.FromBytes(random(8)))).refused(t, http.StatusNotFound, "BLOB_UNKNOWN", "NAME_UNKNOWN")
	})
}

// "Checking if content exists in the registry", end-3: HEAD of an existing manifest gets 200, with digest and size; containerd
// and others send a GET as well when one of them is missing.
func TestPull_ManifestHead200(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		d, b := r.pushImage(t, "v1")
		for _, ref := range []string{"v1", d.String()} {
			r.head(t, r.manifest(ref)).want(t, http.StatusOK).
				wantHeader(t, "Content-Length", strconv.Itoa(len(b))).
				wantHeader(t, "Content-Type", typeManifest).
				wantHeader(t, "Docker-Content-Digest", d.String())
		}
	})
}

// "Checking if content exists in the registry", end-3.
func TestPull_ManifestHeadAbsent404(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		r.pushImage(t, "v1")
		r.head(t, r.manifest("v2")).want(t, http.StatusNotFound)
		r.head(t, r.manifest(digest.FromBytes(random(8)))).want(t, http.StatusNotFound)
	})
}

// "Pulling manifests": the Content-Type should have no parameters, and should be what the client pushed.
func TestPull_ManifestContentTypeAsPushed(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		m := r.newImage(t)
		docker := m
		docker.MediaType, docker.Config.MediaType, docker.Layers[0].MediaType = typeDockerManifest, typeDockerConfig, typeDockerLayer
		old := m
		old.MediaType = "" // image-spec 1.0 did not have the field
		tests := []struct {
			name, contentType string
			manifest          any
		}{
			{"image", typeManifest, m},
			{"image without mediaType", typeManifest, old},
			{"docker image", typeDockerManifest, docker},
			{"index", typeIndex, index{SchemaVersion: 2, MediaType: typeIndex, Manifests: []descriptor{}}},
			{"docker list", typeDockerList, index{SchemaVersion: 2, MediaType: typeDockerList, Manifests: []descriptor{}}},
			{"something else", "application/vnd.example.thing.v1+json", map[string]any{"mediaType": "application/vnd.example.thing.v1+json"}},
		}
		for i, tt := range tests {
			tag := "v" + strconv.Itoa(i)
			d := r.push(t, tag, tt.contentType, encode(t, tt.manifest))
			for _, ref := range []string{tag, d.String()} {
				r.get(t, r.manifest(ref)).want(t, http.StatusOK).wantHeader(t, "Content-Type", tt.contentType)
				r.head(t, r.manifest(ref)).want(t, http.StatusOK).wantHeader(t, "Content-Type", tt.contentType)
			}
		}
	})
}

// The digest must match, so what is stored is returned whatever a client accepts. Other registries answer 404 for OCI types, even
// with "*/*".
func TestPull_ManifestWhateverAccepted(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		_, b := r.pushImage(t, "v1")
		for _, accept := range []string{"", "*/*", "application/json", typeDockerManifest, typeDockerList + ", " + typeSchema1, "text/html"} {
			r.get(t, r.manifest("v1"), header("Accept", accept)).want(t, http.StatusOK).wantBody(t, b).
				wantHeader(t, "Content-Type", typeManifest)
		}
		lines := func(req *http.Request) {
			req.Header["Accept"] = []string{typeIndex, typeManifest + ";q=0.5", "*/*;q=0"}
		}
		r.get(t, r.manifest("v1"), lines).want(t, http.StatusOK).wantBody(t, b)
	})
}

// Clients compare lengths and digests with what they read: nothing may be compressed on its way.
func TestPull_NothingCompressed(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		text := []byte(strings.Repeat("easy to compress ", 1000))
		m := r.newImage(t)
		m.Annotations = map[string]string{"text": string(text)}
		b := encode(t, m)
		d := r.push(t, "v1", typeManifest, b)
		blob := r.pushBlob(t, text)
		accept := header("Accept-Encoding", "gzip, deflate, br, zstd")
		r.get(t, r.manifest(d), accept).want(t, http.StatusOK).wantBody(t, b).wantNoHeader(t, "Content-Encoding")
		r.get(t, r.blob(blob), accept).want(t, http.StatusOK).wantBody(t, text).wantNoHeader(t, "Content-Encoding")
	})
}

// "Pulling blobs", end-2: a GET of an existing blob provides it with 200, and its digest.
func TestPull_Blob200(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		for _, size := range []int{0, 1, 1000, 3 << 20} {
			b := random(size)
			d := r.pushBlob(t, b)
			r.get(t, r.blob(d)).want(t, http.StatusOK).wantBody(t, b).
				wantHeader(t, "Content-Length", strconv.Itoa(size)).
				wantHeader(t, "Docker-Content-Digest", d.String())
		}
	})
}

// "Pulling blobs", end-2: 404 for a blob that is not in the repository.
func TestPull_BlobAbsent404(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		r.pushImage(t, "v1")
		r.get(t, r.blob(digest.FromBytes(random(8)))).refused(t, http.StatusNotFound, "BLOB_UNKNOWN")
		r.get(t, r.blob(digest.SHA512.FromBytes(random(8)))).refused(t, http.StatusNotFound, "BLOB_UNKNOWN")
	})
}

// "Checking if content exists in the registry", end-2.
func TestPull_BlobHead200(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		for _, size := range []int{0, 1, 100_000} {
			d := r.pushBlob(t, random(size))
			r.head(t, r.blob(d)).want(t, http.StatusOK).
				wantHeader(t, "Content-Length", strconv.Itoa(size)).
				wantHeader(t, "Docker-Content-Digest", d.String())
		}
	})
}

// "Checking if content exists in the registry", end-2.
func TestPull_BlobHeadAbsent404(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		r.pushImage(t, "v1")
		r.head(t, r.blob(digest.FromBytes(random(8)))).want(t, http.StatusNotFound)
	})
}

// A blob is the image's that it was pushed or mounted to: rights on another image must not be got around by knowing a digest.
func TestPull_BlobOfOtherImage404(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		d := r.pushBlob(t, random(100))
		m, _ := r.pushImage(t, "v1")
		other := r.sibling()
		other.pushImage(t, "v1")
		other.get(t, other.blob(d)).refused(t, http.StatusNotFound, "BLOB_UNKNOWN")
		other.head(t, other.blob(d)).want(t, http.StatusNotFound)
		other.get(t, other.manifest(m)).refused(t, http.StatusNotFound, "MANIFEST_UNKNOWN")
	})
}

// A manifest is no blob of the image unless it was pushed as one, and a blob no manifest.
func TestPull_ManifestsAndBlobsApart(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		m, _ := r.pushImage(t, "v1")
		blob := r.pushBlob(t, encode(t, r.newImage(t)))
		r.get(t, r.manifest(blob)).refused(t, http.StatusNotFound, "MANIFEST_UNKNOWN")
		r.get(t, r.blob(m)).refused(t, http.StatusNotFound, "BLOB_UNKNOWN")
	})
}

// image-spec, "Digests": what can't be a digest, or one that the registry can't verify, is no name of a blob.
func TestPull_BlobBadDigest(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		for _, d := range badDigests {
			r.get(t, r.path("blobs/%s", d)).refused(t, http.StatusBadRequest, "DIGEST_INVALID")
			r.head(t, r.path("blobs/%s", d)).want(t, http.StatusBadRequest)
		}
	})
}

// badDigests are strings in the place of a digest that the registry can't take for one.
var badDigests = []string{
	"sha256:", "sha256:abc", "sha256:" + strings.Repeat("0", 63), "sha256:" + strings.Repeat("0", 65),
	"sha256:" + strings.Repeat("A", 64), "sha256:" + strings.Repeat("g", 64), "SHA256:" + strings.Repeat("0", 64),
	"sha512:" + strings.Repeat("0", 64), "md5:d41d8cd98f00b204e9800998ecf8427e", "sha1:" + strings.Repeat("0", 40),
	"sha384:" + strings.Repeat("0", 96), ":" + strings.Repeat("0", 64), "sha256:sha256:" + strings.Repeat("0", 64),
}

// "Pulling manifests": a <reference> must not be in any other format than that of a digest or a tag.
func TestPull_ReferenceNeitherTagNorDigest(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		r.pushImage(t, "v1")
		refs := append([]string{"-a", ".a", "a+b", "a@b", "a%20b", "%C3%A4", "%00", strings.Repeat("a", 129)}, badDigests...)
		for _, ref := range refs {
			res := r.get(t, r.path("manifests/%s", ref))
			res.want(t, http.StatusBadRequest, http.StatusNotFound)
			res.problems(t)
		}
	})
}

// "Pulling manifests": a tag is [a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}.
func TestPull_TagAnyValid(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		_, b := r.pushImage(t, "latest")
		for _, tag := range []string{"a", "A", "_", "0", "_.-", "v1.2.3-rc.1_x", "UPPER", "sha256-abc.sig", strings.Repeat("x", 128), "list", "uploads"} {
			r.put(t, tag, typeManifest, b).want(t, http.StatusCreated)
			r.get(t, r.manifest(tag)).want(t, http.StatusOK).wantBody(t, b)
		}
	})
}

// Tags that differ in case only are two.
func TestPull_TagCaseMatters(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		_, lower := r.pushImage(t, "release")
		_, upper := r.pushImage(t, "RELEASE")
		r.get(t, r.manifest("release")).want(t, http.StatusOK).wantBody(t, lower)
		r.get(t, r.manifest("RELEASE")).want(t, http.StatusOK).wantBody(t, upper)
	})
}

// What is stored came from somebody: a browser must not run it as a page of the server.
func TestPull_NotRunByBrowsers(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		d := r.pushBlob(t, []byte("<script>alert(1)</script>"+string(random(8))))
		res := r.get(t, r.blob(d)).want(t, http.StatusOK).wantHeader(t, "X-Content-Type-Options", "nosniff")
		if got := res.header.Get("Content-Type"); got != "application/octet-stream" {
			t.Errorf("Content-Type of a blob: %q", got)
		}
	})
}

// containerd adds ns=<host> when the registry's host is not that of the image's name; a hosted repository ignores it.
func TestPull_NamespaceParameterIgnored(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		_, b := r.pushImage(t, "v1")
		r.get(t, r.manifest("v1"), query("ns", "docker.io")).want(t, http.StatusOK).wantBody(t, b)
	})
}

// All entries lead to the same content.
func TestPull_ByEveryEntry(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		d, b := r.pushImage(t, "v1")
		for _, e := range r.server.entries(t, r.repository) {
			other := r
			other.entry = e
			other.get(t, other.manifest("v1")).want(t, http.StatusOK).wantBody(t, b)
			other.get(t, other.manifest(d)).want(t, http.StatusOK).wantBody(t, b)
		}
	})
}

// Two repositories have nothing in common.
func TestPull_RepositoriesApart(t *testing.T) {
	s := sharedServer(t)
	t.Parallel()
	for i, e := range s.entries(t, open) {
		t.Run(e.name, func(t *testing.T) {
			r := s.newRegistry(e, open)
			d, _ := r.pushImage(t, "v1")
			blob := r.pushBlob(t, random(10))
			other := r
			other.entry, other.repository = s.entries(t, second)[i], second
			other.get(t, other.manifest("v1")).want(t, http.StatusNotFound)
			other.get(t, other.manifest(d)).want(t, http.StatusNotFound)
			other.get(t, other.blob(blob)).want(t, http.StatusNotFound)
			other.get(t, other.path("tags/list")).refused(t, http.StatusNotFound, "NAME_UNKNOWN")
		})
	}
}
