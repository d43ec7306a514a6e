package docker

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/core/format/formattest"
)

// TestSuite runs the contract suite of formats on the core.
func TestSuite(t *testing.T) {
	const (
		manifestType = "application/vnd.oci.image.manifest.v1+json"
		configType   = "application/vnd.oci.image.config.v1+json"
		layerType    = "application/vnd.oci.image.layer.v1.tar"
	)
	config, layer := []byte(`{"architecture": "amd64", "os": "linux"}`), []byte(strings.Repeat("layer ", 20_000))
	descriptor := func(mediaType string, b []byte) string {
		return fmt.Sprintf(`{"mediaType": %q, "digest": %q, "size": %d}`, mediaType, digest.FromBytes(b), len(b))
	}
	manifest := []byte(fmt.Sprintf(`{ "schemaVersion": 2,  "mediaType": %q, "config": %s, "layers": [%s]}`, manifestType,
		descriptor(configType, config), descriptor(layerType, layer)))
	const image = "/v2/team/app"
	blob := func(b []byte) formattest.Stored {
		return formattest.Stored{Path: image + "/blobs/" + digest.FromBytes(b).String(), Body: b, ContentType: "application/octet-stream", Deletable: true}
	}
	// Blobs are last to be deleted: a manifest requires them.
	stored := []formattest.Stored{
		blob(config), blob(layer),
		{Path: image + "/manifests/" + digest.FromBytes(manifest).String(), Body: manifest, ContentType: manifestType, Deletable: true},
		{Path: image + "/manifests/v1", Body: manifest, ContentType: manifestType, Deletable: true},
	}
	formattest.Run(t, New(), formattest.Suite{
		Settings: json.RawMessage(`{"forceBasicAuth": false}`),
		Fill: func(s *formattest.Server, user string) ([]formattest.Stored, *formattest.Response) {
			for _, b := range [][]byte{config, layer} {
				if r := s.Do(user, "POST", image+"/blobs/uploads/?digest="+digest.FromBytes(b).String(), b, "Content-Length", fmt.Sprint(len(b))); r.Status != http.StatusCreated {
					return nil, r
				}
			}
			if r := s.Do(user, "PUT", image+"/manifests/v1", manifest, "Content-Type", manifestType); r.Status != http.StatusCreated {
				return nil, r
			}
			return stored, nil
		},
		Absent: []string{image + "/manifests/v2", image + "/manifests/" + digest.FromString("x").String(), image + "/blobs/" + digest.FromString("x").String(),
			"/v2/other/app/manifests/v1", "/v2/other/app/blobs/" + digest.FromBytes(layer).String()},
		Hostile: []string{"/v2/../x/manifests/v1", "/v2/a/../../b/manifests/v1", "/v2/A/manifests/v1", "/v2//manifests/v1", "/v2/a/blobs/sha256:..",
			"/v2/a/blobs/md5:d41d8cd98f00b204e9800998ecf8427e", "/v2/a/manifests/sha256:" + strings.Repeat("0", 63), "/v2/" + strings.Repeat("a/", 200) + "b/manifests/v1",
			"/v2/a\x00b/manifests/v1", "/v2/a/blobs/uploads/..%2f..%2fx"},
	})
}
