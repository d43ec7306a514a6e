package docker

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
)

func TestIngestUpstreams(t *testing.T) {
	config := fmt.Sprintf(`"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":2}`, digest.FromString("{}"))
	typed := func(mediaType string) string {
		return `{"schemaVersion":2,"mediaType":"` + mediaType + `",` + config + `,"layers":[]}`
	}
	untyped := `{"schemaVersion":2,` + config + `,"layers":[]}`
	for _, test := range []struct {
		name, contentType, body string
		// want is the media type; empty where there is to be an error of the kind.
		want string
		kind errs.Kind
	}{
		{"its own type", typeDockerManifest, typed(typeDockerManifest), typeDockerManifest, 0},
		{"a generic type", "application/json", typed(v1.MediaTypeImageManifest), v1.MediaTypeImageManifest, 0},
		{"a generic type with parameters", "text/plain; charset=utf-8", typed(typeDockerManifest), typeDockerManifest, 0},
		{"bytes", "application/octet-stream", typed(v1.MediaTypeImageManifest), v1.MediaTypeImageManifest, 0},
		{"no type", "", typed(v1.MediaTypeImageManifest), v1.MediaTypeImageManifest, 0},
		{"another type", v1.MediaTypeImageManifest, typed(typeDockerManifest), typeDockerManifest, 0},
		{"that of an index", v1.MediaTypeImageIndex, typed(v1.MediaTypeImageManifest), v1.MediaTypeImageManifest, 0},
		{"parameters", v1.MediaTypeImageManifest + "; charset=utf-8", typed(v1.MediaTypeImageManifest), v1.MediaTypeImageManifest, 0},
		{"no type of its own", typeDockerManifest, untyped, typeDockerManifest, 0},
		{"no type of its own, a generic one", "application/json", untyped, v1.MediaTypeImageManifest, 0},
		{"no type of its own, bytes", "application/octet-stream", untyped, v1.MediaTypeImageManifest, 0},
		{"an index without a type", "text/plain", `{"schemaVersion":2,"manifests":[{"mediaType":"` + v1.MediaTypeImageManifest + `","digest":"` + digest.FromString("x").String() + `","size":1}]}`, v1.MediaTypeImageIndex, 0},
		{"an image for an index", v1.MediaTypeImageIndex, untyped, "", errs.Invalid},
		{"an image and an index", "application/json", strings.Replace(typed(v1.MediaTypeImageManifest), `"layers"`, `"manifests":[{}],"layers"`, 1), "", errs.Invalid},
		{"a page", "text/html", `<html>`, "", errs.Invalid},
		{"another document", "application/json", `{"message":"hello"}`, "", errs.Invalid},
		{"schema 1", typeSchema1Signed, `{"schemaVersion":1,"name":"a","fsLayers":[],"signatures":[]}`, "", errs.NotFound},
		{"schema 1 by what it looks like", "text/plain", `{"schemaVersion":1,"name":"a","fsLayers":[{"blobSum":"x"}]}`, "", errs.NotFound},
	} {
		t.Run(test.name, func(t *testing.T) {
			route, err := resolve("GET", "/v2/a/manifests/1")
			if err != nil {
				t.Fatal(err)
			}
			route.ContentType = test.contentType
			in := format.Incoming{
				Route: route, Upstream: true, Staged: content.Staged{Size: int64(len(test.body)), SHA256: digest.FromString(test.body).Encoded()},
				Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(test.body)), nil },
			}
			records, err := docker{}.Ingest(context.Background(), in)
			if test.want == "" {
				if e := errs.As(err); e.Kind != test.kind || e.Code != codeManifestInvalid {
					t.Errorf("%v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range records {
				if r.ContentType != test.want {
					t.Errorf("%s has type %s, want %s", r.Path, r.ContentType, test.want)
				}
			}
		})
	}
}

func FuzzParseUpstreams(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":2,"config":{}}`), "application/json")
	f.Add([]byte(`{"schemaVersion":1,"fsLayers":[]}`), typeSchema1Signed)
	f.Fuzz(func(t *testing.T, body []byte, contentType string) {
		m, err := parseUpstreams(body, contentType)
		if err == nil && (!typePattern.MatchString(m.mediaType) || m.mediaType == typeSchema1Signed) {
			t.Errorf("type %q", m.mediaType)
		}
		if err != nil && errs.As(err).Kind != errs.Invalid && errs.As(err).Kind != errs.NotFound {
			t.Error(err)
		}
	})
}
