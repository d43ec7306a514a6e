package fault

import (
	"bufio"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/internal/testenv"
)

// exchange sends bytes as they are and returns the status codes of all answers, up to one more than wanted.
func (s *site) exchange(t testing.TB, text string, want int) (codes []int, last *http.Response) {
	t.Helper()
	w := s.dial(t)
	go func() { _, _ = w.Write([]byte(text)) }() // the server may close before it has read all
	for len(codes) <= want {
		if len(codes) == want {
			_ = w.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		}
		res, err := w.hear()
		if err != nil {
			break
		}
		codes, last = append(codes, res.StatusCode), res
	}
	return codes, last
}

// Heads of requests that no honest client sends are answered as RFC 9112 says, in bounded time, and nothing else happens.
func TestHead_Absurd(t *testing.T) {
	t.Parallel()
	s := impatient(t)
	before := s.status(t, "VmRSS")
	get := func(lines string) string { return "GET /v2/ HTTP/1.1\r\nHost: x\r\n" + lines + "\r\n" }
	many := func(format string, n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	tests := []struct {
		name, text string
		want       []int
	}{
		{"one long header", get("X: " + strings.Repeat("a", 1<<20) + "\r\n"), []int{431}},
		{"one long name", get(strings.Repeat("a", 1<<20) + ": x\r\n"), []int{431}},
		{"a header without end", "GET /v2/ HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("a", 10<<20), []int{431}},
		{"100,000 headers", get(many("X-%d: y\r\n", 100_000)), []int{431}},
		{"100,000 equal headers", get(many("X: %d\r\n", 100_000)), []int{431}},
		{"2,000 headers", get(many("X%d:y\r\n", 2_000)), []int{401}},
		{"long path", "GET /v2/" + strings.Repeat("a", 1<<20) + " HTTP/1.1\r\nHost: x\r\n\r\n", []int{431}},
		{"long method", strings.Repeat("A", 1<<20) + " /v2/ HTTP/1.1\r\nHost: x\r\n\r\n", []int{431, 400}},
		{"folded header", get("X: a\r\n b\r\n"), []int{401, 400}},
		{"space in name", get("X Y: a\r\n"), []int{400}},
		{"space before colon", get("X : a\r\n"), []int{400}},
		{"no colon", get("X\r\n"), []int{400}},
		{"no name", get(": a\r\n"), []int{400}},
		{"NUL in value", get("X: a\x00b\r\n"), []int{400}},
		{"CR in value", get("X: a\rb\r\n"), []int{400}},
		{"no host", "GET /v2/ HTTP/1.1\r\n\r\n", []int{400}},
		{"two hosts", get("Host: y\r\n"), []int{400}},
		{"bad host", "GET /v2/ HTTP/1.1\r\nHost: a b\r\n\r\n", []int{400}},
		{"HTTP/1.0", "GET /v2/ HTTP/1.0\r\n\r\n", []int{401}},
		{"HTTP/0.9", "GET /v2/\r\n\r\n", []int{400}},
		{"HTTP/3.7", "GET /v2/ HTTP/3.7\r\nHost: x\r\n\r\n", []int{505, 400}},
		{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", []int{505, 400, 401}},
		{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("\x00", 500) + "\r\n\r\n", []int{400}},
		{"zeros", strings.Repeat("\x00", 1000) + "\r\n\r\n", []int{400}},
		{"bad escape", "GET /v2/%zz HTTP/1.1\r\nHost: x\r\n\r\n", []int{400}},
		{"no path", "GET  HTTP/1.1\r\nHost: x\r\n\r\n", []int{400}},
		{"asterisk", "GET * HTTP/1.1\r\nHost: x\r\n\r\n", []int{400, 401, 404}},
		{"CONNECT", "CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n", []int{400, 401, 404, 405}},
		{"negative length", get("Content-Length: -1\r\n"), []int{400}},
		{"signed length", get("Content-Length: +1\r\n"), []int{400}},
		{"length of 2^64", get("Content-Length: 18446744073709551616\r\n"), []int{400}},
		{"two lengths", get("Content-Length: 1\r\nContent-Length: 2\r\n"), []int{400}},
		{"list of lengths", get("Content-Length: 1, 2\r\n"), []int{400}},
		{"unknown coding", get("Transfer-Encoding: gzip\r\n"), []int{501, 400}},
		{"two codings", get("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), []int{501, 400}},
		{"coding in disguise", get("Transfer-Encoding: xchunked\r\n"), []int{501, 400}},
		{"unknown expectation", get("Expect: 200-ok\r\n"), []int{417}},
		{"three credentials", get("Authorization: Basic eA==\r\nAuthorization: Basic eA==\r\nAuthorization: Bearer x\r\n"), []int{401}},
		{"long credentials", get("Authorization: Basic " + strings.Repeat("QUFB", 6000) + "\r\n"), []int{401}},
		{"long token", get("Authorization: Bearer " + strings.Repeat("QUFB.", 5000) + "\r\n"), []int{401}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			began := time.Now()
			w := s.dial(t)
			go func() { _, _ = w.Write([]byte(tt.text)) }() // the server may close before it has read all
			res, err := w.hear()
			if err != nil || !slices.Contains(tt.want, res.StatusCode) {
				t.Errorf("%v, %+v, want %v", err, res, tt.want)
			}
			if took := time.Since(began); took > 8*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
	s.bounded(t, before, len(tests), 100)
	s.push(t, "still-alive", 100)
	s.calm(t)
}

// Bodies that are not what they say leave the upload as it is, or with what honestly came, and never become a part of
// the next request.
func TestHead_BodyLies(t *testing.T) {
	t.Parallel()
	s := impatient(t)
	get := s.head(http.MethodGet, "")
	tests := []struct {
		name    string
		headers []string
		body    string
		// want are the status codes of the answers, held what the upload has afterwards.
		want []int
		held int
	}{
		{"honest, and another request", []string{"Content-Length: 5"}, "01234" + get + get, []int{202, 200, 200}, 5},
		{"chunked, and another request", []string{"Transfer-Encoding: chunked"}, "5\r\n01234\r\n0\r\n\r\n" + get, []int{202, 200}, 5},
		{"garbage behind", []string{"Content-Length: 5"}, "01234\x00\x01garbage\r\n\r\n", []int{202, 400}, 5},
		{"too much", []string{"Content-Length: 5"}, "0123456789\r\n\r\n", []int{202, 400}, 5},
		{"chunk without size", []string{"Transfer-Encoding: chunked"}, "5\r\n01234\r\nxyz\r\n", []int{400}, 5},
		{"chunk of 2^64", []string{"Transfer-Encoding: chunked"}, "5\r\n01234\r\nFFFFFFFFFFFFFFFFF\r\n", []int{400}, 5},
		{"negative chunk", []string{"Transfer-Encoding: chunked"}, "5\r\n01234\r\n-5\r\n01234\r\n", []int{400}, 5},
		{"chunk without end", []string{"Transfer-Encoding: chunked"}, "5\r\n01234567890123456789\r\n0\r\n\r\n", []int{400}, 5},
		{"endless extension", []string{"Transfer-Encoding: chunked"}, "5;" + strings.Repeat("x", 1<<20) + "\r\n01234\r\n0\r\n\r\n", []int{400}, 0},
		{"endless size", []string{"Transfer-Encoding: chunked"}, strings.Repeat("0", 1<<20) + "5\r\n01234\r\n0\r\n\r\n", []int{400}, 0},
		{"chunks of extensions", []string{"Transfer-Encoding: chunked"}, strings.Repeat("1;"+strings.Repeat("x", 1000)+"\r\n0\r\n", 5000) + "0\r\n\r\n", []int{400}, -1},
		{"endless trailer", []string{"Transfer-Encoding: chunked", "Trailer: X"}, "5\r\n01234\r\n0\r\nX: " + strings.Repeat("x", 1<<20) + "\r\n\r\n", []int{400}, -1},
		{"both framings", []string{"Content-Length: 3", "Transfer-Encoding: chunked"}, "5\r\n01234\r\n0\r\n\r\n", []int{202}, 5},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			location := s.begin(t)
			began := time.Now()
			codes, last := s.exchange(t, s.head(http.MethodPatch, location, tt.headers...)+tt.body, max(len(tt.want), 1))
			if tt.held >= 0 && !slices.Equal(codes, tt.want) || tt.held < 0 && (len(codes) != 1 || !slices.Contains(tt.want, codes[0])) {
				t.Errorf("status codes %v, want %v: %+v", codes, tt.want, last)
			}
			if took := time.Since(began); took > 15*time.Second {
				t.Errorf("it took %v", took)
			}
			held := s.do(t, http.MethodGet, location, nil).want(t, http.StatusNoContent).held(t)
			if tt.held >= 0 && held != tt.held {
				t.Errorf("the upload has %d bytes, want %d", held, tt.held)
			}
			s.do(t, http.MethodDelete, location, nil).want(t, http.StatusNoContent)
		})
	}
	s.calm(t)
}

// A body that is announced is asked for only of those who may send it.
func TestHead_Expect(t *testing.T) {
	t.Parallel()
	s := impatient(t)
	b := random(1000)
	path := image + "/blobs/uploads/?digest=" + digest.FromBytes(b).String()
	headers := []string{fmt.Sprintf("Content-Length: %d", len(b)), "Expect: 100-continue"}
	allowed := s.head(http.MethodPost, path, headers...)
	wrong := site{Server: &testenv.Server{Registry: s.Registry, User: s.User, Password: "wrong"}}
	refusals := map[string]string{
		"nobody": "POST /v2/" + path + " HTTP/1.1\r\nHost: x\r\n" + strings.Join(headers, "\r\n") + "\r\n\r\n",
	}
	refusals["wrong password"] = wrong.head(http.MethodPost, path, headers...)
	for name, text := range refusals {
		w := s.dial(t)
		w.say(t, text)
		res, err := w.hear()
		if err != nil || res.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: %v, %+v", name, err, res)
		}
	}
	// Wherever the name is wrong, or too much is announced, nothing is asked for either.
	for path, want := range map[string]int{
		"UPPER/blobs/uploads/?digest=" + digest.FromBytes(b).String(): 400,
		image + "/blobs/uploads/?digest=sha256:123":                   400,
		image + "/blobs/uploads/00000000000000000000000000000000":     404,
	} {
		method := http.MethodPost
		if want == 404 {
			method = http.MethodPatch
		}
		w := s.dial(t)
		w.say(t, s.head(method, path, headers...))
		if res, err := w.hear(); err != nil || res.StatusCode != want {
			t.Errorf("%s: %v, %+v", path, err, res)
		}
	}
	w := s.dial(t)
	w.say(t, s.head(http.MethodPut, image+"/manifests/x", "Content-Length: 1000000000", "Content-Type: "+typeManifest, "Expect: 100-continue"))
	if res, err := w.hear(); err != nil || res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("a large manifest: %v, %+v", err, res)
	}

	w = s.dial(t)
	w.say(t, allowed)
	line, err := w.in.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "HTTP/1.1 100 ") {
		t.Fatalf("%q, %v", line, err)
	}
	if _, err := w.in.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	w.say(t, string(b))
	if res, err := w.hear(); err != nil || res.StatusCode != http.StatusCreated {
		t.Errorf("%v, %+v", err, res)
	}
	s.do(t, http.MethodGet, blobPath(b), nil).want(t, http.StatusOK)
	s.calm(t)
}

// Who is refused is answered although the announced body doesn't come, and holds nothing for long.
func TestHead_RefusedWithoutBody(t *testing.T) {
	t.Parallel()
	s := start(t, testenv.ServerOptions{})
	base := s.open(t)
	const n = 200
	var wires []*wire
	for range n {
		w := s.dial(t)
		w.say(t, "POST /v2/"+image+"/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc")
		wires = append(wires, w)
	}
	began := time.Now()
	for _, w := range wires {
		res, err := http.ReadResponse(bufio.NewReader(w.in), nil)
		if err != nil || res.StatusCode != http.StatusUnauthorized {
			t.Fatalf("%v, %+v", err, res)
		}
	}
	if took := time.Since(began); took > 12*time.Second {
		t.Errorf("they were answered after %v", took)
	}
	eventually(t, "their connections are closed", 10*time.Second, func() bool { return s.open(t) < base+20 })
	s.calm(t)
}
