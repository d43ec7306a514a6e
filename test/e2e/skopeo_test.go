package e2e

import (
	"testing"

	"github.com/repomgr/repomgr/internal/testenv"
)

func TestSkopeo(t *testing.T) { each(t, skopeoStory) }

func skopeoStory(t *testing.T, r *registry, e entry) {
	layout := "oci:" + testenv.BusyboxLayout(t, "v1", t.Name()) + ":v1"
	c := newClient(t, r, e, "skopeo")
	c.env = append(c.env, "REGISTRY_AUTH_FILE="+t.TempDir()+"/auth.json")
	image := "docker://" + e.ref("skopeo/bb")
	c.fails("--insecure-policy", "copy", "--dest-tls-verify=false", layout, image+":v1")
	c.fails("login", "--tls-verify=false", "-u", r.User, "-p", "wrong", e.host)
	c.run("login", "--tls-verify=false", "-u", r.User, "-p", r.Password, e.host)

	c.run("--insecure-policy", "copy", "--dest-tls-verify=false", layout, image+":v1")
	c.run("--insecure-policy", "copy", "--dest-tls-verify=false", "--format", "v2s2", layout, image+":v2s2")
	// skopeo mounts a layer of which it remembers where it has pushed it.
	wants(t, c.run("--debug", "--insecure-policy", "copy", "--src-tls-verify=false", "--dest-tls-verify=false",
		image+":v1", "docker://"+e.ref("skopeo/copy")+":v1"), "... mount OK")
	digest := digestPattern.FindString(c.run("inspect", "--tls-verify=false", "--format", "{{.Digest}}", image+":v1"))
	c.run("--insecure-policy", "copy", "--src-tls-verify=false", image+"@"+digest, "dir:"+t.TempDir())
	c.run("--insecure-policy", "copy", "--src-tls-verify=false", image+":v2s2", "dir:"+t.TempDir())
	wants(t, c.run("list-tags", "--tls-verify=false", image), `"v2s2"`)
	c.run("--insecure-policy", "sync", "--src-tls-verify=false", "--src", "docker", "--dest", "dir", e.ref("skopeo/bb"), t.TempDir())

	if out := c.fails("--insecure-policy", "copy", "--dest-tls-verify=false", "--format", "v2s1", layout, image+":old"); out != "" {
		wants(t, out, "schema 1")
	}
	c.run("logout", e.host)
	anonymous(t, e, c, "inspect", "--tls-verify=false", image+":v1")
	c.fails("delete", "--tls-verify=false", image+":v1")
	c.run("login", "--tls-verify=false", "-u", r.User, "-p", r.Password, e.host)
	c.run("delete", "--tls-verify=false", image+":v1")
	c.fails("inspect", "--tls-verify=false", image+":v1")
}
