package docker

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
)

// desc is a descriptor of the digest sha256:nn...
func desc(n, mediaType string, more ...string) string {
	fields := append([]string{`"mediaType":"` + mediaType + `"`, `"digest":"` + dig(n).String() + `"`, `"size":10`}, more...)
	return "{" + strings.Join(fields, ",") + "}"
}

func dig(n string) digest.Digest {
	return digest.NewDigestFromEncoded(digest.SHA256, strings.Repeat(n, 64/len(n)))
}

const (
	typeConfig = v1.MediaTypeImageConfig
	typeLayer  = v1.MediaTypeImageLayerGzip
)

var (
	imageJSON = `{"schemaVersion":2,"mediaType":"` + v1.MediaTypeImageManifest + `","config":` + desc("c", typeConfig) +
		`,"layers":[` + desc("1", typeLayer) + `,` + desc("2", typeLayer) + `,` + desc("1", typeLayer) + `]}`
	indexJSON = `{"schemaVersion":2,"mediaType":"` + v1.MediaTypeImageIndex + `","manifests":[` +
		desc("a", v1.MediaTypeImageManifest, `"platform":{"os":"linux","architecture":"amd64"}`) + `,` +
		desc("b", v1.MediaTypeImageManifest, `"platform":{"os":"linux","architecture":"arm64","variant":"v8"}`) + `]}`
)

// ingest runs Ingest for a request with the body.
func ingest(t *testing.T, method, target, contentType, body string) ([]format.Record, error) {
	t.Helper()
	route, err := resolve(method, target)
	if err != nil {
		t.Fatal(err)
	}
	route.ContentType = contentType
	return ingestRoute(route, []byte(body))
}

func ingestRoute(route format.Route, body []byte) ([]format.Record, error) {
	return docker{}.Ingest(context.Background(), format.Incoming{
		Route:  route,
		Staged: content.Staged{SHA256: digest.FromBytes(body).Encoded(), Size: int64(len(body))},
		Open:   func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil },
	})
}

func requires(name, n string) content.Reference {
	return content.Reference{Kind: content.Requires, To: dig(n), Path: blobPath(name, dig(n))}
}

func child(name, n string) content.Reference {
	return content.Reference{Kind: content.Child, To: dig(n), Path: manifestPath(name, dig(n).String())}
}

func TestIngestTag(t *testing.T) {
	got, err := ingest(t, "PUT", "/v2/a/b/manifests/latest", v1.MediaTypeImageManifest, imageJSON)
	if err != nil {
		t.Fatal(err)
	}
	d := digest.FromString(imageJSON)
	facts := Facts{MediaType: v1.MediaTypeImageManifest, ArtifactType: typeConfig, Config: dig("c"), Layers: 3, Size: 40}
	want := []format.Record{{
		Path: "/v2/a/b/manifests/latest", Kind: kindTag, Name: "a/b", Class: content.Mutable, Digest: d,
		ContentType: v1.MediaTypeImageManifest, Attributes: facts, Latest: true,
		Component:  &content.Component{Name: "a/b", Version: "latest"},
		References: []content.Reference{{Kind: content.Child, To: d, Path: "/v2/a/b/manifests/" + d.String()}},
	}, {
		Path: "/v2/a/b/manifests/" + d.String(), Kind: kindManifest, Name: "a/b", Class: content.Immutable, Digest: d,
		ContentType: v1.MediaTypeImageManifest, Attributes: facts,
		References: []content.Reference{requires("a/b", "c"), requires("a/b", "1"), requires("a/b", "2")},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestIngestDigestWithTags(t *testing.T) {
	d := digest.SHA512.FromString(imageJSON)
	got, err := ingest(t, "PUT", "/v2/a/manifests/"+d.String()+"?tag=1&tag=sha256-"+hex256+".sig", "", imageJSON)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, r := range got {
		paths = append(paths, r.Kind+" "+r.Path)
		if r.Digest != d {
			t.Errorf("%s has digest %s", r.Path, r.Digest)
		}
	}
	want := []string{"manifest /v2/a/manifests/" + d.String(), "tag /v2/a/manifests/1", "tag /v2/a/manifests/sha256-" + hex256 + ".sig"}
	if diff := cmp.Diff(want, paths); diff != "" {
		t.Fatal(diff)
	}
	if about := got[2].Attributes.(Facts).About; about.String() != sha256 {
		t.Errorf("about %q", about)
	}
	if got[1].Latest || got[2].Latest {
		t.Error("latest is set on other tags")
	}
}

func TestIngestBlob(t *testing.T) {
	d := digest.FromString("x")
	got, err := ingestRoute(blobRoute("a", d), []byte("x"))
	want := []format.Record{{
		Path: "/v2/a/blobs/" + d.String(), Kind: kindBlob, Name: "a", Class: content.Immutable, Digest: d, ContentType: "application/octet-stream",
	}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

func TestIngestTooLarge(t *testing.T) {
	_, err := ingest(t, "PUT", "/v2/a/manifests/x", "", imageJSON+strings.Repeat(" ", MaxManifest))
	if !errs.Is(err, errs.TooLarge) {
		t.Errorf("got %v", err)
	}
	if _, err := ingest(t, "PUT", "/v2/a/manifests/x", "", imageJSON+strings.Repeat(" ", MaxManifest-len(imageJSON))); err != nil {
		t.Errorf("a manifest of the largest size: %v", err)
	}
}

// What a manifest names, and what is known of it.
func TestParseManifest(t *testing.T) {
	subject := `"subject":` + desc("5", v1.MediaTypeImageManifest)
	about := content.Reference{Kind: content.Subject, To: dig("5"), Path: manifestPath("n", dig("5").String())}
	kept := content.Reference{Kind: content.Child, To: dig("f"), Path: blobPath("n", dig("f"))}
	tests := []struct {
		name        string
		contentType string
		body        string
		facts       Facts
		refs        []content.Reference
	}{
		{
			"index", v1.MediaTypeImageIndex, indexJSON,
			Facts{MediaType: v1.MediaTypeImageIndex, Platforms: []string{"linux/amd64", "linux/arm64/v8"}},
			[]content.Reference{child("n", "a"), child("n", "b")},
		},
		{"type from the body", "", indexJSON, Facts{MediaType: v1.MediaTypeImageIndex, Platforms: []string{"linux/amd64", "linux/arm64/v8"}},
			[]content.Reference{child("n", "a"), child("n", "b")}},
		{"parameters of the type", v1.MediaTypeImageIndex + "; charset=utf-8", `{"schemaVersion":2,"manifests":[]}`,
			Facts{MediaType: v1.MediaTypeImageIndex}, nil},
		{"type of an image by its looks", "", `{"schemaVersion":2,"config":` + desc("c", typeConfig) + `,"layers":[]}`,
			Facts{MediaType: v1.MediaTypeImageManifest, ArtifactType: typeConfig, Config: dig("c"), Size: 10}, []content.Reference{requires("n", "c")}},
		{"type of an index by its looks", "", `{"schemaVersion":2,"manifests":[` + desc("a", "") + `]}`,
			Facts{MediaType: v1.MediaTypeImageIndex}, []content.Reference{child("n", "a")}},
		{"no layers", v1.MediaTypeImageManifest, `{"schemaVersion":2,"config":` + desc("c", typeConfig) + `,"layers":null,"manifests":null}`,
			Facts{MediaType: v1.MediaTypeImageManifest, ArtifactType: typeConfig, Config: dig("c"), Size: 10}, []content.Reference{requires("n", "c")}},
		{"empty descriptor", v1.MediaTypeImageManifest, `{"schemaVersion":2,"artifactType":"application/a","config":` + desc("c", v1.MediaTypeEmptyJSON) + `}`,
			Facts{MediaType: v1.MediaTypeImageManifest, ArtifactType: "application/a", Config: dig("c"), Size: 10}, []content.Reference{requires("n", "c")}},
		{"docker image with a foreign layer", typeDockerManifest, `{"schemaVersion":2,"config":` + desc("c", "application/vnd.docker.container.image.v1+json") +
			`,"layers":[` + desc("f", typeDockerForeign+"tar.gzip") + `]}`,
			Facts{MediaType: typeDockerManifest, ArtifactType: "application/vnd.docker.container.image.v1+json", Config: dig("c"), Layers: 1, Size: 20},
			[]content.Reference{requires("n", "c"), kept}},
		{"layer with urls", v1.MediaTypeImageManifest, `{"schemaVersion":2,"config":` + desc("c", typeConfig) +
			`,"layers":[` + desc("f", typeLayer, `"urls":["https://x/y"]`) + `]}`,
			Facts{MediaType: v1.MediaTypeImageManifest, ArtifactType: typeConfig, Config: dig("c"), Layers: 1, Size: 20},
			[]content.Reference{requires("n", "c"), kept}},
		{"layer with no urls", v1.MediaTypeImageManifest, `{"schemaVersion":2,"config":` + desc("c", typeConfig) +
			`,"layers":[` + desc("f", typeLayer, `"urls":[ ]`) + `]}`,
			Facts{MediaType: v1.MediaTypeImageManifest, ArtifactType: typeConfig, Config: dig("c"), Layers: 1, Size: 20},
			[]content.Reference{requires("n", "c"), requires("n", "f")}},
		{"nondistributable layer", v1.MediaTypeImageManifest, `{"schemaVersion":2,"config":` + desc("c", typeConfig) +
			`,"layers":[` + desc("f", v1.MediaTypeImageLayerNonDistributableZstd) + `]}`, //nolint:staticcheck // still pushed
			Facts{MediaType: v1.MediaTypeImageManifest, ArtifactType: typeConfig, Config: dig("c"), Layers: 1, Size: 20},
			[]content.Reference{requires("n", "c"), kept}},
		{"subject and annotations", v1.MediaTypeImageManifest, `{"schemaVersion":2,"annotations":{"k":"v"},` + subject + `,"config":` + desc("c", typeConfig) + `}`,
			Facts{MediaType: v1.MediaTypeImageManifest, ArtifactType: typeConfig, Config: dig("c"), Size: 10, Subject: dig("5"),
				Annotations: map[string]string{"k": "v"}}, []content.Reference{requires("n", "c"), about}},
		{"index with subject and type", v1.MediaTypeImageIndex, `{"schemaVersion":2,"artifactType":"application/a",` + subject + `,"manifests":[]}`,
			Facts{MediaType: v1.MediaTypeImageIndex, ArtifactType: "application/a", Subject: dig("5")}, []content.Reference{about}},
		{"artifact manifest", "application/vnd.oci.artifact.manifest.v1+json",
			`{"mediaType":"application/vnd.oci.artifact.manifest.v1+json","artifactType":"application/a","blobs":[` + desc("1", "x/y") + `],` + subject + `}`,
			Facts{MediaType: "application/vnd.oci.artifact.manifest.v1+json", ArtifactType: "application/a", Layers: 1, Size: 10, Subject: dig("5")},
			[]content.Reference{requires("n", "1"), about}},
		{"unknown type", "application/x", `{"schemaVersion":1,"config":"string","layers":{"a":1},"subject":[],"artifactType":3,"blobs":[1],"manifests":[]}`,
			Facts{MediaType: "application/x"}, nil},
		{"empty object of unknown type", "application/x", ` {} `, Facts{MediaType: "application/x"}, nil},
		{"other keys", "application/x", `{"org.example":{"deep":[[{}]]},"Layer":1}`, Facts{MediaType: "application/x"}, nil},
		{"many annotations", "application/x", `{"annotations":{"k":"` + strings.Repeat("v", maxStored) + `"}}`,
			Facts{MediaType: "application/x", Truncated: true}, nil},
		{"sizes beyond counting", v1.MediaTypeImageManifest, `{"schemaVersion":2,"config":` + desc("c", typeConfig) + `,"layers":[` +
			strings.Replace(desc("1", ""), `:10`, `:9223372036854775807`, 1) + `]}`,
			Facts{MediaType: v1.MediaTypeImageManifest, ArtifactType: typeConfig, Config: dig("c"), Layers: 1, Size: 1<<63 - 1},
			[]content.Reference{requires("n", "c"), requires("n", "1")}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, err := parseManifest([]byte(tt.body), tt.contentType)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.facts, m.facts()); diff != "" {
				t.Error("facts", diff)
			}
			if diff := cmp.Diff(tt.refs, m.references("n")); diff != "" {
				t.Error("references", diff)
			}
		})
	}
}

func TestParseManifestErrors(t *testing.T) {
	image, index := v1.MediaTypeImageManifest, v1.MediaTypeImageIndex
	config := `"config":` + desc("c", typeConfig)
	with := func(fields ...string) string { return `{"schemaVersion":2,` + strings.Join(fields, ",") + `}` }
	most := strings.TrimSuffix(strings.Repeat(desc("a", "")+",", maxDescriptors), ",")
	many := most + "," + desc("a", "")
	tests := []struct {
		name        string
		contentType string
		body        string
		// says is part of the message.
		says string
	}{
		{"empty", image, "", "not a JSON object"},
		{"list", image, "[]", "not a JSON object"},
		{"null", image, "null", "not a JSON object"},
		{"cut", image, imageJSON[:50], "not a JSON object"},
		{"two objects", image, imageJSON + "{}", "after top-level value"},
		{"deep", image, `{"a":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`, "depth"},
		{"key twice", image, with(config, config), "twice"},
		{"key twice in a descriptor", image, with(`"config":` + desc("c", "", `"size":1`)), "twice"},
		{"key in capitals", image, with(config, `"Layers":[]`), `must be written "layers"`},
		{"key with a folding letter", index, with(`"manifeſts":[]`), `must be written "manifests"`},
		{"descriptor's key in capitals", image, with(`"config":` + desc("c", "", `"Digest":"x"`)), `must be written "digest"`},
		{"types differ", index, imageJSON, "is not the manifest's mediaType"},
		{"no type", "", `{"schemaVersion":2}`, "no valid media type"},
		{"malformed type", "application/", `{}`, "no valid media type"},
		{"type with a line break", "application/x\r\ny", `{}`, "no valid media type"},
		{"type that browsers run", "text/html", `{"a":"<script>"}`, "no valid media type"},
		{"own type is no string", "", `{"mediaType":1}`, "mediaType"},
		{"schema 1", "", `{"schemaVersion":1,"config":{}}`, "schema 1"},
		{"schema 1 by its type", typeSchema1Signed, `{}`, "schema 1"},
		{"schema 1 by its layers", "application/json", `{"schemaVersion":1,"fsLayers":[{}]}`, "schema 1"},
		{"schema 3", image, `{"schemaVersion":3,` + config + `}`, "schemaVersion"},
		{"no schema", image, `{` + config + `}`, "schemaVersion"},
		{"schema is no number", image, `{"schemaVersion":"2",` + config + `}`, "schemaVersion"},
		{"image without config", image, with(`"layers":[]`), "config"},
		{"image and index", image, with(config, `"layers":[]`, `"manifests":[`+desc("a", "")+`]`), "both"},
		{"index and image", index, with(`"manifests":[]`, `"layers":[`+desc("1", "")+`]`), "both"},
		{"index with config", index, with(`"manifests":[]`, config), "both"},
		{"both of unknown type", "application/x", `{"manifests":[1],"layers":[1]}`, "both"},
		{"config is null", image, with(`"config":null`), "config"},
		{"config is a string", image, with(`"config":"x"`), "not a descriptor"},
		{"config without digest", image, with(`"config":{"size":1}`), "invalid digest"},
		{"unsupported digest", image, with(`"config":{"digest":"md5:00","size":1}`), "not supported"},
		{"no size", image, with(`"config":{"digest":"` + sha256 + `"}`), "size"},
		{"negative size", image, with(`"config":{"digest":"` + sha256 + `","size":-1}`), "size"},
		{"size with a fraction", image, with(`"config":{"digest":"` + sha256 + `","size":1.5}`), "size"},
		{"layers is an object", image, with(config, `"layers":{}`), "layers"},
		{"layer is a number", image, with(config, `"layers":[1]`), "layers"},
		{"subject is a string", image, with(config, `"subject":"x"`), "subject"},
		{"artifactType is a number", image, with(config, `"artifactType":1`), "artifactType"},
		{"annotations are a list", image, with(config, `"annotations":["a"]`), "annotations"},
		{"annotation is a number", image, with(config, `"annotations":{"a":1}`), "annotations"},
		{"NUL in an annotation", image, with(config, `"annotations":{"a":"\u0000"}`), "NUL"},
		{"NUL in a type", image, with(config, `"artifactType":"\u0000"`), "NUL"},
		{"long type", image, with(config, `"artifactType":"`+strings.Repeat("a", maxText+1)+`"`), "longer"},
		{"many descriptors", index, with(`"manifests":[` + many + `]`), "more than 10000 descriptors"},
		{"many descriptors of unknown type", "application/x", `{"blobs":[` + many + `]}`, "more than 10000 descriptors"},
		{"many descriptors in two lists", "application/x", `{"blobs":[` + most + `],"layers":[` + desc("a", "") + `]}`, "more than 10000 descriptors"},
		{"many keys", image, `{` + keysJSON(maxKeys+1) + `}`, "more than 10000 keys"},
		{"many keys in a descriptor", image, with(`"config":{` + keysJSON(maxKeys+1) + `}`), "config: more than 10000 keys"},
		{"many keys in a listed descriptor", "application/x", `{"layers":[{` + keysJSON(maxKeys+1) + `}]}`, "layers: more than 10000 keys"},
		{"many annotations", image, with(config, `"annotations":{`+keysJSON(maxKeys+1)+`}`), "annotations: more than 10000 keys"},
		{"many annotations of unknown type", "application/x", `{"annotations":{` + keysJSON(maxKeys+1) + `}}`, "annotations: more than 10000 keys"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parseManifest([]byte(tt.body), tt.contentType)
			e := errs.As(err)
			if err == nil || e.Kind != errs.Invalid || e.Code != codeManifestInvalid || !strings.Contains(e.Message, tt.says) {
				t.Errorf("got %v (code %q), want a message with %q", err, e.Code, tt.says)
			}
		})
	}
}

func TestManyPlatforms(t *testing.T) {
	m := manifest{}
	for i := range 2 * maxPlatforms {
		m.children = append(m.children, descriptor{platform: fmt.Sprint("linux/", i)}, descriptor{platform: "linux/0"})
	}
	if n := len(m.facts().Platforms); n != maxPlatforms {
		t.Errorf("%d platforms", n)
	}
}

// Whatever the bytes are, Ingest records something sound, or says that the client is wrong.
func FuzzIngest(f *testing.F) {
	f.Add([]byte(imageJSON), v1.MediaTypeImageManifest)
	f.Add([]byte(indexJSON), "")
	f.Add([]byte(`{"blobs":[`+desc("1", "")+`],"subject":`+desc("5", "")+`}`), "application/x")
	f.Add([]byte(`{"schemaVersion":1,"fsLayers":[]}`), typeSchema1)
	f.Add([]byte(`{"annotations":{"a":"\ud800"},"a":1,"A":2}`), "application/x; q=1")
	f.Fuzz(func(t *testing.T, body []byte, contentType string) {
		route := format.Route{Path: "/v2/n/manifests/t", Kind: kindTag, Name: "n", ContentType: contentType}
		records, err := ingestRoute(route, body)
		if err != nil {
			if k := errs.As(err).Kind; k != errs.Invalid && k != errs.TooLarge {
				t.Errorf("error of kind %d: %v", k, err)
			}
			return
		}
		if len(records) != 2 || records[0].Kind != kindTag || records[1].Kind != kindManifest {
			t.Fatalf("records %+v", records)
		}
		for _, r := range records {
			if !typePattern.MatchString(r.ContentType) {
				t.Errorf("content type %q", r.ContentType)
			}
			if b, err := json.Marshal(r.Attributes); err != nil || len(b) > 10*maxStored+(64<<10) {
				t.Errorf("attributes of %d bytes: %v", len(b), err)
			}
			for _, ref := range r.References {
				if _, err := parseDigest(ref.To.String()); err != nil || !strings.HasPrefix(ref.Path, "/v2/n/") {
					t.Errorf("reference %+v", ref)
				}
			}
		}
	})
}
