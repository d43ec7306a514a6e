package docker

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
)

func TestURLsOf(t *testing.T) {
	layer, other := digest.FromString("layer"), digest.FromString("other")
	const foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
	entry := func(mediaType string, d digest.Digest, urls string) string {
		return `{"mediaType":"` + mediaType + `","digest":"` + d.String() + `","size":5,"urls":` + urls + `}`
	}
	for _, test := range []struct {
		name   string
		layers string
		want   []string
	}{
		{"docker's type", entry(foreign, layer, `["https://a/x","http://b/x?q=1"]`), []string{"https://a/x", "http://b/x?q=1"}},
		{"OCI's type", entry("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", layer, `["https://a/x"]`), []string{"https://a/x"}},
		{"another type", entry("application/vnd.oci.image.layer.v1.tar", layer, `["https://a/x"]`), nil},
		{"another layer", entry(foreign, other, `["https://a/x"]`), nil},
		{"twice", entry(foreign, layer, `["https://a/x"]`) + "," + entry(foreign, layer, `["https://b/x"]`), []string{"https://a/x", "https://b/x"}},
		{"no URLs", entry(foreign, layer, `[]`), nil},
		{"null", entry(foreign, layer, `null`), nil},
		{"URLs that can't be asked", entry(foreign, layer, `["ftp://a/x","file:///etc/passwd","//a/x","https://u:p@a/x","","x","https:///x","https://a/x"]`), []string{"https://a/x"}},
		{"a long URL", entry(foreign, layer, `["https://a/`+strings.Repeat("x", foreignURL)+`"]`), nil},
		{"something else", `1`, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, urlsOf([]byte(`{"layers":[`+test.layers+`]}`), layer)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func FuzzURLsOf(f *testing.F) {
	layer := digest.FromString("layer")
	f.Add([]byte(`{"layers":[{"mediaType":"application/vnd.docker.image.rootfs.foreign.diff.tar","digest":"` + layer.String() + `","urls":["https://a/x"]}]}`))
	f.Fuzz(func(t *testing.T, manifest []byte) {
		for _, u := range urlsOf(manifest, layer) {
			if !isURL(u) || len(u) > foreignURL {
				t.Errorf("%q", u)
			}
		}
	})
}

func TestWhitelist(t *testing.T) {
	for _, test := range []struct {
		name     string
		patterns []string
		url      string
		want     bool
	}{
		{"no patterns", nil, "https://a/x", true},
		{"all of it", []string{"https://a/.*"}, "https://a/x", true},
		{"its beginning", []string{"https://a"}, "https://a.example/x", false},
		{"its end", []string{"a/x"}, "https://a/x", false},
		{"one of two", []string{"https://b/.*", "https://a/.*"}, "https://a/x", true},
		{"none of two", []string{"https://b/.*", "https://c/.*"}, "https://a/x", false},
		{"alternatives", []string{"https://b|https://a"}, "https://a/x", false},
		{"a line break", []string{"https://a/x"}, "https://a/x\n", false},
		{"a flag", []string{"(?i)HTTPS://A/.*"}, "https://a/x", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			allowed, err := whitelist(test.patterns)
			if err != nil || allowed(test.url) != test.want {
				t.Errorf("%t, %v, want %t", !test.want, err, test.want)
			}
		})
	}
}
