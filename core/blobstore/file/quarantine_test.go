package file

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/repomgr/repomgr/core/blobstore"
	"github.com/repomgr/repomgr/core/blobstore/blobtest"
)

func TestQuarantineContract(t *testing.T) {
	blobtest.RunQuarantine(t, func(t *testing.T) blobstore.Quarantiner { return fresh(t) })
}

// TestQuarantineDurable: where a file comes to is synced before where it came from, and a new directory before all.
func TestQuarantineDurable(t *testing.T) {
	ctx := context.Background()
	s := fresh(t)
	info, err := s.Put(ctx, strings.NewReader("abc"))
	if err != nil {
		t.Fatal(err)
	}
	var synced []string
	s.sync = func(f *os.File) error {
		synced = append(synced, strings.TrimPrefix(f.Name(), s.root))
		return f.Sync()
	}
	if err := s.Quarantine(ctx, info.Key); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(s.root, "quarantine", info.Key)); err != nil || string(b) != "abc" {
		t.Errorf("in quarantine is %q, %v", b, err)
	}
	if err := s.Release(ctx, info.Key); err != nil {
		t.Fatal(err)
	}
	blobs := "/blobs/" + info.Key[:2]
	if diff := cmp.Diff([]string{"", "/quarantine", blobs, blobs, "/quarantine"}, synced); diff != "" {
		t.Errorf("synced: %s", diff)
	}
	// A store with a quarantine is opened as any other.
	open(t, s.root, Options{})
}

func TestQuarantineUnavailable(t *testing.T) {
	ctx := context.Background()
	s := fresh(t)
	info, err := s.Put(ctx, strings.NewReader("abc"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(s.root, markerName)); err != nil {
		t.Fatal(err)
	}
	for name, do := range map[string]func(context.Context, string) error{"Quarantine": s.Quarantine, "Release": s.Release} {
		if err := do(ctx, info.Key); !errors.Is(err, blobstore.ErrUnavailable) {
			t.Errorf("%s without a marker = %v", name, err)
		}
	}
	if _, err := os.Stat(s.blobPath(info.Key)); err != nil {
		t.Error(err)
	}
}
