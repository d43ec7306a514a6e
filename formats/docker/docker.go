// Package docker is the Docker and OCI format: the OCI distribution-spec 1.1 (and what its main branch adds), the Docker
// Registry HTTP API v2, Docker's token authentication, and as much of API v1 as "docker search" asks for.
//
// An image is a name. Its blobs, manifests and tags are assets:
//
//	/v2/<image>/blobs/<digest>      kind "blob"
//	/v2/<image>/manifests/<digest>  kind "manifest"
//	/v2/<image>/manifests/<tag>     kind "tag": the same bytes as the manifest
package docker

import (
	"net/http"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/format"
)

// The kinds of assets.
const (
	kindBlob     = "blob"
	kindManifest = "manifest"
	kindTag      = "tag"
)

// The kinds of routes that lead to no asset.
const (
	kindPing      = "ping"
	kindToken     = "token"
	kindUpload    = "upload"
	kindTags      = "tags"
	kindCatalog   = "catalog"
	kindReferrers = "referrers"
	kindPingV1    = "ping-v1"
	kindSearch    = "search"
)

// docker is the format. It has no state.
type docker struct{}

// New returns the format.
func New() format.Format { return docker{} }

// All that the format is beside format.Format.
var (
	_ format.Settler      = docker{}
	_ format.ProxySettler = docker{}
	_ format.Dialect      = docker{}
	_ format.Headers      = docker{}
	_ format.Lister       = docker{}
	_ format.Generator    = docker{}
	_ format.Rewriter     = docker{}
	_ format.Entrance     = docker{}

	_ format.Remoter     = docker{}
	_ format.Comparer    = docker{}
	_ format.Paginator   = docker{}
	_ format.Selector    = docker{}
	_ format.Merger      = docker{}
	_ format.Substituter = docker{}
	_ format.Locator     = docker{}

	_ format.Canonicalizer = docker{}
	_ format.Mirrorer      = docker{}
)

// Describe says what the format is. sha512 is not among the algorithms: the few uploads that want it name it.
func (docker) Describe() format.Descriptor {
	return format.Descriptor{
		Name: "docker", Settings: "docker", ProxySettings: "dockerProxy", Challenges: true, DeleteStatus: http.StatusAccepted, NamedBy: kindManifest, Latest: true,
		Answers: []string{kindTags, kindCatalog, kindReferrers},
		Usage:   "docker login {host}\ndocker tag alpine {address}/alpine\ndocker push {address}/alpine\ndocker pull {address}/alpine",
	}
}

// actions of the requests. Nexus takes POST and PATCH for add and PUT for edit, so its deploy roles have both.
const (
	actionPull   = content.Read
	actionUpload = content.Add
	actionPush   = content.Edit
)
