package app

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestPrefetch: a task that is due once mirrors files into a proxy, and another one on request into a hosted repository; what is there is
// there without the upstream server.
func TestPrefetch(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/files/") {
			fmt.Fprint(w, "this is "+r.URL.Path)
			return
		}
		w.WriteHeader(http.StatusNotFound)
	}))
	t.Cleanup(up.Close)
	base, _ := start(t, t.TempDir(), nil)
	rest := base + "/service/rest/v1"
	send := func(status int, method, url, body string) string {
		t.Helper()
		got, text := request(t, method, url, body)
		if got != status {
			t.Fatalf("%s %s: %d %s", method, url, got, text)
		}
		return text
	}
	storage := `"storage":{"blobStoreName":"default","strictContentTypeValidation":false,"writePolicy":"ALLOW_ONCE"}`
	send(201, "POST", rest+"/repositories/raw/proxy", fmt.Sprintf(`{"name":"mirror",%s,"proxy":{"remoteUrl":%q}}`, storage, up.URL))
	send(201, "POST", rest+"/repositories/raw/hosted", `{"name":"copy",`+storage+`}`)
	prefetch := func(frequency, properties string) string {
		return fmt.Sprintf(`{"type":"repository.prefetch","name":"Files","enabled":true,"frequency":%s,"properties":%s}`, frequency, properties)
	}
	for name, test := range map[string][2]string{
		"a pattern": {`{"repositoryName":"mirror","names":"files/*"}`, `"id":"properties.names"`},
		"tags":      {`{"repositoryName":"mirror","names":"a","tags":"1"}`, `"id":"properties.tags"`},
		"platforms": {`{"repositoryName":"mirror","names":"a","platforms":"linux"}`, `"id":"properties.platforms"`},
		"no source": {`{"repositoryName":"copy","names":"a"}`, `"id":"properties.sourceRepository"`},
	} {
		if got := send(400, "POST", rest+"/tasks", prefetch(`{"schedule":"manual"}`, test[0])); !strings.Contains(got, test[1]) {
			t.Errorf("%s: %s", name, got)
		}
	}
	type shown struct {
		ID            string `json:"id"`
		LastRunResult string `json:"lastRunResult"`
		Message       string `json:"message"`
	}
	create := func(frequency, properties string) (created shown) {
		t.Helper()
		if err := json.Unmarshal([]byte(send(201, "POST", rest+"/tasks", prefetch(frequency, properties))), &created); err != nil {
			t.Fatal(err)
		}
		return created
	}
	await := func(id string) (now shown) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			if err := json.Unmarshal([]byte(send(200, "GET", rest+"/tasks/"+id, "")), &now); err != nil {
				t.Fatal(err)
			}
			if now.LastRunResult != "" {
				return now
			}
		}
		t.Fatal("the task does not run")
		return now
	}
	due := create(fmt.Sprintf(`{"schedule":"once","startDate":%d}`, time.Now().Add(time.Second).UnixMilli()), `{"repositoryName":"mirror","names":["files/one.txt","/files/a b/two.txt"]}`)
	if got := await(due.ID); got.LastRunResult != "OK" || got.Message != "2 of 2 mirrored, 2 files (48 B) fetched" {
		t.Errorf("scheduled: %+v", got)
	}
	asked := create(`{"schedule":"manual"}`, `{"repositoryName":"copy","sourceRepository":"mirror","names":["files/one.txt","files/three.txt","none.txt"]}`)
	send(204, "POST", rest+"/tasks/"+asked.ID+"/run", "")
	if got := await(asked.ID); got.LastRunResult != "FAILED" || !strings.HasPrefix(got.Message, "2 of 3 mirrored, 1 files (24 B) fetched; 1 failed: none.txt: ") {
		t.Errorf("on request: %+v", got)
	}
	up.Close()
	for path, want := range map[string]string{
		"mirror/files/one.txt": "/files/one.txt", "mirror/files/a%20b/two.txt": "/files/a b/two.txt", "copy/files/one.txt": "/files/one.txt", "copy/files/three.txt": "/files/three.txt",
	} {
		if got := send(200, "GET", base+"/repository/"+path, ""); got != "this is "+want {
			t.Errorf("%s: %s", path, got)
		}
	}
	send(404, "GET", base+"/repository/copy/none.txt", "")
	if got := send(200, "GET", rest+"/tasks/templates/repository.prefetch", ""); !strings.Contains(got, `"id":"platforms"`) {
		t.Errorf("template: %s", got)
	}
}
