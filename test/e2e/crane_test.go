package e2e

import (
	"path/filepath"
	"testing"

	"github.com/repomgr/repomgr/internal/testenv"
)

func TestCrane(t *testing.T) { each(t, craneStory) }

// craneStory: crane takes bearer tokens only from the registry's own host and port.
func craneStory(t *testing.T, r *registry, e entry) {
	layer := testenv.BusyboxLayer(t, t.Name())
	c := newClient(t, r, e, "crane")
	image := e.ref("crane/bb")
	c.fails("append", "--insecure", "-f", layer, "-t", image+":1")
	// crane's login asks nobody: it is the next command that is refused.
	c.run("auth", "login", e.host, "-u", r.User, "-p", "wrong")
	c.fails("append", "--insecure", "-f", layer, "-t", image+":1")
	c.fails("catalog", "--insecure", e.host)
	c.run("auth", "login", e.host, "-u", r.User, "-p", r.Password)
	c.run("append", "--insecure", "-f", layer, "-t", image+":1")
	digest := digestPattern.FindString(c.run("digest", "--insecure", image+":1"))
	c.run("validate", "--insecure", "--remote", image+":1")
	wants(t, c.run("copy", "--insecure", image+":1", e.ref("crane/copy")+":1"), "mounted blob: sha256:")
	c.run("validate", "--insecure", "--remote", e.ref("crane/copy")+":1")
	c.run("tag", "--insecure", image+"@"+digest, "2")
	wants(t, c.run("ls", "--insecure", image), "1\n2\n")
	wants(t, c.run("catalog", "--insecure", e.host), "crane/bb")
	file := filepath.Join(t.TempDir(), "image.tar")
	c.run("pull", "--insecure", image+":1", file)
	c.run("pull", "--insecure", image+"@"+digest, file)
	c.run("push", "--insecure", file, image+":pushed")
	c.run("mutate", "--insecure", image+":1", "--label", "a=b", "-t", image+":3")
	c.run("index", "append", "--insecure", "-m", image+":1", "-m", image+":3", "-t", image+":index")
	wants(t, c.run("manifest", "--insecure", image+":index"), digest)
	c.run("delete", "--insecure", image+":2")
	wants(t, c.run("ls", "--insecure", image), "1\n3\n")
	c.run("delete", "--insecure", image+"@"+digest)
	c.fails("digest", "--insecure", image+":1")

	c.run("auth", "logout", e.host)
	anonymous(t, e, c, "digest", "--insecure", image+":3")
	c.fails("delete", "--insecure", image+":3")
}
