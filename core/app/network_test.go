package app

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/repomgr/repomgr/core/config"
	"github.com/repomgr/repomgr/internal/testenv"
)

// TestNetworkOfTwoNodes: what one node is told about the network counts on the other a moment later.
func TestNetworkOfTwoNodes(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello") }))
	defer upstream.Close()
	url := testenv.Postgres(t)
	first := t.TempDir()
	one, _ := start(t, first, func(c *config.Config) { c.DatabaseURL = url })
	body := fmt.Sprintf(`{"name":"mirror","storage":{"blobStoreName":"default","strictContentTypeValidation":false},"proxy":{"remoteUrl":%q},
 "httpClient":{"autoBlock":false,"connection":{"retries":0}}}`, upstream.URL)
	if status, answer := request(t, "POST", one+"/service/rest/v1/repositories/raw/proxy", body); status != 201 {
		t.Fatalf("create: %d %s", status, answer)
	}
	// It does not start with a key of its own.
	cfg := config.Config{Data: t.TempDir(), Listen: "127.0.0.1:0", DatabaseURL: url}
	refused(t, cfg, "copy it from another node")
	other := t.TempDir()
	_, stop := start(t, other, nil)
	stop()
	refused(t, config.Config{Data: other, Listen: "127.0.0.1:0", DatabaseURL: url}, "copy the file from another node")
	second := t.TempDir()
	if err := os.Symlink(filepath.Join(first, "blobs"), filepath.Join(second, "blobs")); err != nil {
		t.Fatal(err)
	}
	two, _ := start(t, second, func(c *config.Config) {
		c.DatabaseURL, c.SecretsKeyFile = url, filepath.Join(first, "secrets.key")
	})
	file := 0
	wait := func(base string, allowed bool) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			file++
			status, answer := request(t, "GET", fmt.Sprintf("%s/repository/mirror/%d", base, file), "")
			if allowed == (status == 200) {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%d %s, allowed %t", status, answer, allowed)
			}
		}
	}
	for _, bases := range [][2]string{{one, two}, {two, one}} {
		addresses := bases[0] + "/api/v1/outbound-addresses"
		wait(bases[1], true)
		if status, answer := request(t, "PUT", addresses, `{"denyPrivate":true}`); status != 200 {
			t.Fatalf("%d %s", status, answer)
		}
		wait(bases[1], false)
		if status, answer := request(t, "PUT", addresses, `{}`); status != 200 {
			t.Fatalf("%d %s", status, answer)
		}
		wait(bases[1], true)
	}
}

// refused starts a server that must not start.
func refused(t *testing.T, cfg config.Config, reason string) {
	t.Helper()
	a, err := Start(t.Context(), cfg, slog.New(slog.DiscardHandler), "test")
	if err == nil {
		_ = a.Stop(t.Context())
	}
	if err == nil || !strings.Contains(err.Error(), reason) || strings.Contains(err.Error(), "\n") {
		t.Errorf("it starts, or does not say %q: %v", reason, err)
	}
}
