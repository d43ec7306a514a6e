package proxy

import (
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
	"github.com/repomgr/repomgr/core/repository"
	"github.com/repomgr/repomgr/core/store"
	"github.com/repomgr/repomgr/core/task"
	"github.com/repomgr/repomgr/internal/testenv"
)

// platforms are those of the images of these tests.
var platforms = []v1.Platform{
	{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64", Variant: "v8"}, {OS: "windows", Architecture: "amd64"},
}

// multi is an image for several platforms, and the digests of all that belongs to each of them, by its name.
func multi(t *testing.T) (v1.ImageIndex, map[string][]string) {
	t.Helper()
	index, parts := v1.ImageIndex(empty.Index), map[string][]string{}
	for _, p := range platforms {
		img, err := random.Image(1000, 2)
		if err != nil {
			t.Fatal(err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &p}})
		manifest, err := img.Manifest()
		if err != nil {
			t.Fatal(err)
		}
		own, err := img.Digest()
		if err != nil {
			t.Fatal(err)
		}
		parts[p.String()] = []string{own.String(), manifest.Config.Digest.String()}
		for _, l := range manifest.Layers {
			parts[p.String()] = append(parts[p.String()], l.Digest.String())
		}
	}
	return index, parts
}

// put pushes an image for several platforms, under some tags.
func (u upstream) put(t *testing.T, c crane, image string, index v1.ImageIndex, tags ...string) {
	t.Helper()
	dir := t.TempDir()
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := path.AppendIndex(index); err != nil {
		t.Fatal(err)
	}
	for _, tag := range tags {
		c.run("push", dir, u.prefix+"/"+image+":"+tag)
	}
}

// prefetch runs a prefetch.
func (s *server) prefetch(t *testing.T, p repository.Prefetch) (string, error) {
	t.Helper()
	result, err := s.manager.Prefetch(t.Context(), p, new(task.Progress))
	t.Log(result, err)
	return result, err
}

// mustPrefetch runs a prefetch that must succeed.
func (s *server) mustPrefetch(t *testing.T, p repository.Prefetch) string {
	t.Helper()
	result, err := s.prefetch(t, p)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// has tells whether a repository keeps a path itself.
func (s *server) has(t *testing.T, repo, path string) bool {
	t.Helper()
	return s.kept(t, repo, path).ID != 0
}

// kept is the asset that a repository keeps itself; the zero value for none.
func (s *server) kept(t *testing.T, repo, path string) content.Asset {
	t.Helper()
	rows, err := s.db.Repositories(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(rows, func(r store.Repository) bool { return r.Name == repo })
	a, err := s.db.Asset(t.Context(), rows[i].ID, path)
	if err != nil && !errs.Is(err, errs.NotFound) {
		t.Fatal(err)
	}
	return a
}

// hasPart tells whether a repository keeps a manifest or blob of an image.
func (s *server) hasPart(t *testing.T, repo, image, digest string) bool {
	t.Helper()
	return s.has(t, repo, "/v2/"+image+"/manifests/"+digest) || s.has(t, repo, "/v2/"+image+"/blobs/"+digest)
}

func TestPrefetch(t *testing.T) {
	for name, start := range map[string]func(t *testing.T) upstream{
		"docker-registry": func(t *testing.T) upstream {
			return newRegistry(t, testenv.RegistryOptions{User: user, Password: password})
		},
		"repomgr with bearer": func(t *testing.T) upstream { return newRepomgr(t, false) },
	} {
		t.Run(name, func(t *testing.T) { t.Parallel(); testPrefetch(t, start(t)) })
	}
}

func testPrefetch(t *testing.T, u upstream) {
	s := newServer(t, true)
	s.proxy(t, "far", u)
	c := newCrane(t, u.host, s.host)
	index, parts := multi(t)
	u.put(t, c, "team/app", index, "1.0", "1.1", "latest")
	digest, err := index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	sbom := u.refers(t, "team/app", parts["linux/amd64"][0])
	c.run("append", "-f", layer(t, 100), "-t", u.prefix+"/team/tool:2.0.1")
	c.run("append", "-f", layer(t, 100), "-t", u.prefix+"/team/tool:2.1.0")
	c.run("append", "-f", layer(t, 100), "-t", u.prefix+"/other/thing:1.0")

	order := repository.Prefetch{
		Repository: "far", Names: "team/*", Versions: "semver:>=1.1 <2.1", Want: format.Wanted{Platforms: []string{"linux/amd64"}, Referrers: true},
	}
	dry := order
	dry.DryRun = true
	if got := s.mustPrefetch(t, dry); got != "would mirror 2: team/app:1.1, team/tool:2.0.1" {
		t.Errorf("dry run: %s", got)
	}
	if s.has(t, "far", "/v2/team/app/manifests/1.1") {
		t.Error("a dry run fetched a manifest")
	}
	if got := s.mustPrefetch(t, order); !strings.HasPrefix(got, "2 of 2 mirrored, ") {
		t.Errorf("result: %s", got)
	}
	for platform, digests := range parts {
		for _, d := range digests {
			if got, want := s.hasPart(t, "far", "team/app", d), platform == "linux/amd64"; got != want {
				t.Errorf("%s of %s is there: %t", d, platform, got)
			}
		}
	}
	for _, path := range []string{"/v2/team/app/manifests/1.0", "/v2/team/app/manifests/latest", "/v2/team/tool/manifests/2.1.0", "/v2/other/thing/manifests/1.0"} {
		if s.has(t, "far", path) {
			t.Errorf("%s was mirrored", path)
		}
	}
	// What is there is not fetched again.
	if got := s.mustPrefetch(t, order); !strings.HasPrefix(got, "2 of 2 mirrored, 0 files (0 B)") {
		t.Errorf("a second run: %s", got)
	}
	// Two more platforms: what they lack is fetched.
	order.Want.Platforms = []string{"linux/amd64", "linux/arm64"}
	s.mustPrefetch(t, order)
	for _, d := range parts["linux/arm64/v8"] {
		if !s.hasPart(t, "far", "team/app", d) {
			t.Errorf("%s of linux/arm64 is not there", d)
		}
	}

	s.hosted(t, "copy", false)
	order.Repository, order.Source, order.Names = "copy", "far", "team/app"
	s.mustPrefetch(t, order)

	u.stop()
	raw, err := index.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, repo := range []string{"far", "copy"} {
		image := s.host + "/" + repo + "/team/app"
		if got := c.run("manifest", image+":1.1"); got != strings.TrimSpace(string(raw)) {
			t.Errorf("the index in %s is not that of upstream: %s", repo, got)
		}
		for _, platform := range []string{"linux/amd64", "linux/arm64/v8"} {
			c.run("validate", "--remote", image+":1.1", "--platform", platform)
		}
		c.fails("validate", "--remote", image+"@"+parts["windows/amd64"][0])
		if got := c.digestOf(image + ":1.1"); got != digest.String() {
			t.Errorf("digest in %s: %s", repo, got)
		}
		if got := s.referrersOf(t, repo+"/team/app", parts["linux/amd64"][0], ""); !slices.Equal(got, []string{sbom}) {
			t.Errorf("referrers in %s: %q, want %s", repo, got, sbom)
		}
		c.run("manifest", image+"@"+sbom)
	}
	c.run("validate", "--remote", s.host+"/far/team/tool:2.0.1")
	// Upstream is gone: nothing is mirrored, and the run says so.
	if result, err := s.prefetch(t, order); err == nil || !strings.HasPrefix(result, "0 of 0 mirrored") {
		t.Errorf("without upstream: %s, %v", result, err)
	}
}
