package docker

import (
	"encoding/json"
	"net/http"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/format"
)

// The protocol's headers.
const (
	headerVersion = "Docker-Distribution-Api-Version"
	headerDigest  = "Docker-Content-Digest"
	headerUpload  = "Docker-Upload-Uuid"
	headerSubject = "Oci-Subject"
	headerTag     = "Oci-Tag"
	headerFilters = "Oci-Filters-Applied"
)

// setVersion says that this is a registry of API v2; old clients fall back to v1 without it.
func setVersion(h http.Header) { h.Set(headerVersion, "registry/2.0") }

// Headers adds the version and the digest to all answers about an asset, and to that to an upload where to read it, which
// subject was processed (distribution-spec 1.1, "Pushing Manifests with Subject") and which tags were set.
func (docker) Headers(h http.Header, _ format.Repository, entry format.Entry, route format.Route, a content.Asset, status int) {
	setVersion(h)
	if a.Digest != "" {
		h.Set(headerDigest, a.Digest.String())
	}
	if status != http.StatusCreated {
		return
	}
	h.Set("Location", uploadedAt(entry, a))
	if subject := factsOf(a).Subject; subject != "" {
		h.Set(headerSubject, subject.String())
	}
	for _, tag := range route.Aliases {
		h.Add(headerTag, tag)
	}
}

// uploadedAt is where to read what was uploaded: a tag's manifest by its digest, since the tag may move.
func uploadedAt(entry format.Entry, a content.Asset) string {
	if a.Kind == kindTag {
		return location(entry, manifestPath(a.Name, a.Digest.String()))
	}
	return location(entry, a.Path)
}

// factsOf reads an asset's attributes; the zero value when it has none.
func factsOf(a content.Asset) Facts {
	var f Facts
	if a.Attributes != nil && json.Unmarshal(a.Attributes, &f) != nil {
		return Facts{}
	}
	return f
}
