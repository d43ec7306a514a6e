package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/repomgr/repomgr/internal/testenv"
)

// newStorage is a client of containers/storage with files of its own.
func newStorage(t *testing.T, r *registry, e entry, name string) (c *client, global []string) {
	t.Helper()
	c = newClient(t, r, e, name)
	auth := t.TempDir()
	write(t, auth, "auth.json", "{}") // buildah wants it to be there
	c.env = append(c.env, "REGISTRY_AUTH_FILE="+filepath.Join(auth, "auth.json"), "BUILDAH_ISOLATION=chroot")
	root := shortDir(t) // podman takes no path of more than 50 bytes
	global = []string{"--root", filepath.Join(root, "root"), "--runroot", filepath.Join(root, "run"), "--storage-driver", "vfs"}
	return c, global
}

// with puts the global options before a command's own.
func with(global []string, args ...string) []string {
	return append(append([]string{}, global...), args...)
}

func TestPodman(t *testing.T) {
	rootfs := testenv.BusyboxLayer(t, t.Name())
	each(t, func(t *testing.T, r *registry, e entry) {
		c, global := newStorage(t, r, e, "podman")
		podman := func(args ...string) string { t.Helper(); return c.run(with(global, args...)...) }
		image := e.ref("podman/bb")
		podman("import", "--change", `CMD ["/bin/sh"]`, rootfs, image+":v1")
		c.fails(with(global, "push", "--tls-verify=false", image+":v1")...)
		c.fails(with(global, "login", "--tls-verify=false", "-u", r.User, "-p", "wrong", e.host)...)
		podman("login", "--tls-verify=false", "-u", r.User, "-p", r.Password, e.host)
		podman("push", "--tls-verify=false", image+":v1")
		podman("rmi", "--force", "--all")
		podman("pull", "--tls-verify=false", image+":v1")
		digest := digestPattern.FindString(podman("inspect", "--format", "{{.Digest}}", image+":v1"))
		podman("rmi", "--force", "--all")
		podman("pull", "--tls-verify=false", image+"@"+digest)
		podman("rmi", "--force", "--all")

		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "Containerfile"), []byte("FROM "+image+":v1\nRUN echo built > /built\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		podman("build", "--isolation", "chroot", "--tls-verify=false", "-t", e.ref("podman/app")+":1", dir)
		podman("push", "--tls-verify=false", e.ref("podman/app")+":1")
		wants(t, podman("search", "--tls-verify=false", e.host+"/podman"), "podman/app")
		wants(t, podman("search", "--tls-verify=false", "--list-tags", image), "v1")

		podman("rmi", "--force", "--all")
		podman("logout", e.host)
		anonymous(t, e, c, with(global, "pull", "--tls-verify=false", image+":v1")...)
	})
}

func TestBuildah(t *testing.T) {
	rootfs := testenv.BusyboxLayer(t, t.Name())
	each(t, func(t *testing.T, r *registry, e entry) {
		c, global := newStorage(t, r, e, "buildah")
		buildah := func(args ...string) string { t.Helper(); return c.run(with(global, args...)...) }
		image := e.ref("buildah/bb")
		const container = "c1"
		buildah("from", "--name", container, "scratch")
		buildah("add", container, rootfs, "/")
		buildah("commit", "--format", "oci", container, image+":oci")
		buildah("commit", "--format", "docker", container, image+":docker")
		c.fails(with(global, "push", "--tls-verify=false", image+":oci")...)
		c.fails(with(global, "login", "--tls-verify=false", "-u", r.User, "-p", "wrong", e.host)...)
		buildah("login", "--tls-verify=false", "-u", r.User, "-p", r.Password, e.host)
		for _, tag := range []string{":oci", ":docker"} {
			buildah("push", "--tls-verify=false", image+tag)
		}
		buildah("push", "--tls-verify=false", "--compression-format", "zstd", image+":oci", "docker://"+image+":zstd")
		buildah("manifest", "create", "list")
		buildah("manifest", "add", "--arch", "arm64", "--os", "linux", "list", image+":oci")
		buildah("manifest", "push", "--all", "--tls-verify=false", "list", "docker://"+image+":list")
		buildah("rmi", "--force", "--all")
		for _, tag := range []string{":oci", ":docker", ":zstd"} {
			buildah("pull", "--tls-verify=false", image+tag)
		}
		digest := digestPattern.FindString(buildah("inspect", "--type", "image", "--format", "{{.FromImageDigest}}", image+":oci"))
		buildah("pull", "--tls-verify=false", image+"@"+digest)

		buildah("rmi", "--force", "--all")
		buildah("logout", e.host)
		anonymous(t, e, c, with(global, "pull", "--tls-verify=false", image+":oci")...)
	})
}
