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
		dir := t.TempDir()
		c.run("pull", "--plain-http", "-o", dir, artifact+"@"+digest)
		if b, err := os.ReadFile(filepath.Join(dir, "a.txt")); err != nil || string(b) != "artifact "+t.Name() {
			t.Errorf("pulled %q, %v", b, err)
		}
		c.run("cp", "--from-plain-http", "--to-plain-http", "-r", artifact+":1", e.ref("oras/copy")+":1")
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
		c.failsWith("wrong", "registry", "login", "-u", r.User, "--pass-stdin", e.host)
		c.runWith(r.Password, "registry", "login", "-u", r.User, "--pass-stdin", e.host)
		c.run("image", "copy", layout, image+":1")
		digest := trim(c.run("image", "digest", image+":1"))
		c.run("manifest", "get", image+"@"+digest)
		c.run("image", "export", image+":1", filepath.Join(t.TempDir(), "out.tar"))
		c.run("image", "copy", image+":1", e.ref("regctl/copy")+":1")
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
		c.failsWith("wrong", "registry", "login", "--plain-http", "-u", r.User, "--password-stdin", e.host)
		c.runWith(r.Password, "registry", "login", "--plain-http", "-u", r.User, "--password-stdin", e.host)
		c.run("push", "--plain-http", "hc-0.1.0.tgz", "oci://"+e.ref("charts"))
		chart := "oci://" + e.ref("charts/hc")
		c.run("pull", "--plain-http", chart, "--version", "0.1.0", "-d", t.TempDir())
		wants(t, c.run("show", "chart", "--plain-http", chart, "--version", "0.1.0"), "name: hc")
		wants(t, c.run("template", "x", "--plain-http", chart), "kind: Deployment")

		c.run("registry", "logout", e.host)
		anonymous(t, e, c, "show", "chart", "--plain-http", chart, "--version", "0.1.0")
	})
}

// TestCosign signs, verifies and attests with a key pair, with signatures in tags and as referrers.
func TestCosign(t *testing.T) {
	each(t, func(t *testing.T, r *registry, e entry) {
		if e.name == "subdomain" {
			return // cosign verify speaks plain HTTP with addresses only, not with names
		}
		crane := newClient(t, r, e, "crane")
		crane.run("auth", "login", e.host, "-u", r.User, "-p", r.Password)
		image := e.ref("cosign/bb")
		crane.run("append", "--insecure", "-f", testenv.BusyboxLayer(t, t.Name()), "-t", image+":1")
		ref := image + "@" + trim(crane.run("digest", "--insecure", image+":1"))

		c := newClient(t, r, e, "cosign", "COSIGN_PASSWORD=", "COSIGN_EXPERIMENTAL=1")
		c.dir = t.TempDir()
		c.run("generate-key-pair")
		c.fails(with([]string{"sign", "-y", "--key", "cosign.key", "--tlog-upload=false", "--use-signing-config=false"}, "--allow-http-registry", "--new-bundle-format=false", ref)...)
		c.run("login", e.host, "-u", r.User, "-p", r.Password)
		flags := []string{"--allow-http-registry", "--new-bundle-format=false"}
		write(t, c.dir, "p.json", `{"tested": true}`)
		c.run(with(flags, "sign", "-y", "--key", "cosign.key", "--tlog-upload=false", "--use-signing-config=false", ref)...)
		c.run(with(flags, "verify", "--key", "cosign.pub", "--insecure-ignore-tlog=true", ref)...)
		c.run(with(flags, "attest", "-y", "--key", "cosign.key", "--predicate", "p.json", "--type", "custom", "--tlog-upload=false", "--use-signing-config=false", ref)...)
		c.run(with(flags, "verify-attestation", "--key", "cosign.pub", "--type", "custom", "--insecure-ignore-tlog=true", ref)...)
		c.run(with(flags, "sign", "-y", "--key", "cosign.key", "--tlog-upload=false", "--use-signing-config=false", "--registry-referrers-mode", "oci-1-1", ref)...)
		c.run(with(flags, "verify", "--key", "cosign.pub", "--insecure-ignore-tlog=true", "--experimental-oci11", ref)...)
		if tags := crane.run("ls", "--insecure", image); countLines(tags) != 3 {
			t.Errorf("tags of the image, its signature and its attestation: %q", tags)
		}
	})
}
