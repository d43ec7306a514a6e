package docker

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/repomgr/repomgr/core/errs"
)

// The media types of manifests that image-spec doesn't name.
const (
	typeDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	typeDockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	typeSchema1        = "application/vnd.docker.distribution.manifest.v1+json"
	typeSchema1Signed  = "application/vnd.docker.distribution.manifest.v1+prettyjws"
	typeDockerForeign  = "application/vnd.docker.image.rootfs.foreign.diff."
	typeOCIForeign     = "application/vnd.oci.image.layer.nondistributable.v1."
)

// maxDescriptors is the most that a manifest may name: each is a reference that the database checks and keeps.
const maxDescriptors = 10_000

// maxKeys is the most keys of an object whose keys are read: the manifest, a descriptor, or annotations. Each costs many times
// its bytes of memory.
const maxKeys = 10_000

// maxText is the most bytes of a media type or digest in a manifest (RFC 6838, section 4.2: 127 for each half of a type).
const maxText = 255

// manifest is what the registry understands of a manifest.
type manifest struct {
	mediaType    string
	artifactType string
	annotations  map[string]string
	config       *descriptor
	// layers are the layers of an image, or the blobs of an artifact.
	layers   []descriptor
	children []descriptor
	subject  *descriptor
}

// descriptor is a reference to content (image-spec, "Content Descriptors").
type descriptor struct {
	mediaType string
	digest    digest.Digest
	size      int64
	// urls tells that there are other places to fetch the content from.
	urls bool
	// platform is os/architecture or os/architecture/variant.
	platform string
}

// foreign tells whether the content need not be in the registry.
func (d descriptor) foreign() bool {
	return d.urls || isForeign(d.mediaType)
}

// typePattern is RFC 6838, section 4.2, with the one top-level type that manifests have: what the registry serves under its
// own name must never be a document that a browser runs.
var typePattern = regexp.MustCompile(`^application/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}$`)

// errLimit is in the errors for what has more parts than the registry takes.
var errLimit = errors.New("limit exceeded")

// errSchema1 is the error for manifests of schema 1.
var errSchema1 = invalid(codeManifestInvalid, "schema 1 manifests are not supported: push a schema 2 or OCI manifest")

func tooMany(msg string, args ...any) error {
	e := errs.Wrap(errs.Invalid, errLimit, msg, args...)
	e.Code = codeManifestInvalid
	return e
}

// parseManifest checks a manifest and finds what it names. contentType is the request's header, possibly empty. All errors
// are for the client.
func parseManifest(body []byte, contentType string) (manifest, error) {
	return parse(body, contentType, manifestType)
}

// parse is parseManifest with the rule by which the media type is found.
func parse(body []byte, contentType string, typeOf func(o object, contentType string) (string, error)) (manifest, error) {
	o, err := parseObject(body)
	if errors.Is(err, errKeys) {
		return manifest{}, tooMany("manifest has %v", err)
	}
	if err != nil {
		return manifest{}, invalid(codeManifestInvalid, "manifest is not a JSON object: %v", err)
	}
	if err := o.checkCase(manifestKeys...); err != nil {
		return manifest{}, err
	}
	m := manifest{}
	if m.mediaType, err = typeOf(o, contentType); err != nil {
		return manifest{}, err
	}
	if err := checkShape(o, m.mediaType); err != nil {
		return manifest{}, err
	}
	if err := m.read(o, strict(m.mediaType)); err != nil {
		return manifest{}, err
	}
	if len(m.layers)+len(m.children) > maxDescriptors {
		return manifest{}, invalid(codeManifestInvalid, "manifest names more than %d descriptors", maxDescriptors)
	}
	return m, nil
}

// manifestType is the media type: that of the request, which the body's own must equal; where both are missing, what the body
// looks like.
func manifestType(o object, contentType string) (string, error) {
	own, err := o.text("mediaType")
	if err != nil {
		return "", err
	}
	given := baseType(contentType)
	switch {
	case given == "" && own == "":
		given = guessType(o)
	case given == "":
		given = own
	case own != "" && own != given:
		return "", invalid(codeManifestInvalid, "Content-Type %q is not the manifest's mediaType %q", clip(given), clip(own))
	}
	if !typePattern.MatchString(given) {
		return "", invalid(codeManifestInvalid, "manifest has no valid media type: %q", clip(given))
	}
	return given, nil
}

// baseType is a Content-Type without parameters (distribution-spec 1.1: they should be ignored).
func baseType(s string) string {
	t, _, _ := strings.Cut(s, ";")
	return strings.TrimSpace(t)
}

// guessType is for manifests of image-spec 1.0, which need not say what they are.
func guessType(o object) string {
	switch {
	case o.has("manifests"):
		return v1.MediaTypeImageIndex
	case o.has("config"):
		return v1.MediaTypeImageManifest
	case o.has("fsLayers"):
		return typeSchema1
	}
	return ""
}

func isIndex(mediaType string) bool {
	return mediaType == v1.MediaTypeImageIndex || mediaType == typeDockerList
}

func isImage(mediaType string) bool {
	return mediaType == v1.MediaTypeImageManifest || mediaType == typeDockerManifest
}

// strict tells whether the rules of the type are known. Of others the registry takes what looks familiar.
func strict(mediaType string) bool { return isIndex(mediaType) || isImage(mediaType) }

// checkShape refuses schema 1, and manifests that one client may take for an image and another for an index
// (CVE-2021-41190).
func checkShape(o object, mediaType string) error {
	version, err := o.integer("schemaVersion")
	if err != nil && strict(mediaType) {
		return err
	}
	index, image := isIndex(mediaType), isImage(mediaType)
	switch {
	case mediaType == typeSchema1, mediaType == typeSchema1Signed, o.has("fsLayers"), strict(mediaType) && version == 1:
		return errSchema1
	case o.has("manifests") && (image || o.has("layers")), index && (o.has("layers") || o.has("config")):
		return invalid(codeManifestInvalid, "manifest is both an image and an index")
	case strict(mediaType) && version != 2:
		return invalid(codeManifestInvalid, "schemaVersion must be 2")
	case image && !o.has("config"):
		return invalid(codeManifestInvalid, "an image manifest must have a config")
	}
	return nil
}

// read fills m from o. Without strict a field that is not shaped as expected is left out, but not one above a limit: what it
// names would not be kept.
func (m *manifest) read(o object, strict bool) error {
	var err error
	bad := func() bool { return err != nil && (strict || errors.Is(err, errLimit)) }
	if m.artifactType, err = o.text("artifactType"); bad() {
		return err
	}
	if m.annotations, err = o.texts("annotations"); bad() {
		return err
	}
	if m.config, err = o.descriptor("config"); bad() {
		return err
	}
	if m.subject, err = o.descriptor("subject"); bad() {
		return err
	}
	if m.children, err = o.descriptors("manifests"); bad() {
		return err
	}
	if m.layers, err = o.descriptors("layers"); bad() {
		return err
	}
	if strict {
		return nil
	}
	blobs, err := o.descriptors("blobs")
	if bad() {
		return err
	}
	m.layers = append(m.layers, blobs...)
	return nil
}

// object is a JSON object with its keys as they are written: encoding/json would take "MediaType" for "mediaType", and the
// last of two equal keys, where other clients take others.
type object map[string]json.RawMessage

var (
	errDuplicate = errors.New("a key occurs twice")
	errKeys      = fmt.Errorf("more than %d keys", maxKeys)
)

// parseObject parses one JSON object, and nothing after it. The depth of what is in it is bounded by encoding/json.
func parseObject(b []byte) (object, error) {
	if err := json.Unmarshal(b, &skipped{}); err != nil {
		return nil, err
	}
	o := object{}
	return o, o.split(b)
}

// skipped takes any JSON value and keeps nothing of it: what is decoded to it is checked only.
type skipped struct{}

func (*skipped) UnmarshalJSON([]byte) error { return nil }

// split fills the empty object from valid JSON. The values stay where they are in b.
func (o object) split(b []byte) error {
	if !opens(b, '{') {
		return errors.New("it starts with something else")
	}
	for item := range items(b) {
		item = bytes.TrimSpace(item)
		end := stringEnd(item)
		name := unquote(item[:end])
		if _, ok := o[name]; ok {
			return errDuplicate
		}
		if len(o) == maxKeys {
			return errKeys
		}
		_, value, _ := bytes.Cut(item[end:], []byte(":"))
		o[name] = bytes.TrimSpace(value)
	}
	return nil
}

// manifestKeys and descriptorKeys are the keys whose values clients act on.
var (
	manifestKeys = []string{
		"schemaVersion", "mediaType", "artifactType", "config", "layers", "blobs", "manifests", "subject", "annotations", "fsLayers",
	}
	descriptorKeys = []string{"mediaType", "digest", "size", "urls", "platform"}
)

// checkCase refuses keys that differ from a known one in case only: some clients take them for the known one, others don't.
func (o object) checkCase(known ...string) error {
	for key := range o {
		for _, k := range known {
			if key != k && strings.EqualFold(key, k) {
				return invalid(codeManifestInvalid, "key %q must be written %q", key, k)
			}
		}
	}
	return nil
}

// has tells whether there is a value that is neither null nor an empty list.
func (o object) has(key string) bool {
	v := o[key]
	return len(v) > 0 && !isNull(v) && (!opens(v, '[') || exceeds(v, 0))
}

func isNull(v []byte) bool { return string(v) == "null" }

// decode unmarshals a value; nothing happens when it is missing.
func (o object) decode(key string, to any) error {
	raw, ok := o[key]
	if !ok {
		return nil
	}
	if err := json.Unmarshal(raw, to); err != nil {
		return invalid(codeManifestInvalid, "%s: wrong type", key)
	}
	return nil
}

func (o object) integer(key string) (int64, error) {
	var n int64
	err := o.decode(key, &n)
	return n, err
}

// text is a short string: a media type or a digest.
func (o object) text(key string) (string, error) {
	var s string
	if err := o.decode(key, &s); err != nil {
		return "", err
	}
	if len(s) > maxText {
		return "", invalid(codeManifestInvalid, "%s: longer than %d bytes", key, maxText)
	}
	if hasNUL(s) {
		return "", invalid(codeManifestInvalid, "%s: contains a NUL character", key)
	}
	return s, nil
}

func (o object) texts(key string) (map[string]string, error) {
	if opens(o[key], '{') && exceeds(o[key], maxKeys) {
		return nil, tooMany("%s: %v", key, errKeys)
	}
	var m map[string]string
	if err := o.decode(key, &m); err != nil {
		return nil, err
	}
	for k, v := range m {
		if hasNUL(k) || hasNUL(v) {
			return nil, invalid(codeManifestInvalid, "%s: contains a NUL character", key)
		}
	}
	return m, nil
}

// hasNUL finds the one character that databases don't store.
func hasNUL(s string) bool { return strings.IndexByte(s, 0) >= 0 }

// descriptor parses the descriptor at key; nil when there is none.
func (o object) descriptor(key string) (*descriptor, error) {
	if !o.has(key) {
		return nil, nil
	}
	d, err := object{}.parseDescriptor(key, o[key])
	if err != nil {
		return nil, err
	}
	return &d, nil
}

func (o object) descriptors(key string) ([]descriptor, error) {
	if _, ok := o[key]; !ok || isNull(o[key]) {
		return nil, nil
	}
	if !opens(o[key], '[') {
		return nil, invalid(codeManifestInvalid, "%s: wrong type", key)
	}
	if exceeds(o[key], maxDescriptors) {
		return nil, tooMany("%s: more than %d descriptors", key, maxDescriptors)
	}
	var ds []descriptor
	fields := object{}
	for item := range items(o[key]) {
		clear(fields)
		d, err := fields.parseDescriptor(key, item)
		if err != nil {
			return nil, err
		}
		ds = append(ds, d)
	}
	return ds, nil
}

// parseDescriptor fills the empty object o from raw, and makes a descriptor of it; key is for errors.
func (o object) parseDescriptor(key string, raw []byte) (descriptor, error) {
	err := o.split(raw)
	if errors.Is(err, errKeys) {
		return descriptor{}, tooMany("%s: %v", key, err)
	}
	if err != nil {
		return descriptor{}, invalid(codeManifestInvalid, "%s: not a descriptor: %v", key, err)
	}
	if err := o.checkCase(descriptorKeys...); err != nil {
		return descriptor{}, err
	}
	var d descriptor
	if d.mediaType, err = o.text("mediaType"); err != nil {
		return descriptor{}, err
	}
	text, err := o.text("digest")
	if err != nil {
		return descriptor{}, err
	}
	if d.digest, err = parseDigest(text); err != nil {
		return descriptor{}, invalid(codeManifestInvalid, "%s: %s", key, errs.As(err).Message)
	}
	if d.size, err = o.integer("size"); err != nil {
		return descriptor{}, err
	}
	if _, ok := o["size"]; !ok || d.size < 0 {
		return descriptor{}, invalid(codeManifestInvalid, "%s: size is missing or negative", key)
	}
	d.urls = o.has("urls")
	d.platform = parsePlatform(o["platform"])
	return d, nil
}

// parsePlatform reads a platform for display; empty when it is not one.
func parsePlatform(raw []byte) string {
	// Of a v1.Platform no more than this: its lists would cost many times their bytes.
	var p struct {
		OS           string `json:"os"`
		Architecture string `json:"architecture"`
		Variant      string `json:"variant"`
	}
	if raw == nil || json.Unmarshal(raw, &p) != nil || p.OS == "" || p.Architecture == "" {
		return ""
	}
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	if len(s) > 100 || hasNUL(s) {
		return ""
	}
	return s
}
