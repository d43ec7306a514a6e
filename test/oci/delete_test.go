package oci

import (
	"net/http"
	"testing"

	"github.com/opencontainers/go-digest"
)

func (r registry) remove(t testing.TB, target string) response {
	t.Helper()
	return r.do(t, http.MethodDelete, target)
}

// "Deleting tags", end-9: 202; then the tag is gone, and nothing else.
func TestDelete_Tag202(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		d, b := r.pushImage(t, "a")
		r.push(t, "b", typeManifest, b)
		r.remove(t, r.manifest("a")).want(t, http.StatusAccepted)
		r.get(t, r.manifest("a")).refused(t, http.StatusNotFound, "MANIFEST_UNKNOWN")
		r.head(t, r.manifest("a")).want(t, http.StatusNotFound)
		r.get(t, r.manifest("b")).want(t, http.StatusOK).wantBody(t, b)
		r.get(t, r.manifest(d)).want(t, http.StatusOK).wantBody(t, b)
		wantTags(t, r.tags(t), "b")
	})
}

// "Deleting Manifests", end-9: 202; then the manifest is gone, and any tag pointing to it.
func TestDelete_Manifest202(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		d, b := r.pushImage(t, "a")
		r.push(t, "b", typeManifest, b)
		_, other := r.pushImage(t, "c")
		r.remove(t, r.manifest(d)).want(t, http.StatusAccepted)
		for _, ref := range []string{d.String(), "a", "b"} {
			r.get(t, r.manifest(ref)).refused(t, http.StatusNotFound, "MANIFEST_UNKNOWN")
			r.head(t, r.manifest(ref)).want(t, http.StatusNotFound)
		}
		r.get(t, r.manifest("c")).want(t, http.StatusOK).wantBody(t, other)
		wantTags(t, r.tags(t), "c")
	})
}

// "Deleting Blobs", end-10: 202; then the blob is gone.
func TestDelete_Blob202(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		d := r.pushBlob(t, random(100))
		r.get(t, r.blob(d)).want(t, http.StatusOK)
		r.remove(t, r.blob(d)).want(t, http.StatusAccepted)
		r.get(t, r.blob(d)).refused(t, http.StatusNotFound, "BLOB_UNKNOWN")
		r.head(t, r.blob(d)).want(t, http.StatusNotFound)
	})
}

// The same under sha512.
func TestDelete_Sha512202(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		b := random(100)
		d := digest.SHA512.FromBytes(b)
		r.finish(t, r.begin(t), d, body(b)).want(t, http.StatusCreated)
		m := encode(t, r.newImage(t))
		md := digest.SHA512.FromBytes(m)
		r.put(t, md, typeManifest, m, query("tag", "v1")).want(t, http.StatusCreated)
		r.remove(t, r.blob(d)).want(t, http.StatusAccepted)
		r.get(t, r.blob(d)).want(t, http.StatusNotFound)
		r.remove(t, r.manifest(md)).want(t, http.StatusAccepted)
		r.get(t, r.manifest(md)).want(t, http.StatusNotFound)
		r.get(t, r.manifest("v1")).want(t, http.StatusNotFound)
	})
}

// "Deleting Blobs", "Deleting Manifests": 404 for what is not there, the second time included.
func TestDelete_Absent404(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		r.pushImage(t, "v1")
		absent := digest.FromBytes(random(8))
		r.remove(t, r.blob(absent)).refused(t, http.StatusNotFound, "BLOB_UNKNOWN")
		r.remove(t, r.manifest(absent)).refused(t, http.StatusNotFound, "MANIFEST_UNKNOWN")
		r.remove(t, r.manifest("v2")).refused(t, http.StatusNotFound, "MANIFEST_UNKNOWN")
		d, _ := r.pushImage(t, "twice")
		blob := r.pushBlob(t, random(10))
		r.remove(t, r.manifest("twice")).want(t, http.StatusAccepted)
		r.remove(t, r.manifest("twice")).refused(t, http.StatusNotFound, "MANIFEST_UNKNOWN")
		r.remove(t, r.manifest(d)).want(t, http.StatusAccepted)
		r.remove(t, r.manifest(d)).refused(t, http.StatusNotFound, "MANIFEST_UNKNOWN")
		r.remove(t, r.blob(blob)).want(t, http.StatusAccepted)
		r.remove(t, r.blob(blob)).refused(t, http.StatusNotFound, "BLOB_UNKNOWN")
	})
}

// "Deleting Manifests": 404 for a repository that does not exist.
func TestDelete_UnknownName404(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		d := digest.FromBytes(random(8))
		r.remove(t, r.manifest(d)).refused(t, http.StatusNotFound, "MANIFEST_UNKNOWN", "NAME_UNKNOWN")
		r.remove(t, r.manifest("v1")).refused(t, http.StatusNotFound, "MANIFEST_UNKNOWN", "NAME_UNKNOWN")
		r.remove(t, r.blob(d)).refused(t, http.StatusNotFound, "BLOB_UNKNOWN", "NAME_UNKNOWN")
	})
}

// A digest that the registry can't take for one is no reference.
func TestDelete_BadReference(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		for _, d := range badDigests {
			r.remove(t, r.path("blobs/%s", d)).refused(t, http.StatusBadRequest, "DIGEST_INVALID")
			r.remove(t, r.path("manifests/%s", d)).refused(t, http.StatusBadRequest, "DIGEST_INVALID", "TAG_INVALID")
		}
	})
}

// A blob that a manifest of the image needs is not deleted: the image would be broken. "Deleting Blobs" has 405 for that.
func TestDelete_BlobInUse405(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		m := r.newImage(t)
		b := encode(t, m)
		d := r.push(t, "v1", typeManifest, b)
		for _, blob := range []digest.Digest{m.Config.Digest, m.Layers[0].Digest} {
			r.remove(t, r.blob(blob)).refused(t, http.StatusMethodNotAllowed, "UNSUPPORTED", "DENIED")
			r.get(t, r.blob(blob)).want(t, http.StatusOK)
		}
		r.remove(t, r.manifest(d)).want(t, http.StatusAccepted)
		for _, blob := range []digest.Digest{m.Config.Digest, m.Layers[0].Digest} {
			r.remove(t, r.blob(blob)).want(t, http.StatusAccepted)
			r.get(t, r.blob(blob)).want(t, http.StatusNotFound)
		}
	})
}

// What is deleted in one image stays in others.
func TestDelete_OtherImagesKeep(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		b := random(100)
		d := r.pushBlob(t, b)
		other := r.sibling()
		other.pushBlob(t, b)
		r.remove(t, r.blob(d)).want(t, http.StatusAccepted)
		other.get(t, other.blob(d)).want(t, http.StatusOK).wantBody(t, b)
	})
}

// The platforms of a deleted index are images of their own.
func TestDelete_IndexKeepsChildren(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		b := encode(t, r.newImage(t))
		child := r.push(t, digest.FromBytes(b), typeManifest, b)
		x := encode(t, index{SchemaVersion: 2, MediaType: typeIndex, Manifests: []descriptor{describe(typeManifest, b)}})
		d := r.push(t, "multi", typeIndex, x)
		r.remove(t, r.manifest(d)).want(t, http.StatusAccepted)
		r.get(t, r.manifest("multi")).want(t, http.StatusNotFound)
		r.get(t, r.manifest(child)).want(t, http.StatusOK).wantBody(t, b)
	})
}

// What was deleted can be pushed again.
func TestDelete_PushAgain201(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		m := r.newImage(t)
		layer := random(500)
		m.Layers = append(m.Layers, describe(typeLayer, layer))
		b := encode(t, m)
		for range 3 {
			r.pushBlob(t, layer)
			d := r.push(t, "v1", typeManifest, b)
			r.get(t, r.manifest("v1")).want(t, http.StatusOK).wantBody(t, b)
			r.get(t, r.blob(digest.FromBytes(layer))).want(t, http.StatusOK).wantBody(t, layer)
			r.remove(t, r.manifest(d)).want(t, http.StatusAccepted)
			r.remove(t, r.blob(digest.FromBytes(layer))).want(t, http.StatusAccepted)
			r.get(t, r.manifest("v1")).want(t, http.StatusNotFound)
			r.get(t, r.blob(digest.FromBytes(layer))).want(t, http.StatusNotFound)
		}
	})
}

// A tag of a deleted manifest can be pushed again.
func TestDelete_TagReused(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		d, _ := r.pushImage(t, "v1")
		r.remove(t, r.manifest(d)).want(t, http.StatusAccepted)
		_, b := r.pushImage(t, "v1")
		r.get(t, r.manifest("v1")).want(t, http.StatusOK).wantBody(t, b)
	})
}
