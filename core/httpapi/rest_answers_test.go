package httpapi

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// What a proxy keeps of upstream's lists is no file among those that people browse.
func TestAnswersAreNoFiles(t *testing.T) {
	w := newWired(t)
	const manifest = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`
	up := &origin{}
	up.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		up.requests.Add(1)
		body := `{"name":"app","tags":["one"],"repositories":["app"]}`
		if strings.Contains(r.URL.Path, "/manifests/") || strings.Contains(r.URL.Path, "/referrers/") {
			w.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
			body = manifest
		}
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(up.Close)
	body := edit(edit(leastProxy, "https://registry.test", up.URL), `"docker":{`, `"httpClient":`+quick+`,"docker":{`)
	w.want(t, 201, "", "POST", "/v1/repositories/docker/proxy", edit(body, "least", "hub"))
	const digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	const lists = "/repository/hub/v2/"
	for range 2 {
		w.want(t, 200, `{"name":"app","tags":["one"]}`, "GET", lists+"app/tags/list", "")
		w.want(t, 200, `{"name":"other","tags":["one"]}`, "GET", lists+"other/tags/list", "")
		w.want(t, 200, `{"repositories":["app"]}`, "GET", lists+"_catalog", "")
		w.want(t, 200, "", "GET", lists+"app/referrers/"+digest, "")
	}
	if n := up.seen(); n != 4 {
		t.Errorf("upstream was asked %d times: the lists are not kept", n)
	}
	const browse = "/service/rest/repository/browse/hub/"
	w.want(t, 404, "", "GET", browse+"v2/", "")
	w.want(t, 200, "", "GET", lists+"app/manifests/one", "")
	for directory, want := range map[string]string{"": "v2/", "v2/": "app/", "v2/app/": "manifests/", "v2/app/manifests/": "one"} {
		page := w.want(t, 200, "", "GET", browse+directory, "").body
		if !strings.Contains(page, ">"+want+"<") {
			t.Errorf("%s is not shown in /%s:\n%s", want, directory, page)
		}
		for _, not := range []string{"tags", "_catalog", "referrers", "other"} {
			if strings.Contains(page, not) {
				t.Errorf("%s is shown in /%s", not, directory)
			}
		}
	}
}
