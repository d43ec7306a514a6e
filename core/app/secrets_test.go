package app

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/repomgr/repomgr/core/config"
	"github.com/repomgr/repomgr/core/store"
)

// The secrets of an asker.
const (
	password = "PlainPassword"
	token    = "PlainToken"
	outbound = "PlainOutbound"
)

// asker is an upstream server that shows what it is asked with, and a server's directory.
type asker struct {
	*httptest.Server
	dir   string
	base  string
	stop  func()
	files atomic.Int64
}

func newAsker(t *testing.T) *asker {
	a := &asker{dir: t.TempDir()}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, basic, _ := r.BasicAuth()
		fmt.Fprint(w, basic, r.Header.Get("Authorization"))
	}))
	t.Cleanup(a.Close)
	a.start(t)
	a.create(t, "basic", `{"type":"username","username":"u","password":"`+password+`"}`)
	a.create(t, "bearer", `{"type":"bearerToken","bearerToken":"`+token+`"}`)
	a.create(t, "other", `{"type":"username","username":"u","password":"OtherPassword"}`)
	a.create(t, "none", `null`)
	body := `{"nonProxyHosts":["127.*"],"httpProxy":{"enabled":true,"host":"h","port":"1","authInfo":{"enabled":true,"username":"u","password":"` + outbound + `"}}}`
	if status, answer := request(t, "PUT", a.base+"/service/rest/v1/http", body); status != 204 {
		t.Fatalf("outbound proxy: %d %s", status, answer)
	}
	return a
}

func (a *asker) start(t *testing.T) { a.base, a.stop = start(t, a.dir, nil) }

func (a *asker) body(name, authentication string) string {
	return fmt.Sprintf(`{"name":%q,"storage":{"blobStoreName":"default","strictContentTypeValidation":false},"proxy":{"remoteUrl":%q},
 "httpClient":{"autoBlock":false,"connection":{"retries":0},"authentication":%s}}`, name, a.URL, authentication)
}

func (a *asker) create(t *testing.T, name, authentication string) {
	t.Helper()
	if status, answer := request(t, "POST", a.base+"/service/rest/v1/repositories/raw/proxy", a.body(name, authentication)); status != 201 {
		t.Fatalf("create: %d %s", status, answer)
	}
}

// get asks upstream for something new.
func (a *asker) get(t *testing.T, repo string) (int, string) {
	t.Helper()
	return request(t, "GET", fmt.Sprintf("%s/repository/%s/%d", a.base, repo, a.files.Add(1)), "")
}

func (a *asker) want(t *testing.T, repo, body string) {
	t.Helper()
	if status, got := a.get(t, repo); status != 200 || !strings.Contains(got, body) {
		t.Errorf("%s: %d %s", repo, status, got)
	}
}

// lost checks that upstream is not asked, and the reason.
func (a *asker) lost(t *testing.T, repo, reason string) {
	t.Helper()
	if status, got := a.get(t, repo); status < 500 {
		t.Errorf("%s: %d %s", repo, status, got)
	}
	status, got := request(t, "GET", a.base+"/api/v1/repositories/"+repo+"/upstream", "")
	if status != 200 || !strings.Contains(got, "can't be decrypted: "+reason) || !strings.Contains(got, "set it again") {
		t.Errorf("%s: the state is %d %s", repo, status, got)
	}
}

// clear are those of the texts that stand in the database's files.
func (a *asker) clear(t *testing.T, texts ...string) (found []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(a.dir, "repomgr.db*"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range texts {
			if bytes.Contains(data, []byte(text)) {
				found = append(found, filepath.Base(file)+": "+text)
			}
		}
	}
	return found
}

// rows changes the configurations of repositories in the database, with no server on it.
func (a *asker) rows(t *testing.T, change func(configs map[string]string)) {
	t.Helper()
	db, err := store.Open(t.Context(), DatabasePath(a.dir), "", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Repositories(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	configs := map[string]string{}
	for _, row := range rows {
		configs[row.Name] = row.Config
	}
	change(configs)
	for _, row := range rows {
		err := db.Update(t.Context(), func(tx *store.Tx) error { return tx.UpdateRepository(row.ID, configs[row.Name]) })
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestSecretsAtRest(t *testing.T) {
	a := newAsker(t)
	check := func() {
		t.Helper()
		if found := a.clear(t, password, token, outbound); len(found) > 0 {
			t.Errorf("in clear: %v", found)
		}
		if found := a.clear(t, "sealed:1:"); len(found) == 0 {
			t.Error("nothing is sealed")
		}
		a.want(t, "basic", password)
		a.want(t, "bearer", "Bearer "+token)
	}
	check()
	a.stop()
	a.start(t)
	check()
	if status, answer := request(t, "PUT", a.base+"/service/rest/v1/repositories/raw/proxy/none",
		a.body("none", `{"type":"username","username":"u","password":"`+password+`"}`)); status != 204 {
		t.Errorf("update: %d %s", status, answer)
	}
	a.want(t, "none", password)
	check()
}

// TestSecretsInClear: what an older version has stored is read, and encrypted.
func TestSecretsInClear(t *testing.T) {
	a := newAsker(t)
	a.stop()
	a.rows(t, func(configs map[string]string) {
		var c map[string]any
		if err := json.Unmarshal([]byte(configs["basic"]), &c); err != nil {
			t.Fatal(err)
		}
		c["httpClient"].(map[string]any)["authentication"].(map[string]any)["password"] = "OldPassword"
		text, _ := json.Marshal(c)
		configs["basic"] = string(text)
	})
	a.start(t)
	a.want(t, "basic", "OldPassword")
	a.stop()
	a.rows(t, func(configs map[string]string) {
		if strings.Contains(configs["basic"], "OldPassword") || !strings.Contains(configs["basic"], "sealed:1:") {
			t.Errorf("stored: %s", configs["basic"])
		}
	})
}

// TestOtherKey: without the key only the upstreams can't be asked whose secrets it has encrypted.
func TestOtherKey(t *testing.T) {
	for _, missing := range []bool{false, true} {
		t.Run(fmt.Sprintf("missing %t", missing), func(t *testing.T) {
			a := newAsker(t)
			a.want(t, "basic", password)
			a.stop()
			path := filepath.Join(a.dir, "secrets.key")
			key, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if !missing {
				if err := os.WriteFile(path, []byte("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			a.start(t)
			const reason = "it was encrypted with another key"
			a.lost(t, "basic", reason)
			a.lost(t, "bearer", reason)
			a.want(t, "none", "")
			if status, got := request(t, "GET", a.base+"/repository/basic/1", ""); status != 200 || !strings.Contains(got, password) {
				t.Errorf("what is kept is not served: %d %s", status, got)
			}
			// The outbound proxy's is lost, too.
			if status, answer := request(t, "PUT", a.base+"/service/rest/v1/repositories/raw/proxy/none",
				strings.Replace(a.body("none", "null"), a.URL, "http://far.example", 1)); status != 204 {
				t.Fatalf("%d %s", status, answer)
			}
			a.get(t, "none")
			if _, got := request(t, "GET", a.base+"/api/v1/repositories/none/upstream", ""); !strings.Contains(got, "the password of httpProxy can't be decrypted: "+reason) {
				t.Errorf("outbound proxy: %s", got)
			}
			if status, answer := request(t, "PUT", a.base+"/service/rest/v1/repositories/raw/proxy/basic",
				a.body("basic", `{"type":"username","username":"u","password":"NewPassword"}`)); status != 204 {
				t.Fatalf("set again: %d %s", status, answer)
			}
			a.want(t, "basic", "NewPassword")
			a.stop()
			// With the old key the old ones are back.
			if err := os.WriteFile(path, key, 0o600); err != nil {
				t.Fatal(err)
			}
			a.start(t)
			a.lost(t, "basic", reason)
			a.want(t, "bearer", token)
		})
	}
}

// TestMovedSecret: a secret that is put into another repository's row is not sent to that one's upstream.
func TestMovedSecret(t *testing.T) {
	a := newAsker(t)
	a.stop()
	a.rows(t, func(configs map[string]string) {
		from, to := sealed(configs["basic"]), sealed(configs["other"])
		configs["other"] = strings.Replace(configs["other"], to, from, 1)
		configs["bearer"] = configs["basic"] // with all that stands beside it
	})
	a.start(t)
	a.want(t, "basic", password)
	for _, name := range []string{"other", "bearer"} {
		a.lost(t, name, "it was changed, or is not the one that was stored there")
	}
}

// sealed is the secret in a configuration.
func sealed(config string) string {
	_, rest, _ := strings.Cut(config, `"sealed:1:`)
	text, _, _ := strings.Cut(rest, `"`)
	return "sealed:1:" + text
}

// TestBadKey: a server does not start with what is no key, and says so in one line.
func TestBadKey(t *testing.T) {
	a := newAsker(t)
	a.stop()
	if err := os.WriteFile(filepath.Join(a.dir, "secrets.key"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := config.Config{Data: a.dir, Listen: "127.0.0.1:0"}
	refused(t, cfg, "secrets.key: it must be 32 bytes in base64")
	cfg.SecretsKeyFile = filepath.Join(a.dir, "none")
	refused(t, cfg, "no such file")
}
