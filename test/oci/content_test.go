package oci

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/opencontainers/go-digest"
)

// Media types.
const (
	typeManifest       = "application/vnd.oci.image.manifest.v1+json"
	typeIndex          = "application/vnd.oci.image.index.v1+json"
	typeConfig         = "application/vnd.oci.image.config.v1+json"
	typeLayer          = "application/vnd.oci.image.layer.v1.tar+gzip"
	typeEmpty          = "application/vnd.oci.empty.v1+json"
	typeDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	typeDockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	typeDockerConfig   = "application/vnd.docker.container.image.v1+json"
	typeDockerLayer    = "application/vnd.docker.image.rootfs.diff.tar.gzip"
	typeSchema1        = "application/vnd.docker.distribution.manifest.v1+json"
	typeSchema1Signed  = "application/vnd.docker.distribution.manifest.v1+prettyjws"
)

// descriptor is image-spec's, "Content Descriptors".
type descriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       digest.Digest     `json:"digest"`
	Size         int64             `json:"size"`
	URLs         []string          `json:"urls,omitempty"`
	Data         []byte            `json:"data,omitempty"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
}

// manifest is image-spec's image manifest.
type manifest struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType,omitempty"`
	ArtifactType  string            `json:"artifactType,omitempty"`
	Config        descriptor        `json:"config"`
	Layers        []descriptor      `json:"layers"`
	Subject       *descriptor       `json:"subject,omitempty"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

// index is image-spec's image index.
type index struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType,omitempty"`
	ArtifactType  string            `json:"artifactType,omitempty"`
	Manifests     []descriptor      `json:"manifests"`
	Subject       *descriptor       `json:"subject,omitempty"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

// encode is v as JSON.
func encode(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// describe is the descriptor of bytes.
func describe(mediaType string, b []byte) descriptor {
	return descriptor{MediaType: mediaType, Digest: digest.FromBytes(b), Size: int64(len(b))}
}

// begin opens an upload session and returns its location.
func (r registry) begin(t testing.TB, options ...option) string {
	t.Helper()
	return r.do(t, http.MethodPost, r.path("blobs/uploads/"), options...).want(t, http.StatusAccepted).location(t)
}

// finish closes an upload session.
func (r registry) finish(t testing.TB, location string, d digest.Digest, options ...option) response {
	t.Helper()
	return r.do(t, http.MethodPut, location, append([]option{query("digest", d.String())}, options...)...)
}

// pushBlob stores a blob, under its sha256, and returns its digest.
func (r registry) pushBlob(t testing.TB, b []byte) digest.Digest {
	t.Helper()
	d := digest.FromBytes(b)
	r.finish(t, r.begin(t), d, body(b)).want(t, http.StatusCreated)
	return d
}

// blob is the URL path of a blob.
func (r registry) blob(d digest.Digest) string { return r.path("blobs/%s", d) }

// manifest is the URL path of a manifest, by tag or by digest.
func (r registry) manifest(ref any) string { return r.path("manifests/%s", ref) }

// put sends a manifest.
func (r registry) put(t testing.TB, ref any, mediaType string, b []byte, options ...option) response {
	t.Helper()
	return r.do(t, http.MethodPut, r.manifest(ref), append([]option{header("Content-Type", mediaType), body(b)}, options...)...)
}

// push stores a manifest and returns its digest.
func (r registry) push(t testing.TB, ref any, mediaType string, b []byte) digest.Digest {
	t.Helper()
	r.put(t, ref, mediaType, b).want(t, http.StatusCreated)
	return digest.FromBytes(b)
}

// newImage stores a config and a layer that nobody has, and returns an image manifest of them that is not stored yet.
func (r registry) newImage(t testing.TB) manifest {
	t.Helper()
	config := encode(t, map[string]any{"architecture": "amd64", "os": "linux", "author": fmt.Sprintf("%x", random(8))})
	layer := random(64)
	r.pushBlob(t, config)
	r.pushBlob(t, layer)
	return manifest{
		SchemaVersion: 2, MediaType: typeManifest,
		Config: describe(typeConfig, config), Layers: []descriptor{describe(typeLayer, layer)},
	}
}

// pushImage stores an image and returns its manifest.
func (r registry) pushImage(t testing.TB, ref any) (digest.Digest, []byte) {
	t.Helper()
	b := encode(t, r.newImage(t))
	return r.push(t, ref, typeManifest, b), b
}

// artifact is a manifest without content of its own, about subject when that is not nil. Its config, "{}", is stored.
func (r registry) artifact(t testing.TB, artifactType string, subject *descriptor, annotations map[string]string) manifest {
	t.Helper()
	empty := []byte("{}")
	r.pushBlob(t, empty)
	if annotations == nil {
		annotations = map[string]string{"org.example.unique": fmt.Sprintf("%x", random(8))}
	}
	return manifest{
		SchemaVersion: 2, MediaType: typeManifest, ArtifactType: artifactType, Config: describe(typeEmpty, empty),
		Layers: []descriptor{}, Subject: subject, Annotations: annotations,
	}
}

// tags is the image's whole list of tags.
func (r registry) tags(t testing.TB) []string {
	t.Helper()
	var list tagList
	r.get(t, r.path("tags/list")).want(t, http.StatusOK).decode(t, &list)
	return list.Tags
}

// tagList is the answer of end-8a and end-8b.
type tagList struct {
	Name string   `json:"name"`
	Tags []string `json:"tags"`
}
