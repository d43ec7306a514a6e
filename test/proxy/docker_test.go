package proxy

import (
	"archive/tar"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/internal/testenv"
)

const (
	typeIndex    = "application/vnd.oci.image.index.v1+json"
	typeManifest = "application/vnd.oci.image.manifest.v1+json"
)

// layer writes a tar file with bytes that no other one has.
func layer(t *testing.T, size int) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "layer.tar")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	body := make([]byte, size)
	for i := range body {
		body[i] = byte(rand.Uint32())
	}
	w := tar.NewWriter(f)
	if err := w.WriteHeader(&tar.Header{Name: "file", Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(size)}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return name
}

func withBasic(t *testing.T) upstream {
	return newRegistry(t, testenv.RegistryOptions{User: user, Password: password})
}

func withBearer(t *testing.T) upstream {
	return newRegistry(t, testenv.RegistryOptions{User: user, Password: password, Tokens: true})
}

// upstreams are those that a proxy is tried with.
func upstreams(t *testing.T, test func(t *testing.T, u upstream)) {
	for name, start := range map[string]func(t *testing.T) upstream{
		"docker-registry":             func(t *testing.T) upstream { return newRegistry(t, testenv.RegistryOptions{}) },
		"docker-registry with basic":  withBasic,
		"docker-registry with bearer": withBearer,
		"repomgr with basic":          func(t *testing.T) upstream { return newRepomgr(t, true) },
		"repomgr with bearer":         func(t *testing.T) upstream { return newRepomgr(t, false) },
	} {
		t.Run(name, func(t *testing.T) { t.Parallel(); test(t, start(t)) })
	}
}

// digestOf is the digest that a reference leads to.
func (c crane) digestOf(reference string) string {
	c.t.Helper()
	return c.run("digest", reference)
}

// refers puts a manifest about another one into an image of upstream's, and, where it has no referrers API, lists it as clients do
// then. It returns its digest.
func (u upstream) refers(t *testing.T, image, subject string) string {
	t.Helper()
	at := strings.Replace(u.prefix+"/"+image, u.host, u.host+"/v2", 1)
	empty := digest.FromString("{}").String()
	if status, h, body := call(t, "POST", at+"/blobs/uploads/", "", ""); status != 202 {
		t.Fatal(status, body)
	} else {
		location := strings.TrimPrefix(h.Get("Location"), "http://"+u.host)
		separator := "?"
		if strings.Contains(location, "?") {
			separator = "&"
		}
		if status, _, body := call(t, "PUT", u.host+location+separator+"digest="+empty, "application/octet-stream", "{}"); status != 201 {
			t.Fatal(status, body)
		}
	}
	_, _, text := call(t, "GET", at+"/manifests/"+subject, "", "")
	manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"artifactType":"application/x.sbom","annotations":{"at":%[5]q},"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":%[2]q,"size":2},"layers":[{"mediaType":"application/vnd.oci.empty.v1+json","digest":%[2]q,"size":2}],"subject":{"mediaType":%[1]q,"digest":%[3]q,"size":%[4]d}}`,
		typeManifest, empty, subject, len(text), u.prefix)
	d := digest.FromString(manifest).String()
	if status, _, body := call(t, "PUT", at+"/manifests/"+d, typeManifest, manifest); status != 201 {
		t.Fatal(status, body)
	}
	if !u.referrers {
		list := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"digest":%q,"size":%d,"artifactType":"application/x.sbom"}]}`, typeIndex, typeManifest, d, len(manifest))
		if status, _, body := call(t, "PUT", at+"/manifests/"+strings.Replace(subject, ":", "-", 1), typeIndex, list); status != 201 {
			t.Fatal(status, body)
		}
	}
	return d
}

// referrersOf are the digests that a repository lists about another one.
func (s *server) referrersOf(t *testing.T, image, subject, query string) []string {
	t.Helper()
	status, h, body := call(t, "GET", s.host+"/v2/"+image+"/referrers/"+subject+query, "", "")
	var list struct {
		Manifests []struct {
			Digest       string `json:"digest"`
			ArtifactType string `json:"artifactType"`
		} `json:"manifests"`
	}
	if err := json.Unmarshal([]byte(body), &list); status != 200 || err != nil || h.Get("Content-Type") != typeIndex {
		t.Fatalf("referrers of %s: %d %s", image, status, body)
	}
	var digests []string
	for _, m := range list.Manifests {
		digests = append(digests, m.Digest)
	}
	return digests
}

func TestDocker(t *testing.T) {
	upstreams(t, func(t *testing.T, u upstream) {
		s := newServer(t, true)
		s.hosted(t, "local", false)
		s.proxy(t, "far", u)
		s.group(t, "all", "local", "local", "far")
		c := newCrane(t, u.host, s.host)

		remoteImage, far, all := u.prefix+"/team/app", s.host+"/far/team/app", s.host+"/all/team/app"
		first := layer(t, 3<<20)
		c.run("append", "-f", first, "-t", remoteImage+":1")
		c.run("append", "-f", layer(t, 100), "-t", remoteImage+":2")
		c.run("index", "append", "-m", remoteImage+":1", "-m", remoteImage+":2", "-t", remoteImage+":both")
		one, two := c.digestOf(remoteImage+":1"), c.digestOf(remoteImage+":2")
		sbom := u.refers(t, "team/app", one)
		c.run("append", "-f", layer(t, 100), "-t", remoteImage+":unread")
		pull := func(t *testing.T, repository string) {
			t.Helper()
			for _, tag := range []string{"1", "both"} {
				c.run("validate", "--remote", repository+":"+tag)
			}
			if got, want := c.run("manifest", repository+":both"), "manifests"; !strings.Contains(got, want) {
				t.Errorf("an index became %s", got)
			}
		}
		t.Run("pull", func(t *testing.T) {
			pull(t, far)
			pull(t, all)
			if got := c.digestOf(far + ":1"); got != one {
				t.Errorf("digest %s, want %s", got, one)
			}
			if raw, want := c.run("manifest", far+"@"+one), c.run("manifest", remoteImage+"@"+one); raw != want {
				t.Errorf("manifest %s, want %s", raw, want)
			}
			// containerd says whose mirror it takes this for.
			if status, h, _ := call(t, "HEAD", s.host+"/v2/all/team/app/manifests/1?ns=docker.io", "", ""); status != 200 || h.Get("Docker-Content-Digest") != one {
				t.Errorf("HEAD with ns: %d %s", status, h)
			}
		})
		t.Run("lists", func(t *testing.T) {
			// A tag that some client made for want of the referrers API is one.
			tags := strings.Fields(c.run("ls", remoteImage))
			slices.Sort(tags)
			if got := strings.Fields(c.run("ls", far)); !slices.Equal(got, tags) {
				t.Errorf("tags %q, want %q", got, tags)
			}
			if got := c.run("catalog", s.host); !strings.Contains(got, "far/team/app") || !strings.Contains(got, "all/team/app") {
				t.Errorf("catalog %s", got)
			}
		})
		t.Run("referrers", func(t *testing.T) {
			for _, repository := range []string{"far", "all"} {
				if got := s.referrersOf(t, repository+"/team/app", one, ""); !slices.Equal(got, []string{sbom}) {
					t.Errorf("referrers in %s: %q, want %s", repository, got, sbom)
				}
				if got := s.referrersOf(t, repository+"/team/app", one, "?artifactType=application/x.other"); len(got) > 0 {
					t.Errorf("referrers of another type in %s: %q", repository, got)
				}
				if got := s.referrersOf(t, repository+"/team/app", two, ""); len(got) > 0 {
					t.Errorf("referrers of what has none in %s: %q", repository, got)
				}
			}
		})
		t.Run("a tag that moves", func(t *testing.T) {
			c.run("tag", remoteImage+":1", "moving")
			if got := c.digestOf(all + ":moving"); got != one {
				t.Errorf("digest %s, want %s", got, one)
			}
			c.run("tag", remoteImage+":2", "moving")
			if got := c.digestOf(all + ":moving"); got != two {
				t.Errorf("digest %s, want %s", got, two)
			}
			c.run("validate", "--remote", all+":moving")
		})
		t.Run("absent", func(t *testing.T) {
			for _, name := range []string{"far/team/app/manifests/none", "all/team/app/manifests/none", "all/nobody/nothing/manifests/1", "far/team/app/blobs/" + digest.FromString("none").String()} {
				if status, _, body := call(t, "GET", s.host+"/v2/"+name, "", ""); status != 404 || !strings.Contains(body, "UNKNOWN") {
					t.Errorf("%s: %d %s", name, status, body)
				}
			}
		})
		t.Run("push", func(t *testing.T) {
			c.run("append", "-f", layer(t, 1<<20), "-t", all+":mine")
			c.run("validate", "--remote", s.host+"/local/team/app:mine")
			c.run("validate", "--remote", all+":mine")
			// What comes from upstream and goes to the group finds its layers there already.
			c.run("copy", all+":1", all+":copy")
			c.run("copy", all+":1", s.host+"/all/other/app:copy")
			c.run("append", "-b", all+":1", "-f", layer(t, 100), "-t", all+":more")
			for _, image := range []string{"team/app:copy", "other/app:copy", "team/app:more"} {
				c.run("validate", "--remote", s.host+"/local/"+image)
			}
			// A blob that came from upstream is mounted from the group, by its name or by no name.
			var manifest struct{ Layers []struct{ Digest string } }
			if err := json.Unmarshal([]byte(c.run("manifest", far+"@"+one)), &manifest); err != nil || len(manifest.Layers) == 0 {
				t.Fatal(err)
			}
			for _, from := range []string{"&from=all/team/app", "&from=far/team/app", ""} {
				status, h, body := call(t, "POST", s.host+"/v2/all/mounted/app/blobs/uploads/?mount="+manifest.Layers[0].Digest+from, "", "")
				if status != 201 || h.Get("Docker-Content-Digest") != manifest.Layers[0].Digest {
					t.Errorf("mount %s: %d %s", from, status, body)
				}
			}
			if got := strings.Fields(c.run("ls", all)); !slices.Contains(got, "mine") || !slices.Contains(got, "2") || !slices.IsSorted(got) {
				t.Errorf("tags %q", got)
			}
			if status, _, body := call(t, "DELETE", s.host+"/v2/all/team/app/manifests/mine", "", ""); status != 202 {
				t.Errorf("delete in the group: %d %s", status, body)
			}
			c.fails("digest", s.host+"/local/team/app:mine")
		})
		t.Run("push where nothing can be", func(t *testing.T) {
			s.group(t, "read-only", "", "local", "far")
			for _, repository := range []string{"far", "read-only"} {
				for _, request := range []struct{ method, path string }{
					{"POST", "blobs/uploads/"}, {"POST", "blobs/uploads/?mount=" + one + "&from=far/x"}, {"PUT", "manifests/1"}, {"PATCH", "blobs/uploads/x"}, {"DELETE", "manifests/1"},
					{"POST", "blobs/uploads/?digest=" + one},
				} {
					status, h, body := call(t, request.method, s.host+"/v2/"+repository+"/team/app/"+request.path, typeManifest, "{}")
					if status != 405 || !strings.Contains(body, `"UNSUPPORTED"`) || !strings.Contains(body, repository) || h.Get("Allow") == "" {
						t.Errorf("%s %s: %d %s", request.method, request.path, status, body)
					}
				}
			}
		})
		t.Run("upstream stopped", func(t *testing.T) {
			tags := c.run("ls", all)
			u.stop()
			pull(t, far)
			pull(t, all)
			if got := c.digestOf(all + ":moving"); got != two {
				t.Errorf("digest %s, want %s", got, two)
			}
			if got := c.run("ls", all); got != tags {
				t.Errorf("tags %q, want %q", got, tags)
			}
			for _, repository := range []string{"far", "all"} {
				if got := s.referrersOf(t, repository+"/team/app", one, ""); !slices.Equal(got, []string{sbom}) {
					t.Errorf("referrers in %s: %q, want %s", repository, got, sbom)
				}
				status, h, body := call(t, "GET", s.host+"/v2/"+repository+"/team/app/manifests/unread", "", "")
				if status != 502 && status != 503 || !strings.Contains(body, `"UNAVAILABLE"`) || h.Get("Content-Type") != "application/json" {
					t.Errorf("what was never read in %s: %d %s", repository, status, body)
				}
			}
			// It can still be pushed to by who doesn't ask first what is there, and what is pushed be pulled.
			pushed := upstream{host: s.host, prefix: s.host + "/all", referrers: true}.refers(t, "team/app", one)
			c.run("manifest", all+"@"+pushed)
			if got := s.referrersOf(t, "all/team/app", one, ""); len(got) != 2 || !slices.Contains(got, pushed) || !slices.Contains(got, sbom) {
				t.Errorf("referrers %q, want %s and %s", got, sbom, pushed)
			}
		})
	})
}

// Wrong credentials are told as such, and don't hide what is there.
func TestWrongCredentials(t *testing.T) {
	for name, start := range map[string]func(t *testing.T) upstream{
		"docker-registry with basic":  withBasic,
		"docker-registry with bearer": withBearer,
		"repomgr with basic":          func(t *testing.T) upstream { return newRepomgr(t, true) },
		"repomgr with bearer":         func(t *testing.T) upstream { return newRepomgr(t, false) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u, s := start(t), newServer(t, true)
			c := newCrane(t, u.host, s.host)
			c.run("append", "-f", layer(t, 100), "-t", u.prefix+"/app:1")
			s.hosted(t, "local", false)
			u.credentials = false
			s.proxy(t, "far", u)
			s.group(t, "all", "", "far", "local")
			c.run("append", "-f", layer(t, 100), "-t", s.host+"/local/app:2")
			c.run("validate", "--remote", s.host+"/all/app:2")
			status, _, body := call(t, "GET", s.host+"/v2/all/app/manifests/1", "", "")
			// Who gives tokens to everybody doesn't tell what isn't there from what isn't shown.
			if status != 503 && !(strings.HasSuffix(name, "with bearer") && status == 404) {
				t.Errorf("%d %s", status, body)
			}
		})
	}
}
