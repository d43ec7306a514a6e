package oci

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/internal/testenv"
)

// ALLOW_ONCE: a tag is set once. The same manifest again changes nothing and is accepted, since clients repeat requests.
func TestPolicy_AllowOnce(t *testing.T) {
	eachOf(t, once, func(t *testing.T, r registry) {
		for _, tag := range []string{"v1", "latest"} {
			d, b := r.pushImage(t, tag)
			other := encode(t, r.newImage(t))
			r.put(t, tag, typeManifest, other).refused(t, http.StatusBadRequest, "DENIED")
			r.put(t, digest.FromBytes(other), typeManifest, other, query("tag", tag)).refused(t, http.StatusBadRequest, "DENIED")
			r.get(t, r.manifest(tag)).want(t, http.StatusOK).wantBody(t, b)
			r.put(t, tag, typeManifest, b).want(t, http.StatusCreated)
			r.put(t, d, typeManifest, b, query("tag", tag)).want(t, http.StatusCreated)
			// Content by digest can't be overwritten, so it may always come again, and get further tags.
			r.put(t, digest.FromBytes(other), typeManifest, other).want(t, http.StatusCreated)
			r.put(t, tag+"-2", typeManifest, other).want(t, http.StatusCreated)
		}
	})
}

// ALLOW_ONCE lets create and delete, so a deleted tag can be set again.
func TestPolicy_AllowOnceAfterDelete(t *testing.T) {
	eachOf(t, once, func(t *testing.T, r registry) {
		r.pushImage(t, "v1")
		r.remove(t, r.manifest("v1")).want(t, http.StatusAccepted)
		_, b := r.pushImage(t, "v1")
		r.get(t, r.manifest("v1")).want(t, http.StatusOK).wantBody(t, b)
	})
}

// latestPolicy: under ALLOW_ONCE the tag "latest", and no other, may be set again.
func TestPolicy_Latest(t *testing.T) {
	eachOf(t, latest, func(t *testing.T, r registry) {
		for range 3 {
			_, b := r.pushImage(t, "latest")
			r.get(t, r.manifest("latest")).want(t, http.StatusOK).wantBody(t, b)
		}
		for _, tag := range []string{"v1", "LATEST", "latest2", "not-latest"} {
			r.pushImage(t, tag)
			r.put(t, tag, typeManifest, encode(t, r.newImage(t))).refused(t, http.StatusBadRequest, "DENIED")
		}
	})
}

// A refused push by several tags sets none of them.
func TestPolicy_AllowOnceAllOrNothing(t *testing.T) {
	eachOf(t, once, func(t *testing.T, r registry) {
		r.pushImage(t, "taken")
		b := encode(t, r.newImage(t))
		d := digest.FromBytes(b)
		r.put(t, d, typeManifest, b, query("tag", "free", "tag", "taken")).refused(t, http.StatusBadRequest, "DENIED")
		r.get(t, r.manifest("free")).want(t, http.StatusNotFound)
		r.get(t, r.manifest(d)).want(t, http.StatusNotFound)
	})
}

// DENY: what is there can be pulled; nothing is taken or deleted. "Deleting tags", "Deleting Manifests" and "Deleting Blobs": where
// deletion is disabled the answer must be 400 or 405.
func TestPolicy_Deny(t *testing.T) {
	t.Parallel()
	s := sharedServer(t)
	const name = "conf-deny"
	if err := s.createRepository(testenv.FreePort(t), name, storage{WritePolicy: "ALLOW"}, false); err != nil {
		t.Fatal(err)
	}
	type stored struct {
		registry
		location string
		manifest []byte
		digest   digest.Digest
		blob     digest.Digest
	}
	var all []stored
	for _, e := range s.entries(t, name) {
		r := s.newRegistry(e, name)
		d, b := r.pushImage(t, "v1")
		all = append(all, stored{r, r.begin(t), b, d, r.pushBlob(t, random(10))})
	}
	if err := s.updateRepository(name, storage{WritePolicy: "DENY"}, false); err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		t.Run(r.entry.name, func(t *testing.T) {
			r.get(t, r.registry.manifest("v1")).want(t, http.StatusOK).wantBody(t, r.manifest)
			r.head(t, r.registry.blob(r.blob)).want(t, http.StatusOK)
			refused := []int{http.StatusBadRequest, http.StatusForbidden, http.StatusMethodNotAllowed}
			b := random(10)
			for _, res := range []response{
				r.put(t, "v2", typeManifest, r.manifest),
				r.put(t, r.digest, typeManifest, r.manifest, query("tag", "v2")),
				r.do(t, http.MethodPost, r.path("blobs/uploads/")),
				r.do(t, http.MethodPost, r.path("blobs/uploads/"), query("digest", digest.FromBytes(b).String()), body(b)),
				r.mount(t, r.blob, r.name()),
				r.finish(t, r.location, digest.FromBytes(b), body(b)),
			} {
				res.want(t, refused...).problems(t)
			}
			for _, target := range []string{r.registry.manifest("v1"), r.registry.manifest(r.digest), r.registry.blob(r.blob)} {
				res := r.remove(t, target)
				if res.status != http.StatusBadRequest && res.status != http.StatusMethodNotAllowed {
					t.Errorf("%s: status %d, want 400 or 405\n%s", res.request, res.status, res.body)
				}
			}
			r.get(t, r.registry.manifest("v1")).want(t, http.StatusOK)
			r.get(t, r.registry.manifest("v2")).want(t, http.StatusNotFound)
			r.head(t, r.registry.blob(digest.FromBytes(b))).want(t, http.StatusNotFound)
		})
	}
}

// A change of a repository's settings counts at the next request, and takes nothing away.
func TestPolicy_Changed(t *testing.T) {
	t.Parallel()
	s := sharedServer(t)
	const name = "conf-changing"
	if err := s.createRepository(testenv.FreePort(t), name, storage{WritePolicy: "ALLOW"}, false); err != nil {
		t.Fatal(err)
	}
	for i, e := range s.entries(t, name) {
		t.Run(e.name, func(t *testing.T) {
			r := s.newRegistry(e, name)
			r.pushImage(t, "v1")
			r.pushImage(t, "v1")
			if err := s.updateRepository(name, storage{WritePolicy: "ALLOW_ONCE"}, false); err != nil {
				t.Fatal(err)
			}
			r.put(t, "v1", typeManifest, encode(t, r.newImage(t))).refused(t, http.StatusBadRequest, "DENIED")
			r.pushImage(t, fmt.Sprint("v2-", i))
			if err := s.updateRepository(name, storage{WritePolicy: "ALLOW"}, false); err != nil {
				t.Fatal(err)
			}
			r.pushImage(t, "v1")
		})
	}
}
