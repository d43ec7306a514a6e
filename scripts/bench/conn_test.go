package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// serve starts a server that answers with what the test says, and connects to it.
func serve(t *testing.T, handler http.HandlerFunc) *conn {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	c, err := dial(t.Context(), s.Listener.Addr().String(), "Basic eDp5", time.Now().Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	return c
}

// TestFetch shows that a server can't be fast by being wrong.
func TestFetch(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789"), 1000)
	right := newBlob(content)
	wrong := bytes.Clone(content)
	wrong[5000] ^= 1
	send := func(digest string, body []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Docker-Content-Digest", digest)
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
			_, _ = w.Write(body)
		}
	}
	tests := []struct {
		name    string
		method  string
		handler http.HandlerFunc
		first   string // error of the first, verified, response
		later   string // error of one that is not hashed
	}{
		{"GET", "GET", send(right.digest, content), "", ""},
		{"HEAD", "HEAD", send(right.digest, content), "", ""},
		{"in chunks", "GET", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Docker-Content-Digest", right.digest)
			_, _ = w.Write(content[:100])
			w.(http.Flusher).Flush()
			_, _ = w.Write(content[100:])
		}, "", ""},
		{"other bytes", "GET", send(right.digest, wrong), "want " + right.digest, ""},
		{"another digest", "HEAD", send("sha256:00", content), "Docker-Content-Digest", ""},
		{"too short", "GET", send(right.digest, content[1:]), "length 9999, want 10000", "length 9999, want 10000"},
		{"HEAD of another length", "HEAD", send(right.digest, content[1:]), "Content-Length 9999", "Content-Length 9999"},
		{"absent", "GET", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no such thing", http.StatusNotFound) }, "no such thing", "status 404"},
		{"redirected", "GET", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/x", http.StatusTemporaryRedirect) }, "status 307", "status 307"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := serve(t, tt.handler)
			f := fetch{method: tt.method, path: "/v2/a/blobs/x", size: int64(len(content)), digest: right.digest, named: true}
			_, err := f.worker(c)
			wantError(t, "first", err, tt.first)
			_, err = f.unverified(c).do()
			wantError(t, "later", err, tt.later)
		})
	}
}

// TestFetchSampled shows that what goes wrong in the middle is seen.
func TestFetchSampled(t *testing.T) {
	content, served := []byte("content"), 0
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if served++; served > 1 {
			_, _ = w.Write([]byte("CONTENT"))
			return
		}
		_, _ = w.Write(content)
	})
	b := newBlob(content)
	w, err := fetch{method: "GET", path: "/", size: int64(b.size()), digest: b.digest}.worker(c)
	if err != nil {
		t.Fatal(err)
	}
	for range sampled {
		if _, err = w.do(); err != nil {
			break
		}
	}
	wantError(t, "sampled", err, "want "+b.digest)
	wantError(t, "last", w.check(), "want "+b.digest)
}

func wantError(t *testing.T, what string, err error, want string) {
	t.Helper()
	if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
		t.Errorf("%s: error %v, want %q", what, err, want)
	}
}

// TestPushBlob shows what each way to push sends.
func TestPushBlob(t *testing.T) {
	tests := []struct {
		name string
		how  method
		want string // the requests after the first
	}{
		{"one PUT", onePut, "PUT length 100000"},
		{"streamed", streamed, "PATCH length -1, PUT length 0"},
		{"10 chunks", tenChunks, "PATCH 0-9999 length 10000, PATCH 10000-19999 length 10000, PATCH 20000-29999 length 10000, " +
			"PATCH 30000-39999 length 10000, PATCH 40000-49999 length 10000, PATCH 50000-59999 length 10000, PATCH 60000-69999 length 10000, " +
			"PATCH 70000-79999 length 10000, PATCH 80000-89999 length 10000, PATCH 90000-99999 length 10000, PUT length 0"},
	}
	for _, absolute := range []bool{false, true} {
		for _, tt := range tests {
			t.Run(fmt.Sprintf("%s, absolute location %t", tt.name, absolute), func(t *testing.T) {
				b, err := newSource(100_000, 1).next()
				if err != nil {
					t.Fatal(err)
				}
				sum := sha256.New()
				var requests []string
				c := serve(t, func(w http.ResponseWriter, r *http.Request) {
					if r.Header.Get("Authorization") != "Basic eDp5" {
						t.Errorf("Authorization %q", r.Header.Get("Authorization"))
					}
					if at := fmt.Sprint(len(requests)); r.Method != "POST" && (r.URL.Path != "/v2/a/blobs/uploads/u" || r.URL.Query().Get("state") != at) {
						t.Errorf("%s %s, want state %s", r.Method, r.URL, at)
					}
					if _, err := io.Copy(sum, r.Body); err != nil {
						t.Error(err)
					}
					place := r.Header.Get("Content-Range")
					requests = append(requests, strings.ReplaceAll(fmt.Sprintf("%s %s length %d", r.Method, place, r.ContentLength), "  ", " "))
					location := fmt.Sprintf("/v2/a/blobs/uploads/u?state=%d", len(requests))
					if absolute {
						location = "http://" + r.Host + location
					}
					w.Header().Set("Location", location)
					w.Header().Set("Content-Length", "0")
					if r.Method != "PUT" {
						w.WriteHeader(202)
						return
					}
					if got := digestOf(sum); got != r.URL.Query().Get("digest") {
						t.Errorf("digest %s, want %s", got, r.URL.Query().Get("digest"))
					}
					w.Header().Set("Docker-Content-Digest", b.digest)
					w.WriteHeader(201)
				})
				if err := pushBlob(c, "a", b, tt.how); err != nil {
					t.Fatal(err)
				}
				if got := strings.Join(requests[1:], ", "); got != tt.want {
					t.Errorf("got  %s\nwant %s", got, tt.want)
				}
			})
		}
	}
}

// TestPushRefused shows that a server can't be fast by not storing.
func TestPushRefused(t *testing.T) {
	b := newBlob([]byte("content"))
	tests := []struct {
		name   string
		status int
		digest string
		want   string
	}{
		{"stored", 201, b.digest, ""},
		{"accepted only", 202, b.digest, "status 202, want 201"},
		{"another digest", 201, "sha256:00", "Docker-Content-Digest"},
		{"broken", 500, "", "status 500, want 201: the disk is full"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Location", "/v2/a/blobs/uploads/u")
				w.Header().Set("Docker-Content-Digest", tt.digest)
				if r.Method == "POST" {
					w.WriteHeader(202)
					return
				}
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, "the disk is full")
			})
			wantError(t, "push", pushBlob(c, "a", b, onePut), tt.want)
		})
	}
}

func TestPathOf(t *testing.T) {
	tests := []struct {
		name, location, want string
		fails                bool
	}{
		{name: "path", location: "/v2/a/blobs/uploads/u?_state=x", want: "/v2/a/blobs/uploads/u?_state=x"},
		{name: "URL", location: "http://127.0.0.1:5000/v2/a?_state=x", want: "/v2/a?_state=x"},
		{name: "URL without a path", location: "http://127.0.0.1:5000", want: "/"},
		{name: "URL in the query", location: "/v2/a?u=http://b/c", want: "/v2/a?u=http://b/c"},
		{name: "none", location: "", fails: true},
		{name: "relative", location: "uploads/u", fails: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := pathOf(tt.location)
			if got != tt.want || (err != nil) != tt.fails {
				t.Errorf("got %q, %v, want %q", got, err, tt.want)
			}
		})
	}
}
