package oci

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
)

// "POST then PUT", end-4a: 202 with the session's Location. Docker also wants Range, "0-0" for no bytes, and its own id header.
func TestPushBlob_Post202(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		res := r.do(t, http.MethodPost, r.path("blobs/uploads/")).want(t, http.StatusAccepted).wantHeader(t, "Range", "0-0")
		id := res.header.Get("Docker-Upload-UUID")
		if location := res.location(t); id == "" || !strings.Contains(location, id) {
			t.Errorf("Location %q, Docker-Upload-UUID %q", location, id)
		}
		if len(res.body) != 0 {
			t.Errorf("body %q", res.body)
		}
	})
}

// "POST then PUT", end-4a: the location contains a unique id.
func TestPushBlob_SessionsDiffer(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		if a, b := r.begin(t), r.begin(t); a == b {
			t.Errorf("two sessions at %s", a)
		}
	})
}

// "POST then PUT", end-6: 201 with a pullable Location; containerd fails without Docker-Content-Digest.
func TestPushBlob_PostPut201(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		b := random(100_000)
		d := digest.FromBytes(b)
		res := r.finish(t, r.begin(t), d, body(b), header("Content-Type", "application/octet-stream")).want(t, http.StatusCreated).
			wantHeader(t, "Docker-Content-Digest", d.String())
		r.get(t, res.location(t)).want(t, http.StatusOK).wantBody(t, b)
		r.get(t, r.blob(d)).want(t, http.StatusOK).wantBody(t, b)
	})
}

// Some clients send no Content-Type, some a strange one; it says nothing about a blob.
func TestPushBlob_ContentTypeIgnored(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		for _, contentType := range []string{"", "text/html", "application/x-www-form-urlencoded", "multipart/form-data"} {
			b := random(100)
			r.finish(t, r.begin(t), digest.FromBytes(b), body(b), header("Content-Type", contentType)).want(t, http.StatusCreated)
			r.get(t, r.blob(digest.FromBytes(b))).want(t, http.StatusOK).wantBody(t, b)
		}
	})
}

// A PUT may come without a length (skopeo does so).
func TestPushBlob_PutStreamed201(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		b := random(1 << 20)
		d := digest.FromBytes(b)
		r.finish(t, r.begin(t), d, stream(b)).want(t, http.StatusCreated)
		r.get(t, r.blob(d)).want(t, http.StatusOK).wantBody(t, b)
	})
}

// The location may have query parameters, which clients keep, in any order and encoded anew; those unknown are ignored.
func TestPushBlob_ForeignParametersIgnored(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		b := random(100)
		location := r.begin(t)
		r.do(t, http.MethodPut, location, query("x", "y z", "digest", digest.FromBytes(b).String(), "_state", "a+b/c="), body(b)).
			want(t, http.StatusCreated)
	})
}

// "POST then PUT": the digest must be the blob's.
func TestPushBlob_PutWrongDigest400(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		wrong := digest.FromBytes(random(8))
		b := random(1000)
		r.finish(t, r.begin(t), wrong, body(b)).refused(t, http.StatusBadRequest, "DIGEST_INVALID")
		r.get(t, r.blob(wrong)).want(t, http.StatusNotFound)
		r.get(t, r.blob(digest.FromBytes(b))).want(t, http.StatusNotFound)
	})
}

// What was received before a wrong digest can still be closed with the right one.
func TestPushBlob_PutWrongDigestKeepsSession(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		b := random(1000)
		location := r.begin(t)
		r.finish(t, location, digest.FromBytes(random(8)), body(b)).refused(t, http.StatusBadRequest, "DIGEST_INVALID")
		r.finish(t, location, digest.FromBytes(b)).want(t, http.StatusCreated)
		r.get(t, r.blob(digest.FromBytes(b))).want(t, http.StatusOK).wantBody(t, b)
	})
}

// "Pushing a blob in chunks": the closing PUT must include the digest.
func TestPushBlob_PutWithoutDigest400(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		r.do(t, http.MethodPut, r.begin(t), body(random(10))).refused(t, http.StatusBadRequest, "DIGEST_INVALID")
	})
}

// "Pushing blobs" (main): 400 for an invalid digest or an unsupported algorithm, in each way of pushing.
func TestPushBlob_BadDigest400(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		location := r.begin(t)
		for _, d := range badDigests {
			r.do(t, http.MethodPut, location, query("digest", d), body(random(10))).refused(t, http.StatusBadRequest, "DIGEST_INVALID")
			r.do(t, http.MethodPost, r.path("blobs/uploads/"), query("digest", d), body(random(10))).refused(t, http.StatusBadRequest, "DIGEST_INVALID")
		}
	})
}

// "Single POST", end-4b: 201 with a pullable Location.
func TestPushBlob_SinglePost201(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		for _, send := range []func([]byte) option{body, stream} {
			b := random(50_000)
			d := digest.FromBytes(b)
			res := r.do(t, http.MethodPost, r.path("blobs/uploads/"), query("digest", d.String()), send(b)).want(t, http.StatusCreated).
				wantHeader(t, "Docker-Content-Digest", d.String())
			r.get(t, res.location(t)).want(t, http.StatusOK).wantBody(t, b)
		}
	})
}

// "Single POST", end-4b: the digest must match.
func TestPushBlob_SinglePostWrongDigest400(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		wrong := digest.FromBytes(random(8))
		r.do(t, http.MethodPost, r.path("blobs/uploads/"), query("digest", wrong.String()), body(random(100))).
			refused(t, http.StatusBadRequest, "DIGEST_INVALID")
		r.get(t, r.blob(wrong)).want(t, http.StatusNotFound)
	})
}

// A client that names the digest but sends no body wants a session.
func TestPushBlob_SinglePostWithoutBody202(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		b := random(100)
		d := digest.FromBytes(b)
		location := r.begin(t, query("digest", d.String()))
		r.finish(t, location, d, body(b)).want(t, http.StatusCreated)
	})
}

// A blob may be empty.
func TestPushBlob_Empty201(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		d := digest.FromBytes(nil)
		r.finish(t, r.begin(t), d).want(t, http.StatusCreated)
		r.get(t, r.blob(d)).want(t, http.StatusOK).wantBody(t, nil).wantHeader(t, "Content-Length", "0")
		other := r.sibling()
		other.do(t, http.MethodPost, other.path("blobs/uploads/"), query("digest", d.String())).want(t, http.StatusCreated)
		other.get(t, other.blob(d)).want(t, http.StatusOK).wantBody(t, nil)
	})
}

// image-spec, "Digests": sha512 is a registered algorithm. What was pushed as sha512 stays so.
func TestPushBlob_Sha512(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		ways := map[string]func(b []byte, d digest.Digest) response{
			"PUT":    func(b []byte, d digest.Digest) response { return r.finish(t, r.begin(t), d, body(b)) },
			"stream": func(b []byte, d digest.Digest) response { return r.finish(t, r.begin(t), d, stream(b)) },
			"POST": func(b []byte, d digest.Digest) response {
				return r.do(t, http.MethodPost, r.path("blobs/uploads/"), query("digest", d.String()), body(b))
			},
			"PATCH": func(b []byte, d digest.Digest) response {
				location := r.patch(t, r.begin(t), b[:10]).want(t, http.StatusAccepted).location(t)
				return r.finish(t, location, d, body(b[10:]))
			},
			// "POST then PUT", end-4c (main): the client announces the algorithm.
			"announced": func(b []byte, d digest.Digest) response {
				return r.finish(t, r.begin(t, query("digest-algorithm", "sha512")), d, body(b))
			},
		}
		for name, push := range ways {
			b := random(5000)
			d := digest.SHA512.FromBytes(b)
			res := push(b, d)
			if res.status != http.StatusCreated {
				t.Fatalf("%s: %d %s", name, res.status, res.body)
			}
			res.wantHeader(t, "Docker-Content-Digest", d.String())
			r.get(t, res.location(t)).want(t, http.StatusOK).wantBody(t, b).wantHeader(t, "Docker-Content-Digest", d.String())
			r.head(t, r.blob(d)).want(t, http.StatusOK).wantHeader(t, "Content-Length", "5000")
		}
		r.finish(t, r.begin(t), digest.SHA512.FromBytes(random(8)), body(random(10))).refused(t, http.StatusBadRequest, "DIGEST_INVALID")
	})
}

// "POST then PUT", end-4c (main): 400 for an algorithm that is not supported.
func TestPushBlob_UnknownAlgorithm400(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		for _, algorithm := range []string{"md5", "sha384", "SHA256", "sha256:abc", "x y"} {
			r.do(t, http.MethodPost, r.path("blobs/uploads/"), query("digest-algorithm", algorithm)).
				refused(t, http.StatusBadRequest, "DIGEST_INVALID", "UNSUPPORTED")
		}
		b := random(10)
		r.finish(t, r.begin(t, query("digest-algorithm", "sha256")), digest.FromBytes(b), body(b)).want(t, http.StatusCreated)
	})
}

// A blob that is there may be pushed again.
func TestPushBlob_Again201(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		b := random(1000)
		for range 3 {
			r.pushBlob(t, b)
			r.get(t, r.blob(digest.FromBytes(b))).want(t, http.StatusOK).wantBody(t, b)
		}
	})
}

// "Layer Upload De-duplication": both of two uploads of the same blob at the same time succeed.
func TestPushBlob_SameAtOnce201(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		b := random(200_000)
		d := digest.FromBytes(b)
		other := r.sibling()
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				to := r
				if i%2 == 1 {
					to = other
				}
				res, err := to.send(http.MethodPost, to.path("blobs/uploads/"), query("digest", d.String()), body(b))
				if err != nil || res.status != http.StatusCreated {
					t.Errorf("push %d: %v %s", i, err, res.body)
				}
			})
		}
		wg.Wait()
		r.get(t, r.blob(d)).want(t, http.StatusOK).wantBody(t, b)
		other.get(t, other.blob(d)).want(t, http.StatusOK).wantBody(t, b)
	})
}

// end-6: 404 for a session that is not there.
func TestPushBlob_UnknownSession404(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		d := digest.FromBytes(random(8))
		for _, id := range []string{"00000000-0000-0000-0000-000000000000", "x", strings.Repeat("a", 64), strings.Repeat("a", 300), "a.b", "%2e%2e"} {
			location := r.path("blobs/uploads/%s", id)
			r.finish(t, location, d, body(random(10))).refused(t, http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN")
			r.patch(t, location, random(10)).refused(t, http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN")
			r.get(t, location).refused(t, http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN")
			r.do(t, http.MethodDelete, location).refused(t, http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN")
		}
	})
}

// A session is the image's, and the repository's, that it was opened for.
func TestPushBlob_SessionOfOtherImage404(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		location := r.begin(t)
		id := location[strings.LastIndex(location, "/")+1:]
		other := r.sibling()
		other.get(t, other.path("blobs/uploads/%s", id)).refused(t, http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN")
		b := random(10)
		other.finish(t, other.path("blobs/uploads/%s", id), digest.FromBytes(b), body(b)).refused(t, http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN")
		elsewhere := r
		elsewhere.entry = r.server.entries(t, second)[0]
		elsewhere.get(t, elsewhere.path("blobs/uploads/%s", id)).refused(t, http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN")
	})
}

// "Pushing a blob in chunks": the PUT closes the session.
func TestPushBlob_SessionEnds404(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		b := random(100)
		location := r.begin(t)
		r.finish(t, location, digest.FromBytes(b), body(b)).want(t, http.StatusCreated)
		r.get(t, location).refused(t, http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN")
	})
}

// "Cancel a blob upload", end-14 (main): 204; then the session is gone.
func TestPushBlob_Cancel204(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		for _, sent := range [][]byte{nil, random(1000)} {
			location := r.begin(t)
			if sent != nil {
				location = r.patch(t, location, sent).want(t, http.StatusAccepted).location(t)
			}
			r.do(t, http.MethodDelete, location).want(t, http.StatusNoContent)
			r.get(t, location).refused(t, http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN")
			r.patch(t, location, random(10)).refused(t, http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN")
			r.do(t, http.MethodDelete, location).refused(t, http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN")
		}
	})
}

// Locations are relative, so that they hold behind any proxy, and lead back by the same entry: containerd drops its credentials
// when the host or the scheme changes.
func TestPushBlob_LocationsRelative(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		begin := r.path("blobs/uploads/")
		check := func(res response, prefix string) string {
			t.Helper()
			location := res.location(t)
			if !strings.HasPrefix(location, prefix) {
				t.Errorf("%s: Location %q does not start with %q", res.request, location, prefix)
			}
			return location
		}
		location := check(r.do(t, http.MethodPost, begin).want(t, http.StatusAccepted), begin)
		check(r.get(t, location).want(t, http.StatusNoContent), begin)
		location = check(r.patch(t, location, random(10)).want(t, http.StatusAccepted), begin)
		check(r.patch(t, location, random(10), header("Content-Range", "5-14")).want(t, http.StatusRequestedRangeNotSatisfiable), begin)
		b := random(10)
		d := digest.FromBytes(b)
		check(r.finish(t, r.begin(t), d, body(b)).want(t, http.StatusCreated), r.blob(d))
		check(r.do(t, http.MethodPost, begin, query("digest", d.String()), body(b)).want(t, http.StatusCreated), r.blob(d))
		m := encode(t, r.newImage(t))
		check(r.put(t, "v1", typeManifest, m).want(t, http.StatusCreated), r.path("manifests/"))
	})
}
