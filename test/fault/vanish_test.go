package fault

import (
	"database/sql"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	_ "modernc.org/sqlite" //nolint:depguard // this test makes a task due behind the server's back

	"github.com/repomgr/repomgr/internal/testenv"
)

// vanish ends the connection as a client's death does: by an end of what it sends, or by a reset.
func (w *wire) vanish(t testing.TB, reset bool) {
	t.Helper()
	if reset {
		if err := w.Conn.(*net.TCPConn).SetLinger(0); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
}

// A client that vanishes in mid-upload leaves what came of it, and another request goes on at once.
func TestVanish_Upload(t *testing.T) {
	t.Parallel()
	s := start(t, testenv.ServerOptions{})
	content := random(3_000_000)
	const came = 2_000_000
	for _, reset := range []bool{false, true} {
		for _, framing := range []string{"Content-Length: 3000000", "Transfer-Encoding: chunked"} {
			location := s.begin(t)
			w := s.dial(t)
			w.say(t, s.head(http.MethodPatch, location, framing))
			if strings.HasPrefix(framing, "Transfer") {
				w.say(t, fmt.Sprintf("%x\r\n", len(content)))
			}
			w.say(t, string(content[:came]))
			if reset {
				// A reset takes along what the server has not read yet.
				data := filepath.Join(s.Data, "blobs/default/uploads")
				eventually(t, "most is on the disk", 10*time.Second, func() bool {
					for name, size := range files(t, data) {
						if strings.HasPrefix(name, filepath.Base(location)) && size >= came-200_000 {
							return true
						}
					}
					return false
				})
			}
			w.vanish(t, reset)

			began, held := time.Now(), 0
			eventually(t, "the rest is taken", 10*time.Second, func() bool {
				held = s.do(t, http.MethodGet, location, nil).want(t, http.StatusNoContent).held(t)
				a := s.do(t, http.MethodPatch, location, content[held:], "Content-Range", fmt.Sprintf("%d-%d", held, len(content)-1))
				// 416: more had come, and was being written when the state was asked for.
				return a.want(t, http.StatusAccepted, http.StatusRequestedRangeNotSatisfiable).status == http.StatusAccepted
			})
			if took := time.Since(began); took > 3*time.Second {
				t.Errorf("%s, reset %v: going on took %v", framing, reset, took)
			}
			if held < came-200_000 || !reset && held != came {
				t.Errorf("%s, reset %v: %d bytes are kept of %d", framing, reset, held, came)
			}
			s.do(t, http.MethodPut, location+"?digest="+digest.FromBytes(content).String(), nil).want(t, http.StatusCreated)
			s.do(t, http.MethodDelete, blobPath(content), nil).want(t, http.StatusAccepted)
		}
	}
	s.calm(t)
}

// What clients leave behind who vanish in the middle of whatever they do: nothing.
func TestVanish_Many(t *testing.T) {
	t.Parallel()
	s := start(t, testenv.ServerOptions{})
	b := random(5_000_000)
	s.putBlob(t, b).want(t, http.StatusCreated)
	old := s.push(t, "old", 100, 200_000)
	m := manifestOf(t, old.blobs...)
	s.client.CloseIdleConnections()
	store := filepath.Join(s.Data, "blobs/default")
	before, base, rss := files(t, store), s.open(t), s.status(t, "VmRSS")
	const n = 400
	sum := digest.FromBytes(random(10)).String()
	texts := []string{
		s.head(http.MethodGet, blobPath(b)),
		s.head(http.MethodGet, blobPath(b), "Range: bytes=100000-4000000"),
		s.head(http.MethodPost, image+"/blobs/uploads/?digest="+sum, "Content-Length: 1000000") + string(random(300_000)),
		s.head(http.MethodPost, image+"/blobs/uploads/?digest="+sum, "Content-Length: 1000000", "Expect: 100-continue"),
		s.head(http.MethodPut, image+"/manifests/x", "Content-Length: 4000000", "Content-Type: "+typeManifest) + string(m),
		s.head(http.MethodPut, image+"/manifests/x", "Content-Length: 4000000", "Content-Type: "+typeManifest) + strings.Repeat(" ", 3_000_000),
		s.head(http.MethodPut, image+"/manifests/x", "Transfer-Encoding: chunked", "Content-Type: "+typeManifest) + "10\r\n{",
		s.head(http.MethodGet, image+"/tags/list")[:50],
		s.head(http.MethodGet, image+"/tags/list"),
		"GET",
	}
	for i := range n {
		w := s.dial(t)
		w.say(t, texts[i%len(texts)])
		if i%3 == 0 {
			_ = w.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
			_, _ = w.in.ReadByte()
		}
		w.vanish(t, i%2 == 0)
	}
	eventually(t, "their connections and files are closed", 20*time.Second, func() bool { return s.open(t) < base+10 })
	eventually(t, "their files are removed", 10*time.Second, func() bool { return len(files(t, store)) == len(before) })
	s.bounded(t, rss, n, 40)
	s.do(t, http.MethodGet, image+"/manifests/x", nil).refused(t, http.StatusNotFound)
	s.intact(t, old)
	s.calm(t)
	for line := range strings.Lines(s.Log()) {
		if strings.Contains(line, "level=ERROR") {
			t.Errorf("a client's fault is logged as the server's: %s", line)
		}
	}
}

// Uploads that their clients never came back to are given up after a time.
func TestVanish_UploadExpires(t *testing.T) {
	t.Parallel()
	s := start(t, testenv.ServerOptions{Env: []string{"REPOMGR_UPLOADS_EXPIRY=1h"}})
	dir := filepath.Join(s.Data, "blobs/default/uploads")
	old, young := s.begin(t), s.begin(t)
	// Large ones have more than one file.
	s.do(t, http.MethodPatch, old, random(6_000_000)).want(t, http.StatusAccepted)
	s.do(t, http.MethodPatch, young, random(6_000_000)).want(t, http.StatusAccepted)
	for name := range files(t, dir) {
		age := 30 * time.Minute
		if strings.HasPrefix(name, filepath.Base(old)) {
			age = 2 * time.Hour
		}
		if err := os.Chtimes(filepath.Join(dir, name), time.Time{}, time.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	// The task runs once an hour; now it is due.
	db, err := sql.Open("sqlite", "file:"+filepath.Join(s.Data, "repomgr.db")+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if r, err := db.Exec(`UPDATE jobs SET next_run = 1 WHERE type = 'uploads.expire'`); err != nil {
		t.Fatal(err)
	} else if n, _ := r.RowsAffected(); n != 1 {
		t.Fatalf("%d tasks were made due", n)
	}
	eventually(t, "the old upload is given up", 20*time.Second, func() bool {
		return s.do(t, http.MethodGet, old, nil).status == http.StatusNotFound
	})
	s.do(t, http.MethodGet, young, nil).want(t, http.StatusNoContent)
	for name := range files(t, dir) {
		if !strings.HasPrefix(name, filepath.Base(young)) {
			t.Errorf("%s is left behind", name)
		}
	}
	s.calm(t)
}

// Of two writers at the end of one upload the later one is refused: appended to what the first one sends, its bytes would be
// of use to neither.
func TestUpload_TwoWriters(t *testing.T) {
	t.Parallel()
	s := start(t, testenv.ServerOptions{})
	content := random(2_000_000)
	location := s.begin(t)
	put := location + "?digest=" + digest.FromBytes(content).String()
	held := func() int { return s.do(t, http.MethodGet, location, nil).want(t, http.StatusNoContent).held(t) }
	first, second := s.dial(t), s.dial(t)
	length := fmt.Sprintf("Content-Length: %d", len(content))
	first.say(t, s.head(http.MethodPut, put, length))
	first.say(t, string(content[:1_000_000]))
	eventually(t, "the first one writes", 10*time.Second, func() bool { return held() > 0 })
	second.say(t, s.head(http.MethodPut, put, length))
	second.say(t, string(content[:100_000]))
	first.say(t, string(content[1_000_000:]))
	if res, err := first.hear(); err != nil || res.StatusCode != http.StatusCreated {
		t.Errorf("the first one: %v, %+v", err, res)
	}
	if res, err := second.hear(); err != nil || res.StatusCode < 400 || res.StatusCode >= 500 {
		t.Errorf("the second one: %v, %+v", err, res)
	}
	s.do(t, http.MethodHead, blobPath(content), nil).want(t, http.StatusOK)
	s.calm(t)
}
