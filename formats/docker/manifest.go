package docker

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
)

// maxStored is the most bytes of annotations that are kept as attributes of an asset. Larger ones are read from the manifest
// when they are needed.
const maxStored = 64 << 10

// maxPlatforms is the most platforms of an index that are kept as attributes.
const maxPlatforms = 64

// Facts are the attributes of manifests and tags.
type Facts struct {
	MediaType string `json:"mediaType"`
	// ArtifactType is the manifest's, or else the media type of its config.
	ArtifactType string            `json:"artifactType,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	// Truncated tells that the manifest has more annotations than are kept here: they must be read from it.
	Truncated bool          `json:"truncated,omitempty"`
	Subject   digest.Digest `json:"subject,omitempty"`
	// Config is the digest of the image's configuration.
	Config digest.Digest `json:"config,omitempty"`
	// Layers is the number of layers or blobs, Size the sum of their sizes and the config's in bytes, as the manifest says.
	Layers int   `json:"layers,omitempty"`
	Size   int64 `json:"size,omitempty"`
	// Platforms are those of an index's children, as os/architecture or os/architecture/variant.
	Platforms []string `json:"platforms,omitempty"`
	// About is, on a tag such as sha256-<hex>.sig, the digest that it is about.
	About digest.Digest `json:"about,omitempty"`
}

// Ingest says what to record for a blob or a manifest.
func (docker) Ingest(_ context.Context, in format.Incoming) ([]format.Record, error) {
	switch in.Route.Kind {
	case kindBlob:
		return []format.Record{blobRecord(in)}, nil
	case kindManifest, kindTag:
		return ingestManifest(in)
	}
	return nil, fmt.Errorf("ingest %s: kind %q is not stored", in.Route.Path, in.Route.Kind)
}

// digestOf is the digest under which the bytes are known: the one that the request names, else sha256.
func digestOf(in format.Incoming) digest.Digest {
	if in.Route.Expect != "" {
		return in.Route.Expect
	}
	return digest.NewDigestFromEncoded(digest.SHA256, in.Staged.SHA256)
}

func blobRecord(in format.Incoming) format.Record {
	return format.Record{
		Path: in.Route.Path, Kind: kindBlob, Name: in.Route.Name, Class: content.Immutable,
		Digest: digestOf(in), ContentType: "application/octet-stream",
	}
}

// ingestManifest records a manifest by its digest, and by the tags that the request names. The bytes stay as they came.
func ingestManifest(in format.Incoming) ([]format.Record, error) {
	body, err := readManifest(in)
	if err != nil {
		return nil, err
	}
	parse := parseManifest
	if in.Upstream {
		parse = parseUpstreams
	}
	m, err := parse(body, in.Route.ContentType)
	if err != nil {
		return nil, err
	}
	name, d := in.Route.Name, digestOf(in)
	records := []format.Record{{
		Path: manifestPath(name, d.String()), Kind: kindManifest, Name: name, Class: content.Immutable,
		Digest: d, ContentType: m.mediaType, Attributes: m.facts(), References: m.references(name),
	}}
	if in.Route.Kind == kindTag {
		return slices.Insert(records, 0, tagRecord(name, tagOf(in.Route.Path), d, m)), nil
	}
	for _, tag := range in.Route.Aliases {
		records = append(records, tagRecord(name, tag, d, m))
	}
	return records, nil
}

func readManifest(in format.Incoming) ([]byte, error) {
	tooLarge := func() error {
		e := errs.New(errs.TooLarge, "manifest is larger than %d bytes", MaxManifest)
		e.Code = codeManifestInvalid
		return e
	}
	if in.Staged.Size > MaxManifest {
		return nil, tooLarge()
	}
	r, err := in.Open()
	if err != nil {
		return nil, fmt.Errorf("open manifest %s: %w", in.Route.Path, err)
	}
	defer r.Close()
	body := bytes.NewBuffer(make([]byte, 0, in.Staged.Size+bytes.MinRead))
	if _, err := body.ReadFrom(io.LimitReader(r, MaxManifest+1)); err != nil {
		return nil, fmt.Errorf("read manifest %s: %w", in.Route.Path, err)
	}
	if body.Len() > MaxManifest {
		return nil, tooLarge()
	}
	return body.Bytes(), nil
}

// tagRecord is a tag of the manifest. It keeps the manifest as an index keeps its children.
func tagRecord(name, tag string, d digest.Digest, m manifest) format.Record {
	facts := m.facts()
	facts.About = aboutDigest(tag)
	return format.Record{
		Path: manifestPath(name, tag), Kind: kindTag, Name: name, Class: content.Mutable,
		Digest: d, ContentType: m.mediaType, Attributes: facts,
		Component:  &content.Component{Name: name, Version: tag},
		References: []content.Reference{{Kind: content.Child, To: d, Path: manifestPath(name, d.String())}},
		Latest:     tag == "latest",
	}
}

// facts are what is worth knowing of the manifest without reading it.
func (m manifest) facts() Facts {
	f := Facts{
		MediaType: m.mediaType, ArtifactType: m.artifactType, Annotations: m.annotations, Layers: len(m.layers),
	}
	if annotationSize(m.annotations) > maxStored {
		f.Annotations, f.Truncated = nil, true
	}
	if m.subject != nil {
		f.Subject = m.subject.digest
	}
	if m.config != nil {
		f.Config, f.Size = m.config.digest, m.config.size
		if f.ArtifactType == "" {
			f.ArtifactType = m.config.mediaType
		}
	}
	for _, l := range m.layers {
		f.Size = addSizes(f.Size, l.size)
	}
	for _, c := range m.children {
		if c.platform != "" && len(f.Platforms) < maxPlatforms && !slices.Contains(f.Platforms, c.platform) {
			f.Platforms = append(f.Platforms, c.platform)
		}
	}
	return f
}

func annotationSize(annotations map[string]string) int {
	n := 0
	for k, v := range annotations {
		n += len(k) + len(v)
	}
	return n
}

// addSizes adds two sizes that clients state; it stays at the largest number rather than go below zero.
func addSizes(a, b int64) int64 {
	if sum := a + b; sum >= a {
		return sum
	}
	return 1<<63 - 1
}

// references are what the manifest names: config and layers must be in the image, layers that clients fetch elsewhere are kept
// when they are, children and subject may be absent.
func (m manifest) references(name string) []content.Reference {
	var refs []content.Reference
	add := func(kind content.ReferenceKind, d digest.Digest, path string) {
		ref := content.Reference{Kind: kind, To: d, Path: path}
		refs = append(refs, ref)
	}
	if m.config != nil {
		add(content.Requires, m.config.digest, blobPath(name, m.config.digest))
	}
	for _, l := range m.layers {
		kind := content.Requires
		if l.foreign() {
			kind = content.Child
		}
		add(kind, l.digest, blobPath(name, l.digest))
	}
	for _, c := range m.children {
		add(content.Child, c.digest, manifestPath(name, c.digest.String()))
	}
	if m.subject != nil {
		add(content.Subject, m.subject.digest, manifestPath(name, m.subject.digest.String()))
	}
	return unique(refs)
}

// unique drops references that occurred before; manifests do name the same layer several times.
func unique(refs []content.Reference) []content.Reference {
	seen := make(map[content.Reference]bool, len(refs))
	return slices.DeleteFunc(refs, func(r content.Reference) bool {
		if seen[r] {
			return true
		}
		seen[r] = true
		return false
	})
}
