package app

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/core/check"
	"github.com/repomgr/repomgr/core/config"
	"github.com/repomgr/repomgr/core/control"
	"github.com/repomgr/repomgr/core/store"
	"github.com/repomgr/repomgr/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// site is a server with the docker repositories "one" and "two", which share a blob store.
type site struct {
	t    *testing.T
	cfg  config.Config
	base string
	stop func()
}

func newSite(t *testing.T, databaseURL string) *site {
	t.Helper()
	s := &site{t: t, cfg: config.Config{Data: t.TempDir(), DatabaseURL: databaseURL}}
	s.start()
	for _, name := range []string{"one", "two"} {
		body := fmt.Sprintf(`{"name": %q, "online": true, "storage": {"blobStoreName": "default", "strictContentTypeValidation": true,
 "writePolicy": "ALLOW_ONCE"}, "docker": {"v1Enabled": false, "forceBasicAuth": true}}`, name)
		if status, answer := request(t, "POST", s.base+"/service/rest/v1/repositories/docker/hosted", body); status != 201 {
			t.Fatalf("create %s: %d %s", name, status, answer)
		}
	}
	return s
}

func (s *site) start() {
	s.t.Helper()
	s.base, s.stop = start(s.t, s.cfg.Data, func(c *config.Config) { c.DatabaseURL = s.cfg.DatabaseURL })
}

// eachSite runs a test on both databases.
func eachSite(t *testing.T, test func(t *testing.T, s *site)) {
	t.Run("sqlite", func(t *testing.T) { test(t, newSite(t, "")) })
	t.Run("postgres", func(t *testing.T) { test(t, newSite(t, testenv.Postgres(t))) })
}

// do sends a request to a path below that of a repository's images, "one/app/blobs/...".
func (s *site) do(method, path, contentType, body string) (int, string) {
	s.t.Helper()
	repository, rest, _ := strings.Cut(path, "/")
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.base+"/repository/"+repository+"/v2/"+rest, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", contentType)
	r.SetBasicAuth("admin", "secret-password")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// want fails the test unless the answer has the status and the text in it.
func (s *site) want(method, path string, status int, text string) {
	s.t.Helper()
	if got, body := s.do(method, path, "", ""); got != status || !strings.Contains(body, text) {
		s.t.Errorf("%s %s: %d %.100s; want %d %.100s", method, path, got, body, status, text)
	}
}

const manifestType = "application/vnd.oci.image.manifest.v1+json"

// image is what is pushed.
type image struct{ config, layer, manifest string }

func newImage(mark string) image {
	i := image{config: `{"os": "` + mark + `"}`, layer: strings.Repeat(mark, 70_000/len(mark)+1)} // more than is kept in memory
	descriptor := func(mediaType, b string) string {
		return fmt.Sprintf(`{"mediaType": "application/vnd.oci.image.%s", "digest": %q, "size": %d}`, mediaType, digest.FromString(b), len(b))
	}
	i.manifest = fmt.Sprintf(`{"schemaVersion": 2, "mediaType": %q, "config": %s, "layers": [%s]}`, manifestType,
		descriptor("config.v1+json", i.config), descriptor("layer.v1.tar", i.layer))
	return i
}

// pushBlob and pushManifest push to an image, "one/app".
func (s *site) pushBlob(to, body string) (int, string) {
	s.t.Helper()
	return s.do("POST", to+"/blobs/uploads/?digest="+digest.FromString(body).String(), "application/octet-stream", body)
}

func (s *site) pushManifest(to string, i image) (int, string) {
	s.t.Helper()
	return s.do("PUT", to+"/manifests/v1", manifestType, i.manifest)
}

func (s *site) push(to string, i image) {
	s.t.Helper()
	for _, b := range []string{i.config, i.layer} {
		if status, answer := s.pushBlob(to, b); status != 201 {
			s.t.Errorf("push a blob to %s: %d %s", to, status, answer)
		}
	}
	if status, answer := s.pushManifest(to, i); status != 201 {
		s.t.Errorf("push a manifest to %s: %d %s", to, status, answer)
	}
}

// pulls fails the test unless all of the image can be read.
func (s *site) pulls(from string, i image) {
	s.t.Helper()
	for path, body := range map[string]string{
		blobPath(from, i.config): i.config, blobPath(from, i.layer): i.layer, from + "/manifests/v1": i.manifest,
		from + "/manifests/" + digest.FromString(i.manifest).String(): i.manifest,
	} {
		s.want("HEAD", path, 200, "")
		s.want("GET", path, 200, body)
	}
}

func blobPath(in, body string) string { return in + "/blobs/" + digest.FromString(body).String() }

// file is where the bytes are.
func (s *site) file(body string) string {
	s.t.Helper()
	sum := digest.FromString(body).Encoded()
	found, err := filepath.Glob(filepath.Join(s.cfg.Data, "blobs", "default", "blobs", sum[:2], sum+".*"))
	if err != nil || len(found) != 1 {
		s.t.Fatalf("files of %s: %v, %v", sum, found, err)
	}
	return found[0]
}

// check checks the data directory, and returns the findings by kind.
func (s *site) check(o check.Options) (kinds []check.Kind, result check.Result) {
	s.t.Helper()
	err := Check(s.t.Context(), s.cfg, slog.New(slog.DiscardHandler), o, func(e check.Event) error {
		if e.Finding != nil {
			kinds = append(kinds, e.Finding.Kind)
		}
		if e.Result != nil {
			result = *e.Result
		}
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	if result.Stores != 1 {
		s.t.Errorf("%d stores were checked", result.Stores)
	}
	return kinds, result
}

// checks fails the test unless a check finds the kinds and ends with the status.
func (s *site) checks(o check.Options, status int, kinds ...check.Kind) {
	s.t.Helper()
	got, result := s.check(o)
	if fmt.Sprint(got) != fmt.Sprint(kinds) || result.Exit() != status {
		s.t.Errorf("check: %v, exit %d; want %v, %d", got, result.Exit(), kinds, status)
	}
}

// TestDamageOnRead: who reads a blob that has lost its bytes hears that it is not there, and so does everybody who asks for
// it from then on, and pushes it; that mends it in all images.
func TestDamageOnRead(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		i := newImage("a layer ")
		s.push("one/app", i)
		s.push("two/app", i)
		s.pulls("one/app", i)
		if err := os.Remove(s.file(i.layer)); err != nil {
			t.Fatal(err)
		}
		s.want("GET", blobPath("one/app", i.layer), 404, "BLOB_UNKNOWN")
		s.want("HEAD", blobPath("two/app", i.layer), 404, "")
		s.want("GET", "one/app/manifests/v1", 200, i.manifest)
		if status, answer := s.pushManifest("one/other", i); status != 400 && status != 404 || !strings.Contains(answer, "MANIFEST_BLOB_UNKNOWN") {
			t.Errorf("a manifest that requires the layer: %d %s", status, answer)
		}
		for _, from := range []string{"", "&from=app"} {
			status, answer := s.do("POST", "one/third/blobs/uploads/?mount="+digest.FromString(i.layer).String()+from, "", "")
			if status != 202 {
				t.Errorf("mount%s: %d %s", from, status, answer)
			}
		}
		s.checks(check.Options{}, 0, check.Waiting)
		s.push("two/app", i)
		s.pulls("one/app", i)
		s.pulls("two/app", i)
		s.checks(check.Options{Rehash: true}, 0)
	})
}

// TestCheckRunning: a repair by the running server counts at once for what it keeps in memory.
func TestCheckRunning(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		i := newImage("another layer ")
		s.push("one/app", i)
		s.push("two/app", i)
		s.pulls("one/app", i)
		s.checks(check.Options{Rehash: true}, 0)
		if err := os.Truncate(s.file(i.manifest), 3); err != nil {
			t.Fatal(err)
		}
		s.want("GET", "one/app/manifests/v1", 200, i.manifest) // from memory
		s.checks(check.Options{}, 1, check.Size)
		s.want("GET", "one/app/manifests/v1", 200, i.manifest)
		s.checks(check.Options{Repair: true}, 0, check.Size)
		for _, path := range []string{"one/app/manifests/v1", "two/app/manifests/" + digest.FromString(i.manifest).String()} {
			s.want("GET", path, 404, "MANIFEST_UNKNOWN")
			s.want("HEAD", path, 404, "")
		}
		if status, answer := s.pushManifest("two/app", i); status != 201 {
			t.Errorf("push the manifest again: %d %s", status, answer)
		}
		s.pulls("one/app", i)
		s.pulls("two/app", i)
		s.checks(check.Options{Rehash: true}, 0)
	})
}

// TestCheckAlone: without a server the check does it all by itself.
func TestCheckAlone(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		i := newImage("layer ")
		s.push("one/app", i)
		s.stop()
		layer := s.file(i.layer)
		bytes, err := os.ReadFile(layer)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(layer); err != nil {
			t.Fatal(err)
		}
		s.checks(check.Options{Repair: true}, 0, check.Missing)
		if err := os.WriteFile(layer, bytes, 0o600); err != nil {
			t.Fatal(err)
		}
		s.checks(check.Options{Repair: true}, 0, check.Sound)
		s.start()
		s.pulls("one/app", i)
		s.stop()

		unlock, err := control.Lock(s.cfg.Data)
		if err != nil {
			t.Fatal(err)
		}
		defer unlock()
		err = Check(t.Context(), s.cfg, slog.New(slog.DiscardHandler), check.Options{}, nil)
		if err == nil || !strings.Contains(err.Error(), "in use by another repomgr") {
			t.Errorf("a check of a directory in use: %v", err)
		}
		elsewhere := config.Config{Data: filepath.Join(t.TempDir(), "elsewhere"), DatabaseURL: s.cfg.DatabaseURL}
		err = Check(t.Context(), elsewhere, slog.New(slog.DiscardHandler), check.Options{}, nil)
		if err == nil || !strings.Contains(err.Error(), "--data must be the data directory of a server") {
			t.Errorf("a check of nothing: %v", err)
		}
		if _, err := os.Stat(elsewhere.Data); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("a check of nothing made it: %v", err)
		}
	})
}

// TestRestoredDatabase: after the database was restored from before, what was pushed since is stray. A repair leaves it, since it
// is more than a mistake would leave behind.
func TestRestoredDatabase(t *testing.T) {
	s := newSite(t, "")
	first, second := newImage("first "), newImage("second ")
	s.push("one/app", first)
	s.stop()
	database := DatabasePath(s.cfg.Data)
	before, err := os.ReadFile(database)
	if err != nil {
		t.Fatal(err)
	}
	s.start()
	s.push("one/app2", second)
	s.stop()
	if err := os.WriteFile(database, before, 0o600); err != nil {
		t.Fatal(err)
	}
	s.checks(check.Options{Repair: true}, 0) // they are young
	old := time.Now().Add(-store.Grace - time.Hour)
	for _, body := range []string{second.config, second.layer, second.manifest} {
		if err := os.Chtimes(s.file(body), old, old); err != nil {
			t.Fatal(err)
		}
	}
	s.start()
	s.checks(check.Options{Repair: true}, 1, check.Stray, check.Stray, check.Stray)
	s.file(second.layer) // is there still
	s.checks(check.Options{Repair: true, Force: true}, 0, check.Stray, check.Stray, check.Stray)
	s.checks(check.Options{Repair: true, Rehash: true}, 0)
	s.pulls("one/app", first)
	// Nothing of it is lost: it can be pushed again, or brought back with its database.
	s.push("one/app2", second)
	s.pulls("one/app2", second)
	quarantined, err := os.ReadDir(filepath.Join(s.cfg.Data, "blobs", "default", "quarantine"))
	if err != nil || len(quarantined) != 3 {
		t.Errorf("in quarantine: %v, %v", quarantined, err)
	}
}

// TestPushDuringRepair: repairs run one after the other while images are pushed, and harm none.
func TestPushDuringRepair(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		const pushers, images = 3, 6
		var wg sync.WaitGroup
		for p := range pushers {
			wg.Go(func() {
				for n := range images {
					// Every second image is everybody's.
					s.push(fmt.Sprintf("one/app%d-%d", p, n), newImage(fmt.Sprintf("image %d of %d ", n, p*(n%2))))
				}
			})
		}
		done := make(chan struct{})
		go func() { wg.Wait(); close(done) }()
		for running := true; running; {
			select {
			case <-done:
				running = false
			default:
			}
			s.checks(check.Options{Repair: true, Force: true, Rehash: true}, 0)
		}
		for p := range pushers {
			for n := range images {
				s.pulls(fmt.Sprintf("one/app%d-%d", p, n), newImage(fmt.Sprintf("image %d of %d ", n, p*(n%2))))
			}
		}
	})
}
