package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/repomgr/repomgr/internal/testenv"
)

var digestPattern = regexp.MustCompile(`sha256:[0-9a-f]{64}`)

// TestDocker: the story of the quickstart and more, with a real engine.
func TestDocker(t *testing.T) {
	r := newRegistry(t)
	r.each(t, r.entries, dockerStory(t, r))
}

func dockerStory(t *testing.T, r *registry) story {
	t.Helper()
	docker := testenv.StartDocker(t, testenv.DockerOptions{Names: r.names, Certificate: r.certificate})
	return func(t *testing.T, r *registry, e entry) {
		d := *docker
		d.Config = t.TempDir()
		name := "e2e/" + strings.ToLower(strings.ReplaceAll(t.Name(), "/", "-"))
		image := e.ref(name)
		d.Busybox(t, image+":v1", t.Name())
		if out, err := d.Try(t, "push", image+":v1"); err == nil {
			t.Fatalf("push before login succeeded:\n%s", out)
		}
		if out, err := d.Try(t, "login", "-u", r.User, "-p", "wrong", e.host); err == nil {
			t.Fatalf("login with a wrong password succeeded:\n%s", out)
		}
		d.Login(t, e.host, r.User, r.Password)
		digest := digestPattern.FindString(d.Run(t, "push", image+":v1"))

		d.Run(t, "rmi", image+":v1")
		wants(t, d.Run(t, "pull", image+":v1"), digest)
		wants(t, d.Run(t, "run", "--rm", "--network", "none", image+":v1", "/bin/echo", "it runs"), "it runs")
		d.Run(t, "rmi", image+":v1")
		d.Run(t, "pull", image+"@"+digest)
		d.Run(t, "rmi", image+"@"+digest)

		t.Run("build", func(t *testing.T) {
			dir := t.TempDir()
			file := "FROM " + image + ":v1\nRUN echo one > /one\nRUN echo two > /two\nCMD [\"/bin/cat\", \"/one\", \"/two\"]\n"
			if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(file), 0o600); err != nil {
				t.Fatal(err)
			}
			app := image + "-app:1"
			d.Run(t, "build", "--network", "none", "-t", app, dir)
			d.Run(t, "push", app)
			d.Run(t, "rmi", app)
			wants(t, d.Run(t, "run", "--rm", "--network", "none", app), "one\ntwo")
			d.Run(t, "rmi", "--force", app, image+":v1")
		})
		t.Run("manifest list", func(t *testing.T) {
			if e.secure {
				return // docker manifest speaks plain HTTP with every registry on the loopback address
			}
			d.Busybox(t, image+":arm", "arm "+t.Name())
			d.Run(t, "push", image+":arm")
			manifest := func(command string, args ...string) string {
				t.Helper()
				return d.Run(t, append([]string{"manifest", command, "--insecure"}, args...)...)
			}
			manifest("create", image+":multi", image+":v1", image+":arm")
			d.Run(t, "manifest", "annotate", image+":multi", image+":arm", "--os", "linux", "--arch", "arm64", "--variant", "v8")
			list := digestPattern.FindString(manifest("push", image+":multi"))
			d.Run(t, "pull", "--platform", "linux/arm64", image+":multi")
			wants(t, manifest("inspect", image+"@"+list), "arm64")
			d.Run(t, "rmi", "--force", image+":multi", image+":arm")
		})
		t.Run("search", func(t *testing.T) {
			wants(t, d.Run(t, "search", e.host+"/"+name), name)
		})
		t.Run("anonymous", func(t *testing.T) {
			d.Run(t, "logout", e.host)
			out, err := d.Try(t, "pull", image+":v1")
			if allowed := e.repository == bearer; allowed != (err == nil) {
				t.Errorf("anonymous pull from %s: %v\n%s", e.repository, err, out)
			}
			if out, err := d.Try(t, "push", image+":v1"); err == nil {
				t.Errorf("anonymous push succeeded:\n%s", out)
			}
			_, _ = d.Try(t, "rmi", "--force", image+":v1")
		})
	}
}
