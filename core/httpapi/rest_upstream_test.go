package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/repomgr/repomgr/api"
	"github.com/repomgr/repomgr/core/remote"
)

const quick = `{"connection":{"retries":0}}`

// seen is how often the origin was asked since the last call.
func (o *origin) seen() int64 { return o.requests.Swap(0) }

func TestInvalidateCache(t *testing.T) {
	w, up := newWired(t), newOrigin(t)
	w.want(t, 201, "", "POST", "/v1/repositories/raw/proxy", up.rawProxy("mirror", "", quick))
	w.want(t, 201, "", "POST", "/v1/repositories/raw/proxy", up.rawProxy("other", "/o", quick))
	w.want(t, 201, "", "POST", "/v1/repositories/raw/hosted", rawHosted("files"))
	w.want(t, 201, "", "POST", "/v1/repositories/raw/group", rawGroup("inner", `{"memberNames":["mirror","files"]}`))
	w.want(t, 201, "", "POST", "/v1/repositories/raw/group", rawGroup("outer", `{"memberNames":["files","inner"]}`))
	// fill leaves a file and an absence in the proxy's cache.
	fill := func() {
		t.Helper()
		w.want(t, 200, "at /a", "GET", "/repository/mirror/a", "")
		w.recorded(t, "mirror", "a")
		up.status.Store(404)
		w.want(t, 404, "", "GET", "/repository/mirror/none", "")
		up.status.Store(200)
		up.seen()
		w.want(t, 200, "at /a", "GET", "/repository/mirror/a", "")
		w.want(t, 404, "", "GET", "/repository/mirror/none", "")
		if n := up.seen(); n != 0 {
			t.Errorf("what is kept was asked for %d times", n)
		}
	}
	asked := func(why string, want int64) {
		t.Helper()
		w.want(t, 200, "at /a", "GET", "/repository/mirror/a", "")
		if n := up.seen(); n != want {
			t.Errorf("%s: upstream was asked %d times, not %d", why, n, want)
		}
	}
	fill()
	for _, name := range []string{"mirror", "inner", "outer"} {
		w.want(t, 204, "", "POST", "/v1/repositories/"+name+"/invalidate-cache", "")
		time.Sleep(2 * time.Millisecond) // the times that are compared are in milliseconds
		asked("invalidated by way of "+name, 1)
		w.want(t, 200, "at /none", "GET", "/repository/mirror/none", "")
		up.seen()
	}
	w.want(t, 204, "", "POST", "/v1/repositories/other/invalidate-cache", "")
	asked("another was invalidated", 0)
	w.want(t, 204, "", "POST", "/v1/repositories/mirror/invalidate-cache", "")
	w.want(t, 204, "", "PUT", "/v1/repositories/raw/proxy/mirror", up.rawProxy("mirror", "", quick))
	asked("invalidated before a change of settings", 1)
	w.want(t, 204, "", "POST", "/v1/repositories/mirror/invalidate-cache", "")
	w.restart(t)
	asked("invalidated before a restart", 1)
	w.want(t, 204, "", "POST", "/v1/repositories/mirror/invalidate-cache", "")
	up.Close()
	w.want(t, 200, "at /a", "GET", "/repository/mirror/a", "")

	w.want(t, 400, `"You can invalidate cache of proxy or group repository only"`, "POST", "/v1/repositories/files/invalidate-cache", "")
	w.want(t, 404, `"Repository not found"`, "POST", "/v1/repositories/none/invalidate-cache", "")
	for user, status := range map[string]int{contributor: 403, powerless: 403, anonymously: 401} {
		if got := w.in(t).do(user, "POST", "/v1/repositories/mirror/invalidate-cache", ""); got.StatusCode != status {
			t.Errorf("user %q: status %d, not %d", user, got.StatusCode, status)
		}
	}
}

// What upstream was asked for before an invalidation is not fresh when it comes after it.
func TestInvalidateWhileFetching(t *testing.T) {
	var asked atomic.Int64
	proceed, begun := make(chan struct{}), make(chan struct{})
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) == 1 {
			close(begun)
			<-proceed
		}
		fmt.Fprint(w, "content")
	}))
	t.Cleanup(up.Close)
	w := newWired(t)
	w.want(t, 201, "", "POST", "/v1/repositories/raw/proxy", (&origin{Server: up}).rawProxy("mirror", "", quick))
	done := make(chan answer)
	go func() { done <- w.in(t).do(admin, "GET", "/repository/mirror/a", "") }()
	<-begun
	w.want(t, 204, "", "POST", "/v1/repositories/mirror/invalidate-cache", "")
	time.Sleep(2 * time.Millisecond)
	close(proceed)
	if got := <-done; got.body != "content" {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
	w.want(t, 200, "content", "GET", "/repository/mirror/a", "")
	if n := asked.Load(); n != 2 {
		t.Errorf("upstream was asked %d times, not 2", n)
	}
}

// Another remote URL has other files.
func TestRemoteURLChange(t *testing.T) {
	w, up := newWired(t), newOrigin(t)
	const path = "/v1/repositories/raw/proxy"
	w.want(t, 201, "", "POST", path, up.rawProxy("mirror", "/old", quick))
	up.status.Store(404)
	w.want(t, 404, "", "GET", "/repository/mirror/a", "")
	up.status.Store(200)
	w.want(t, 404, "", "GET", "/repository/mirror/a", "")
	w.want(t, 204, "", "PUT", path+"/mirror", up.rawProxy("mirror", "/new", quick))
	w.want(t, 200, "at /new/a", "GET", "/repository/mirror/a", "")
	got := w.want(t, 200, "", "GET", "/v1/repositories/mirror", "").body
	if !strings.Contains(got, `"attributes":{"proxy":{"remoteUrl":"`+up.URL+`/new"}}`) {
		t.Errorf("the repository is %s", got)
	}
}

func TestUpstream(t *testing.T) {
	const path = "/api/v1/repositories/mirror/upstream"
	w, up := newWired(t), newOrigin(t)
	state := func() (s api.UpstreamState) {
		t.Helper()
		must(json.Unmarshal([]byte(w.want(t, 200, "", "GET", path, "").body), &s))
		return s
	}
	w.want(t, 201, "", "POST", "/v1/repositories/raw/proxy", up.rawProxy("mirror", "", quick))
	w.want(t, 201, "", "POST", "/v1/repositories/raw/hosted", rawHosted("files"))
	w.want(t, 200, `{"blockedUntil":null,"lastError":null,"lastErrorAt":null,"lastSuccess":null,"notBefore":null,"rateLimit":null,"reason":null,"status":"Ready to Connect"}`,
		"GET", path, "")
	w.want(t, 200, "", "GET", "/repository/mirror/a", "")
	s := state()
	if s.Status != api.UpstreamStateStatus(remote.Available) || s.Reason != nil || s.LastSuccess == nil || s.RateLimit == nil || s.RateLimit.Remaining != "76;w=21600" {
		t.Errorf("after a success: %+v", s)
	}
	up.status.Store(401)
	w.want(t, 503, "", "GET", "/repository/mirror/b", "")
	s = state()
	if s.Status != api.UpstreamStateStatus(remote.Unavailable) || s.Reason == nil || s.BlockedUntil != nil {
		t.Errorf("without access: %+v", s)
	}
	up.status.Store(500)
	w.want(t, 503, "", "GET", "/repository/mirror/b", "")
	s = state()
	if s.Status != api.UpstreamStateStatus(remote.AutoBlocked) || s.Reason == nil || s.BlockedUntil == nil || s.LastError == nil || s.LastErrorAt == nil {
		t.Errorf("after a failure: %+v", s)
	}
	w.want(t, 204, "", "PUT", "/v1/repositories/raw/proxy/mirror", up.rawProxy("mirror", "", `{"blocked":true}`))
	if s = state(); s.Status != api.UpstreamStateStatus(remote.ManuallyBlocked) || s.Reason == nil {
		t.Errorf("blocked: %+v", s)
	}
	if got := w.want(t, 404, "", "GET", "/api/v1/repositories/files/upstream", ""); !strings.Contains(got.body, "Repository files is not a proxy: it has no upstream server") {
		t.Errorf("problem %s", got.body)
	}
	if got := w.want(t, 404, "", "GET", "/api/v1/repositories/none/upstream/", ""); !strings.Contains(got.body, "Repository not found") {
		t.Errorf("problem %s", got.body)
	}
	for user, status := range map[string]int{powerless: 403, anonymously: 401} {
		got := w.in(t).do(user, "GET", path, "")
		if got.StatusCode != status {
			t.Errorf("user %q: status %d, not %d", user, got.StatusCode, status)
		}
		checkHeaders(t, got)
	}
	if got := w.in(t).do(admin, "HEAD", path, ""); got.StatusCode != 200 {
		t.Errorf("HEAD: %d", got.StatusCode)
	}
}

// The described states are those that there are.
func TestUpstreamStates(t *testing.T) {
	doc, err := api.Load(t.Context())
	must(err)
	var described []any
	for _, v := range doc.Components.Schemas["UpstreamState"].Value.Properties["status"].Value.Enum {
		described = append(described, remote.Availability(v.(string)))
	}
	want := []any{remote.Ready, remote.Available, remote.Unavailable, remote.AutoBlocked, remote.ManuallyBlocked}
	if diff := cmp.Diff(want, described); diff != "" {
		t.Error(diff)
	}
}
