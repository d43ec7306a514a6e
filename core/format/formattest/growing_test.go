package formattest

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestGrowing_HTTP10: a client that knows an answer without a length by its end only doesn't get one before it is known to be right.
func TestGrowing_HTTP10(t *testing.T) {
	content := bytes.Repeat([]byte("a"), 300_000)
	up := newScripted(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path[len("/repository/"+repositoryName):] {
		case "/broken":
			breakOff(w, content)
		case "/wrong":
			w.Header().Set("X-Checksum-Sha1", strings.Repeat("0", 40))
			_, _ = w.Write(content)
		case "/sized":
			w.Header().Set("Content-Length", strconv.Itoa(len(content)+100))
			breakOff(w, content)
		default:
			_, _ = w.Write(content)
		}
	})
	s, _ := newProxy(t, up, nil)
	front := s.Serve()
	for _, tt := range []struct {
		path   string
		status int
		length int64
	}{
		{"/right", 200, int64(len(content))},
		{"/wrong", 502, -1},
		{"/broken", 502, -1},
		{"/sized", 200, int64(len(content) + 100)}, // and it is seen to break off
	} {
		t.Run(tt.path, func(t *testing.T) {
			c, err := net.Dial("tcp", front.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			fmt.Fprintf(c, "GET /repository/%s%s HTTP/1.0\r\nAuthorization: Basic %s\r\n\r\n", repositoryName, tt.path,
				base64.StdEncoding.EncodeToString([]byte(Admin+":"+Admin)))
			res, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			if res.StatusCode != tt.status || tt.length >= 0 && res.ContentLength != tt.length || (err != nil) != (tt.path == "/sized") ||
				tt.path == "/right" && !bytes.Equal(body, content) {
				t.Errorf("%d, Content-Length %d, %d bytes, %v", res.StatusCode, res.ContentLength, len(body), err)
			}
		})
	}
}

// TestGrowing_Requests: what requests of other kinds get of a file that is coming in.
func TestGrowing_Requests(t *testing.T) {
	for _, sized := range []bool{true, false} {
		t.Run(fmt.Sprintf("length known %v", sized), func(t *testing.T) {
			up := newSource(t, sized)
			s, _ := newProxy(t, up.Server, nil)
			front := s.Serve()
			size := len(up.content)
			go func() { _, _, _ = fetchFrom(t, front, "GET", "/large") }()
			for n := 0; up.gets.Load() == 0; n++ {
				if time.Sleep(10 * time.Millisecond); n == 1000 {
					t.Fatal("upstream is not asked")
				}
			}
			// A HEAD is answered at once, by what is known.
			res, _, err := fetchFrom(t, front, "HEAD", "/large")
			if err != nil || res.StatusCode != 200 || sized && res.ContentLength != int64(size) || !sized && res.ContentLength >= 0 || res.Header.Get("Content-Type") == "" {
				t.Fatalf("HEAD: %v, %v", res, err)
			}
			type answer struct {
				status int
				body   []byte
				err    error
			}
			requests := []struct {
				method, header, value string
				status                int
				body                  []byte
			}{
				{"GET", "Range", "bytes=0-9", 206, up.content[:10]},
				{"GET", "Range", "bytes=-10", 206, up.content[size-10:]},
				{"GET", "Range", fmt.Sprintf("bytes=%d-", size), 416, nil},
				{"GET", "If-None-Match", `"x"`, 200, up.content},
				{"HEAD", "Range", "bytes=0-9", 206, nil},
				{"HEAD", "If-None-Match", `"x"`, 200, nil},
			}
			answers := make([]chan answer, len(requests))
			for i, r := range requests {
				answers[i] = make(chan answer, 1)
				go func() {
					res, body, err := fetchFrom(t, front, r.method, "/large", r.header, r.value)
					if err != nil {
						answers[i] <- answer{err: err}
						return
					}
					answers[i] <- answer{res.StatusCode, body, nil}
				}()
			}
			close(up.gate)
			for i, r := range requests {
				a := <-answers[i]
				if a.err != nil || a.status != r.status || r.status != 416 && !bytes.Equal(a.body, r.body) {
					t.Errorf("%s with %s %s: %d, %d bytes, %v", r.method, r.header, r.value, a.status, len(a.body), a.err)
				}
			}
			if n := up.gets.Load(); n != 1 {
				t.Errorf("upstream was asked %d times", n)
			}
		})
	}
}
