package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/repomgr/repomgr/internal/testenv"
)

// rawServer is a running server with the repository "files", which shows files inline, and a directory to work in.
type rawServer struct {
	*registry
	t    *testing.T
	repo string
	dir  string
}

func newRaw(t *testing.T) *rawServer {
	t.Helper()
	s := &rawServer{registry: &registry{Server: testenv.StartServer(t, testenv.ServerOptions{Env: []string{"REPOMGR_ANONYMOUS=true"}})}, t: t, dir: t.TempDir()}
	s.call(t, "POST", "/service/rest/v1/repositories/raw/hosted", `{"name": "files", "online": true,
 "storage": {"blobStoreName": "default", "strictContentTypeValidation": true, "writePolicy": "ALLOW"}, "raw": {"contentDisposition": "INLINE"}}`, 201)
	s.repo = s.URL + "/repository/files"
	return s
}

// try runs a program in the directory.
func (s *rawServer) try(stdin, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(s.t.Context(), testenv.Tool(s.t, program), args...)
	cmd.Dir, cmd.Stdin = s.dir, strings.NewReader(stdin)
	cmd.Env = append(os.Environ(), "HOME="+s.dir, "http_proxy=", "no_proxy=*")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// curl runs curl as the administrator, and fails the test if it fails.
func (s *rawServer) curl(args ...string) string {
	s.t.Helper()
	return s.curlWith("", args...)
}

func (s *rawServer) curlWith(stdin string, args ...string) string {
	s.t.Helper()
	out, err := s.try(stdin, "curl", append([]string{"-q", "-sS", "--fail-with-body", "--max-time", "60", "-u", s.User + ":" + s.Password}, args...)...)
	if err != nil {
		s.t.Fatalf("curl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// status is the status that curl gets, as the administrator.
func (s *rawServer) status(args ...string) string {
	s.t.Helper()
	out, err := s.try("", "curl", append([]string{"-q", "-sS", "--max-time", "60", "-u", s.User + ":" + s.Password, "-o", "body", "-w", "%{http_code}"}, args...)...)
	if err != nil {
		s.t.Fatalf("curl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (s *rawServer) file(name, body string) {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *rawServer) wantFile(name, body string) {
	s.t.Helper()
	if b, err := os.ReadFile(filepath.Join(s.dir, name)); err != nil || string(b) != body {
		s.t.Errorf("%s has %d bytes %.100q, %v; want %d %.100q", name, len(b), b, err, len(body), body)
	}
}

func TestCurl(t *testing.T) {
	s := newRaw(t)
	large := strings.Repeat("0123456789abcdef", 1<<17) // 2 MiB: curl waits for "100 Continue" from 1 MiB on
	s.file("large.bin", large)
	s.file("small.txt", "small")

	out := s.curl("-v", "-T", "large.bin", s.repo+"/dir/")
	wants(t, out, "Expect: 100-continue")
	wants(t, out, "< HTTP/1.1 100 Continue")
	wants(t, out, "< HTTP/1.1 201 Created")
	s.curl("-o", "got", s.repo+"/dir/large.bin")
	s.wantFile("got", large)

	// Of a stream nobody knows the length; what curl says of its type by itself counts for nothing.
	wants(t, s.curlWith("streamed", "-v", "-T", "-", s.repo+"/dir/streamed.txt"), "Transfer-Encoding: chunked")
	s.curl("-X", "PUT", "--data-binary", "@small.txt", s.repo+"/dir/small.txt")
	wants(t, s.curl("-I", s.repo+"/dir/small.txt"), "Content-Type: text/plain\r\n")
	s.curl("--anyauth", "-T", "small.txt", s.repo+"/dir/anyauth.txt")
	if got := s.curl(s.repo+"/dir/streamed.txt", s.repo+"/dir/anyauth.txt"); got != "streamedsmall" {
		t.Errorf("read %q", got)
	}

	if got := s.curl("-r", "16-19", s.repo+"/dir/large.bin"); got != "0123" {
		t.Errorf("range is %q", got)
	}
	wants(t, s.curl("-r", "0-1,18-19", s.repo+"/dir/large.bin"), "Content-Range: bytes 18-19/2097152")
	s.file("part", large[:1<<20])
	s.curl("-C", "-", "-o", "part", s.repo+"/dir/large.bin")
	s.wantFile("part", large)
	if got := s.status("-C", "5", "-T", "large.bin", s.repo+"/dir/large.bin"); got != "400" {
		t.Errorf("an upload that is to be continued: %s", got)
	}

	s.curl("--etag-save", "etag", "-o", "small", s.repo+"/dir/small.txt")
	if got := s.status("--etag-compare", "etag", s.repo+"/dir/small.txt"); got != "304" {
		t.Errorf("--etag-compare: %s", got)
	}
	time.Sleep(1100 * time.Millisecond) // a file that was just stored has no date yet
	if got := s.status("-z", "small", s.repo+"/dir/small.txt"); got != "304" {
		t.Errorf("-z: %s", got)
	}
	if got := s.status("-T", "small.txt", "-H", "If-None-Match: *", s.repo+"/dir/small.txt"); got != "412" {
		t.Errorf("If-None-Match: *: %s", got)
	}
	if got := s.status("-T", "small.txt", "-H", "X-Checksum-Sha1: da39a3ee5e6b4b0d3255bfef95601890afd80709", s.repo+"/dir/small.txt"); got != "400" {
		t.Errorf("wrong checksum: %s", got)
	}
	s.curl("-T", "small.txt", s.repo+"/a%20b/%C3%A4+%23.txt")
	if got := s.curl(s.repo + "/a%20b/ä+%23.txt"); got != "small" {
		t.Errorf("read %q", got)
	}
	if got := s.status("--path-as-is", s.repo+"/dir/../dir/small.txt"); got != "400" {
		t.Errorf("--path-as-is: %s", got)
	}
	s.curl("-X", "DELETE", s.repo+"/dir/small.txt")
	if got := s.status(s.repo + "/dir/small.txt"); got != "404" {
		t.Errorf("after DELETE: %s", got)
	}
	if got := s.status("-u", "admin:wrong", "-T", "large.bin", s.repo+"/f"); got != "401" {
		t.Errorf("wrong password: %s", got)
	}
}

func TestWget(t *testing.T) {
	s := newRaw(t)
	signed := []string{"--user=" + s.User, "--password=" + s.Password}
	wget := func(args ...string) string {
		t.Helper()
		out, err := s.try("", "wget", append([]string{"--no-config", "--timeout=60", "--tries=1"}, args...)...)
		if err != nil {
			t.Fatalf("wget %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return out
	}
	s.file("up.txt", "by wget")
	// wget is refused first, and sends the body again.
	wget(append(signed, "-O", "answer", "--method=PUT", "--body-file=up.txt", s.repo+"/up.txt")...)
	wget("-O", "down.txt", s.repo+"/up.txt")
	s.wantFile("down.txt", "by wget")
	wants(t, s.curl("-I", s.repo+"/up.txt"), "Content-Type: text/plain\r\n")

	time.Sleep(1100 * time.Millisecond) // a file that was just stored has no date yet
	s.file("n/x", "")
	s.dir = filepath.Join(s.dir, "n")
	wget("-N", s.repo+"/up.txt")
	wants(t, wget("-N", s.repo+"/up.txt"), "304 Not Modified")
	s.file("up.txt", "by ")
	wants(t, wget("-c", s.repo+"/up.txt"), "206 Partial Content")
	s.wantFile("up.txt", "by wget")
}

// TestSite: a site of files with relative links is found whole, from its root without a slash on, and by its listing.
func TestSite(t *testing.T) {
	s := newRaw(t)
	site := map[string]string{
		"index.html":           `<!DOCTYPE html><link rel="stylesheet" href="css/style.css"><a href="docs">docs</a> <a href="docs/a%20b/">more</a>`,
		"css/style.css":        `body { background: url(../img/dot.svg) }`,
		"img/dot.svg":          `<svg xmlns="http://www.w3.org/2000/svg"/>`,
		"docs/index.html":      `<!DOCTYPE html><a href="page.html">page</a> <a href="../index.html">up</a>`,
		"docs/page.html":       `<!DOCTYPE html><script src="../app.js"></script>`,
		"docs/a b/index.htm":   `<!DOCTYPE html><a href="ä.html">ä</a>`,
		"docs/a b/ä.html":      `<!DOCTYPE html><p>ä`,
		"app.js":               `let a = 1`,
		"unlinked/secret.json": `{}`,
	}
	types := map[string]string{"css/style.css": "text/css", "img/dot.svg": "image/svg+xml", "app.js": "text/javascript", "docs/": "text/html", "docs/a%20b/": "text/html"}
	for name, body := range site {
		s.file("site/"+name, body)
		s.curl("-T", "site/"+name, s.repo+"/"+strings.NewReplacer(" ", "%20", "ä", "%C3%A4").Replace(name))
	}
	for path, want := range types {
		wants(t, s.curl("-I", s.repo+"/"+path), "Content-Type: "+want+"\r\n")
	}
	mirror := func(dir, root string, args ...string) map[string]string {
		t.Helper()
		if out, err := s.try("", "wget", append([]string{"--no-config", "-q", "--recursive", "--level=inf", "--page-requisites", "-e", "robots=off",
			"--restrict-file-names=nocontrol", "--trust-server-names", "-nH", "-P", dir, root}, args...)...); err != nil {
			t.Fatalf("wget: %v\n%s", err, out)
		}
		got := map[string]string{}
		base := filepath.Join(s.dir, dir, "repository", "files")
		err := filepath.Walk(base, func(path string, i os.FileInfo, err error) error {
			if err != nil || i.IsDir() {
				return err
			}
			b, err := os.ReadFile(path)
			name, _ := filepath.Rel(base, path)
			got[name] = string(b)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	got := mirror("linked", s.repo, "--no-parent")
	for name, body := range site {
		// wget has names of its own for what a directory is.
		local := strings.TrimSuffix(name, "a b/index.htm")
		if local != name {
			local += "a b/index.html"
		}
		if want := body; name != "unlinked/secret.json" && got[local] != want {
			t.Errorf("%s is %q, want %q", name, got[local], want)
		}
	}
	if _, ok := got["unlinked/secret.json"]; ok {
		t.Error("what nothing links to was found")
	}
	listed := mirror("listed", s.URL+"/service/rest/repository/browse/files/", "--include-directories=/service/rest/repository/browse/files,/repository/files")
	for name, body := range site {
		if listed[name] != body {
			t.Errorf("by the listing %s is %q, want %q", name, listed[name], body)
		}
	}
	if got := s.status(s.repo + "/unlinked/"); got != "404" {
		t.Errorf("a directory without a document: %s", got)
	}
	wants(t, s.curl("-I", s.repo+"/docs"), "HTTP/1.1 302 Found\r\n")
}
