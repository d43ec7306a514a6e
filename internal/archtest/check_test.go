package archtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestCheck shows that each rule refuses what it is there to refuse, and what it lets pass.
func TestCheck(t *testing.T) {
	tests := []struct {
		name string
		pkg  pkg
		want string // in the only problem; empty for none
	}{
		{"errs knows nobody", pkg{Dir: "core/errs", Imports: []string{"errors", "./core/content"}}, "no other package"},
		{"content may know libraries", pkg{Dir: "core/content", Imports: []string{"github.com/opencontainers/go-digest"}}, ""},
		{"blobstore knows nobody", pkg{Dir: "core/blobstore", Imports: []string{"./core/errs"}}, "no other package"},
		{"a blob store knows the contract", pkg{Dir: "core/blobstore/file", Imports: []string{"./core/blobstore"}}, ""},
		{"format knows what is below", pkg{Dir: "core/format", Imports: []string{"./core/errs", "./core/content", "./core/blobstore"}}, ""},
		{"format knows nothing above", pkg{Dir: "core/format", Imports: []string{"./core/repository"}}, "knows only"},
		{"a format knows the contract", pkg{Dir: "formats/docker", Imports: []string{"./core/format", "./core/errs", "./core/content", "./formats/docker/manifest", "net/http"}}, ""},
		{"a format does not know stores", pkg{Dir: "formats/docker", Imports: []string{"./core/blobstore"}}, "knows only"},
		{"a format does not know the core", pkg{Dir: "formats/docker/manifest", Imports: []string{"./core/repository"}}, "knows only"},
		{"a format does not know another", pkg{Dir: "formats/docker", Imports: []string{"./formats/raw"}}, "each other"},
		{"a format's name may be another's start", pkg{Dir: "formats/go", Imports: []string{"./formats/gopher"}}, "each other"},
		{"a format does not know the list", pkg{Dir: "formats/docker", Imports: []string{"./formats/all"}}, "knows only"},
		{"nor does a format's test know another", pkg{Dir: "formats/docker", Tests: []string{"./formats/raw/rawtest"}}, "each other"},
		{"a format's test may know the core", pkg{Dir: "formats/docker", Tests: []string{"./core/format/formattest", "./core/blobstore/memory"}}, ""},
		{"a format does not know gorm", pkg{Dir: "formats/docker", Imports: []string{"gorm.io/gorm"}}, "only core/store may"},
		{"a format does not know echo", pkg{Dir: "formats/docker", Imports: []string{"github.com/labstack/echo/v4"}}, "only core/httpapi and api may"},
		{"a format does not know the database", pkg{Dir: "formats/docker", Imports: []string{"database/sql"}}, "database"},
		{"the list knows all formats", pkg{Dir: "formats/all", Imports: []string{"./core/format", "./formats/docker", "./formats/raw"}}, ""},
		{"the list knows no more", pkg{Dir: "formats/all", Imports: []string{"./core/app"}}, "knows only"},
		{"gorm in the store", pkg{Dir: "core/store", Imports: []string{"gorm.io/gorm", "modernc.org/sqlite"}}, ""},
		{"gorm elsewhere", pkg{Dir: "core/task", Imports: []string{"gorm.io/gorm"}}, "only core/store may"},
		{"gorm in a test elsewhere", pkg{Dir: "core/task", Tests: []string{"gorm.io/gorm"}}, "only core/store may"},
		{"the driver elsewhere", pkg{Dir: "core/app", Imports: []string{"modernc.org/sqlite"}}, "only core/store and test/fault may"},
		{"echo in the HTTP interface", pkg{Dir: "core/httpapi/rest", Imports: []string{"github.com/labstack/echo/v4/middleware"}}, ""},
		{"echo in the generated package", pkg{Dir: "api", Imports: []string{"github.com/labstack/echo/v4"}}, ""},
		{"echo elsewhere", pkg{Dir: "core/app", Imports: []string{"github.com/labstack/echo/v4"}}, "only core/httpapi and api may"},
		{"the core does not know formats", pkg{Dir: "core/repository", Imports: []string{"./formats/docker"}}, "only core/app knows formats"},
		{"core/app knows all", pkg{Dir: "core/app", Imports: []string{"./formats/all", "./core/httpapi", "./core/store"}}, ""},
		{"nobody knows core/app", pkg{Dir: "core/httpapi", Imports: []string{"./core/app"}}, "other way round"},
		{"the command knows core/app", pkg{Dir: "cmd/repomgr", Imports: []string{"./core/app"}}, ""},
		{"nobody knows the HTTP interface", pkg{Dir: "core/security", Imports: []string{"./core/httpapi"}}, "only core/app knows the HTTP"},
		{"suites are for tests", pkg{Dir: "core/blobstore/file", Imports: []string{"./core/blobstore/blobtest"}}, "for tests"},
		{"suites are for tests, not for the program", pkg{Dir: "core/app", Imports: []string{"./internal/testenv"}}, "for tests"},
		{"tests use suites", pkg{Dir: "core/blobstore/file", Tests: []string{"./core/blobstore/blobtest"}}, ""},
		{"suites may use others", pkg{Dir: "core/format/formattest", Imports: []string{"./core/repository", "./core/blobstore/blobtest"}}, ""},
		{"util", pkg{Dir: "core/util"}, "says nothing"},
		{"helpers", pkg{Dir: "formats/docker/helpers"}, "says nothing"},
		{"common by its clause", pkg{Dir: "core/store/shared", Name: "common"}, "says nothing"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := check(tt.pkg)
			switch {
			case tt.want == "" && len(got) > 0:
				t.Errorf("problems %q, want none", got)
			case tt.want != "" && (len(got) != 1 || !strings.Contains(got[0], tt.want)):
				t.Errorf("problems %q, want one with %q", got, tt.want)
			}
		})
	}
}

// TestLoad shows what is read of a module: packages, not what the go command leaves out.
func TestLoad(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":                   "module " + module,
		"core/a/a.go":              "package a\nimport (\"io\"; _ \"" + module + "/core/errs\")\nvar not, parsed = further",
		"core/a/b_other.go":        "//go:build never\n\npackage a\nimport \"os\"\nimport \"io\"",
		"core/a/a_test.go":         "package a_test\nimport \"testing\"",
		"core/a/testdata/x.go":     "package x",
		"tools/x/go.mod":           "module x",
		"tools/x/x.go":             "package x",
		"ui/node_modules/y/y.go":   "package y",
		".cache/z.go":              "package z",
		"core/notes/without-go.md": "",
	} {
		file := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := load(root)
	if err != nil {
		t.Fatal(err)
	}
	want := []pkg{{Dir: "core/a", Name: "a", Imports: []string{"io", "./core/errs", "os"}, Tests: []string{"testing"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
