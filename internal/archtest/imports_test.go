// Package archtest holds the design's rules that the compiler doesn't check.
package archtest

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/repomgr/repomgr"

// pkg is a package of the module: a directory, seen from the module's root.
type pkg struct {
	Dir     string   // with slashes, for example "core/format"
	Name    string   // of the package clause, without a "_test" ending
	Imports []string // import paths of its files other than tests; those of the module start with "./"
	Tests   []string // import paths of its tests
}

// TestImports checks that imports go one way.
func TestImports(t *testing.T) {
	packages, err := load("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, known := range []string{"core/errs", "core/content", "core/blobstore", "core/format"} {
		if !slices.ContainsFunc(packages, func(p pkg) bool { return p.Dir == known }) {
			t.Errorf("there is no package %s any more: the rules below name it", known)
		}
	}
	for _, p := range packages {
		for _, problem := range check(p) {
			t.Error(problem)
		}
	}
}

// check returns what is wrong with a package, each as a line.
func check(p pkg) []string {
	var problems []string
	add := func(text string, args ...any) {
		problems = append(problems, p.Dir+": "+fmt.Sprintf(text, args...))
	}
	for _, name := range []string{path.Base(p.Dir), p.Name} {
		if slices.Contains(vague, strings.TrimSuffix(name, "s")) {
			add("%q says nothing about what is in the package", name)
			break
		}
	}
	for _, imported := range p.Imports {
		if why := refuse(p.Dir, imported); why != "" {
			add("imports %s: %s", imported, why)
		}
	}
	for _, imported := range p.Tests {
		if why := refuseTest(p.Dir, imported); why != "" {
			add("its tests import %s: %s", imported, why)
		}
	}
	return problems
}

// vague are package names, without a plural's s, that are refused.
var vague = []string{"util", "common", "helper"}

// owned are libraries that only some directories may know.
var owned = []struct {
	library string
	by      []string
}{
	{"gorm.io", []string{"core/store"}},
	{"modernc.org/sqlite", []string{"core/store", "test/fault"}},
	{"github.com/pressly/goose/v3", []string{"core/store"}},
	{"github.com/labstack", []string{"core/httpapi", "api"}},
	{"github.com/oapi-codegen/echo-middleware", []string{"core/httpapi", "api"}},
}

// refuse says why a package in dir must not import a path, or nothing.
func refuse(dir, imported string) string {
	if why := refuseTest(dir, imported); why != "" {
		return why
	}
	ours, isOurs := strings.CutPrefix(imported, "./")
	switch {
	case !isOurs:
		if in(dir, "formats") && imported == "database/sql" {
			return "a format does not know the database"
		}
		return ""
	case testOnly(ours) && !testOnly(dir):
		return "it is for tests"
	case dir == "core/errs", dir == "core/content", dir == "core/blobstore":
		return "it knows no other package of the module"
	case dir == "core/format":
		return allow(ours, "core/errs", "core/content", "core/blobstore", "core/remote")
	case dir == "formats/all":
		if format(ours) != "" {
			return ""
		}
		return allow(ours, "core/format")
	case in(dir, "formats"):
		if format(dir) == format(ours) {
			return ""
		}
		return allow(ours, "core/format", "core/content", "core/errs", "core/remote")
	case in(ours, "formats") && dir != "core/app" && !in(dir, "cmd") && !testOnly(dir):
		return "only core/app knows formats"
	case in(ours, "core/app") && in(dir, "core"):
		return "core/app knows the others, not the other way round"
	case in(ours, "core/httpapi") && in(dir, "core") && dir != "core/app" && !in(dir, "core/httpapi"):
		return "only core/app knows the HTTP interface"
	}
	return ""
}

// refuseTest is refuse for imports of tests, for which only the rules about libraries and formats hold.
func refuseTest(dir, imported string) string {
	ours, isOurs := strings.CutPrefix(imported, "./")
	if isOurs {
		mine, other := format(dir), format(ours)
		if mine != "" && other != "" && mine != other {
			return "formats don't know each other"
		}
		return ""
	}
	for _, o := range owned {
		if in(imported, o.library) && !slices.ContainsFunc(o.by, func(owner string) bool { return in(dir, owner) }) {
			return "only " + strings.Join(o.by, " and ") + " may"
		}
	}
	return ""
}

// allow refuses all but the packages named.
func allow(ours string, named ...string) string {
	if slices.Contains(named, ours) {
		return ""
	}
	return "of the module it knows only " + strings.Join(named, ", ")
}

// in tells whether a path is parent or below it.
func in(child, parent string) bool {
	return child == parent || strings.HasPrefix(child, parent+"/")
}

// format returns the name of the format to which a directory belongs, or "" if it belongs to none.
func format(dir string) string {
	rest, ok := strings.CutPrefix(dir, "formats/")
	if !ok || rest == "all" {
		return ""
	}
	name, _, _ := strings.Cut(rest, "/")
	return name
}

// testOnly tells whether a package is there for tests: blobtest, formattest, testenv.
func testOnly(dir string) bool {
	return strings.HasSuffix(path.Base(dir), "test") || in(dir, "internal") || in(dir, "test")
}

// load reads the imports of all packages of the module in root. It reads the files itself, whatever their build tags: what
// `go list` reads, Go's test cache would not see, and would repeat an old answer.
func load(root string) ([]pkg, error) {
	byDir := map[string]*pkg{}
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if file != root && skip(entry.Name(), file) {
				return fs.SkipDir
			}
			return nil
		}
		if filepath.Ext(file) != ".go" {
			return nil
		}
		rel, err := filepath.Rel(root, filepath.Dir(file))
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(rel)
		if byDir[dir] == nil {
			byDir[dir] = &pkg{Dir: dir}
		}
		return byDir[dir].add(file)
	})
	var packages []pkg
	for _, p := range byDir {
		packages = append(packages, *p)
	}
	slices.SortFunc(packages, func(a, b pkg) int { return strings.Compare(a.Dir, b.Dir) })
	return packages, err
}

// skip tells whether a directory is none of the module's packages, as for the go command.
func skip(name, dir string) bool {
	nested, _ := filepath.Glob(filepath.Join(dir, "go.mod"))
	return strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata" || name == "node_modules" || len(nested) > 0
}

// add notes what a file imports.
func (p *pkg) add(file string) error {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	if err != nil {
		return err
	}
	p.Name = strings.TrimSuffix(parsed.Name.Name, "_test")
	imports := &p.Imports
	if strings.HasSuffix(file, "_test.go") {
		imports = &p.Tests
	}
	for _, spec := range parsed.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return err
		}
		if ours, ok := strings.CutPrefix(imported, module+"/"); ok {
			imported = "./" + ours
		}
		if !slices.Contains(*imports, imported) {
			*imports = append(*imports, imported)
		}
	}
	return nil
}
