package raw

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// send writes bytes to the server as they are, and returns the last answer, after any "100 Continue".
func (s *server) send(t *testing.T, text string) answer {
	t.Helper()
	c, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(text, " ")
	res, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%.60q: %v", text, err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(b)}
}

// request is a request whose target is written as it is.
func request(method, target, body string, header ...string) string {
	credentials := base64.StdEncoding.EncodeToString([]byte("admin:" + password))
	text := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: x\r\nAuthorization: Basic %s\r\nConnection: close\r\n", method, target, credentials)
	if method == "PUT" && len(header) == 0 {
		text += fmt.Sprintf("Content-Length: %d\r\n", len(body))
	}
	return text + strings.Join(append(header, ""), "\r\n") + "\r\n" + body
}

// TestHostilePaths: clients that don't normalise paths, or that mean to lead elsewhere, get a clear refusal, and nothing is stored.
func TestHostilePaths(t *testing.T) {
	s := newServer(t)
	s.put(t, once, "/secret", "secret").want(t, 201)
	long := strings.Repeat("a", 1024)
	tests := []struct {
		name, target string
		status       int
		message      string
	}{
		{"parent", "/repository/files/a/../b", 400, `a path must have no segment "." or ".."`},
		{"out of the repository", "/repository/files/../once/secret", 400, `a path must have no segment "." or ".."`},
		{"escaped parent", "/repository/files/%2e%2e/once/secret", 400, `a path must have no segment "." or ".."`},
		{"escaped parent and slash", "/repository/files/%2e%2e%2fonce%2fsecret", 400, `a path must have no segment "." or ".."`},
		{"itself", "/repository/files/./a", 400, `a path must have no segment "." or ".."`},
		{"two slashes", "/repository/files//a", 400, "a path must have no empty segment"},
		{"two slashes, one escaped", "/repository/files/a/%2Fb", 400, "a path must have no empty segment"},
		{"backslash", `/repository/files/a\b`, 400, "a path must have no backslash and no control character"},
		{"escaped backslash", "/repository/files/..%5Conce%5Csecret", 400, "a path must have no backslash and no control character"},
		{"NUL", "/repository/files/a%00.html", 400, "a path must have no backslash and no control character"},
		{"line feed", "/repository/files/a%0d%0aX:y", 400, "a path must have no backslash and no control character"},
		{"no UTF-8", "/repository/files/%ff", 400, "a path must be UTF-8"},
		{"overlong slash", "/repository/files/..%c0%afsecret", 400, "a path must be UTF-8"},
		{"too long", "/repository/files/" + long, 400, "a path must have at most 1024 bytes"},
		{"too long for a head", "/repository/files/" + strings.Repeat(long, 64), 431, "431 Request Header Fields Too Large"},
		{"malformed escape", "/repository/files/%zz", 400, "400 Bad Request"},
		{"no repository", "/repository//files/a", 404, "Repository not found"},
		{"repository by its parent", "/repository/../repository/files/a", 404, "Repository not found"},
	}
	for _, tt := range tests {
		for _, method := range []string{"GET", "PUT", "DELETE"} {
			t.Run(tt.name+" "+method, func(t *testing.T) {
				a := s.send(t, request(method, tt.target, "x")).want(t, tt.status)
				if !strings.HasPrefix(a.body, tt.message) {
					t.Errorf("body is %.200q, want %q", a.body, tt.message)
				}
			})
		}
	}
	s.send(t, request("PUT", "/repository/files/dir/", "x")).want(t, 400).wantBody(t, "a path with a slash at the end is a directory, not a file\n")
	s.get(t, once, "/secret").wantBody(t, "secret")
	if page := s.do(t, "GET", "/service/rest/repository/browse/files/", nil).want(t, 200); strings.Contains(page.body, "<td><a") {
		t.Errorf("something was stored:\n%s", page.body)
	}
}

// TestNames: names that look special are names.
func TestNames(t *testing.T) {
	s := newServer(t)
	segment := strings.Repeat("%C3%A4", 500)
	tests := []struct{ name, stored, read string }{
		{"space", "/a%20b", "/a%20b"},
		{"plus is no space", "/a+b", "/a%2Bb"},
		{"question mark", "/a%3Fb", "/a%3Fb"},
		{"hash", "/a%23b", "/a%23b"},
		{"percent", "/a%25b", "/a%25b"},
		{"percent and what looks like a slash", "/a%252Fb", "/a%252Fb"},
		{"an escaped slash is a slash", "/esc%2Faped", "/esc/aped"},
		{"escaped letters", "/%61%62c", "/abc"},
		{"UTF-8", "/%E6%97%A5%E6%9C%AC/%C3%A4", "/%e6%97%a5%e6%9c%ac/%c3%a4"},
		{"dots", "/.../..a/.b", "/.../..a/.b"},
		{"signs", "/a;b=c,d@e:f!$&'()*~", "/a;b=c,d@e:f!$&'()*~"},
		{"long", "/" + segment, "/" + segment},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s.send(t, request("PUT", at(files, tt.stored), tt.name)).want(t, 201)
			s.send(t, request("GET", at(files, tt.read), "")).want(t, 200).wantBody(t, tt.name)
			s.send(t, request("GET", at(files, tt.read)+"?query=ignored", "")).want(t, 200).wantBody(t, tt.name)
		})
	}
	s.get(t, files, "/a%20b").wantBody(t, "space")
	s.get(t, files, "/a/b").want(t, 404)
}

// TestMethods: what is not for files is refused with the methods that are.
func TestMethods(t *testing.T) {
	s := newServer(t)
	for _, method := range []string{"POST", "PATCH", "OPTIONS", "TRACE", "MKCOL", "PROPFIND", "MOVE", "get"} {
		s.send(t, request(method, at(files, "/dir/"), "")).want(t, 405).wantHeader(t, "Allow", "GET, HEAD, PUT, DELETE")
	}
}

// TestContinue: a client that waits before it sends its body hears at once what would become of it.
func TestContinue(t *testing.T) {
	s := newServer(t)
	const expect, chunked, length = "Expect: 100-continue", "Transfer-Encoding: chunked", "Content-Length: 1000000000"
	s.send(t, request("PUT", at(files, "/f"), "", expect, length)).want(t, 100)
	s.send(t, request("PUT", at(files, "/f"), "", expect, chunked)).want(t, 100)
	s.send(t, request("PUT", at(sealed, "/f"), "", expect, length)).want(t, 400)
	s.send(t, request("PUT", at(files, "/f/"), "", expect, length)).want(t, 400)
	s.send(t, request("PUT", at(files, "/f"), "", expect, length, "X-Checksum-Sha1: x")).want(t, 400)
	s.put(t, files, "/there", "x").want(t, 201)
	s.send(t, request("PUT", at(files, "/there"), "", expect, length, "If-None-Match: *")).want(t, 412)
	s.send(t, request("PUT", at(files, "/none"), "", expect, length, "If-Match: *")).want(t, 412)
	anonymous := fmt.Sprintf("PUT %s HTTP/1.1\r\nHost: x\r\n%s\r\n%s\r\n\r\n", at(files, "/f"), expect, length)
	s.send(t, anonymous).want(t, 401)
}

// TestBrokenBody: half a file is none.
func TestBrokenBody(t *testing.T) {
	s := newServer(t)
	s.put(t, files, "/f", "before").want(t, 201)
	for _, text := range []string{
		request("PUT", at(files, "/f"), "after", "Content-Length: 100"),
		request("PUT", at(files, "/f"), "5\r\nafter\r\n", "Transfer-Encoding: chunked"),
	} {
		c, err := net.Dial("tcp", s.address)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, text)
		c.(*net.TCPConn).CloseWrite()
		c.SetDeadline(time.Now().Add(20 * time.Second))
		io.Copy(io.Discard, c) // until the server has done with it
		c.Close()
		s.get(t, files, "/f").wantBody(t, "before")
	}
	s.send(t, request("PUT", at(files, "/f"), "5\r\nafter\r\n0\r\n\r\n", "Transfer-Encoding: chunked")).want(t, 201)
	s.get(t, files, "/f").wantBody(t, "after")
}
