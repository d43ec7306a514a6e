package repository

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/repomgr/repomgr/core/store"
)

// TestExpireUploads: a store whose uploads can't be read keeps those of no other.
func TestExpireUploads(t *testing.T) {
	dir := t.TempDir()
	db, err := store.Open(t.Context(), filepath.Join(dir, "repomgr.db"), "", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	stores, err := OpenBlobStores(t.Context(), db, filepath.Join(dir, "blobs"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stores.Close() })
	const each = 4
	for i := range each {
		for _, name := range []string{"good", "bad"} {
			name = fmt.Sprint(name, i)
			if err := stores.Create(t.Context(), BlobStoreConfig{Name: name, Type: fileType, Path: name}); err != nil {
				t.Fatal(err)
			}
			if _, err := stores.byName(name).Begin(t.Context(), "somebody"); err != nil {
				t.Fatal(err)
			}
			uploads := filepath.Join(dir, "blobs", name, "uploads")
			if strings.HasPrefix(name, "bad") {
				if err := errors.Join(os.RemoveAll(uploads), os.WriteFile(uploads, nil, 0o600)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	n, err := stores.ExpireUploads(t.Context(), time.Now().Add(time.Hour))
	if n != each || err == nil {
		t.Fatalf("ExpireUploads = %d, %v, want %d and an error", n, err, each)
	}
	for i := range each {
		if want := fmt.Sprint("blob store bad", i); !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not tell of %s", err, want)
		}
	}
}
