package oci

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// client sends requests as they are and shows answers as they came: no redirects, no decompression.
var client = &http.Client{
	Transport: &http.Transport{
		DisableCompression: true, MaxIdleConnsPerHost: 16, ExpectContinueTimeout: 10 * time.Second,
	},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Timeout:       2 * time.Minute,
}

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

func bearer(token string) string { return "Bearer " + token }

// option changes a request.
type option func(*http.Request)

// header sets a header of the request; an empty value removes it.
func header(name, value string) option {
	return func(r *http.Request) {
		if r.Header.Del(name); value != "" {
			r.Header.Set(name, value)
		}
	}
}

// body is the request's body, of known length.
func body(b []byte) option {
	return func(r *http.Request) {
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(b)), int64(len(b))
		r.GetBody = nil
	}
}

// stream is a body without a Content-Length: the transfer coding is chunked.
func stream(b []byte) option {
	return func(r *http.Request) {
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(b)), -1
	}
}

// query adds parameters to the URL, without touching those that are there.
func query(pairs ...string) option {
	return func(r *http.Request) {
		raw := []string{}
		if r.URL.RawQuery != "" {
			raw = append(raw, r.URL.RawQuery)
		}
		for i := 0; i < len(pairs); i += 2 {
			raw = append(raw, url.QueryEscape(pairs[i])+"="+url.QueryEscape(pairs[i+1]))
		}
		r.URL.RawQuery = strings.Join(raw, "&")
	}
}

// response is an answer that was read to its end.
type response struct {
	request string // method and URL
	status  int
	header  http.Header
	body    []byte
	// length is that of the Content-Length header; -1 without one.
	length int64
}

// do sends a request to a path of the entry's host: a URL path with or without a query, or an absolute URL.
func (r registry) do(t testing.TB, method, target string, options ...option) response {
	t.Helper()
	res, err := r.send(method, target, options...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	return res
}

// send is do for requests that may fail.
func (r registry) send(method, target string, options ...option) (response, error) {
	if strings.HasPrefix(target, "/") {
		target = r.root + target
	}
	req, err := http.NewRequest(method, target, nil)
	if err != nil {
		return response{}, err
	}
	if r.host != "" {
		req.Host = r.host
	}
	if r.authorization != "" {
		req.Header.Set("Authorization", r.authorization)
	}
	for _, o := range options {
		o(req)
	}
	res, err := client.Do(req)
	if err != nil {
		return response{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return response{}, fmt.Errorf("read the answer: %w", err)
	}
	return response{method + " " + req.URL.String(), res.StatusCode, res.Header, text, res.ContentLength}, nil
}

func (r registry) get(t testing.TB, target string, options ...option) response {
	t.Helper()
	return r.do(t, http.MethodGet, target, options...)
}

func (r registry) head(t testing.TB, target string, options ...option) response {
	t.Helper()
	return r.do(t, http.MethodHead, target, options...)
}

// want ends the test unless the answer has one of the status codes.
func (res response) want(t testing.TB, status ...int) response {
	t.Helper()
	if !slices.Contains(status, res.status) {
		t.Fatalf("%s: status %d, want %v\n%v\n%.2000s", res.request, res.status, status, res.header, res.body)
	}
	return res
}

// wantHeader checks a header's value.
func (res response) wantHeader(t testing.TB, name, value string) response {
	t.Helper()
	if got := res.header.Values(name); len(got) != 1 || got[0] != value {
		t.Errorf("%s: header %s is %q, want %q", res.request, name, got, value)
	}
	return res
}

// wantNoHeader checks that a header is absent.
func (res response) wantNoHeader(t testing.TB, name string) response {
	t.Helper()
	if got := res.header.Values(name); len(got) != 0 {
		t.Errorf("%s: there is a header %s: %q", res.request, name, got)
	}
	return res
}

// wantBody checks the body byte for byte.
func (res response) wantBody(t testing.TB, want []byte) response {
	t.Helper()
	if !bytes.Equal(res.body, want) {
		if len(want) > 4096 || len(res.body) > 4096 {
			t.Errorf("%s: body of %d bytes is not the %d bytes wanted", res.request, len(res.body), len(want))
		} else {
			t.Errorf("%s: body (-want +got):\n%s", res.request, cmp.Diff(string(want), string(res.body)))
		}
	}
	return res
}

// problem is an entry of an error body (distribution-spec, "Error Codes").
type problem struct {
	Code    string          `json:"code"`
	Message string          `json:"message"`
	Detail  json.RawMessage `json:"detail"`
}

// problems reads an error body.
func (res response) problems(t testing.TB) []problem {
	t.Helper()
	var b struct {
		Errors []problem `json:"errors"`
	}
	if err := json.Unmarshal(res.body, &b); err != nil || len(b.Errors) == 0 {
		t.Fatalf("%s: status %d: not an error body: %v\n%.2000s", res.request, res.status, err, res.body)
	}
	return b.Errors
}

// refused ends the test unless the answer is an error with the status and, for the first of its errors, one of the codes.
func (res response) refused(t testing.TB, status int, codes ...string) response {
	t.Helper()
	res.want(t, status)
	if got := res.problems(t)[0].Code; !slices.Contains(codes, got) {
		t.Fatalf("%s: code %q, want %q\n%s", res.request, got, codes, res.body)
	}
	return res
}

// decode reads a JSON body.
func (res response) decode(t testing.TB, to any) {
	t.Helper()
	if err := json.Unmarshal(res.body, to); err != nil {
		t.Fatalf("%s: %v\n%.2000s", res.request, err, res.body)
	}
}

// location is the Location header, which must be there.
func (res response) location(t testing.TB) string {
	t.Helper()
	got := res.header.Values("Location")
	if len(got) != 1 || got[0] == "" {
		t.Fatalf("%s: status %d: Location is %q", res.request, res.status, got)
	}
	return got[0]
}

// next is the target of the Link header with the relation "next"; empty when there is none.
func (res response) next(t testing.TB) string {
	t.Helper()
	links := res.header.Values("Link")
	if len(links) == 0 {
		return ""
	}
	target, rest, ok := strings.Cut(strings.TrimPrefix(links[0], "<"), ">")
	if len(links) > 1 || !ok || strings.ReplaceAll(rest, " ", "") != `;rel="next"` {
		t.Fatalf(`%s: Link is %q, want <...>; rel="next"`, res.request, links)
	}
	return target
}

// random returns bytes that nobody has pushed before.
func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}
