package docker

import (
	"encoding/json"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
)

// Names selects the catalog.
func (docker) Names() (content.List, bool) {
	return content.List{Names: true, Kind: kindManifest}, true
}

// Versions selects an image's tags.
func (docker) Versions(name string) (content.List, bool) {
	return content.List{Kind: kindTag, Name: name, Brief: true}, true
}

// Version is the tag.
func (docker) Version(a content.Asset) string { return tagOf(a.Path) }

// Begin is the route of a tag, or of a digest.
func (docker) Begin(name, version string) (format.Route, error) {
	if err := checkName(name); err != nil {
		return format.Route{}, err
	}
	if isTag(version) {
		return tagRoute(name, version), nil
	}
	if !strings.Contains(version, ":") {
		return format.Route{}, invalid(codeTagInvalid, "invalid tag %q", clip(version))
	}
	d, err := parseDigest(version)
	return digestRoute(name, d), err
}

// tagRoute is where an image's tag is read.
func tagRoute(name, tag string) format.Route {
	return format.Route{
		Action: actionPull, Path: manifestPath(name, tag), Class: content.Mutable, Kind: kindTag, Name: name, MaxSize: MaxManifest, Metadata: true,
	}
}

// digestRoute is where a manifest of an image is read.
func digestRoute(name string, d digest.Digest) format.Route {
	route := tagRoute(name, d.String())
	route.Kind, route.Class, route.Expect = kindManifest, content.Immutable, d
	return route
}

// Next names what a manifest is made of, and what is about it. Of the children of an index these are the wanted platforms, and those
// that have none. Layers that a manifest says are elsewhere are not wanted.
func (docker) Next(route format.Route, doc format.Document, want format.Wanted) ([]format.Part, error) {
	switch route.Kind {
	case kindReferrers:
		return referring(route, doc)
	case kindManifest, kindTag:
	default:
		return nil, nil
	}
	m, err := parseManifest(doc.Body, doc.ContentType)
	if err != nil {
		return nil, err
	}
	var parts []format.Part
	add := func(r format.Route, about bool) { parts = append(parts, format.Part{Route: r, About: about}) }
	for _, c := range m.children {
		if wanted(c.platform, want) {
			add(digestRoute(route.Name, c.digest), false)
		}
	}
	layers := m.layers
	if m.config != nil {
		layers = append([]descriptor{*m.config}, layers...)
	}
	for _, l := range layers {
		if !l.foreign() {
			r := blobRoute(route.Name, l.digest)
			r.Action = actionPull
			add(r, false)
		}
	}
	// The signature of a signature that a tag names is not looked for.
	if !want.Referrers || route.Kind == kindTag && aboutDigest(tagOf(route.Path)) != "" {
		return parts, nil
	}
	d := route.Expect
	if d == "" {
		d = digest.FromBytes(doc.Body)
	}
	add(format.Route{Action: actionPull, Path: referrersPath(route.Name, d), Class: content.Index, Kind: kindReferrers, Name: route.Name,
		Variant: question{limit: pageSize}.String()}, true)
	if d.Algorithm() == digest.SHA256 {
		for _, suffix := range signatureTags {
			add(tagRoute(route.Name, "sha256-"+d.Encoded()+suffix), true)
		}
	}
	return parts, nil
}

// signatureTags are the ends of the tags, sha256-<hex>.sig and so on, by which cosign finds what is about a digest.
var signatureTags = []string{".sig", ".att", ".sbom"}

// unknownPlatform is that of BuildKit's attestations, which stand in an index beside the images that they are about.
const unknownPlatform = "unknown/unknown"

// wanted tells whether a child of an index with the platform is.
func wanted(platform string, want format.Wanted) bool {
	switch {
	case len(want.Platforms) == 0, platform == "":
		return true
	case platform == unknownPlatform:
		return want.Referrers
	}
	for _, p := range want.Platforms {
		p = strings.ToLower(strings.TrimSpace(p))
		if canonical(p) == canonical(platform) || strings.Count(p, "/") == 1 && strings.HasPrefix(platform, p+"/") {
			return true
		}
	}
	return false
}

// canonical writes what is the same platform the same way: arm64 has one variant that all mean who name none.
func canonical(platform string) string {
	if strings.HasSuffix(platform, "/arm64/v8") {
		return strings.TrimSuffix(platform, "/v8")
	}
	return platform
}

// referring are the manifests in a list of referrers.
func referring(route format.Route, doc format.Document) ([]format.Part, error) {
	var list struct {
		Manifests []struct {
			Digest string `json:"digest"`
		} `json:"manifests"`
	}
	if err := json.Unmarshal(doc.Body, &list); err != nil {
		return nil, errs.Wrap(errs.Invalid, err, "a list of referrers is no index")
	}
	var parts []format.Part
	for _, m := range list.Manifests {
		if d, err := parseDigest(m.Digest); err == nil {
			parts = append(parts, format.Part{Route: digestRoute(route.Name, d), About: true})
		}
	}
	return parts, nil
}
