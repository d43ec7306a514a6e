package proxy

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
	"github.com/repomgr/repomgr/core/repository"
	"github.com/repomgr/repomgr/core/task"
)

// shelf is a registry's content by path: what answers to GET and HEAD.
type shelf map[string]file

type file struct{ contentType, body string }

// must is for what can't fail in a test.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// add puts an image for several platforms on the shelf. Its parts are those of multi.
func (s shelf) add(image string, index v1.ImageIndex, tags ...string) {
	at := "/v2/" + image
	raw := string(must(index.RawManifest()))
	s[at+"/manifests/"+must(index.Digest()).String()] = file{typeIndex, raw}
	for _, tag := range tags {
		s[at+"/manifests/"+tag] = file{typeIndex, raw}
	}
	for _, m := range must(index.IndexManifest()).Manifests {
		img := must(index.Image(m.Digest))
		s[at+"/manifests/"+m.Digest.String()] = file{string(m.MediaType), string(must(img.RawManifest()))}
		s[at+"/blobs/"+must(img.ConfigName()).String()] = file{"application/octet-stream", string(must(img.RawConfigFile()))}
		for _, l := range must(img.Layers()) {
			s[at+"/blobs/"+must(l.Digest()).String()] = file{"application/octet-stream", string(must(io.ReadAll(must(l.Compressed()))))}
		}
	}
	s[at+"/tags/list"] = file{"application/json", fmt.Sprintf(`{"name":%q,"tags":%s}`, image, must(json.Marshal(tags)))}
}

func (s shelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f, ok := s[r.URL.Path]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", f.contentType)
	w.Header().Set("Docker-Content-Digest", digest.FromString(f.body).String())
	_, _ = io.WriteString(w, f.body)
}

// An upstream that asks to be left alone is waited for.
func TestPrefetchWaits(t *testing.T) {
	u, s := newScriptedProxy(t)
	index, _ := multi(t)
	content := shelf{}
	content.add("team/app", index, "1")
	refused := 0
	u.handle(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/blobs/") && refused == 0 {
			refused++
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		content.ServeHTTP(w, r)
	})
	begin := time.Now()
	if got := s.mustPrefetch(t, repository.Prefetch{Repository: "far", Names: "team/app"}); !strings.HasPrefix(got, "1 of 1 mirrored, 13 files") {
		t.Errorf("result: %s", got)
	}
	if took := time.Since(begin); took < time.Second || refused == 0 {
		t.Errorf("after %v", took)
	}
}

// What fails for one image does not keep the others from being mirrored, and is told at the end.
func TestPrefetchFailures(t *testing.T) {
	u, s := newScriptedProxy(t)
	content := shelf{}
	good, goodParts := multi(t)
	lacking, lackingParts := multi(t)
	wrong, wrongParts := multi(t)
	content.add("team/good", good, "1")
	content.add("team/lacking", lacking, "1")
	content.add("team/wrong", wrong, "1")
	delete(content, "/v2/team/lacking/blobs/"+lackingParts["linux/amd64"][1])
	content["/v2/team/wrong/blobs/"+wrongParts["linux/amd64"][2]] = file{"application/octet-stream", "something else"}
	// A list that says that a manifest is about itself has no end for those who take it at its word.
	loop := goodParts["linux/amd64"][0]
	content["/v2/team/good/referrers/"+loop] = file{typeIndex, fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"digest":%q,"size":1}]}`, typeIndex, typeManifest, loop)}
	// What is about an image may be missing, but not in part.
	unsigned, unsignedParts := multi(t)
	content.add("team/unsigned", unsigned, "1")
	nowhere := digest.FromString("nowhere")
	signature := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/x","digest":%q,"size":7},"layers":[]}`, typeManifest, nowhere)
	content["/v2/team/unsigned/manifests/"+strings.Replace(unsignedParts["linux/amd64"][0], ":", "-", 1)+".sig"] = file{typeManifest, signature}
	u.handle(content.ServeHTTP)
	order := repository.Prefetch{Repository: "far", Names: "team/good\nteam/lacking\nteam/wrong, team/none, team/unsigned", Want: format.Wanted{Platforms: []string{"linux/amd64"}, Referrers: true}}
	result, err := s.prefetch(t, order)
	if err == nil || !strings.HasPrefix(result, "1 of 4 mirrored") || !strings.HasPrefix(err.Error(), "4 failed: team/none: ") ||
		!strings.Contains(err.Error(), "team/unsigned:1: the upstream server lacks /v2/team/unsigned/blobs/"+nowhere.String()) || !strings.Contains(err.Error(), "team/lacking:1: ") || !strings.Contains(err.Error(), "team/wrong:1: ") {
		t.Errorf("result: %s, %v", result, err)
	}
	for _, d := range goodParts["linux/amd64"] {
		if !s.hasPart(t, "far", "team/good", d) {
			t.Errorf("%s is not there", d)
		}
	}
	if s.hasPart(t, "far", "team/wrong", wrongParts["linux/amd64"][2]) {
		t.Error("wrong bytes were stored")
	}
}

// A run that is stopped ends at once, and upstream sends no more; another one goes on where it was.
func TestPrefetchCancel(t *testing.T) {
	u, s := newScriptedProxy(t)
	index, parts := multi(t)
	content := shelf{}
	content.add("team/app", index, "1")
	slow := "/v2/team/app/blobs/" + parts["linux/amd64"][3]
	begun, gone := make(chan struct{}), make(chan struct{})
	u.handle(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != slow {
			content.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(content[slow].body)))
		_, _ = io.WriteString(w, content[slow].body[:10])
		_ = http.NewResponseController(w).Flush()
		close(begun)
		<-r.Context().Done()
		close(gone)
	})
	order := repository.Prefetch{Repository: "far", Names: "team/app", Versions: "1", Want: format.Wanted{Platforms: []string{"linux/amd64"}}}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := s.manager.Prefetch(ctx, order, new(task.Progress))
		ended <- err
	}()
	<-begun
	for !s.hasPart(t, "far", "team/app", parts["linux/amd64"][1]) || !s.hasPart(t, "far", "team/app", parts["linux/amd64"][2]) {
		time.Sleep(5 * time.Millisecond)
	}
	cancel()
	if err := <-ended; err == nil {
		t.Error("no error")
	}
	<-gone
	u.take()
	u.handle(content.ServeHTTP)
	if got := s.mustPrefetch(t, order); !strings.HasPrefix(got, "1 of 1 mirrored, 1 files") {
		t.Errorf("result: %s", got)
	}
	if got := u.take(); !slices.Contains(got, "GET "+slow) || len(got) > 2 { // the other one is about the tag
		t.Errorf("requests of the second run: %q", got)
	}
}

// A hosted repository takes what is mirrored as it takes uploads: under its write policy, and into its own blob store.
func TestPrefetchHosted(t *testing.T) {
	u, s := newScriptedProxy(t)
	first, firstParts := multi(t)
	second, secondParts := multi(t)
	content := shelf{}
	content.add("team/app", first, "1", "latest")
	u.handle(content.ServeHTTP)
	if err := s.stores.Create(t.Context(), repository.BlobStoreConfig{Name: "other", Type: "File", Path: "other"}); err != nil {
		t.Fatal(err)
	}
	settings := json.RawMessage(`{"forceBasicAuth":false,"pathEnabled":true}`)
	for name, storage := range map[string]repository.Storage{
		"same": {BlobStore: "default", WritePolicy: repository.Allow}, "other": {BlobStore: "other", WritePolicy: repository.Allow},
		"once": {BlobStore: "default", WritePolicy: repository.AllowOnce}, "denied": {BlobStore: "default", WritePolicy: repository.Deny},
	} {
		c := repository.Config{Name: name, Format: "docker", Type: repository.Hosted, Online: true, Storage: storage, Settings: settings}
		if err := s.manager.Create(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	order := func(repo string) repository.Prefetch {
		return repository.Prefetch{Repository: repo, Source: "far", Names: "team/app", Want: format.Wanted{Platforms: []string{"linux/amd64"}}}
	}
	c := newCrane(t, s.host)
	for _, repo := range []string{"same", "other", "once"} {
		s.mustPrefetch(t, order(repo))
		s.mustPrefetch(t, order(repo)) // nothing has changed
		c.run("validate", "--remote", s.host+"/"+repo+"/team/app:1", "--platform", "linux/amd64")
		for platform, digests := range firstParts {
			if platform != "linux/amd64" && s.hasPart(t, repo, "team/app", digests[0]) {
				t.Errorf("%s is in %s", platform, repo)
			}
		}
	}
	blob := "/v2/team/app/blobs/" + firstParts["linux/amd64"][2]
	far, same, other := s.kept(t, "far", blob), s.kept(t, "same", blob), s.kept(t, "other", blob)
	if far.Blob.ID != same.Blob.ID || far.Blob.StoreID == other.Blob.StoreID || far.Blob.SHA256 != other.Blob.SHA256 {
		t.Errorf("blobs of a layer: %+v, %+v, %+v", far.Blob, same.Blob, other.Blob)
	}
	if result, err := s.prefetch(t, order("denied")); err == nil || !strings.HasPrefix(result, "0 of 2") || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("read-only: %s, %v", result, err)
	}
	content = shelf{}
	content.add("team/app", second, "1", "2")
	u.handle(content.ServeHTTP)
	for _, repo := range []string{"same", "other"} {
		s.mustPrefetch(t, order(repo))
		if got := c.digestOf(s.host + "/" + repo + "/team/app:1"); got != must(second.Digest()).String() {
			t.Errorf("tag in %s did not move: %s", repo, got)
		}
		// What is gone upstream stays.
		c.run("validate", "--remote", s.host+"/"+repo+"/team/app:latest", "--platform", "linux/amd64")
	}
	result, err := s.prefetch(t, order("once"))
	if err == nil || !strings.HasPrefix(result, "1 of 2") || !strings.Contains(err.Error(), "team/app:1: ") || !strings.Contains(err.Error(), "redeploy is not allowed") {
		t.Errorf("a tag that may not move: %s, %v", result, err)
	}
	if got := c.digestOf(s.host + "/once/team/app:1"); got != must(first.Digest()).String() {
		t.Errorf("a tag moved that may not: %s", got)
	}
	if !s.hasPart(t, "once", "team/app", secondParts["linux/amd64"][0]) {
		t.Error("the new tag's manifest is not there")
	}
}

func TestPrefetchLimit(t *testing.T) {
	u, s := newScriptedProxy(t)
	index, _ := multi(t)
	content := shelf{}
	content.add("team/app", index, "1.9", "1.10", "1.2", "edge", "latest")
	u.handle(content.ServeHTTP)
	got := s.mustPrefetch(t, repository.Prefetch{Repository: "far", Names: "team/app", Versions: "latest, 1.*, edge*", Limit: 2, DryRun: true})
	if got != "would mirror 3: team/app:latest, team/app:1.10, team/app:1.9" {
		t.Errorf("result: %s", got)
	}
}

func TestPrefetchRefuses(t *testing.T) {
	_, s := newScriptedProxy(t)
	for _, test := range []struct {
		name, field string
		order       repository.Prefetch
	}{
		{"no repository", "repositoryName", repository.Prefetch{Repository: "none", Names: "a"}},
		{"a group", "repositoryName", repository.Prefetch{Repository: "all", Names: "a"}},
		{"no names", "names", repository.Prefetch{Repository: "far"}},
		{"a proxy with a source", "sourceRepository", repository.Prefetch{Repository: "far", Source: "far", Names: "a"}},
		{"hosted without a source", "sourceRepository", repository.Prefetch{Repository: "local", Names: "a"}},
		{"a source that is no proxy", "sourceRepository", repository.Prefetch{Repository: "local", Source: "local", Names: "a"}},
		{"constraint", "tags", repository.Prefetch{Repository: "far", Names: "a", Versions: "semver:new"}},
		{"limit", "limit", repository.Prefetch{Repository: "far", Names: "a", Limit: -1}},
	} {
		if err := s.manager.CheckPrefetch(test.order); !errs.Is(err, errs.Invalid) || errs.As(err).Field != test.field {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	if result, err := s.prefetch(t, repository.Prefetch{Repository: "far", Names: "UPPER", Versions: "1"}); err == nil || result != "0 of 1 mirrored, 0 files (0 B) fetched" {
		t.Errorf("a name that can't be one: %s, %v", result, err)
	}
}
