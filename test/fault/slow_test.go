package fault

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/internal/testenv"
)

// stall is how long the server of these tests waits for a client that does nothing.
const stall = 2 * time.Second

func impatient(t *testing.T) *site {
	t.Helper()
	return start(t, testenv.ServerOptions{Env: []string{"REPOMGR_TRANSFERS_STALL=" + stall.String()}})
}

// wire is a client's end of a connection to the docker connector, without anything that knows HTTP.
type wire struct {
	net.Conn
	in *bufio.Reader
}

func (s *site) dial(t testing.TB) *wire {
	t.Helper()
	c, err := net.Dial("tcp", s.Registry)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return &wire{c, bufio.NewReader(c)}
}

// head is the head of a request with the administrator's credentials.
func (s *site) head(method, path string, headers ...string) string {
	if u, err := url.Parse(path); err == nil && u.Host != "" {
		path = u.RequestURI()
	}
	if !strings.HasPrefix(path, "/") {
		path = "/v2/" + path
	}
	auth := base64.StdEncoding.EncodeToString([]byte(s.User + ":" + s.Password))
	return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Basic %s\r\n%s\r\n\r\n", method, path, s.Registry, auth,
		strings.Join(append(headers, "X-Test: 1"), "\r\n"))
}

func (w *wire) say(t testing.TB, text string) {
	t.Helper()
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
}

// hear reads an answer; its body has been read.
func (w *wire) hear() (*http.Response, error) {
	res, err := http.ReadResponse(w.in, nil)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(res.Body)
	res.Body = io.NopCloser(strings.NewReader(string(b)))
	return res, err
}

// closed waits until the server closes the connection, and tells how long that took.
func (w *wire) closed() (time.Duration, error) {
	began := time.Now()
	_, err := io.Copy(io.Discard, w.in)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return 0, err
	}
	return time.Since(began), nil
}

// Clients that never end their request's head are shown the door, and cost little until then. Others don't suffer.
func TestSlow_Head(t *testing.T) {
	t.Parallel()
	s := impatient(t)
	old := s.push(t, "old", 100, 200_000)
	before, n := s.status(t, "VmRSS"), many(t, 3000)
	var wires []*wire
	for range n {
		w := s.dial(t)
		w.say(t, "GET /v2/ HTTP/1.1\r\nHost: x\r\nX-A: ")
		wires = append(wires, w)
	}
	began := time.Now()
	for time.Since(began) < 3*time.Second {
		for _, w := range wires {
			_, _ = w.Write([]byte("a")) // the server may have closed it
		}
		time.Sleep(500 * time.Millisecond)
	}
	s.bounded(t, before, n, 40)
	s.intact(t, s.push(t, "new", 100, 100_000))
	s.intact(t, old)
	var wg sync.WaitGroup
	for _, w := range wires {
		wg.Go(func() {
			for {
				time.Sleep(time.Second)
				if _, err := w.Write([]byte("a")); err != nil {
					return
				}
				if time.Since(began) > 40*time.Second {
					t.Error("a connection without a request is still open")
					return
				}
			}
		})
	}
	wg.Wait()
	s.calm(t)
}

// Thousands of connections between two requests are kept, up to a number, beyond which the longest unused ones go.
func TestIdle(t *testing.T) {
	t.Parallel()
	s := impatient(t)
	old := s.push(t, "old", 100, 200_000)
	before, n := s.status(t, "VmRSS"), many(t, 5000)
	var wires []*wire
	ask := s.head(http.MethodGet, "")
	for range n {
		w := s.dial(t)
		w.say(t, ask)
		if res, err := w.hear(); err != nil || res.StatusCode != http.StatusOK {
			t.Fatal(err, res)
		}
		wires = append(wires, w)
	}
	s.bounded(t, before, n, 40)
	if most := 4096 + 100; s.open(t) > most {
		t.Errorf("%d files and connections are open", s.open(t))
	}
	last := wires[n-1]
	last.say(t, ask)
	if res, err := last.hear(); err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("the last connection: %v", err)
	}
	s.intact(t, old)
	for _, w := range wires {
		w.Close()
	}
	eventually(t, "connections that their clients closed are gone", 20*time.Second, func() bool { return s.open(t) < 100 })
	s.calm(t)
}

// Uploads that move slowly go on for as long as they need; many at once take a bounded amount of memory.
func TestSlow_Upload(t *testing.T) {
	t.Parallel()
	s := impatient(t)
	before, n := s.status(t, "VmRSS"), many(t, 1000)
	s.push(t, "old", 100, 200_000)
	// 200 kB at once, so that the server is in the middle of its work, then a byte now and then.
	content := random(200_020)
	sum := digest.FromBytes(content).String()
	var wg sync.WaitGroup
	for range n {
		w := s.dial(t)
		wg.Go(func() {
			_, err := io.WriteString(w, s.head(http.MethodPost, image+"/blobs/uploads/?digest="+sum, fmt.Sprintf("Content-Length: %d", len(content))))
			if err == nil {
				_, err = w.Write(content[:200_000])
			}
			for i := 200_000; i < len(content) && err == nil; i++ {
				time.Sleep(stall / 5)
				_, err = w.Write(content[i : i+1])
			}
			if err != nil {
				t.Error(err)
			} else if res, err := w.hear(); err != nil || res.StatusCode != http.StatusCreated {
				t.Errorf("%v, %+v", err, res)
			}
		})
	}
	time.Sleep(2 * stall)
	s.bounded(t, before, n, 60)
	s.intact(t, s.push(t, "new", 100, 200_000))
	wg.Wait()
	s.do(t, http.MethodGet, image+"/blobs/"+sum, nil).want(t, http.StatusOK)
	if left := files(t, s.Data+"/blobs/default/tmp"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	s.calm(t)
}

// Uploads that stop are given up. What came is kept, and another request goes on with it.
func TestSlow_UploadStops(t *testing.T) {
	t.Parallel()
	s := impatient(t)
	content := random(300_000)
	var wires []*wire
	var locations []string
	for i := range 50 {
		location := s.begin(t)
		w := s.dial(t)
		if i%2 == 0 {
			w.say(t, s.head(http.MethodPatch, location, fmt.Sprintf("Content-Length: %d", len(content))))
			w.say(t, string(content[:200_000]))
		} else {
			w.say(t, s.head(http.MethodPatch, location, "Transfer-Encoding: chunked"))
			w.say(t, fmt.Sprintf("%x\r\n%s", 250_000, content[:200_000]))
		}
		wires, locations = append(wires, w), append(locations, location)
	}
	for _, w := range wires {
		took, err := w.closed()
		if err != nil || took > stall+10*time.Second {
			t.Fatalf("a silent upload is still waited for after %v: %v", took, err)
		}
	}
	for _, location := range locations[:4] {
		if held := s.do(t, http.MethodGet, location, nil).want(t, http.StatusNoContent).held(t); held != 200_000 {
			t.Errorf("the upload has %d bytes", held)
		}
		a := s.do(t, http.MethodPut, location+"?digest="+digest.FromBytes(content).String(), content[200_000:]).want(t, http.StatusCreated)
		if a.took > 2*time.Second {
			t.Errorf("going on took %v", a.took)
		}
	}
	s.calm(t)
}

// Clients that ask for much and take nothing are given up.
func TestSlow_Download(t *testing.T) {
	t.Parallel()
	s := impatient(t)
	b := random(30_000_000)
	s.putBlob(t, b).want(t, http.StatusCreated)
	s.push(t, "small", 100)
	s.client.CloseIdleConnections()
	before, base, n := s.status(t, "VmRSS"), s.open(t), many(t, 200)
	for range n {
		w := s.dial(t)
		w.say(t, s.head(http.MethodGet, blobPath(b)))
		if res, err := http.ReadResponse(w.in, nil); err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%v: %v", res, err)
		}
		// It takes no more of the body than came with the head.
	}
	var wg sync.WaitGroup
	for range 4 {
		w := s.dial(t)
		// Requests upon requests for something small, as many as the server takes.
		wg.Go(func() {
			ask := strings.Repeat(s.head(http.MethodGet, image+"/manifests/small"), 50)
			for {
				if _, err := io.WriteString(w, ask); err != nil {
					break
				}
			}
		})
	}
	s.bounded(t, before, n, 40)
	eventually(t, "clients that take nothing are given up", 30*time.Second, func() bool { return s.open(t) < base+20 })
	wg.Wait()

	// One that takes it slowly gets all of it.
	w := s.dial(t)
	w.say(t, s.head(http.MethodGet, blobPath(b)))
	res, err := http.ReadResponse(w.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	d := digest.SHA256.Digester()
	for range 10 {
		if _, err := io.CopyN(d.Hash(), res.Body, 1_000_000); err != nil {
			t.Fatalf("a slow client is cut: %v", err)
		}
		time.Sleep(stall / 4)
	}
	if _, err := io.Copy(d.Hash(), res.Body); err != nil || d.Digest() != digest.FromBytes(b) {
		t.Errorf("%s: %v", d.Digest(), err)
	}
	s.calm(t)
}
