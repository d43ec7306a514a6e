package docker

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/format"
	"github.com/repomgr/repomgr/core/remote"
)

// isHub tells whether a host is Docker Hub, whose official images are below library/.
func isHub(host string) bool {
	switch strings.ToLower(host) {
	case "registry-1.docker.io", "index.docker.io", "registry.hub.docker.com", "hub.docker.com", "docker.io":
		return true
	}
	return false
}

// acceptManifests are all types of manifests that are kept: a registry answers with another one, or not at all, when the one that it
// has isn't named. As one field: some look at the first only.
const acceptManifests = v1.MediaTypeImageIndex + ", " + v1.MediaTypeImageManifest + ", " + typeDockerList + ", " + typeDockerManifest + ", */*;q=0.1"

// Remote asks for the route's path below the remote URL. That may have a path of its own, before /v2/ (where another server has a
// repository by a path) or behind it (where it has one by the first part of its images' names).
func (docker) Remote(route format.Route, base *url.URL) remote.Request {
	path, query, _ := strings.Cut(route.Path, "?")
	path = docker{}.Rename(path, route.Name, docker{}.Canonical(route.Name, base))
	if p := strings.TrimSuffix(base.Path, "/"); strings.HasSuffix(p, "/v2") || strings.HasPrefix(p, "/v2/") {
		path = strings.TrimPrefix(path, "/v2")
	}
	req := remote.Request{Path: (&url.URL{Path: path}).EscapedPath(), Query: query, Header: http.Header{}}
	switch route.Kind {
	case kindManifest, kindTag:
		req.Header.Set("Accept", acceptManifests)
	case kindReferrers:
		req.Header.Set("Accept", v1.MediaTypeImageIndex)
	case kindTags, kindCatalog:
		req.Header.Set("Accept", "application/json")
	}
	return req
}

// Canonical adds library/ to the names of Docker Hub's official images.
func (docker) Canonical(name string, base *url.URL) string {
	if name == "" || strings.Contains(name, "/") || !isHub(base.Hostname()) {
		return name
	}
	return "library/" + name
}

// Rename replaces the name of the image, which is what follows /v2/.
func (docker) Rename(path, from, to string) string {
	rest, ok := strings.CutPrefix(path, "/v2/"+from+"/")
	if !ok || from == to {
		return path
	}
	return "/v2/" + to + "/" + rest
}

// Same compares the Docker-Content-Digest of an answer with the digests of the asset's bytes. That of a schema 1 manifest is not of all
// its bytes, but of those without the signatures.
func (docker) Same(h http.Header, a content.Asset) (same, known bool) {
	if baseType(h.Get("Content-Type")) == typeSchema1Signed {
		return false, false
	}
	d, err := parseDigest(h.Get(headerDigest))
	if err != nil {
		return false, false
	}
	have := map[digest.Algorithm]string{digest.SHA256: a.Blob.SHA256, digest.SHA512: a.Blob.SHA512}[d.Algorithm()]
	if have == "" && a.Digest.Validate() == nil && a.Digest.Algorithm() == d.Algorithm() {
		have = a.Digest.Encoded()
	}
	return have == d.Encoded(), have != ""
}
