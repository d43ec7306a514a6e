package app

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestMend: a push of bytes that the server has, but whose file was damaged, mends it.
func TestMend(t *testing.T) {
	dir, port := t.TempDir(), freePort(t)
	base, _ := start(t, dir, nil)
	if status, body := request(t, "POST", base+"/service/rest/v1/repositories/docker/hosted", dockerHosted("one", port)); status != 201 {
		t.Fatalf("create: %d %s", status, body)
	}
	push := func() int {
		status, _ := request(t, "POST", fmt.Sprintf("http://127.0.0.1:%d/v2/app/blobs/uploads/?digest=%s", port, helloDigest), "hello")
		return status
	}
	if status := push(); status != 201 {
		t.Fatal(status)
	}
	files, err := filepath.Glob(filepath.Join(dir, "blobs", "default", "blobs", "2c", "*"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	if err := os.WriteFile(files[0], []byte("HELLO"), 0o600); err != nil {
		t.Fatal(err)
	}
	if status := push(); status != 201 {
		t.Errorf("push again: %d", status)
	}
	if status, body := request(t, "GET", fmt.Sprintf("http://127.0.0.1:%d/v2/app/blobs/%s", port, helloDigest), ""); status != 200 || body != "hello" {
		t.Errorf("after it: %d %q", status, body)
	}
}
