package testenv

import (
	"fmt"
	"io/fs"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// binaries are the programs built by this test process, by package.
var binaries struct {
	sync.Mutex
	built map[string]*binary
}

type binary struct {
	once sync.Once
	path string
	err  error
}

// Binary returns the path of the repomgr program, built from the source at hand once for the test process, with the race
// detector when the test has it.
func Binary(t testing.TB) string {
	t.Helper()
	return build(t, "./cmd/repomgr")
}

// build builds a main package of the module, named by its path below the module's root.
func build(t testing.TB, command string) string {
	t.Helper()
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	binaries.Lock()
	if binaries.built == nil {
		binaries.built = map[string]*binary{}
	}
	b := binaries.built[command]
	if b == nil {
		b = &binary{}
		binaries.built[command] = b
	}
	binaries.Unlock()

	b.once.Do(func() {
		if b.err = readSources(root); b.err != nil {
			return
		}
		b.path = filepath.Join(shared.subdir(t, "bin-"), filepath.Base(command))
		args := []string{"build", "-o", b.path}
		if Race {
			args = append(args, "-race")
		}
		cmd := exec.Command("go", append(args, command)...)
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			b.err = fmt.Errorf("go build %s: %w\n%s", command, err, out)
		}
	})
	if b.err != nil {
		t.Fatal(b.err)
	}
	return b.path
}

// readSources reads the directories of the module, for no other reason than that Go's test cache notices: else it would repeat an old
// result although the program that was tested has changed.
func readSources(root string) error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() && path != root &&
			(strings.HasPrefix(name, ".") || name == "node_modules" || filepath.Dir(path) == root && (name == "bin" || name == "data")) {
			return fs.SkipDir
		}
		return nil
	})
}
