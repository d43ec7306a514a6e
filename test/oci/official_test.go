package oci

import (
	"debug/buildinfo"
	"encoding/xml"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// conformanceProgram is the environment variable that names the OCI's conformance program: the test binary of release 1.1.1, or the
// program of the main branch.
const conformanceProgram = "OCI_CONFORMANCE_BIN"

// TestOfficialConformance runs the OCI's own conformance program on each entry, where it is at hand: it can't be had as a Go module,
// so neither it nor a way to build it is here.
func TestOfficialConformance(t *testing.T) {
	program := os.Getenv(conformanceProgram)
	if program == "" {
		t.Skipf("%s names no program: the OCI's conformance program is run only where there is one", conformanceProgram)
	}
	s := sharedServer(t)
	for _, repository := range []string{open, forced} {
		for _, e := range s.entries(t, repository) {
			// The root of the main port, which path-based requests share with other repositories, offers Bearer.
			if repository == forced && e.name == "path" {
				continue
			}
			t.Run(repository+"/"+e.name, func(t *testing.T) {
				r := s.newRegistry(e, repository)
				if e.host != "" || e.base != "" {
					r.entry = behindProxy(t, e)
				}
				runConformance(t, program, r)
			})
		}
	}
}

// behindProxy is an entry that the program can use, which knows neither a prefix of paths nor another Host than that of the address:
// a reverse proxy on an address of its own that adds them.
func behindProxy(t *testing.T, e entry) entry {
	t.Helper()
	target, err := url.Parse(e.root)
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.SetXForwarded()
			// The realm of the server's challenges has the prefix already.
			if e.base != "" && !strings.HasPrefix(r.In.URL.Path, e.base) {
				r.Out.URL.Path, r.Out.URL.RawPath = e.base+r.In.URL.Path, ""
			}
			if e.host != "" {
				r.Out.Host = e.host
			}
		},
		ModifyResponse: func(res *http.Response) error {
			if location := res.Header.Get("Location"); location != "" {
				res.Header.Set("Location", strings.TrimPrefix(location, e.base))
			}
			return nil
		},
	})
	t.Cleanup(front.Close)
	return entry{name: e.name, root: front.URL}
}

// runConformance runs the program and demands that it passes and skips nothing.
func runConformance(t *testing.T, program string, r registry) {
	reports := t.TempDir()
	variables := ofMain(r, reports)
	if isRelease(program) {
		variables = ofRelease(r, reports)
	}
	cmd := exec.Command(program)
	cmd.Dir = reports
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "OCI_") && !strings.HasPrefix(strings.ToLower(v), "http_proxy=") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, variables...)
	out, err := cmd.CombinedOutput()
	report, readErr := readReport(filepath.Join(reports, "junit.xml"))
	if readErr != nil {
		t.Fatalf("%v\n%v\n%s", readErr, err, out)
	}
	passed := 0
	for _, c := range report {
		switch c.status() {
		case "passed":
			passed++
		case "skipped":
			if !maySkip(c.Name) {
				t.Errorf("skipped: %s\n%.500s", c.Name, c.text())
			}
		default:
			t.Errorf("%s: %s\n%.3000s", c.status(), c.Name, c.text())
		}
	}
	t.Logf("%d of %d passed", passed, len(report))
	if err != nil && !t.Failed() {
		t.Errorf("%v\n%s", err, out)
	}
	if passed == 0 {
		t.Errorf("nothing ran:\n%s", out)
	}
}

// maySkip tells whether the program may skip a test case.
func maySkip(name string) bool {
	for _, end := range inevitable {
		if strings.HasSuffix(name, end) {
			return true
		}
	}
	return false
}

// inevitable are the ends of names of test cases that release 1.1.1 runs only where another one can't be.
var inevitable = []string{
	"Get tag name from environment", "Populate registry with test tags (no push)",
	"Cross-mounting of nonexistent blob should yield session id", // that is: where nothing can be mounted
	"Cross-mounting without from, and automatic content discovery disabled should return a 202",
}

// isRelease tells whether the program is that of release 1.1.1, which is a Go test binary.
func isRelease(program string) bool {
	info, err := buildinfo.ReadFile(program)
	return err == nil && strings.HasSuffix(info.Path, ".test")
}

// ofRelease is the environment of release 1.1.1's program.
func ofRelease(r registry, reports string) []string {
	return []string{
		"OCI_ROOT_URL=" + r.root, "OCI_NAMESPACE=" + r.name(), "OCI_CROSSMOUNT_NAMESPACE=" + r.sibling().name(),
		"OCI_USERNAME=" + adminUser, "OCI_PASSWORD=" + adminPassword,
		"OCI_TEST_PULL=1", "OCI_TEST_PUSH=1", "OCI_TEST_CONTENT_DISCOVERY=1", "OCI_TEST_CONTENT_MANAGEMENT=1",
		"OCI_HIDE_SKIPPED_WORKFLOWS=0", "OCI_AUTOMATIC_CROSSMOUNT=1",
		// A blob that a manifest needs is not deleted before it.
		"OCI_DELETE_MANIFEST_BEFORE_BLOBS=1",
		"OCI_REPORT_DIR=" + reports,
	}
}

// ofMain is the environment of the main branch's program; "dev" asks for what main adds to release 1.1.
func ofMain(r registry, reports string) []string {
	return []string{
		"OCI_REGISTRY=" + strings.TrimPrefix(r.root, "http://"), "OCI_TLS=disabled",
		"OCI_REPO1=" + r.name(), "OCI_REPO2=" + r.sibling().name(),
		"OCI_USERNAME=" + adminUser, "OCI_PASSWORD=" + adminPassword,
		"OCI_VERSION=dev", "OCI_RESULTS_DIR=" + reports,
	}
}

// testCase is one of a JUnit report.
type testCase struct {
	Name    string  `xml:"name,attr"`
	Class   string  `xml:"classname,attr"`
	Status  string  `xml:"status,attr"`
	Skipped *result `xml:"skipped"`
	Failure *result `xml:"failure"`
	Error   *result `xml:"error"`
	Output  string  `xml:"system-out"`
}

type result struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// status is "passed", "skipped", or how the test case failed. The main branch's program says it by the attribute alone.
func (c testCase) status() string {
	switch {
	case c.Failure != nil:
		return "failure"
	case c.Error != nil:
		return "error"
	case c.Skipped != nil:
		return "skipped"
	case c.Status == "":
		return "passed"
	}
	return c.Status
}

// text is what the report says of a test case that did not pass.
func (c testCase) text() string {
	for _, r := range []*result{c.Failure, c.Error, c.Skipped} {
		if r != nil {
			return r.Message + "\n" + r.Text + "\n" + c.Output
		}
	}
	return c.Output
}

func readReport(path string) ([]testCase, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var report struct {
		Suites []struct {
			Cases []testCase `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(text, &report); err != nil {
		return nil, err
	}
	var all []testCase
	for _, suite := range report.Suites {
		all = append(all, suite.Cases...)
	}
	return all, nil
}
