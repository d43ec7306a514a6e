package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/repomgr/repomgr/internal/testenv"
)

// origin is a registry upstream, with a proxy of it and a group of that proxy and of a hosted repository.
type origin struct {
	name string
	// host and root are where images are put; url is the proxy's remote URL.
	host, root, url string
	stop            func(t *testing.T)
	// image is a multi-platform image of its own, which only it has, with the tag 1.
	image, digest string
}

// The account at the registries upstream.
const (
	originUser     = "upstream-user"
	originPassword = "upstream-password"
)

// origins starts the registries upstream, and puts an image into each.
func origins(t *testing.T) []*origin {
	t.Helper()
	registry := func(name string, tokens bool) *origin {
		r := testenv.StartRegistry(t, testenv.RegistryOptions{User: originUser, Password: originPassword, Tokens: tokens})
		return &origin{name: name, host: r.Open, root: r.Open, url: "http://" + r.Host, stop: func(*testing.T) { r.Stop() }}
	}
	list := []*origin{registry("registry-basic", false), registry("registry-bearer", true), secondRepomgr(t)}
	for _, o := range list {
		o.image = "library/bb-" + o.name
		o.fill(t)
	}
	return list
}

// secondRepomgr is a repomgr upstream that asks for tokens.
func secondRepomgr(t *testing.T) *origin {
	t.Helper()
	s := testenv.StartServer(t, testenv.ServerOptions{Password: originPassword})
	r := &registry{Server: s}
	r.call(t, "POST", "/service/rest/v1/repositories/docker/hosted", `{"name": "images", "online": true,
 "storage": {"blobStoreName": "default", "strictContentTypeValidation": true, "writePolicy": "ALLOW"},
 "docker": {"v1Enabled": false, "forceBasicAuth": false, "pathEnabled": true}}`, 201)
	r.call(t, "POST", "/service/rest/v1/security/users", fmt.Sprintf(`{"userId": %q, "firstName": "U", "lastName": "U",
 "emailAddress": "u@example.com", "password": %q, "status": "active", "roles": ["nx-admin"]}`, originUser, originPassword), 200)
	host := strings.TrimPrefix(s.URL, "http://")
	return &origin{name: "repomgr-bearer", host: host, root: host + "/images", url: s.URL + "/repository/images/", stop: func(t *testing.T) { s.Stop(t) }}
}

// fill puts an image for two platforms into the registry.
func (o *origin) fill(t *testing.T) {
	t.Helper()
	var index v1.ImageIndex = empty.Index
	for _, arch := range []string{"amd64", "arm64"} {
		image := testenv.BusyboxImage(t, o.name+" "+arch)
		config, err := image.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		config = config.DeepCopy()
		config.Architecture = arch
		if image, err = mutate.ConfigFile(image, config); err != nil {
			t.Fatal(err)
		}
		platform := &v1.Platform{OS: "linux", Architecture: arch}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: platform}})
	}
	dir := t.TempDir()
	if _, err := layout.Write(dir, index); err != nil {
		t.Fatal(err)
	}
	c := newClient(t, &registry{names: testenv.NewNames(t)}, entry{}, "crane")
	if o.host != o.root { // an open registry wants no account
		c.run("auth", "login", o.host, "-u", originUser, "-p", originPassword)
	}
	c.run("push", "--insecure", "--index", dir, o.root+"/"+o.image+":1")
	digest, err := index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	o.digest = digest.String()
}

// through is a server between the clients and the origins.
type through struct {
	*registry
	origins []*origin
	// engines are Docker engines by their mirror; socket is that of containerd.
	engines map[string]*testenv.Docker
	socket  string
	spaces  atomic.Int64
}

func newThrough(t *testing.T) *through {
	t.Helper()
	s := &through{registry: &registry{ports: map[string]int{}, names: testenv.NewNames(t)}, engines: map[string]*testenv.Docker{}}
	s.origins = origins(t)
	s.Server = testenv.StartServer(t, testenv.ServerOptions{Env: []string{"REPOMGR_ANONYMOUS=true"}})
	create := func(kind, repository, more string) {
		s.ports[repository] = testenv.FreePort(t)
		s.call(t, "POST", "/service/rest/v1/repositories/docker/"+kind, fmt.Sprintf(`{"name": %q, "online": true, %s,
 "storage": {"blobStoreName": "default", "strictContentTypeValidation": true, "writePolicy": "ALLOW"},
 "docker": {"v1Enabled": false, "forceBasicAuth": false, "httpPort": %d, "pathEnabled": true}}`, repository, more, s.ports[repository]), 201)
	}
	create("hosted", "local", `"cleanup": null`)
	for _, o := range s.origins {
		// Each time the tag is asked for, upstream is: that it isn't there must not matter.
		create("proxy", o.name+"-proxy", fmt.Sprintf(`"proxy": {"remoteUrl": %q, "contentMaxAge": -1, "metadataMaxAge": 0},
 "negativeCache": {"enabled": true, "timeToLive": 1440}, "dockerProxy": {"indexType": "REGISTRY"},
 "httpClient": {"blocked": false, "autoBlock": true, "connection": {"retries": 0},
   "authentication": {"type": "username", "username": %q, "password": %q, "preemptive": false}}`, o.url, originUser, originPassword))
		create("group", o.name+"-group", fmt.Sprintf(`"group": {"memberNames": ["local", "%s-proxy"], "writableMember": "local"}`, o.name))
	}
	s.socket = containerd(t)
	// Engines have their mirror from the start.
	for _, repository := range []string{s.origins[1].name + "-group", s.origins[2].name + "-proxy"} {
		s.engines[repository] = testenv.StartDocker(t, testenv.DockerOptions{Mirrors: []string{s.mirror(t, repository)}})
	}
	return s
}

// entry is the port of a repository.
func (s *through) entry(repository string) entry {
	host := fmt.Sprintf("127.0.0.1:%d", s.ports[repository])
	return entry{name: repository, host: host, prefix: host, repository: repository}
}

// example is the example in the documentation that contains a word, with the test's addresses and repository.
func (s *through) example(t *testing.T, word, repository string) string {
	t.Helper()
	text, err := os.ReadFile(documentation)
	if err != nil {
		t.Fatal(err)
	}
	for i, block := range strings.Split(string(text), "```") {
		if i%2 == 0 || !strings.Contains(block, word) {
			continue
		}
		_, block, _ = strings.Cut(block, "\n")
		return strings.NewReplacer("images.example.com:8083", s.entry(repository).host,
			"images.example.com:8081", strings.TrimPrefix(s.URL, "http://"), "docker-all", repository).Replace(block)
	}
	t.Fatalf("%s has no example with %s", documentation, word)
	return ""
}

// mirror is the mirror in the documentation's daemon.json.
func (s *through) mirror(t *testing.T, repository string) string {
	t.Helper()
	_, after, _ := strings.Cut(s.example(t, "registry-mirrors", repository), `"registry-mirrors": ["`)
	url, _, ok := strings.Cut(after, `"`)
	if !ok {
		t.Fatalf("no mirror in the example of %s", documentation)
	}
	return url
}

// puller is a client. pull pulls an image, of which it has nothing yet; reference is ":tag" or "@digest".
type puller struct {
	name string
	// slow tells that it is tried with each origin, by the proxy and by the group, but not with each origin by both.
	slow  bool
	start func(t *testing.T, s *through, e entry) (pull func(image, reference string))
}

var pullers = []puller{
	{"docker", true, func(t *testing.T, s *through, e entry) func(string, string) {
		d := testenv.StartDocker(t, testenv.DockerOptions{})
		d.Login(t, e.host, s.User, s.Password)
		return func(image, reference string) {
			for _, platform := range []string{"linux/amd64", "linux/arm64"} {
				d.Run(t, "pull", "--platform", platform, e.prefix+"/"+image+reference)
				d.Run(t, "rmi", "--force", e.prefix+"/"+image+reference)
			}
		}
	}},
	{"docker, mirror", true, func(t *testing.T, s *through, e entry) func(string, string) {
		engine := s.engines[e.repository]
		if engine == nil {
			return nil
		}
		d := *engine
		d.Config = t.TempDir()
		return func(image, reference string) {
			ref := strings.TrimPrefix(image, "library/") + reference
			d.Run(t, "pull", ref)
			d.Run(t, "rmi", "--force", ref)
		}
	}},
	{"skopeo", false, func(t *testing.T, s *through, e entry) func(string, string) {
		c := newClient(t, s.registry, e, "skopeo")
		c.env = append(c.env, "REGISTRY_AUTH_FILE="+t.TempDir()+"/auth.json")
		c.run("login", "--tls-verify=false", "-u", s.User, "-p", s.Password, e.host)
		return func(image, reference string) {
			c.run("--insecure-policy", "copy", "--all", "--src-tls-verify=false", "docker://"+e.prefix+"/"+image+reference, "dir:"+t.TempDir())
		}
	}},
	{"podman", true, containers("podman")},
	{"buildah", true, containers("buildah")},
	{"podman, mirror by port", true, mirrored("podman", true)},
	{"podman, mirror by path", true, mirrored("podman", false)},
	{"buildah, mirror by path", true, mirrored("buildah", false)},
	{"ctr", true, func(t *testing.T, s *through, e entry) func(string, string) {
		c := newClient(t, s.registry, e, "ctr")
		return func(image, reference string) {
			c.run("-a", s.socket, "-n", s.space(), "image", "pull", "--plain-http", "--all-platforms", "-u", s.User+":"+s.Password, e.prefix+"/"+image+reference)
		}
	}},
	{"ctr, mirror", true, func(t *testing.T, s *through, e entry) func(string, string) {
		c, hosts := newClient(t, s.registry, e, "ctr"), t.TempDir()
		if err := os.Mkdir(filepath.Join(hosts, "docker.io"), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(hosts, "docker.io"), "hosts.toml", s.example(t, "override_path", e.repository))
		return func(image, reference string) {
			c.run("-a", s.socket, "-n", s.space(), "image", "pull", "--hosts-dir", hosts, "--all-platforms", "docker.io/"+image+reference)
		}
	}},
	{"crane", false, func(t *testing.T, s *through, e entry) func(string, string) {
		c := newClient(t, s.registry, e, "crane")
		c.run("auth", "login", e.host, "-u", s.User, "-p", s.Password)
		return func(image, reference string) {
			c.run("validate", "--insecure", "--remote", e.prefix+"/"+image+reference)
		}
	}},
	{"oras", false, func(t *testing.T, s *through, e entry) func(string, string) {
		c := newClient(t, s.registry, e, "oras")
		c.runWith(s.Password, "login", "--plain-http", "-u", s.User, "--password-stdin", e.host)
		return func(image, reference string) {
			c.run("cp", "--from-plain-http", e.prefix+"/"+image+reference, "--to-oci-layout", t.TempDir()+":1")
		}
	}},
	{"regctl", false, func(t *testing.T, s *through, e entry) func(string, string) {
		c := newClient(t, s.registry, e, "regctl")
		c.run("registry", "set", "--skip-check", "--tls", "disabled", e.host)
		c.runWith(s.Password, "registry", "login", "-u", s.User, "--pass-stdin", e.host)
		return func(image, reference string) {
			c.run("image", "copy", e.prefix+"/"+image+reference, "ocidir://"+t.TempDir()+":1")
		}
	}},
}

// space is a namespace of containerd's that has nothing in it.
func (s *through) space() string { return fmt.Sprintf("through-%d", s.spaces.Add(1)) }

// containers is podman or buildah, signed in.
func containers(program string) func(*testing.T, *through, entry) func(string, string) {
	return func(t *testing.T, s *through, e entry) func(string, string) {
		c, global := newStorage(t, s.registry, e, program)
		c.run(with(global, "login", "--tls-verify=false", "-u", s.User, "-p", s.Password, e.host)...)
		return func(image, reference string) {
			c.run(with(global, "pull", "--tls-verify=false", e.prefix+"/"+image+reference)...)
			c.run(with(global, "rmi", "--force", "--all")...)
		}
	}
}

// mirrored is podman or buildah with a mirror of Docker Hub, by the repository's port or by its path.
func mirrored(program string, port bool) func(*testing.T, *through, entry) func(string, string) {
	return func(t *testing.T, s *through, e entry) func(string, string) {
		c, global := newStorage(t, s.registry, e, program)
		config := s.example(t, "registry.mirror", e.repository)
		if port {
			config = strings.Replace(config, strings.TrimPrefix(s.URL, "http://")+"/"+e.repository, e.host, 1)
		}
		dir := t.TempDir()
		write(t, dir, "registries.conf", config)
		c.env = append(c.env, "CONTAINERS_REGISTRIES_CONF="+filepath.Join(dir, "registries.conf"))
		return func(image, reference string) {
			c.run(with(global, "pull", "docker.io/"+image+reference)...)
			c.run(with(global, "rmi", "--force", "--all")...)
		}
	}
}

// TestThrough: real clients pull by proxies of real registries, and by groups of these, by the repositories' names and as mirrors of
// Docker Hub; and once more when the registries are gone.
func TestThrough(t *testing.T) {
	s := newThrough(t)
	pull := func(t *testing.T) {
		for _, p := range pullers {
			for i, o := range s.origins {
				for j, kind := range []string{"-proxy", "-group"} {
					if p.slow && i%2 != j {
						continue
					}
					t.Run(p.name+"/"+o.name+kind, func(t *testing.T) {
						pull := p.start(t, s, s.entry(o.name+kind))
						if pull == nil {
							return
						}
						pull(o.image, ":1")
						pull(o.image, "@"+o.digest)
					})
				}
			}
		}
	}
	t.Run("upstream there", pull)
	t.Run("push", s.push)
	for _, o := range s.origins {
		o.stop(t)
	}
	t.Run("upstream stopped", pull)
	for _, o := range s.origins {
		status := s.call(t, "GET", "/api/v1/repositories/"+o.name+"-proxy/upstream", "", http.StatusOK)
		wants(t, status, "Unavailable")
	}
}

// push: what clients push to the group is in its writable member.
func (s *through) push(t *testing.T) {
	e := s.entry(s.origins[0].name + "-group")
	check := func(t *testing.T, image string) {
		t.Helper()
		c := newClient(t, s.registry, e, "crane")
		c.run("validate", "--insecure", "--remote", s.entry("local").prefix+"/"+image)
		c.run("validate", "--insecure", "--remote", e.prefix+"/"+image)
	}
	t.Run("docker", func(t *testing.T) {
		d := testenv.StartDocker(t, testenv.DockerOptions{})
		d.Busybox(t, e.prefix+"/pushed/docker:1", t.Name())
		if out, err := d.Try(t, "push", e.prefix+"/pushed/docker:1"); err == nil {
			t.Errorf("push without signing in succeeded:\n%s", out)
		}
		d.Login(t, e.host, s.User, s.Password)
		d.Run(t, "push", e.prefix+"/pushed/docker:1")
		check(t, "pushed/docker:1")
	})
	t.Run("crane", func(t *testing.T) {
		c := newClient(t, s.registry, e, "crane")
		c.run("auth", "login", e.host, "-u", s.User, "-p", s.Password)
		c.run("append", "--insecure", "-f", testenv.BusyboxLayer(t, t.Name()), "-t", e.prefix+"/pushed/crane:1")
		c.run("copy", "--insecure", e.prefix+"/"+s.origins[0].image+":1", e.prefix+"/pushed/copy:1")
		check(t, "pushed/crane:1")
		check(t, "pushed/copy:1")
	})
}
