package docker

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
)

func TestWanted(t *testing.T) {
	for _, test := range []struct {
		name, platform string
		want           format.Wanted
		wanted         bool
	}{
		{"all", "linux/amd64", format.Wanted{}, true},
		{"one", "linux/amd64", format.Wanted{Platforms: []string{"linux/amd64"}}, true},
		{"another one", "linux/arm64", format.Wanted{Platforms: []string{"linux/amd64"}}, false},
		{"case and spaces", "linux/amd64", format.Wanted{Platforms: []string{" Linux/AMD64"}}, true},
		{"any variant", "linux/arm/v7", format.Wanted{Platforms: []string{"linux/arm"}}, true},
		{"one variant", "linux/arm/v7", format.Wanted{Platforms: []string{"linux/arm/v6"}}, false},
		{"no variant where one is wanted", "linux/arm", format.Wanted{Platforms: []string{"linux/arm/v7"}}, false},
		{"arm64 is v8", "linux/arm64", format.Wanted{Platforms: []string{"linux/arm64/v8"}}, true},
		{"v8 is arm64", "linux/arm64/v8", format.Wanted{Platforms: []string{"linux/arm64"}}, true},
		{"v9 is not v8", "linux/arm64/v9", format.Wanted{Platforms: []string{"linux/arm64/v8"}}, false},
		{"no platform", "", format.Wanted{Platforms: []string{"linux/amd64"}}, true},
		{"attestation", unknownPlatform, format.Wanted{Platforms: []string{"linux/amd64"}}, false},
		{"attestation with referrers", unknownPlatform, format.Wanted{Platforms: []string{"linux/amd64"}, Referrers: true}, true},
	} {
		if got := wanted(test.platform, test.want); got != test.wanted {
			t.Errorf("%s: %t", test.name, got)
		}
	}
}

func TestBegin(t *testing.T) {
	d := digest.FromString("a")
	for _, test := range []struct {
		name, image, version, path string
		class                      content.Class
	}{
		{"tag", "team/app", "1.0", "/v2/team/app/manifests/1.0", content.Mutable},
		{"digest", "app", d.String(), "/v2/app/manifests/" + d.String(), content.Immutable},
		{"no name", "Team", "1", "", 0},
		{"no tag", "app", "a/b", "", 0},
		{"no digest", "app", "md5:00", "", 0},
	} {
		route, err := docker{}.Begin(test.image, test.version)
		if test.path == "" {
			if !errs.Is(err, errs.Invalid) {
				t.Errorf("%s: %v", test.name, err)
			}
			continue
		}
		if err != nil || route.Path != test.path || route.Class != test.class || route.MaxSize == 0 {
			t.Errorf("%s: %+v, %v", test.name, route, err)
		}
	}
}

// A layer that is elsewhere is not asked for; what is about a manifest is looked for in all places where it may be.
func TestNext(t *testing.T) {
	config, layer, far := digest.FromString("config"), digest.FromString("layer"), digest.FromString("far")
	body := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/x","digest":%q,"size":1},`+
		`"layers":[{"mediaType":"application/x","digest":%q,"size":1},{"mediaType":"application/x","digest":%q,"size":1,"urls":["https://example.org/"]}]}`,
		v1.MediaTypeImageManifest, config, layer, far)
	own := digest.FromString(body)
	doc := format.Document{Body: []byte(body), ContentType: v1.MediaTypeImageManifest}
	blobs := []string{"/v2/app/blobs/" + config.String(), "/v2/app/blobs/" + layer.String()}
	signature := "/v2/app/manifests/sha256-" + own.Encoded()
	for _, test := range []struct {
		name, tag    string
		want         format.Wanted
		parts, about []string
	}{
		{"parts", "1", format.Wanted{}, blobs, nil},
		{"what is about it", "1", format.Wanted{Referrers: true}, blobs, []string{"/v2/app/referrers/" + own.String(), signature + ".sig", signature + ".att", signature + ".sbom"}},
		{"a signature's own", "sha256-" + own.Encoded() + ".sig", format.Wanted{Referrers: true}, blobs, nil},
	} {
		parts, err := docker{}.Next(tagRoute("app", test.tag), doc, test.want)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		var got, about []string
		for _, p := range parts {
			if p.About {
				about = append(about, p.Route.Path)
			} else {
				got = append(got, p.Route.Path)
			}
		}
		if !slices.Equal(got, test.parts) || !slices.Equal(about, test.about) {
			t.Errorf("%s: %q, about it %q", test.name, got, about)
		}
	}
}

// Whatever upstream sends, what it names is in the same image, and content is named by its digest.
func FuzzNext(f *testing.F) {
	d := digest.FromString("a")
	f.Add(kindTag, v1.MediaTypeImageIndex, `{"schemaVersion":2,"manifests":[{"mediaType":"application/x","digest":"`+d.String()+`","size":1,"platform":{"os":"linux","architecture":"amd64"}}]}`)
	f.Add(kindManifest, "", `{"schemaVersion":2,"config":{"mediaType":"application/x","digest":"`+d.String()+`","size":1},"layers":[]}`)
	f.Add(kindReferrers, "", `{"manifests":[{"digest":"`+d.String()+`"}]}`)
	f.Add(kindBlob, "", `x`)
	f.Fuzz(func(t *testing.T, kind, contentType, body string) {
		route := digestRoute("team/app", d)
		route.Kind = kind
		parts, err := docker{}.Next(route, format.Document{Body: []byte(body), ContentType: contentType}, format.Wanted{Platforms: []string{"linux/amd64"}, Referrers: true})
		if err != nil && !errs.Is(err, errs.Invalid) {
			t.Fatal(err)
		}
		for _, p := range parts {
			if !strings.HasPrefix(p.Route.Path, "/v2/team/app/") || p.Route.Name != "team/app" {
				t.Fatalf("a part elsewhere: %+v", p.Route)
			}
			if !p.About && (p.Route.Expect == "" || p.Route.Class != content.Immutable) {
				t.Fatalf("a part without a digest: %+v", p.Route)
			}
		}
	})
}
