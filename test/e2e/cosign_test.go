package e2e

import (
	"testing"

	"github.com/repomgr/repomgr/internal/testenv"
)

func TestCosign(t *testing.T) { each(t, cosignStory) }

// cosignStory signs, verifies and attests with a key pair: with signatures in tags, as referrers, and in bundles, which are referrers
// of their own kind.
func cosignStory(t *testing.T, r *registry, e entry) {
	if e.name == "subdomain" {
		return // cosign verify speaks plain HTTP with addresses only, not with names; it uses subdomains in TestMainPortTLS
	}
	crane := newClient(t, r, e, "crane")
	crane.run("auth", "login", e.host, "-u", r.User, "-p", r.Password)
	image := e.ref("cosign/bb")
	crane.run("append", "--insecure", "-f", testenv.BusyboxLayer(t, t.Name()), "-t", image+":1")
	ref := image + "@" + trim(crane.run("digest", "--insecure", image+":1"))

	c := newClient(t, r, e, "cosign", "COSIGN_PASSWORD=", "COSIGN_EXPERIMENTAL=1")
	c.dir = t.TempDir()
	c.run("generate-key-pair")
	c.run("generate-key-pair", "--output-key-prefix", "other")
	// No transparency log, no timestamps: trust is in the key alone, and nothing leaves the machine.
	c.run("trusted-root", "create", "--out", "root.json")
	write(t, c.dir, "p.json", `{"tested": true}`)
	command := func(format, name string, args ...string) []string {
		return with([]string{name, "--allow-http-registry", "--new-bundle-format=" + format}, append(args, ref)...)
	}
	sign := func(format string, args ...string) []string {
		return command(format, "sign", with(args, "-y", "--key", "cosign.key", "--tlog-upload=false", "--use-signing-config=false")...)
	}
	verify := func(format, key string, args ...string) []string {
		return command(format, "verify", with(args, "--key", key, "--insecure-ignore-tlog=true")...)
	}
	const classic, bundle = "false", "true"
	nobody := newClient(t, r, e, "cosign", "COSIGN_EXPERIMENTAL=1")
	nobody.dir = c.dir

	c.fails(sign(classic)...)
	// cosign's login asks nobody: it is the next command that is refused.
	c.run("login", e.host, "-u", r.User, "-p", "wrong")
	c.fails(sign(classic)...)
	c.run("login", e.host, "-u", r.User, "-p", r.Password)
	c.fails(verify(classic, "cosign.pub")...)
	c.run(sign(classic)...)
	c.run(verify(classic, "cosign.pub")...)
	c.fails(verify(classic, "other.pub")...)
	c.run(command(classic, "attest", "-y", "--key", "cosign.key", "--predicate", "p.json", "--type", "custom",
		"--tlog-upload=false", "--use-signing-config=false")...)
	c.run(command(classic, "verify-attestation", "--key", "cosign.pub", "--type", "custom", "--insecure-ignore-tlog=true")...)
	c.run(sign(classic, "--registry-referrers-mode", "oci-1-1")...)
	c.run(verify(classic, "cosign.pub", "--experimental-oci11")...)
	anonymous(t, e, nobody, verify(classic, "cosign.pub")...)

	c.fails(verify(bundle, "cosign.pub", "--trusted-root", "root.json")...)
	c.run(sign(bundle)...)
	c.run(verify(bundle, "cosign.pub", "--trusted-root", "root.json")...)
	c.fails(verify(bundle, "other.pub", "--trusted-root", "root.json")...)
	anonymous(t, e, nobody, verify(bundle, "cosign.pub", "--trusted-root", "root.json")...)
	if tags := crane.run("ls", "--insecure", image); countLines(tags) != 3 {
		t.Errorf("tags of the image, its signature and its attestation: %q", tags)
	}
}
