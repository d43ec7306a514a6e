package oci

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

// patch sends bytes to an upload session.
func (r registry) patch(t testing.TB, location string, b []byte, options ...option) response {
	t.Helper()
	return r.do(t, http.MethodPatch, location, append([]option{body(b)}, options...)...)
}

// chunk sends b as the bytes from first on, with a Content-Range.
func (r registry) chunk(t testing.TB, location string, first int, b []byte) response {
	t.Helper()
	return r.patch(t, location, b, contentRange(first, first+len(b)-1))
}

func contentRange(first, last int) option {
	return header("Content-Range", fmt.Sprintf("%d-%d", first, last))
}

// "Pushing a blob in chunks", end-5: 202 with Location and the Range of all bytes so far, for each chunk; the closing PUT gets 201.
func TestChunk_InOrder202(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		b := random(3000)
		location := r.begin(t, header("Content-Length", "0"))
		for at := 0; at < len(b); at += 1000 {
			location = r.chunk(t, location, at, b[at:at+1000]).want(t, http.StatusAccepted).
				wantHeader(t, "Range", fmt.Sprintf("0-%d", at+999)).location(t)
		}
		r.finish(t, location, digest.FromBytes(b)).want(t, http.StatusCreated)
		r.get(t, r.blob(digest.FromBytes(b))).want(t, http.StatusOK).wantBody(t, b)
	})
}

// "Pushing a blob in chunks", end-6: the last chunk may come with the PUT.
func TestChunk_LastWithPut201(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		b := random(3000)
		for _, options := range [][]option{nil, {contentRange(2000, 2999)}} {
			location := r.chunk(t, r.begin(t), 0, b[:2000]).want(t, http.StatusAccepted).location(t)
			r.finish(t, location, digest.FromBytes(b), append(options, body(b[2000:]))...).want(t, http.StatusCreated)
			r.get(t, r.blob(digest.FromBytes(b))).want(t, http.StatusOK).wantBody(t, b)
		}
	})
}

// "Pushing a blob in chunks": a registry without OCI-Chunk-Min-Length takes chunks of any size.
func TestChunk_AnySize(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		res := r.do(t, http.MethodPost, r.path("blobs/uploads/")).want(t, http.StatusAccepted).wantNoHeader(t, "OCI-Chunk-Min-Length")
		b := random(1 + 2 + 70_000)
		location := r.chunk(t, res.location(t), 0, b[:1]).want(t, http.StatusAccepted).wantHeader(t, "Range", "0-0").location(t)
		location = r.chunk(t, location, 1, b[1:3]).want(t, http.StatusAccepted).wantHeader(t, "Range", "0-2").location(t)
		location = r.chunk(t, location, 3, b[3:]).want(t, http.StatusAccepted).location(t)
		r.finish(t, location, digest.FromBytes(b)).want(t, http.StatusCreated)
	})
}

// "Pushing a blob in chunks": 416 for a chunk that is not the next one. With Location and Range clients go on at once; with or
// without, nothing of the chunk counts.
func TestChunk_OutOfOrder416(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		b := random(3000)
		d := digest.FromBytes(b)
		r.chunk(t, r.begin(t), 1000, b[1000:2000]).refused(t, http.StatusRequestedRangeNotSatisfiable, "BLOB_UPLOAD_INVALID")

		location := r.chunk(t, r.begin(t), 0, b[:1000]).want(t, http.StatusAccepted).location(t)
		tests := []struct {
			name        string
			first, last int
		}{
			{"gap", 2000, 3000}, {"retry", 0, 1000}, {"overlap", 500, 1500}, {"off by one", 1001, 2001}, {"one back", 999, 1999},
		}
		for _, tt := range tests {
			res := r.chunk(t, location, tt.first, b[tt.first:tt.last]).
				refused(t, http.StatusRequestedRangeNotSatisfiable, "BLOB_UPLOAD_INVALID").wantHeader(t, "Range", "0-999")
			location = res.location(t)
		}
		r.get(t, location).want(t, http.StatusNoContent).wantHeader(t, "Range", "0-999")
		location = r.chunk(t, location, 1000, b[1000:]).want(t, http.StatusAccepted).location(t)
		r.finish(t, location, d).want(t, http.StatusCreated)
		r.get(t, r.blob(d)).want(t, http.StatusOK).wantBody(t, b)
	})
}

// end-6 (main): the PUT's chunk must be the next one, too.
func TestChunk_PutOutOfOrder416(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		b := random(3000)
		d := digest.FromBytes(b)
		location := r.chunk(t, r.begin(t), 0, b[:1000]).want(t, http.StatusAccepted).location(t)
		location = r.finish(t, location, d, body(b[2000:]), contentRange(2000, 2999)).
			refused(t, http.StatusRequestedRangeNotSatisfiable, "BLOB_UPLOAD_INVALID").wantHeader(t, "Range", "0-999").location(t)
		r.finish(t, location, d, body(b[1000:]), contentRange(1000, 2999)).want(t, http.StatusCreated)
	})
}

// "Pushing a blob in chunks": Content-Range is ^[0-9]+-[0-9]+$, inclusive on both ends.
func TestChunk_MalformedRange(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		location := r.begin(t)
		ranges := []string{
			"bytes 0-9", "bytes 0-9/10", "0-9/10", "bytes=0-9", "0", "0-", "-9", "-", "+0-9", "0-+9", "0--9", "a-b", "0-9,10-19", "0x0-0x9", "9-0",
			"0-99999999999999999999", "99999999999999999999-99999999999999999999", "0-9223372036854775807", "٠-٩",
		}
		for _, value := range ranges {
			res := r.patch(t, location, random(10), header("Content-Range", value))
			res.want(t, http.StatusBadRequest, http.StatusRequestedRangeNotSatisfiable)
			res.problems(t)
		}
		r.get(t, location).want(t, http.StatusNoContent).wantHeader(t, "Range", "0-0")
		b := random(10)
		r.finish(t, location, digest.FromBytes(b), body(b)).want(t, http.StatusCreated)
	})
}

// "Pushing a blob in chunks": the length is that of the range. A chunk of another one is refused, and doesn't count.
func TestChunk_LengthNotRange400(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		location := r.begin(t)
		r.patch(t, location, random(10), contentRange(0, 8)).refused(t, http.StatusBadRequest, "SIZE_INVALID", "BLOB_UPLOAD_INVALID")
		r.patch(t, location, random(10), contentRange(0, 10)).refused(t, http.StatusBadRequest, "SIZE_INVALID", "BLOB_UPLOAD_INVALID")
		r.get(t, location).want(t, http.StatusNoContent).wantHeader(t, "Range", "0-0")
	})
}

// The same where the length shows only at the end. What came within the range may be kept; nothing beyond it is.
func TestChunk_StreamNotRange400(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		for _, last := range []int{8, 10} {
			b := random(10)
			location := r.begin(t)
			r.do(t, http.MethodPatch, location, stream(b), contentRange(0, last)).refused(t, http.StatusBadRequest, "SIZE_INVALID", "BLOB_UPLOAD_INVALID")
			have := r.uploaded(t, location)
			if have > min(last+1, 10) {
				t.Errorf("the session has %d bytes after a range of %d", have, last+1)
			}
			r.finish(t, location, digest.FromBytes(b), body(b[have:])).want(t, http.StatusCreated)
		}
	})
}

// uploaded is the number of bytes of a session. Range is "0-0" for no byte and for one, so there must be none or several.
func (r registry) uploaded(t testing.TB, location string) int {
	t.Helper()
	res := r.get(t, location).want(t, http.StatusNoContent)
	var last int
	if _, err := fmt.Sscanf(res.header.Get("Range"), "0-%d", &last); err != nil {
		t.Fatalf("Range %q: %v", res.header.Get("Range"), err)
	}
	if last == 0 {
		return 0
	}
	return last + 1
}

// Docker sends one PATCH without length and Content-Range, then an empty PUT.
func TestChunk_Streamed202(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		b := random(2 << 20)
		location := r.do(t, http.MethodPatch, r.begin(t), stream(b)).want(t, http.StatusAccepted).
			wantHeader(t, "Range", fmt.Sprintf("0-%d", len(b)-1)).location(t)
		r.finish(t, location, digest.FromBytes(b)).want(t, http.StatusCreated)
		r.get(t, r.blob(digest.FromBytes(b))).want(t, http.StatusOK).wantBody(t, b)
	})
}

// A further PATCH without Content-Range appends, and Range tells the total, from which docker computes the offset.
func TestChunk_WithoutRangeAppends(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		b := random(3000)
		location := r.begin(t)
		for at := 0; at < len(b); at += 1000 {
			location = r.patch(t, location, b[at:at+1000]).want(t, http.StatusAccepted).
				wantHeader(t, "Range", fmt.Sprintf("0-%d", at+999)).location(t)
		}
		r.finish(t, location, digest.FromBytes(b)).want(t, http.StatusCreated)
		r.get(t, r.blob(digest.FromBytes(b))).want(t, http.StatusOK).wantBody(t, b)
	})
}

// An empty PATCH changes nothing.
func TestChunk_Empty202(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		location := r.patch(t, r.begin(t), nil).want(t, http.StatusAccepted).wantHeader(t, "Range", "0-0").location(t)
		b := random(100)
		location = r.patch(t, location, b).want(t, http.StatusAccepted).location(t)
		location = r.patch(t, location, nil).want(t, http.StatusAccepted).wantHeader(t, "Range", "0-99").location(t)
		r.finish(t, location, digest.FromBytes(b)).want(t, http.StatusCreated)
	})
}

// "Pushing a blob in chunks", end-13: 204 with Location and Range.
func TestChunk_Status204(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		location := r.begin(t)
		location = r.get(t, location).want(t, http.StatusNoContent).wantHeader(t, "Range", "0-0").location(t)
		location = r.patch(t, location, random(777)).want(t, http.StatusAccepted).location(t)
		res := r.get(t, location).want(t, http.StatusNoContent).wantHeader(t, "Range", "0-776")
		res.location(t)
		if res.header.Get("Docker-Upload-UUID") == "" {
			t.Error("there is no Docker-Upload-UUID")
		}
	})
}

// Clients should use the newest location, but a retry may use one from before.
func TestChunk_OldLocationStaysValid(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		b := random(2000)
		first := r.begin(t)
		r.patch(t, first, b[:1000]).want(t, http.StatusAccepted)
		r.patch(t, first, b[1000:]).want(t, http.StatusAccepted).wantHeader(t, "Range", "0-1999")
		r.finish(t, first, digest.FromBytes(b)).want(t, http.StatusCreated)
	})
}

// Of two clients that send the same chunk at once one succeeds, and the bytes are in the session once.
func TestChunk_SameAtOnce(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		b := random(300_000)
		location := r.begin(t)
		var mu sync.Mutex
		statuses := map[int]int{}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				res, err := r.send(http.MethodPatch, location, body(b), contentRange(0, len(b)-1))
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				statuses[res.status]++
			})
		}
		wg.Wait()
		refused := statuses[http.StatusRequestedRangeNotSatisfiable] + statuses[http.StatusConflict]
		if statuses[http.StatusAccepted] != 1 || refused != 3 {
			t.Errorf("statuses %v", statuses)
		}
		r.get(t, location).want(t, http.StatusNoContent).wantHeader(t, "Range", fmt.Sprintf("0-%d", len(b)-1))
		r.finish(t, location, digest.FromBytes(b)).want(t, http.StatusCreated)
	})
}

// "Resumable Push": what came before a client's connection broke is kept, GET tells how much, and the client sends the rest.
func TestChunk_ResumeAfterDrop(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		for _, framing := range []string{"Content-Length: 1000000\r\n", "Content-Length: 1000000\r\nContent-Range: 0-999999\r\n", "Transfer-Encoding: chunked\r\n"} {
			b := random(1_000_000)
			location := r.begin(t)
			r.drop(t, location, framing, b[:400_000])
			have := 0
			// The server notices the end of the connection a little later; until then it may hold back what it has.
			for deadline := time.Now().Add(15 * time.Second); have == 0 && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
				have = r.uploaded(t, location)
			}
			if have == 0 || have > 400_000 {
				t.Fatalf("the session has %d bytes of the 400000 that were sent", have)
			}
			location = r.resume(t, location, b)
			r.finish(t, location, digest.FromBytes(b)).want(t, http.StatusCreated)
			r.get(t, r.blob(digest.FromBytes(b))).want(t, http.StatusOK).wantBody(t, b)
		}
	})
}

// resume sends what a session lacks of b, as the 416 tells it.
func (r registry) resume(t *testing.T, location string, b []byte) string {
	t.Helper()
	for range 20 {
		have := r.uploaded(t, location)
		if have == len(b) {
			return location
		}
		res := r.chunk(t, location, have, b[have:]).want(t, http.StatusAccepted, http.StatusRequestedRangeNotSatisfiable, http.StatusConflict)
		if res.status == http.StatusConflict {
			time.Sleep(50 * time.Millisecond)
			continue
		}
		location = res.location(t)
	}
	t.Fatal("the session takes no further bytes")
	return ""
}

// drop sends a part of a PATCH's body, then breaks the connection.
func (r registry) drop(t *testing.T, location, framing string, b []byte) {
	t.Helper()
	conn := r.dial(t)
	defer conn.Close()
	request := r.head11(http.MethodPatch, location) + framing + "\r\n"
	if strings.Contains(framing, "chunked") {
		request += fmt.Sprintf("%x\r\n", len(b))
	}
	if _, err := conn.Write(append([]byte(request), b...)); err != nil {
		t.Fatal(err)
	}
}

// dial opens a connection to the entry.
func (r registry) dial(t *testing.T) net.Conn {
	t.Helper()
	u, err := url.Parse(r.root)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.DialTimeout("tcp", u.Host, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	return conn
}

// head11 is the start of an HTTP/1.1 request: its line, Host and Authorization.
func (r registry) head11(method, target string) string {
	host := r.host
	if host == "" {
		host = strings.TrimPrefix(r.root, "http://")
	}
	text := method + " " + target + " HTTP/1.1\r\nHost: " + host + "\r\n"
	if r.authorization != "" {
		text += "Authorization: " + r.authorization + "\r\n"
	}
	return text
}

// "Single POST": Content-Length is the blob's length. A body that ends early is no blob, whatever its digest.
func TestPushBlob_BodyEndsEarly(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		b := random(1000)
		d := digest.FromBytes(b)
		conn := r.dial(t)
		request := r.head11(http.MethodPost, r.path("blobs/uploads/?digest=%s", d)) + "Content-Length: 2000\r\n\r\n"
		if _, err := conn.Write(append([]byte(request), b...)); err != nil {
			t.Fatal(err)
		}
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if res, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil && res.StatusCode/100 == 2 {
			t.Errorf("a body of 1000 of 2000 bytes: %s", res.Status)
		}
		_, _ = io.Copy(io.Discard, conn) // until the server has closed, and so has done with the request
		conn.Close()
		r.get(t, r.blob(d)).want(t, http.StatusNotFound)
	})
}

// "Resumable Push": a session outlives a restart of the server.
func TestChunk_ResumeAfterRestart(t *testing.T) {
	t.Parallel()
	s := newServer(t, false)
	type session struct {
		registry
		location string
		content  []byte
		digest   digest.Digest
	}
	var sessions []session
	for _, e := range s.entries(t, open) {
		for _, algorithm := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
			r := s.newRegistry(e, open)
			b := random(500_000)
			options := []option{}
			if algorithm == digest.SHA512 {
				options = append(options, query("digest-algorithm", "sha512"))
			}
			location := r.patch(t, r.begin(t, options...), b[:200_000]).want(t, http.StatusAccepted).location(t)
			sessions = append(sessions, session{r, location, b, algorithm.FromBytes(b)})
		}
	}
	s.restart(t)
	for _, x := range sessions {
		x.get(t, x.location).want(t, http.StatusNoContent).wantHeader(t, "Range", "0-199999")
		location := x.chunk(t, x.location, 200_000, x.content[200_000:]).want(t, http.StatusAccepted).location(t)
		x.finish(t, location, x.digest).want(t, http.StatusCreated)
		x.get(t, x.blob(x.digest)).want(t, http.StatusOK).wantBody(t, x.content)
	}
}
