package raw

import (
	"fmt"
	"html"
	"io"
	"mime"
	"mime/multipart"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/repomgr/repomgr/internal/testenv"
)

// TestHeaders: nothing that somebody stored acts as a part of the server's own site.
func TestHeaders(t *testing.T) {
	s := newServer(t)
	for repository, disposition := range map[string]string{files: "inline", once: "attachment"} {
		put := s.put(t, repository, "/a.html", "<script>").want(t, 201)
		for _, method := range []string{"GET", "HEAD"} {
			a := s.do(t, method, at(repository, "/a.html"), nil).want(t, 200).wantHeader(t, "Content-Type", "text/html").wantHeader(t, "Content-Length", "8")
			a.wantHeader(t, "X-Content-Type-Options", "nosniff").wantHeader(t, "Content-Security-Policy", "sandbox").wantHeader(t, "Content-Disposition", disposition)
			a.wantHeader(t, "Etag", put.header.Get("Etag")).wantHeader(t, "X-Checksum-Md5", "8cd03c2da7b97e107ce990e50b6886cf")
		}
		s.get(t, repository, "/a.html", "If-None-Match", put.header.Get("Etag")).want(t, 304)
	}
}

// TestRanges: RFC 9110 section 14.
func TestRanges(t *testing.T) {
	s := newServer(t)
	body := strings.Repeat("0123456789", 20_000)
	s.put(t, files, "/f", body).want(t, 201)
	s.get(t, files, "/f", "Range", "bytes=5-9").want(t, 206).wantBody(t, "56789").wantHeader(t, "Content-Range", "bytes 5-9/200000")
	s.get(t, files, "/f", "Range", "bytes=-3").want(t, 206).wantBody(t, "789")
	s.get(t, files, "/f", "Range", "bytes=199999-").want(t, 206).wantBody(t, "9")
	s.get(t, files, "/f", "Range", "bytes=200000-").want(t, 416).wantHeader(t, "Content-Range", "bytes */200000")
	s.get(t, files, "/f", "Range", "bytes=0-1", "If-Range", `"other"`).want(t, 200).wantBody(t, body)
	a := s.get(t, files, "/f", "Range", "bytes=0-1,15-17").want(t, 206)
	kind, params, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	if err != nil || kind != "multipart/byteranges" {
		t.Fatalf("content type %q: %v", kind, err)
	}
	parts := multipart.NewReader(strings.NewReader(a.body), params["boundary"])
	for _, want := range []string{"01", "567"} {
		part, err := parts.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(part); err != nil || string(b) != want {
			t.Errorf("part is %q, %v; want %q", b, err, want)
		}
	}
}

// TestPolicies: what write policies refuse is 400, as in Nexus, and says why.
func TestPolicies(t *testing.T) {
	s := newServer(t)
	s.put(t, files, "/f", "one").want(t, 201)
	s.put(t, files, "/f", "two").want(t, 201)
	s.get(t, files, "/f").wantBody(t, "two")
	s.put(t, once, "/f", "one").want(t, 201)
	s.put(t, once, "/f", "one").want(t, 201)
	s.put(t, once, "/f", "two").want(t, 400).wantBody(t, "once/f cannot be updated as asset already exists and redeploy is not allowed\n")
	s.get(t, once, "/f").wantBody(t, "one")
	s.do(t, "DELETE", at(once, "/f"), nil).want(t, 204)
	s.put(t, once, "/f", "two").want(t, 201)
	s.put(t, sealed, "/f", "one").want(t, 400).wantBody(t, "repository sealed is read-only\n")
	s.do(t, "DELETE", at(sealed, "/f"), nil).want(t, 400).wantBody(t, "repository sealed is read-only\n")
	s.put(t, strict, "/f.png", "<html>").want(t, 400).wantBody(t, "Detected content type [text/html], but expected [image/png]: /f.png\n")
}

// TestOneCreates: of those who create the same file at the same time one does, and its bytes are what is read.
func TestOneCreates(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { oneCreates(t, newServer(t)) })
	t.Run("postgres", func(t *testing.T) { oneCreates(t, newServerOn(t, testenv.Postgres(t))) })
}

func oneCreates(t *testing.T, s *server) {
	s.get(t, files, "/none").want(t, 404)
	for round := range 10 {
		path := fmt.Sprintf("/created/%d", round)
		var created atomic.Int64
		var winner atomic.Value
		var wg sync.WaitGroup
		for i := range 12 {
			wg.Go(func() {
				body := strings.Repeat(fmt.Sprint(i), 1000)
				switch a := s.put(t, files, path, body, "If-None-Match", "*"); a.status {
				case 201:
					created.Add(1)
					winner.Store(body)
				case 412:
				default:
					t.Errorf("status is %d: %s", a.status, a.body)
				}
			})
		}
		wg.Wait()
		if created.Load() != 1 {
			t.Fatalf("%d have created %s", created.Load(), path)
		}
		s.get(t, files, path).wantBody(t, winner.Load().(string))
	}
}

// TestBrowse: the listing that people see, of any directory, and only if they may.
func TestBrowse(t *testing.T) {
	s := newServer(t)
	const browse = "/service/rest/repository/browse/"
	for _, file := range []string{"/dir/a.txt", "/dir/%3Cb%3E&%22'.txt", "/dir/sub/c", "/dir/x:y/d", "/%C3%A4%20%23/e"} {
		s.put(t, files, file, "body").want(t, 201)
	}
	page := s.do(t, "GET", browse+files+"/dir/", nil).want(t, 200).wantHeader(t, "Content-Type", "text/html; charset=UTF-8")
	for _, want := range []string{
		`<a href="../">Parent Directory</a>`,
		`<a href="../../../../../../repository/files/dir/a.txt">a.txt</a>`,
		`<a href="../../../../../../repository/files/dir/%3Cb%3E&amp;%22%27.txt">&lt;b&gt;&amp;&#34;&#39;.txt</a>`,
		`<a href="./sub/">sub/</a>`, `<a href="./x:y/">x:y/</a>`, ` GMT</td><td>4</td>`,
	} {
		if !strings.Contains(page.body, want) {
			t.Errorf("the page has no %s:\n%s", want, page.body)
		}
	}
	s.do(t, "GET", path.Join(browse, files, "dir", "../../../../../../repository/files/dir/%3Cb%3E&%22%27.txt"), nil).want(t, 200)
	root := s.do(t, "GET", browse+files+"/", nil).want(t, 200)
	if !strings.Contains(root.body, `<a href="./%C3%A4%20%23/">ä #/</a>`) || strings.Contains(root.body, "Parent") {
		t.Errorf("the root's page is\n%s", root.body)
	}
	s.do(t, "HEAD", browse+files+"/", nil).want(t, 200)
	s.do(t, "GET", browse+files, nil).want(t, 303).wantHeader(t, "Location", "./files/")
	s.do(t, "GET", browse+files+"/dir", nil).want(t, 303).wantHeader(t, "Location", "./dir/")
	s.do(t, "GET", browse+once+"/", nil).want(t, 200) // an empty repository
	for _, path := range []string{files + "/none/", files + "/dir/a.txt/", "none/", files + "/dir//", files + "/%00/", files + "/%FF/", files + "/dir/../", files + "/?after=%00", files + "/?after=%FF"} {
		s.do(t, "GET", browse+path, nil).want(t, 404)
	}
	for _, path := range []string{files + "/", files + "/none/", "none/"} {
		s.do(t, "GET", browse+path, nil, "Authorization", "").want(t, 401)
	}
}

// TestBrowsePages: a directory of any size comes in pages.
func TestBrowsePages(t *testing.T) {
	s := newServer(t)
	const count = 1003
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := worker; i < count; i += 8 {
				s.put(t, files, fmt.Sprintf("/many/%%C3%%A4 +%d", i), "").want(t, 201)
			}
		})
	}
	wg.Wait()
	seen := map[string]int{}
	link, pages := "", 0
	for more := true; more && pages < 10; pages++ {
		page := s.do(t, "GET", "/service/rest/repository/browse/files/many/"+link, nil).want(t, 200)
		for row := range strings.SplitSeq(page.body, "\n<tr><td>") {
			if _, name, ok := strings.Cut(row, `">ä`); ok {
				name, _, _ = strings.Cut(name, "<")
				seen[name]++
			}
		}
		_, rest, found := strings.Cut(page.body, `<p><a href="`)
		link, _, _ = strings.Cut(html.UnescapeString(rest), `"`)
		more = found
	}
	if len(seen) != count || pages != 2 {
		t.Errorf("%d pages with %d names", pages, len(seen))
	}
	for name, n := range seen {
		if n != 1 {
			t.Errorf("%s is listed %d times", name, n)
		}
	}
}
