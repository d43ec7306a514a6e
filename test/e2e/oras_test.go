package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/repomgr/repomgr/internal/testenv"
)

func TestOras(t *testing.T) {
	each(t, func(t *testing.T, r *registry, e entry) {
		c := newClient(t, r, e, "oras")
		c.dir = t.TempDir()
		write(t, c.dir, "a.txt", "artifact "+t.Name())
		write(t, c.dir, "sbom.json", `{"sbom": true}`)
		artifact := e.ref("oras/art")
		c.fails("push", "--plain-http", artifact+":1", "a.txt:text/plain")
		c.failsWith("wrong", "login", "--plain-http", "-u", r.User, "--password-stdin", e.host)
		c.runWith(r.Password, "login", "--plain-http", "-u", r.User, "--password-stdin", e.host)
		out := c.run("push", "--plain-http", artifact+":1", "--artifact-type", "application/vnd.acme.thing", "a.txt:text/plain")
		digest := digestPattern.FindString(out)
		c.run("attach", "--plain-http", artifact+":1", "--artifact-type", "application/vnd.acme.sbom", "sbom.json:application/json")
		wants(t, c.run("discover", "--plain-http", artifact+":1"), "application/vnd.acme.sbom")
		c.run("tag", "--plain-http", artifact+":1", "2")
		wants(t, c.run("repo", "tags", "--plain-http", artifact), "2")
		wants(t, c.run("repo", "ls", "--plain-http", e.prefix+"/"), "oras/art")
		// An attached artifact must be found by the referrers API, not by a fallback tag.
		if tags := c.run("repo", "tags", "--plain-http", artifact); tags != "1\n2\n" {
			t.Errorf("tags: %q", tags)
		}
		c.run("manifest", "fetch", "--plain-http", artifact+"@"+digest)
		for _, reference := range []string{":1", "@" + digest} {
			dir := t.TempDir()
			c.run("pull", "--plain-http", "-o", dir, artifact+reference)
			if b, err := os.ReadFile(filepath.Join(dir, "a.txt")); err != nil || string(b) != "artifact "+t.Name() {
				t.Errorf("pulled %s: %q, %v", reference, b, err)
			}
		}
		wants(t, c.run("cp", "-v", "--from-plain-http", "--to-plain-http", "-r", artifact+":1", e.ref("oras/copy")+":1"), "Mounted ")
		wants(t, c.run("discover", "--plain-http", e.ref("oras/copy")+":1"), "application/vnd.acme.sbom")
		c.run("manifest", "delete", "--plain-http", "--force", artifact+":2")
		c.fails("manifest", "fetch", "--plain-http", artifact+":2")

		c.run("logout", e.host)
		anonymous(t, e, c, "pull", "--plain-http", "-o", t.TempDir(), e.ref("oras/copy")+":1")
	})
}

func TestRegctl(t *testing.T) {
	layout := "ocidir://" + testenv.BusyboxLayout(t, "v1", t.Name()) + ":v1"
	each(t, func(t *testing.T, r *registry, e entry) {
		c := newClient(t, r, e, "regctl")
		image := e.ref("regctl/bb")
		if !e.secure {
			c.run("registry", "set", "--skip-check", "--tls", "disabled", e.host)
		}
		c.fails("image", "copy", layout, image+":1")
		c.failsWith("wrong", "registry", "login", "-u", r.User, "--pass-stdin", e.host)
		c.runWith(r.Password, "registry", "login", "-u", r.User, "--pass-stdin", e.host)
		c.run("image", "copy", layout, image+":1")
		digest := trim(c.run("image", "digest", image+":1"))
		c.run("manifest", "get", image+"@"+digest)
		c.run("image", "export", image+":1", filepath.Join(t.TempDir(), "out.tar"))
		c.run("image", "export", image+"@"+digest, filepath.Join(t.TempDir(), "out.tar"))
		wants(t, c.run("-v", "debug", "image", "copy", image+":1", e.ref("regctl/copy")+":1"), "server side with registry mount")
		c.run("index", "create", e.ref("regctl/idx")+":1", "--ref", image+":1", "--platform", "linux/amd64")
		c.runWith("x", "artifact", "put", "--artifact-type", "application/x.y", "--subject", image+":1")
		wants(t, c.run("artifact", "list", image+":1"), "application/x.y")
		c.run("image", "mod", image+":1", "--create", image+":zstd", "--layer-compress", "zstd")
		wants(t, c.run("tag", "ls", image), "1\nzstd\n")
		c.run("tag", "rm", image+":zstd")
		if tags := c.run("tag", "ls", image); tags != "1\n" {
			t.Errorf("tags: %q", tags)
		}
		wants(t, c.run("repo", "ls", e.host), "regctl/bb")
		c.run("manifest", "delete", e.ref("regctl/copy")+"@"+digest)
		c.fails("manifest", "get", e.ref("regctl/copy")+":1")

		c.run("registry", "logout", e.host)
		anonymous(t, e, c, "manifest", "get", image+":1")
	})
}

// TestHelm: charts are OCI artifacts.
func TestHelm(t *testing.T) {
	each(t, func(t *testing.T, r *registry, e entry) {
		c := newClient(t, r, e, "helm")
		c.dir = t.TempDir()
		c.run("create", "hc")
		c.run("package", "hc")
		c.fails("push", "--plain-http", "hc-0.1.0.tgz", "oci://"+e.ref("charts"))
		c.failsWith("wrong", "registry", "login", "--plain-http", "-u", r.User, "--password-stdin", e.host)
		c.runWith(r.Password, "registry", "login", "--plain-http", "-u", r.User, "--password-stdin", e.host)
		digest := digestPattern.FindString(c.run("push", "--plain-http", "hc-0.1.0.tgz", "oci://"+e.ref("charts")))
		chart := "oci://" + e.ref("charts/hc")
		c.run("pull", "--plain-http", chart, "--version", "0.1.0", "-d", t.TempDir())
		c.run("pull", "--plain-http", chart+"@"+digest, "-d", t.TempDir())
		wants(t, c.run("show", "chart", "--plain-http", chart, "--version", "0.1.0"), "name: hc")
		wants(t, c.run("template", "x", "--plain-http", chart), "kind: Deployment")

		c.run("registry", "logout", e.host)
		anonymous(t, e, c, "show", "chart", "--plain-http", chart, "--version", "0.1.0")
	})
}
