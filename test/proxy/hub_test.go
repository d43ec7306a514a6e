package proxy

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/core/remote"
	"github.com/repomgr/repomgr/core/repository"
)

// An official image of Docker Hub's is one, by its short name and by its whole one. Docker Hub is played by an outbound proxy.
func TestOfficialImages(t *testing.T) {
	u, address := newScripted(t)
	at, err := url.Parse(address.url)
	if err != nil {
		t.Fatal(err)
	}
	port, _ := strconv.Atoi(at.Port())
	s := newServerWith(t, true, remote.NetworkConfig{Version: "test", HTTPProxy: &remote.OutboundProxy{Host: at.Hostname(), Port: port}})
	zero := 0
	hub := func(name string) {
		t.Helper()
		s.create(t, repository.Config{
			Name: name, Type: repository.Proxy, Proxy: &repository.ProxyConfig{RemoteURL: "http://registry-1.docker.io", ContentMaxAge: -1, MetadataMaxAge: -1},
			NegativeCache: &repository.NegativeCache{Enabled: true, TimeToLive: -1}, HTTPClient: &remote.Config{Connection: &remote.Connection{Retries: &zero}},
		}, false)
	}
	hub("hub")
	hub("unlisted")
	s.hosted(t, "local", false)
	s.group(t, "all", "local", "local", "hub")

	config, layer := "config", "layers"
	manifest := manifestOf(6, digest.FromString(config).String(), digest.FromString(layer).String())
	manifestDigest := digest.FromString(manifest).String()
	u.handle(func(w http.ResponseWriter, r *http.Request) {
		switch path, ok := strings.CutPrefix(r.URL.Path, "/v2/library/alpine/"); {
		case !ok || r.URL.Host != "registry-1.docker.io":
			http.NotFound(w, r)
		case path == "tags/list":
			fmt.Fprint(w, `{"name":"library/alpine","tags":["1","2"]}`)
		case path == "manifests/1" || path == "manifests/"+manifestDigest:
			w.Header().Set("Content-Type", typeManifest)
			w.Header().Set("Docker-Content-Digest", manifestDigest)
			fmt.Fprint(w, manifest)
		case path == "blobs/"+digest.FromString(config).String():
			fmt.Fprint(w, config)
		case path == "blobs/"+digest.FromString(layer).String():
			fmt.Fprint(w, layer)
		default:
			http.NotFound(w, r)
		}
	})
	for _, name := range []string{"hub/alpine", "hub/library/alpine", "all/alpine", "all/library/alpine"} {
		for _, path := range []string{"manifests/1", "manifests/" + manifestDigest, "blobs/" + digest.FromString(layer).String()} {
			if code, _, body := call(t, "GET", s.host+"/v2/"+name+"/"+path, "", ""); code != 200 || digest.FromString(body).String() != manifestDigest && body != layer {
				t.Errorf("%s/%s: %d %s", name, path, code, body)
			}
		}
		code, _, body := call(t, "GET", s.host+"/v2/"+name+"/tags/list", "", "")
		var answer struct {
			Name string
			Tags []string
		}
		if err := json.Unmarshal([]byte(body), &answer); code != 200 || err != nil || answer.Name != name || !slices.Equal(answer.Tags, []string{"1", "2"}) {
			t.Errorf("tags of %s: %d %s", name, code, body)
		}
		if got := s.referrersOf(t, name, manifestDigest, ""); len(got) > 0 {
			t.Errorf("referrers of %s: %q", name, got)
		}
	}
	asked := u.take()
	slices.Sort(asked)
	if n := len(slices.Compact(slices.Clone(asked))); n != len(asked) {
		t.Errorf("upstream was asked for something twice: %q", asked)
	}
	// What is pushed to the group by the short name has its layers there, and its tags are beside upstream's.
	if code, _, body := call(t, "PUT", s.host+"/v2/all/alpine/manifests/mine", typeManifest, manifest); code != 201 {
		t.Fatal(code, body)
	}
	for path, want := range map[string]int{"local/alpine/blobs/" + digest.FromString(config).String(): 200, "local/library/alpine/blobs/" + digest.FromString(config).String(): 404} {
		if code, _, body := call(t, "GET", s.host+"/v2/"+path, "", ""); code != want {
			t.Errorf("%s: %d %s, want %d", path, code, body, want)
		}
	}
	if _, _, body := call(t, "GET", s.host+"/v2/all/alpine/tags/list", "", ""); !strings.Contains(body, `["1","2","mine"]`) {
		t.Errorf("tags of the group: %s", body)
	}
	if code, _, body := call(t, "POST", s.host+"/v2/local/other/blobs/uploads/?mount="+digest.FromString(layer).String()+"&from=hub/alpine", "", ""); code != 201 {
		t.Errorf("mount by the short name: %d %s", code, body)
	}
	// A proxy that never saw upstream's list has that of what it keeps, by both names.
	if code, _, body := call(t, "GET", s.host+"/v2/unlisted/alpine/manifests/1", "", ""); code != 200 {
		t.Fatal(code, body)
	}
	u.handle(status(500))
	for _, name := range []string{"unlisted/alpine", "unlisted/library/alpine"} {
		for query, want := range map[string]string{"": `["1"]`, "?last=0": `["1"]`} {
			if code, _, body := call(t, "GET", s.host+"/v2/"+name+"/tags/list"+query, "", ""); code != 200 || !strings.Contains(body, `"`+name+`","tags":`+want) {
				t.Errorf("tags of %s%s while upstream is down: %d %s", name, query, code, body)
			}
		}
	}
}
