package docker

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
)

// The most manifests that are looked into for where a layer is, the most URLs that are tried, and the most bytes of one.
const (
	foreignManifests = 20
	foreignURLs      = 10
	foreignURL       = 2048
)

// Locate returns the URLs that the image's manifests give for a foreign layer (image-spec, "Content Descriptors", urls), as far as the
// proxy is to keep such layers and has the URL on its whitelist.
func (docker) Locate(ctx context.Context, route format.Route, repo format.Repository, view format.View) ([]string, error) {
	s, _ := repo.ProxySettings.(ProxySettings)
	if route.Kind != kindBlob || s.CacheForeignLayers == nil || !*s.CacheForeignLayers {
		return nil, nil
	}
	page, err := view.List(ctx, content.List{Kind: kindManifest, Name: route.Name, Child: route.Expect, Limit: foreignManifests})
	if err != nil {
		return nil, fmt.Errorf("look for manifests with layer %s: %w", route.Expect, err)
	}
	allowed, err := whitelist(s.ForeignLayerURLWhitelist)
	if err != nil {
		return nil, err
	}
	var urls []string
	for _, a := range page.Assets {
		body, err := readAsset(ctx, a, view)
		if err != nil {
			return nil, err
		}
		for _, u := range urlsOf(body, route.Expect) {
			if allowed(u) && !slices.Contains(urls, u) && len(urls) < foreignURLs {
				urls = append(urls, u)
			}
		}
	}
	return urls, nil
}

// whitelist tells which URLs may be asked: all where there are no patterns.
func whitelist(patterns []string) (allowed func(url string) bool, err error) {
	if len(patterns) == 0 {
		return func(string) bool { return true }, nil
	}
	list := make([]*regexp.Regexp, len(patterns))
	for i, pattern := range patterns {
		// From end to end, as in Nexus: a pattern without an end would allow all hosts whose names begin like it.
		if list[i], err = regexp.Compile(`\A(?:` + pattern + `)\z`); err != nil {
			return nil, fmt.Errorf("pattern of foreign layers: %w", err)
		}
	}
	return func(url string) bool {
		return slices.ContainsFunc(list, func(p *regexp.Regexp) bool { return p.MatchString(url) })
	}, nil
}

// urlsOf are the URLs of a foreign layer in a manifest: those that this server can ask.
func urlsOf(manifest []byte, layer digest.Digest) []string {
	var m struct {
		Layers []struct {
			MediaType string        `json:"mediaType"`
			Digest    digest.Digest `json:"digest"`
			URLs      []string      `json:"urls"`
		} `json:"layers"`
	}
	if json.Unmarshal(manifest, &m) != nil {
		return nil
	}
	var urls []string
	for _, l := range m.Layers {
		if l.Digest != layer || !isForeign(l.MediaType) {
			continue
		}
		for _, u := range l.URLs {
			if len(u) <= foreignURL && isURL(u) {
				urls = append(urls, u)
			}
		}
	}
	return urls
}

// isForeign tells whether layers of the media type are not given to everybody: registries need not have them.
func isForeign(mediaType string) bool {
	return strings.HasPrefix(mediaType, typeDockerForeign) || strings.HasPrefix(mediaType, typeOCIForeign)
}

// readAsset reads a manifest that is stored; nothing when its bytes are lost.
func readAsset(ctx context.Context, a content.Asset, view format.View) ([]byte, error) {
	r, err := view.Open(ctx, a)
	if errs.Is(err, errs.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, MaxManifest))
}
