// Package fault takes away what the server needs, or lets clients misbehave, and checks that it says so clearly, stays within
// bounds, and goes on by itself when the cause is gone.
package fault

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

const (
	typeManifest = "application/vnd.oci.image.manifest.v1+json"
	typeConfig   = "application/vnd.oci.image.config.v1+json"
	typeLayer    = "application/vnd.oci.image.layer.v1.tar+gzip"
)

// image is the name that most tests push to.
const image = "fault/image"

// site is a server and a client of it that has all rights.
type site struct {
	*testenv.Server
	client *http.Client
}

func start(t *testing.T, o testenv.ServerOptions) *site {
	t.Helper()
	o.Preset = "docker"
	s := &site{testenv.StartServer(t, o), &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: time.Minute}}
	t.Cleanup(s.client.CloseIdleConnections)
	return s
}

// answer is a response that was read to its end.
type answer struct {
	request string
	status  int
	header  http.Header
	body    []byte
	took    time.Duration
}

// send sends a request to a path below /v2/, to a location that the server gave, or to a URL.
func (s *site) send(method, path string, body io.Reader, headers ...string) (answer, error) {
	switch {
	case strings.HasPrefix(path, "/"):
		path = "http://" + s.Registry + path
	case !strings.HasPrefix(path, "http://"):
		path = "http://" + s.Registry + "/v2/" + path
	}
	req, err := http.NewRequest(method, path, body)
	if err != nil {
		return answer{}, err
	}
	req.SetBasicAuth(s.User, s.Password)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	began := time.Now()
	res, err := s.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return answer{}, fmt.Errorf("%s %s: read the answer: %w", method, path, err)
	}
	return answer{method + " " + path, res.StatusCode, res.Header, text, time.Since(began)}, nil
}

func (s *site) do(t testing.TB, method, path string, body []byte, headers ...string) answer {
	t.Helper()
	a, err := s.send(method, path, bytes.NewReader(body), headers...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// want ends the test unless the answer has one of the status codes.
func (a answer) want(t testing.TB, status ...int) answer {
	t.Helper()
	if !slices.Contains(status, a.status) {
		t.Fatalf("%s: status %d, want %d: %v\n%.1000s", a.request, a.status, status, a.header, a.body)
	}
	return a
}

// refused checks that the answer is an error of the protocol with one of the status codes, in words for a human.
func (a answer) refused(t testing.TB, status ...int) answer {
	t.Helper()
	a.want(t, status...)
	if err := a.dialect(); err != nil {
		t.Error(err)
	}
	return a
}

// dialect tells whether the answer is an error as docker's clients know it.
func (a answer) dialect() error {
	var e struct {
		Errors []struct {
			Code, Message string
		}
	}
	if err := json.Unmarshal(a.body, &e); err != nil || a.header.Get("Content-Type") != "application/json" {
		return fmt.Errorf("%s: status %d with a body of type %q: %.300s", a.request, a.status, a.header.Get("Content-Type"), a.body)
	}
	if len(e.Errors) == 0 || e.Errors[0].Code == "" || len(e.Errors[0].Message) < 10 || strings.Contains(e.Errors[0].Message, "internal") {
		return fmt.Errorf("%s: status %d without a reason: %s", a.request, a.status, a.body)
	}
	return nil
}

// says checks that the error's text has the words.
func (a answer) says(t testing.TB, words string) answer {
	t.Helper()
	if !strings.Contains(string(a.body), words) {
		t.Errorf("%s: %s does not say %q", a.request, a.body, words)
	}
	return a
}

func random(size int) []byte {
	b := make([]byte, size)
	rand.Read(b)
	return b
}

func blobPath(b []byte) string { return image + "/blobs/" + digest.FromBytes(b).String() }

// putBlob stores a blob by one request.
func (s *site) putBlob(t testing.TB, b []byte) answer {
	t.Helper()
	return s.do(t, http.MethodPost, image+"/blobs/uploads/?digest="+digest.FromBytes(b).String(), b)
}

type descriptor struct {
	MediaType string        `json:"mediaType"`
	Digest    digest.Digest `json:"digest"`
	Size      int           `json:"size"`
}

func describe(mediaType string, b []byte) descriptor {
	return descriptor{mediaType, digest.FromBytes(b), len(b)}
}

// manifestOf is a manifest of blobs, the first of which is the config. No two are the same.
func manifestOf(t testing.TB, blobs ...[]byte) []byte {
	t.Helper()
	m := map[string]any{
		"schemaVersion": 2, "mediaType": typeManifest, "config": describe(typeConfig, blobs[0]),
		"annotations": map[string]string{"n": rand.Text()},
	}
	layers := []descriptor{}
	for _, b := range blobs[1:] {
		layers = append(layers, describe(typeLayer, b))
	}
	m["layers"] = layers
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (s *site) putManifest(t testing.TB, ref string, m []byte) answer {
	t.Helper()
	return s.do(t, http.MethodPut, image+"/manifests/"+ref, m, "Content-Type", typeManifest)
}

// pushed is an image that was pushed.
type pushed struct {
	tag      string
	manifest []byte
	blobs    [][]byte
}

// push pushes an image with blobs of the sizes.
func (s *site) push(t testing.TB, tag string, sizes ...int) pushed {
	t.Helper()
	p := pushed{tag: tag}
	for _, size := range sizes {
		b := random(size)
		s.putBlob(t, b).want(t, http.StatusCreated)
		p.blobs = append(p.blobs, b)
	}
	p.manifest = manifestOf(t, p.blobs...)
	s.putManifest(t, tag, p.manifest).want(t, http.StatusCreated)
	return p
}

// intact checks that an image is there with all its bytes.
func (s *site) intact(t testing.TB, p pushed) {
	t.Helper()
	if a := s.do(t, http.MethodGet, image+"/manifests/"+p.tag, nil).want(t, http.StatusOK); !bytes.Equal(a.body, p.manifest) {
		t.Errorf("%s: other bytes", a.request)
	}
	for _, b := range p.blobs {
		if a := s.do(t, http.MethodGet, blobPath(b), nil).want(t, http.StatusOK); !bytes.Equal(a.body, b) {
			t.Errorf("%s: other bytes", a.request)
		}
	}
}

// begin begins an upload and returns its location.
func (s *site) begin(t testing.TB) string {
	t.Helper()
	return s.do(t, http.MethodPost, image+"/blobs/uploads/", nil).want(t, http.StatusAccepted).header.Get("Location")
}

// held is how many bytes of an upload the answer says the server has.
func (a answer) held(t testing.TB) int {
	t.Helper()
	_, last, ok := strings.Cut(a.header.Get("Range"), "-")
	n, err := strconv.Atoi(last)
	if !ok || err != nil {
		t.Fatalf("%s: status %d, Range %q", a.request, a.status, a.header.Get("Range"))
	}
	if n == 0 {
		return 0 // "0-0" stands for none, too; no test here sends one byte
	}
	return n + 1
}

// files lists the files below a directory, with their sizes.
func files(t testing.TB, dir string) map[string]int64 {
	t.Helper()
	found := map[string]int64{}
	err := filepath.Walk(dir, func(path string, i os.FileInfo, err error) error {
		if os.IsNotExist(err) {
			return nil
		}
		if err == nil && i.Mode().IsRegular() {
			found[strings.TrimPrefix(path, dir+"/")] = i.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// eventually waits until ok.
func eventually(t testing.TB, what string, within time.Duration, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(within); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", within, what)
		}
	}
}

// calm checks that the server's log tells of no panic and no data race.
func (s *site) calm(t testing.TB) {
	t.Helper()
	for line := range strings.Lines(s.Log()) {
		if strings.Contains(line, "panic") || strings.Contains(line, "DATA RACE") {
			t.Errorf("the server's log: %s", line)
		}
	}
}

var errStillRuns = errors.New("it still runs")

// serve runs "repomgr serve" on a site's data, to its end, and returns what it printed.
func serve(t *testing.T, s *site, env ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, testenv.Binary(t), "serve", "--data", s.Data, "--listen", strings.TrimPrefix(s.URL, "http://"))
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "REPOMGR_") })
	cmd.Env = append(cmd.Env, env...)
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		err = errStillRuns
	}
	return string(out), err
}

// password is that of a URL.
func password(t *testing.T, text string) string {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	p, _ := u.User.Password()
	return p
}
