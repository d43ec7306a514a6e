package oci

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
)

// "Pushing Manifests", end-7a: 201 with a pullable Location; Docker-Content-Digest is the digest.
func TestPushManifest_ByTag201(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		b := encode(t, r.newImage(t))
		d := digest.FromBytes(b)
		res := r.put(t, "v1", typeManifest, b).want(t, http.StatusCreated).wantHeader(t, "Docker-Content-Digest", d.String())
		r.get(t, res.location(t)).want(t, http.StatusOK).wantBody(t, b)
		r.get(t, r.manifest("v1")).want(t, http.StatusOK).wantBody(t, b)
		r.get(t, r.manifest(d)).want(t, http.StatusOK).wantBody(t, b)
	})
}

// "Pushing Manifests", end-7a: <reference> may be a digest. No tag comes from it.
func TestPushManifest_ByDigest201(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		b := encode(t, r.newImage(t))
		d := digest.FromBytes(b)
		res := r.put(t, d, typeManifest, b).want(t, http.StatusCreated).wantHeader(t, "Docker-Content-Digest", d.String())
		r.get(t, res.location(t)).want(t, http.StatusOK).wantBody(t, b)
		if tags := r.tags(t); len(tags) != 0 {
			t.Errorf("tags %v", tags)
		}
	})
}

// "Pushing Manifests": the digest must be equal to the one that the client provided.
func TestPushManifest_WrongDigest400(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		b := encode(t, r.newImage(t))
		for _, wrong := range []digest.Digest{digest.FromBytes(random(8)), digest.SHA512.FromBytes(random(8))} {
			r.put(t, wrong, typeManifest, b).refused(t, http.StatusBadRequest, "DIGEST_INVALID")
			r.get(t, r.manifest(wrong)).want(t, http.StatusNotFound)
		}
		r.get(t, r.manifest(digest.FromBytes(b))).want(t, http.StatusNotFound)
	})
}

// "Pushing Manifests": <reference> is a digest or a tag.
func TestPushManifest_BadReference400(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		b := encode(t, r.newImage(t))
		for _, ref := range append([]string{"-a", ".a", "a+b", "%C3%A4", "a%20b", strings.Repeat("a", 129)}, badDigests...) {
			r.put(t, ref, typeManifest, b).refused(t, http.StatusBadRequest, "DIGEST_INVALID", "TAG_INVALID", "MANIFEST_INVALID")
		}
		r.get(t, r.path("tags/list")).want(t, http.StatusNotFound) // nothing was stored
	})
}

// "Pushing Manifests": the registry stores the exact byte representation.
func TestPushManifest_BytesKept(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		m := r.newImage(t)
		plain := string(encode(t, m))
		config, layer := string(encode(t, m.Config)), string(encode(t, m.Layers[0]))
		unique := fmt.Sprintf("%x", random(8))
		tests := []struct{ name, text string }{
			{"plain", plain},
			{"newline at the end", plain + "\n"},
			{"space around", "\n\t " + plain + " \r\n\n"},
			{"indented, CRLF", "{\r\n   \"schemaVersion\"\t: 2 ,\r\n \"mediaType\":\"" + typeManifest + "\",\"config\": " + config + ",\"layers\":[ " + layer + "\n] }"},
			{"other order of keys", `{"layers":[` + layer + `],"config":` + config + `,"mediaType":"` + typeManifest + `","schemaVersion":2}`},
			{"escapes", `{"schemaVersion":2,"mediaType":"application\/vnd.oci.image.manifest.v1\u002bjson","config":` + config + `,"layers":[],"annotations":{"\u00e4<>&":"\ud83d\ude00 \/"}}`},
			{"unicode", `{"schemaVersion":2,"mediaType":"` + typeManifest + `","config":` + config + `,"layers":[],"annotations":{"ä":"😀` + "\u2028" + `"}}`},
			{"numbers", `{"schemaVersion":2,"mediaType":"` + typeManifest + `","config":` + config + `,"layers":[],"org.example":[1.0,1e2,-0,12345678901234567890123]}`},
			{"unknown keys", `{"schemaVersion":2,"mediaType":"` + typeManifest + `","config":` + config + `,"layers":[],"x":{"y":[null,true,{}]}}`},
			{"no layers", `{"schemaVersion":2,"mediaType":"` + typeManifest + `","config":` + config + `,"layers":[]}`},
		}
		for i, tt := range tests {
			b := []byte(strings.Replace(tt.text, `"schemaVersion"`, `"org.example.unique":"`+unique+tt.name+`","schemaVersion"`, 1))
			d := digest.FromBytes(b)
			tag := fmt.Sprint("v", i)
			if res := r.put(t, tag, typeManifest, b); res.status != http.StatusCreated {
				t.Fatalf("%s: %d %s", tt.name, res.status, res.body)
			}
			for _, ref := range []string{tag, d.String()} {
				r.get(t, r.manifest(ref)).want(t, http.StatusOK).wantBody(t, b).wantHeader(t, "Docker-Content-Digest", d.String())
			}
		}
	})
}

// "Pushing Manifests": a tag moves with each push; the manifest that it named stays. The same push again is none.
func TestPushManifest_TagMoves(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		oldDigest, old := r.pushImage(t, "latest")
		_, fresh := r.pushImage(t, "latest")
		r.get(t, r.manifest("latest")).want(t, http.StatusOK).wantBody(t, fresh)
		r.get(t, r.manifest(oldDigest)).want(t, http.StatusOK).wantBody(t, old)
		r.push(t, "latest", typeManifest, old)
		r.push(t, "latest", typeManifest, old)
		r.get(t, r.manifest("latest")).want(t, http.StatusOK).wantBody(t, old)
		if diff := cmp.Diff([]string{"latest"}, r.tags(t)); diff != "" {
			t.Error(diff)
		}
	})
}

// image-spec, "Digests": a manifest may be known by its sha512.
func TestPushManifest_Sha512(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		b := encode(t, r.newImage(t))
		d := digest.SHA512.FromBytes(b)
		res := r.put(t, d, typeManifest, b, query("tag", "v1")).want(t, http.StatusCreated).wantHeader(t, "Docker-Content-Digest", d.String())
		r.get(t, res.location(t)).want(t, http.StatusOK).wantBody(t, b)
		r.get(t, r.manifest(d)).want(t, http.StatusOK).wantBody(t, b).wantHeader(t, "Docker-Content-Digest", d.String())
		r.head(t, r.manifest(d)).want(t, http.StatusOK).wantHeader(t, "Docker-Content-Digest", d.String())
		r.get(t, r.manifest("v1")).want(t, http.StatusOK).wantBody(t, b)
	})
}

// The blobs that an image names may be known by their sha512.
func TestPushManifest_Sha512Blobs(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		m := r.newImage(t)
		layer := random(100)
		d := digest.SHA512.FromBytes(layer)
		m.Layers = append(m.Layers, descriptor{MediaType: typeLayer, Digest: d, Size: 100})
		r.put(t, "v1", typeManifest, encode(t, m)).refused(t, http.StatusBadRequest, "MANIFEST_BLOB_UNKNOWN")
		r.finish(t, r.begin(t), d, body(layer)).want(t, http.StatusCreated)
		r.put(t, "v1", typeManifest, encode(t, m)).want(t, http.StatusCreated)
	})
}

// "Push", code-5: a manifest that names what the registry doesn't have is refused with a MANIFEST_BLOB_UNKNOWN for each.
func TestPushManifest_MissingBlobs400(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		m := r.newImage(t)
		config, layer := random(10), random(10)
		missing := []string{digest.FromBytes(config).String(), digest.FromBytes(layer).String()}
		m.Config, m.Layers = describe(typeConfig, config), append(m.Layers, describe(typeLayer, layer))
		res := r.put(t, "v1", typeManifest, encode(t, m)).want(t, http.StatusBadRequest)
		var named []string
		for _, p := range res.problems(t) {
			if p.Code != "MANIFEST_BLOB_UNKNOWN" {
				t.Errorf("code %s", p.Code)
			}
			for _, d := range missing {
				if strings.Contains(string(p.Detail), d) {
					named = append(named, d)
				}
			}
		}
		slices.Sort(named)
		slices.Sort(missing)
		if diff := cmp.Diff(missing, named); diff != "" {
			t.Errorf("missing blobs (-want +got):\n%s\n%s", diff, res.body)
		}
		r.get(t, r.manifest("v1")).want(t, http.StatusNotFound)
	})
}

// A blob that another image has is missing in this one.
func TestPushManifest_BlobOfOtherImage400(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		b := encode(t, r.newImage(t))
		other := r.sibling()
		other.put(t, "v1", typeManifest, b).refused(t, http.StatusBadRequest, "MANIFEST_BLOB_UNKNOWN")
	})
}

// "Push": descriptors in other fields may be refused when they are not there; an index is not: clients push an index of which
// they copied some platforms only.
func TestPushManifest_SparseIndex201(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		child, b := r.pushImage(t, "amd64")
		x := index{SchemaVersion: 2, MediaType: typeIndex, Manifests: []descriptor{
			{MediaType: typeManifest, Digest: child, Size: int64(len(b))}, describe(typeManifest, random(100)),
		}}
		r.push(t, "multi", typeIndex, encode(t, x))
		r.get(t, r.manifest("multi")).want(t, http.StatusOK).wantBody(t, encode(t, x))
	})
}

// image-spec, "Image Index": an index may hold indexes.
func TestPushManifest_NestedIndex201(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		_, b := r.pushImage(t, "v1")
		for i := range 5 {
			mediaType := typeManifest
			if i > 0 {
				mediaType = typeIndex
			}
			b = encode(t, index{SchemaVersion: 2, MediaType: typeIndex, Manifests: []descriptor{describe(mediaType, b)}})
			d := r.push(t, fmt.Sprint("nested", i), typeIndex, b)
			r.get(t, r.manifest(d)).want(t, http.StatusOK).wantBody(t, b)
		}
	})
}

// image-spec, "Non-Distributable Layers", and docker's foreign layers: such layers need not be in the registry.
func TestPushManifest_ForeignLayers201(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		types := []string{
			"application/vnd.oci.image.layer.nondistributable.v1.tar", "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
			"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
		}
		m := r.newImage(t)
		for _, mediaType := range types {
			m.Layers = append(m.Layers, describe(mediaType, random(10)))
		}
		elsewhere := describe(typeLayer, random(10))
		elsewhere.URLs = []string{"https://example.org/layer"}
		m.Layers = append(m.Layers, elsewhere)
		r.put(t, "v1", typeManifest, encode(t, m)).want(t, http.StatusCreated)
	})
}

// image-spec, "Embedded Content": a descriptor may carry its bytes. They are kept as they are.
func TestPushManifest_DataField201(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		m := r.newImage(t)
		data := []byte("{}")
		r.pushBlob(t, data)
		m.Config = describe(typeEmpty, data)
		m.Config.Data = data
		b := encode(t, m)
		r.push(t, "v1", typeManifest, b)
		r.get(t, r.manifest("v1")).want(t, http.StatusOK).wantBody(t, b)
	})
}

// Docker's own types, and manifests of types that the registry doesn't know.
func TestPushManifest_OtherTypes201(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		m := r.newImage(t)
		m.MediaType, m.Config.MediaType, m.Layers[0].MediaType = typeDockerManifest, typeDockerConfig, typeDockerLayer
		b := encode(t, m)
		d := r.push(t, "docker", typeDockerManifest, b)
		list := encode(t, map[string]any{"schemaVersion": 2, "mediaType": typeDockerList, "manifests": []any{map[string]any{
			"mediaType": typeDockerManifest, "digest": d, "size": len(b), "platform": map[string]any{"os": "linux", "architecture": "arm64", "variant": "v8"},
		}}})
		r.push(t, "list", typeDockerList, list)
		r.get(t, r.manifest("list")).want(t, http.StatusOK).wantBody(t, list)
		other := encode(t, map[string]any{"mediaType": "application/vnd.example.v1+json", "anything": []int{1, 2}})
		r.push(t, "other", "application/vnd.example.v1+json", other)
		r.get(t, r.manifest("other")).want(t, http.StatusOK).wantBody(t, other)
	})
}

// "Pushing Manifests": parameters of the Content-Type are ignored, and don't come back ("Pulling manifests").
func TestPushManifest_ContentTypeParametersIgnored(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		b := encode(t, r.newImage(t))
		r.put(t, "v1", typeManifest+"; charset=utf-8", b).want(t, http.StatusCreated)
		r.get(t, r.manifest("v1")).want(t, http.StatusOK).wantHeader(t, "Content-Type", typeManifest)
	})
}

// "Pushing Manifests": clients should say the Content-Type; where they don't, the manifest does.
func TestPushManifest_ContentTypeMissing(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		r.push(t, "v1", "", encode(t, r.newImage(t)))
		r.get(t, r.manifest("v1")).want(t, http.StatusOK).wantHeader(t, "Content-Type", typeManifest)
		x := encode(t, index{SchemaVersion: 2, MediaType: typeIndex, Manifests: []descriptor{}})
		r.push(t, "v2", "", x)
		r.get(t, r.manifest("v2")).want(t, http.StatusOK).wantHeader(t, "Content-Type", typeIndex)
	})
}

// "Pushing Manifests": mediaType and Content-Type must be the same; else one client may take the bytes for an image and another
// one for an index (CVE-2021-41190).
func TestPushManifest_ContentTypeNotMediaType400(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		b := encode(t, r.newImage(t))
		for _, contentType := range []string{typeIndex, typeDockerManifest, "application/json", "text/html"} {
			r.put(t, "v1", contentType, b).refused(t, http.StatusBadRequest, "MANIFEST_INVALID")
		}
		r.get(t, r.manifest("v1")).want(t, http.StatusNotFound)
	})
}

// The same for a document that is both.
func TestPushManifest_ImageAndIndex400(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		m := r.newImage(t)
		for _, mediaType := range []string{typeManifest, typeIndex} {
			b := encode(t, map[string]any{
				"schemaVersion": 2, "mediaType": mediaType, "config": m.Config, "layers": m.Layers,
				"manifests": []descriptor{describe(typeManifest, random(10))},
			})
			r.put(t, "v1", mediaType, b).refused(t, http.StatusBadRequest, "MANIFEST_INVALID")
		}
	})
}

// Schema 1 is refused, with a message that says so: its clients have to be replaced.
func TestPushManifest_Schema1Refused400(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		b := encode(t, map[string]any{
			"schemaVersion": 1, "name": r.image, "tag": "v1", "architecture": "amd64",
			"fsLayers": []any{map[string]any{"blobSum": r.pushBlob(t, random(10))}}, "history": []any{map[string]any{"v1Compatibility": "{}"}},
		})
		for _, contentType := range []string{typeSchema1, typeSchema1Signed, "application/json", ""} {
			res := r.put(t, "v1", contentType, b).refused(t, http.StatusBadRequest, "MANIFEST_INVALID")
			if message := res.problems(t)[0].Message; !strings.Contains(message, "schema 1") {
				t.Errorf("message %q does not name schema 1", message)
			}
		}
	})
}

// "Pushing Manifests", end-7b (main): tags in the URL of a push by digest; OCI-Tag tells which were set.
func TestPushManifest_TagParameters201(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		b := encode(t, r.newImage(t))
		d := digest.FromBytes(b)
		var tags []string
		var options []option
		for i := range 12 {
			tags = append(tags, fmt.Sprintf("1.2.%02d", i))
			options = append(options, query("tag", tags[i]))
		}
		res := r.put(t, d, typeManifest, b, options...).want(t, http.StatusCreated).wantHeader(t, "Docker-Content-Digest", d.String())
		var set []string
		for _, value := range res.header.Values("OCI-Tag") {
			for tag := range strings.SplitSeq(value, ",") {
				set = append(set, strings.TrimSpace(tag))
			}
		}
		if diff := cmp.Diff(tags, set); diff != "" {
			t.Errorf("OCI-Tag (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(tags, r.tags(t)); diff != "" {
			t.Errorf("tags (-want +got):\n%s", diff)
		}
		for _, tag := range tags {
			r.get(t, r.manifest(tag)).want(t, http.StatusOK).wantBody(t, b)
		}
		r.put(t, d, typeManifest, b, query("tag", "ok", "tag", "-no-tag")).refused(t, http.StatusBadRequest, "TAG_INVALID", "MANIFEST_INVALID")
		r.get(t, r.manifest("ok")).want(t, http.StatusNotFound)
	})
}

// "Push": a manifest with a subject that is not there is accepted.
// "Pushing Manifests with Subject": OCI-Subject tells that the subject was processed.
func TestPushManifest_Subject201(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		absent := describe(typeManifest, random(10))
		long := absent
		long.Digest = digest.SHA512.FromBytes(random(10))
		present, b := r.pushImage(t, "v1")
		for i, subject := range []descriptor{absent, long, {MediaType: typeManifest, Digest: present, Size: int64(len(b))}} {
			image := encode(t, r.artifact(t, "application/vnd.example", &subject, nil))
			r.put(t, digest.FromBytes(image), typeManifest, image).want(t, http.StatusCreated).wantHeader(t, "OCI-Subject", subject.Digest.String())
			r.put(t, fmt.Sprint("tag", i), typeManifest, image).want(t, http.StatusCreated).wantHeader(t, "OCI-Subject", subject.Digest.String())
			x := encode(t, index{SchemaVersion: 2, MediaType: typeIndex, Manifests: []descriptor{}, Subject: &subject})
			r.put(t, digest.FromBytes(x), typeIndex, x).want(t, http.StatusCreated).wantHeader(t, "OCI-Subject", subject.Digest.String())
		}
		r.put(t, "v1", typeManifest, b).want(t, http.StatusCreated).wantNoHeader(t, "OCI-Subject")
	})
}

// What is not a manifest is refused with MANIFEST_INVALID (code-6).
func TestPushManifest_NotAManifest400(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		m := r.newImage(t)
		good := string(encode(t, m))
		replace := func(old, new string) string {
			text := strings.Replace(good, old, new, 1)
			if text == good {
				t.Fatalf("%s is not in %s", old, good)
			}
			return text
		}
		tests := []struct{ name, text string }{
			{"empty", ""}, {"space", "  "}, {"null", "null"}, {"text", "hello"}, {"list", "[]"}, {"string", `"x"`}, {"number", "1"},
			{"cut off", good[:len(good)-1]}, {"something after it", good + "{}"}, {"comment", "//\n" + good}, {"byte order mark", "\ufeff" + good},
			{"no schemaVersion", replace(`"schemaVersion":2,`, "")}, {"schemaVersion 3", replace(`"schemaVersion":2`, `"schemaVersion":3`)},
			{"schemaVersion a string", replace(`"schemaVersion":2`, `"schemaVersion":"2"`)},
			{"config a list", replace(`"config":{`, `"config":[{`)},
			{"digest a number", replace(`"digest":"`+m.Config.Digest.String()+`"`, `"digest":5`)},
			{"digest bad", replace(m.Config.Digest.String(), "sha256:abc")},
			{"digest a path", replace(m.Config.Digest.String(), "sha256:../../../../etc/passwd")},
			{"size negative", replace(`"size":64`, `"size":-64`)}, {"size a fraction", replace(`"size":64`, `"size":6.4`)},
			{"size too large", replace(`"size":64`, `"size":99999999999999999999`)},
			{"layers an object", replace(`"layers":[`, `"layers":{"x":[`) + "}"},
			{"gzip", "\x1f\x8b\x08\x00"},
		}
		for _, tt := range tests {
			res := r.put(t, "v1", typeManifest, []byte(tt.text))
			if res.status != http.StatusBadRequest {
				t.Errorf("%s: status %d", tt.name, res.status)
				continue
			}
			res.refused(t, http.StatusBadRequest, "MANIFEST_INVALID")
		}
		r.get(t, r.manifest("v1")).want(t, http.StatusNotFound)
	})
}

// maxManifest is what "Pushing Manifests" wants accepted at least.
const maxManifest = 4 << 20

// padded is an image manifest of exactly size bytes.
func (r registry) padded(t testing.TB, size int) []byte {
	t.Helper()
	m := r.newImage(t)
	m.Annotations = map[string]string{"pad": ""}
	m.Annotations["pad"] = strings.Repeat("x", size-len(encode(t, m)))
	return encode(t, m)
}

// "Pushing Manifests": manifests of 4 megabytes are accepted.
func TestPushManifest_FourMegabytes201(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		b := r.padded(t, maxManifest)
		d := r.push(t, "v1", typeManifest, b)
		r.get(t, r.manifest(d)).want(t, http.StatusOK).wantBody(t, b)
	})
}

// "Pushing Manifests": 413 for a manifest over the limit, whether or not its size was announced.
func TestPushManifest_TooLarge413(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		b := r.padded(t, maxManifest+1)
		for _, send := range []func([]byte) option{body, stream} {
			r.do(t, http.MethodPut, r.manifest("v1"), header("Content-Type", typeManifest), send(b)).
				refused(t, http.StatusRequestEntityTooLarge, "MANIFEST_INVALID", "SIZE_INVALID")
		}
		r.get(t, r.manifest("v1")).want(t, http.StatusNotFound)
		huge := bytes.Repeat([]byte(" "), 3*maxManifest)
		res, err := r.send(http.MethodPut, r.manifest("v1"), header("Content-Type", typeManifest), body(huge))
		// The server may close the connection while the client still writes.
		if err == nil {
			res.want(t, http.StatusRequestEntityTooLarge)
		}
	})
}

// Pushing a manifest whose blobs were all there at the first try after a HEAD must succeed: a HEAD promises that they stay.
func TestPushManifest_AfterHead201(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		m := r.newImage(t)
		for _, d := range append(m.Layers, m.Config) {
			r.head(t, r.blob(d.Digest)).want(t, http.StatusOK)
		}
		r.put(t, "v1", typeManifest, encode(t, m)).want(t, http.StatusCreated)
	})
}

// A tag is moved by many at once: each push is answered, and the tag is one of what was pushed.
func TestPushManifest_TagRace(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		const n = 8
		var manifests [][]byte
		for range n {
			manifests = append(manifests, encode(t, r.newImage(t)))
		}
		errs := make(chan error, n)
		for _, b := range manifests {
			go func() {
				var err error
				for range 5 {
					var res response
					if res, err = r.send(http.MethodPut, r.manifest("latest"), header("Content-Type", typeManifest), body(b)); err != nil || res.status != http.StatusCreated {
						err = fmt.Errorf("status %d %s: %w", res.status, res.body, err)
						break
					}
				}
				errs <- err
			}()
		}
		for range n {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		res := r.get(t, r.manifest("latest")).want(t, http.StatusOK)
		found := false
		for _, b := range manifests {
			found = found || bytes.Equal(b, res.body)
			r.get(t, r.manifest(digest.FromBytes(b))).want(t, http.StatusOK).wantBody(t, b)
		}
		if !found {
			t.Error("the tag is none of what was pushed")
		}
		wantTags(t, r.tags(t), "latest")
	})
}
