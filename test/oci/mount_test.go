package oci

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
)

// mount asks for a blob of another image; with an empty from of any.
func (r registry) mount(t testing.TB, d digest.Digest, from string) response {
	t.Helper()
	options := []option{query("mount", d.String())}
	if from != "" {
		options = append(options, query("from", from))
	}
	return r.do(t, http.MethodPost, r.path("blobs/uploads/"), options...)
}

// "Mounting a blob from another repository", end-11: 201 with a pullable Location, and the digest.
func TestMount_From201(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		b := random(1000)
		d := r.pushBlob(t, b)
		other := r.sibling()
		res := other.mount(t, d, r.name()).want(t, http.StatusCreated).wantHeader(t, "Docker-Content-Digest", d.String())
		if location := res.location(t); location != other.blob(d) {
			t.Errorf("Location %q, want %q", location, other.blob(d))
		}
		other.get(t, other.blob(d)).want(t, http.StatusOK).wantBody(t, b)
	})
}

// "Mounting a blob from another repository": a registry may treat from as optional.
func TestMount_WithoutFrom201(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		b := random(1000)
		d := r.pushBlob(t, b)
		other := r.sibling()
		other.mount(t, d, "").want(t, http.StatusCreated)
		other.get(t, other.blob(d)).want(t, http.StatusOK).wantBody(t, b)
	})
}

// "Mounting a blob from another repository": 202 starts an upload where there is nothing to mount. Docker uses that very session.
func TestMount_Unknown202(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		source := r.sibling()
		source.pushImage(t, "v1")
		for _, from := range []string{source.name(), "", r.prefix + "nobody/knows", r.name()} {
			b := random(1000)
			d := digest.FromBytes(b)
			res := r.mount(t, d, from).want(t, http.StatusAccepted).wantHeader(t, "Range", "0-0")
			if res.header.Get("Docker-Upload-UUID") == "" {
				t.Error("there is no Docker-Upload-UUID")
			}
			location := r.do(t, http.MethodPatch, res.location(t), stream(b)).want(t, http.StatusAccepted).location(t)
			r.finish(t, location, d).want(t, http.StatusCreated)
			r.get(t, r.blob(d)).want(t, http.StatusOK).wantBody(t, b)
		}
	})
}

// The blob must be in the image that from names, not just somewhere.
func TestMount_FromImageWithout202(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		d := r.sibling().pushBlob(t, random(100))
		empty := r.sibling()
		empty.pushImage(t, "v1")
		r.mount(t, d, empty.name()).want(t, http.StatusAccepted)
		r.head(t, r.blob(d)).want(t, http.StatusNotFound)
	})
}

// What can't be the name of an image is one that has nothing to mount.
func TestMount_FromBadName202(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		d := r.sibling().pushBlob(t, random(100))
		for _, from := range []string{"UPPER/case", "../x", "/", "a//b", "a/../b", "\x00", "http://example.org/x", strings.Repeat("a", 300), "ä"} {
			r.mount(t, d, from).want(t, http.StatusAccepted, http.StatusBadRequest)
			r.head(t, r.blob(d)).want(t, http.StatusNotFound)
		}
	})
}

// "Pushing blobs" (main): 400 for an invalid digest.
func TestMount_BadDigest400(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		for _, d := range badDigests {
			r.mount(t, digest.Digest(d), r.name()).refused(t, http.StatusBadRequest, "DIGEST_INVALID")
		}
	})
}

// A blob that the image has may be mounted again.
func TestMount_Again201(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		d := r.pushBlob(t, random(100))
		r.mount(t, d, r.name()).want(t, http.StatusCreated)
		r.head(t, r.blob(d)).want(t, http.StatusOK)
	})
}

// A mounted blob is the image's own: what becomes of the source doesn't matter.
func TestMount_SourceDeleted(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		b := random(1000)
		d := r.pushBlob(t, b)
		other := r.sibling()
		other.mount(t, d, r.name()).want(t, http.StatusCreated)
		r.do(t, http.MethodDelete, r.blob(d)).want(t, http.StatusAccepted)
		r.get(t, r.blob(d)).want(t, http.StatusNotFound)
		other.get(t, other.blob(d)).want(t, http.StatusOK).wantBody(t, b)
	})
}

// sha512 stays sha512.
func TestMount_Sha512(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		for _, from := range []string{r.name(), ""} {
			b := random(1000)
			d := digest.SHA512.FromBytes(b)
			r.finish(t, r.begin(t), d, body(b)).want(t, http.StatusCreated)
			other := r.sibling()
			other.mount(t, d, from).want(t, http.StatusCreated).wantHeader(t, "Docker-Content-Digest", d.String())
			other.get(t, other.blob(d)).want(t, http.StatusOK).wantBody(t, b)
		}
	})
}

// Where the repository is a part of the name, a blob can be mounted from another repository.
func TestMount_FromOtherRepository201(t *testing.T) {
	t.Parallel()
	s := sharedServer(t)
	source := s.newRegistry(s.entries(t, second)[1], second)
	target := s.newRegistry(s.entries(t, open)[1], open)
	if source.prefix == "" || target.prefix == "" {
		t.Fatal("these are not the path-based entries")
	}
	b := random(1000)
	d := source.pushBlob(t, b)
	target.mount(t, d, source.name()).want(t, http.StatusCreated)
	target.get(t, target.blob(d)).want(t, http.StatusOK).wantBody(t, b)

	b = random(1000)
	d = source.pushBlob(t, b)
	target.mount(t, d, "").want(t, http.StatusCreated)
	target.get(t, target.blob(d)).want(t, http.StatusOK).wantBody(t, b)
}

// A caller who may not read the source gets 202, and can't tell from the answer whether the blob exists. Clients that get another
// error than 401 give up the push.
func TestMount_WithoutRightOnSource202(t *testing.T) {
	eachOf(t, forced, func(t *testing.T, r registry) {
		secret := r.sibling()
		d := secret.pushBlob(t, random(1000))
		// This token is for the target only.
		token := r.token(t, basic(adminUser, adminPassword), "repository:"+r.name()+":pull,push").Token
		limited := r.by(bearer(token))
		for _, from := range []string{secret.name(), ""} {
			refused := limited.mount(t, d, from).want(t, http.StatusAccepted)
			unknown := limited.mount(t, digest.FromBytes(random(8)), from).want(t, http.StatusAccepted)
			shape := func(res response) []string {
				var names []string
				for name := range res.header {
					names = append(names, name)
				}
				slices.Sort(names)
				return append(names, string(res.body))
			}
			if diff := cmp.Diff(shape(unknown), shape(refused)); diff != "" {
				t.Errorf("the answer tells that the blob exists (-unknown +refused):\n%s", diff)
			}
			limited.head(t, limited.blob(d)).want(t, http.StatusNotFound)
		}
		// With the right, which clients ask for beside, it is mounted.
		token = r.token(t, basic(adminUser, adminPassword), "repository:"+r.name()+":pull,push", "repository:"+secret.name()+":pull").Token
		r.by(bearer(token)).mount(t, d, secret.name()).want(t, http.StatusCreated)
	})
}

// What everybody may read can be mounted with a token for the target alone.
func TestMount_PublicSource201(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		source := r.sibling()
		token := r.token(t, basic(adminUser, adminPassword), "repository:"+r.name()+":pull,push").Token
		for _, from := range []string{source.name(), ""} {
			d := source.pushBlob(t, random(1000))
			limited := r.by(bearer(token))
			limited.mount(t, d, from).want(t, http.StatusCreated)
			limited.get(t, limited.blob(d)).want(t, http.StatusOK)
		}
	})
}

// The challenge to a mount names the source, too: clients ask for a token with what it names.
func TestMount_ChallengeNamesSource(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		source := r.sibling()
		res := r.by("").mount(t, digest.FromBytes(random(8)), source.name()).want(t, http.StatusUnauthorized)
		want := `scope="repository:` + r.name() + `:pull,push repository:` + source.name() + `:pull"`
		if got := res.header.Get("WWW-Authenticate"); !strings.Contains(got, want) {
			t.Errorf("%s, want %s", got, want)
		}
	})
}

// A blob of a repository that keeps anonymous callers out is not to be had by anonymous ones, nor is one by whoever may not push.
func TestMount_Anonymous401(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		d := r.pushBlob(t, random(100))
		other := r.sibling().by("")
		other.mount(t, d, r.name()).refused(t, http.StatusUnauthorized, "UNAUTHORIZED")
		other.head(t, other.blob(d)).want(t, http.StatusNotFound)
	})
}
