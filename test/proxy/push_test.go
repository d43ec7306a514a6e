package proxy

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/core/remote"
	"github.com/repomgr/repomgr/core/repository"
	"github.com/repomgr/repomgr/internal/testenv"
)

// places are where the repositories of a group may have their bytes.
func places(t *testing.T, test func(t *testing.T, s *server, writableStore string)) {
	for _, store := range []string{"default", "other"} {
		t.Run("writable member in blob store "+store, func(t *testing.T) {
			s := newServer(t, true)
			if store != repository.DefaultBlobStore {
				if err := s.stores.Create(t.Context(), repository.BlobStoreConfig{Name: store, Type: "File", Path: store}); err != nil {
					t.Fatal(err)
				}
			}
			test(t, s, store)
		})
	}
}

// hostedIn makes a hosted repository in a blob store.
func (s *server) hostedIn(t *testing.T, name, store string) {
	t.Helper()
	c := repository.Config{Name: name, Type: repository.Hosted}
	c.Storage.BlobStore = store
	s.create(t, c, false)
}

// An image that was built on one of upstream's is pushed to the group that it was pulled through: the group says that it has the layers,
// though nobody fetched them yet.
func TestPushOfUpstreamsLayers(t *testing.T) {
	places(t, func(t *testing.T, s *server, writableStore string) {
		u := newRegistry(t, testenv.RegistryOptions{})
		s.hostedIn(t, "local", writableStore)
		s.proxy(t, "far", u)
		s.group(t, "all", "local", "local", "far")
		c := newCrane(t, u.host, s.host)
		base := u.prefix + "/team/app"
		c.run("append", "-f", layer(t, 300<<10), "-t", base+":1")
		c.run("append", "-b", base+":1", "-f", layer(t, 100), "-t", base+":2")
		// crane asks the group for each layer, and pushes what it lacks only.
		c.run("copy", base+":2", s.host+"/all/team/app:mine")
		c.run("append", "-b", base+":1", "-f", layer(t, 200), "-t", s.host+"/all/team/app:built")
		u.stop()
		for _, tag := range []string{"mine", "built"} {
			c.run("validate", "--remote", s.host+"/local/team/app:"+tag)
			c.run("validate", "--remote", s.host+"/all/team/app:"+tag)
		}
	})
}

// manifestOf is a manifest of an image with a config and layers, all of the size given.
func manifestOf(size int, blobs ...string) string {
	descriptors := make([]string, len(blobs))
	for i, d := range blobs {
		descriptors[i] = fmt.Sprintf(`{"mediaType":"application/octet-stream","digest":%q,"size":%d}`, d, size)
	}
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[%s]}`, typeManifest, descriptors[0], strings.Join(descriptors[1:], ","))
}

// Where the layers can't be had the manifest isn't there either, and a later push of the same finds its way.
func TestPushOfLayersThatCantBeHad(t *testing.T) {
	places(t, func(t *testing.T, s *server, writableStore string) {
		u, address := newScripted(t)
		s.hostedIn(t, "local", writableStore)
		zero := 0
		s.create(t, repository.Config{
			Name: "far", Type: repository.Proxy, Proxy: &repository.ProxyConfig{RemoteURL: address.url, ContentMaxAge: -1, MetadataMaxAge: -1},
			NegativeCache: &repository.NegativeCache{}, HTTPClient: &remote.Config{Connection: &remote.Connection{Retries: &zero}},
		}, false)
		s.group(t, "all", "local", "local", "far")
		config, one, two := "config", strings.Repeat("1", 6), strings.Repeat("2", 6)
		own := s.push(t, "all/a", config)
		manifest := manifestOf(6, own, digest.FromString(one).String(), digest.FromString(two).String())
		// has answers requests for blobs with those given.
		has := func(otherwise http.HandlerFunc, blobs ...string) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				for _, blob := range blobs {
					if strings.HasSuffix(r.URL.Path, "/blobs/"+digest.FromString(blob).String()) {
						fmt.Fprint(w, blob)
						return
					}
				}
				otherwise(w, r)
			}
		}
		for _, step := range []struct {
			name    string
			handler http.HandlerFunc
			code    int
			word    string
			absent  []string
		}{
			{"none", has(status(404)), 400, "MANIFEST_BLOB_UNKNOWN", []string{one, two}},
			{"one of two", has(status(404), one), 400, "MANIFEST_BLOB_UNKNOWN", []string{two}},
			{"upstream is down", has(status(500), one), 503, "UNAVAILABLE", nil},
			{"upstream sends other bytes", has(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "wrong!") }, one), 502, "UNAVAILABLE", nil},
			{"all", has(status(404), one, two), 201, "", nil},
		} {
			u.handle(step.handler)
			code, _, body := call(t, "PUT", s.host+"/v2/all/a/manifests/1", typeManifest, manifest)
			if code != step.code || !strings.Contains(body, step.word) {
				t.Errorf("%s: %d %s, want %d %s", step.name, code, body, step.code, step.word)
			}
			var answer struct{ Errors []struct{ Detail any } }
			_ = json.Unmarshal([]byte(body), &answer)
			if step.absent != nil && len(answer.Errors) != len(step.absent) {
				t.Errorf("%s: %s, want an error for each of %q", step.name, body, step.absent)
			}
			want := 404
			if step.code == 201 {
				want = 200
			}
			if code, _, _ := call(t, "HEAD", s.host+"/v2/local/a/manifests/1", "", ""); code != want {
				t.Errorf("%s: the tag afterwards: %d, want %d", step.name, code, want)
			}
		}
		u.handle(status(500))
		for _, blob := range []string{config, one, two} {
			if code, _, body := call(t, "GET", s.host+"/v2/local/a/blobs/"+digest.FromString(blob).String(), "", ""); code != 200 || body != blob {
				t.Errorf("%s in the writable member: %d %s", blob, code, body)
			}
		}
	})
}

// What a client may push to a group it pushes as to a hosted repository.
func TestUploadsThroughGroup(t *testing.T) {
	places(t, func(t *testing.T, s *server, writableStore string) {
		u, address := newScripted(t)
		u.handle(status(404))
		s.hostedIn(t, "local", writableStore)
		s.hostedIn(t, "second", repository.DefaultBlobStore)
		s.proxy(t, "far", address)
		s.group(t, "all", "local", "second", "local", "far")
		at := s.host + "/v2/all/a/blobs/uploads/"
		start := func(query string) string {
			t.Helper()
			code, h, body := call(t, "POST", at+query, "", "")
			if code != 202 {
				t.Fatal(code, body)
			}
			return s.host + h.Get("Location")
		}
		put := func(name, location, blob string) {
			t.Helper()
			d := digest.FromString(name + "12").String()
			if code, h, body := call(t, "PUT", location+"?digest="+d, "application/octet-stream", blob); code != 201 || h.Get("Docker-Content-Digest") != d {
				t.Errorf("%s: %d %s", name, code, body)
			}
			if code, _, body := call(t, "GET", s.host+"/v2/local/a/blobs/"+d, "", ""); code != 200 || body != name+"12" {
				t.Errorf("%s in the writable member: %d %s", name, code, body)
			}
		}
		patch := func(location, blob string) {
			t.Helper()
			if code, _, body := call(t, "PATCH", location, "application/octet-stream", blob); code != 202 {
				t.Fatal(code, body)
			}
		}
		put("at once", start(""), "at once12")
		location := start("")
		patch(location, "chunks1")
		patch(location, "2")
		put("chunks", location, "")
		s.push(t, "all/a", "in a POST")
		// A mount of what the other member has: where its bytes are in another blob store the client uploads them.
		d := s.push(t, "second/b", "mounted12")
		code, h, body := call(t, "POST", at+"?mount="+d+"&from=all/b", "", "")
		if code == 202 && writableStore != repository.DefaultBlobStore {
			put("mounted", s.host+h.Get("Location"), "mounted12")
		} else if code != 201 {
			t.Errorf("mount: %d %s", code, body)
		}
		if code, _, body := call(t, "GET", s.host+"/v2/local/a/blobs/"+d, "", ""); code != 200 || body != "mounted12" {
			t.Errorf("what was mounted: %d %s", code, body)
		}
	})
}

// TestPushByClients is TestPushOfUpstreamsLayers by a Docker engine, and by skopeo.
func TestPushByClients(t *testing.T) {
	u, s := newRegistry(t, testenv.RegistryOptions{}), newServer(t, true)
	s.hosted(t, "local", false)
	s.proxy(t, "far", u)
	s.group(t, "all", "local", "local", "far")
	c := newCrane(t, u.host, s.host)
	t.Run("docker", func(t *testing.T) {
		engine := testenv.StartDocker(t, testenv.DockerOptions{})
		base, mine := u.prefix+"/base/docker:1", s.host+"/all/base/docker:mine"
		engine.Busybox(t, base, "base")
		engine.Run(t, "push", base)
		engine.RunInput(t, strings.NewReader("FROM "+base+"\nLABEL mine=yes\nRUN echo mine > /mine\n"), "build", "--network", "none", "-t", mine, "-")
		engine.Login(t, s.host, user, password)
		if out := engine.Run(t, "push", mine); !strings.Contains(out, "Layer already exists") {
			t.Errorf("docker was not told that the group has the base's layer:\n%s", out)
		}
		c.run("validate", "--remote", s.host+"/local/base/docker:mine")
		engine.Run(t, "rmi", mine, base)
		engine.Run(t, "pull", s.host+"/local/base/docker:mine")
		engine.Run(t, "rmi", s.host+"/local/base/docker:mine")
	})
	t.Run("skopeo", func(t *testing.T) {
		base := u.prefix + "/base/skopeo:1"
		c.run("append", "-f", layer(t, 300<<10), "-t", base)
		cmd := exec.CommandContext(t.Context(), testenv.Tool(t, "skopeo"), "copy", "--src-tls-verify=false", "--dest-tls-verify=false",
			"--dest-creds", user+":"+password, "docker://"+base, "docker://"+s.host+"/all/base/skopeo:mine")
		cmd.Env = []string{"HOME=" + t.TempDir()}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		c.run("validate", "--remote", s.host+"/local/base/skopeo:mine")
	})
}

// TestPushWhileAway: a member whose upstream is away keeps nobody from pushing to the group; who only reads hears that nobody knows.
func TestPushWhileAway(t *testing.T) {
	u, at := newScripted(t)
	u.handle(status(500))
	for name, basic := range map[string]bool{"token": false, "basic": true} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, true)
			s.hosted(t, "local", false)
			s.proxy(t, "far", at)
			s.create(t, repository.Config{
				Name: "all", Type: repository.Group, Group: &repository.GroupConfig{MemberNames: []string{"far", "local"}, WritableMember: "local"},
			}, basic)
			unknown := s.host + "/v2/all/app/manifests/" + digest.FromString("x").String()
			if res, err := http.Head("http://" + unknown); err != nil || !basic && res.StatusCode < 500 {
				t.Errorf("HEAD by digest of nobody: %v, %v", res, err)
			}
			if code, _, _ := call(t, "HEAD", unknown, "", ""); code != 404 {
				t.Errorf("HEAD by digest of one who may push: %d", code)
			}
			if code, _, _ := call(t, "GET", unknown, "", ""); code < 500 {
				t.Errorf("GET: %d", code)
			}
			if code, _, _ := call(t, "HEAD", s.host+"/v2/all/app/manifests/1", "", ""); code < 500 {
				t.Errorf("HEAD by tag without a token: %d", code)
			}
			empty := t.TempDir() + "/image.tar"
			c := newCrane(t, s.host, s.host)
			c.run("append", "-f", layer(t, 1<<10), "-t", s.host+"/local/base:1")
			c.run("pull", s.host+"/local/base:1", empty)
			if !basic { // crane asks for the tag before it pushes
				c.run("push", empty, s.host+"/all/app:crane")
				c.run("validate", "--remote", s.host+"/local/app:crane")
			}
			cmd := exec.CommandContext(t.Context(), testenv.Tool(t, "skopeo"), "copy", "--dest-tls-verify=false",
				"--dest-creds", user+":"+password, "docker-archive:"+empty, "docker://"+s.host+"/all/app:skopeo")
			cmd.Env = []string{"HOME=" + t.TempDir()}
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			c.run("validate", "--remote", s.host+"/local/app:skopeo")
		})
	}
}
