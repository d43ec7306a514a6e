package repository

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/store"
)

func TestAfterPrefix(t *testing.T) {
	tests := []struct{ name, term, want string }{
		{"no term", "", ""},
		{"in the prefix", "hosted", ""},
		{"prefix", "docker-hosted/", ""},
		{"prefix and name", "docker-hosted/app", "app"},
		{"straddles", "ted/ap", "ap"},
		{"slash first", "/app", "app"},
		{"in the name", "app", "app"},
		{"slash in the name", "team/app", "team/app"},
		{"both", "/a/b", "a/b"},
		{"longer than the prefix", "x/docker-hosted/app", "x/docker-hosted/app"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := afterPrefix("docker-hosted/", tt.term); got != tt.want {
				t.Errorf("afterPrefix(%q) = %q, want %q", tt.term, got, tt.want)
			}
		})
	}
}

// The pages of a search hold each name once, in order, whatever their size, where most names that contain the rest of the term
// don't begin with it.
func TestNamesContaining(t *testing.T) {
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "repomgr.db"), "", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	repo := &Repository{manager: &Manager{db: db}}
	var all []string
	for i := range searchBatch + 5 {
		all = append(all, fmt.Sprintf("a%04d/app", i))
	}
	for i := range searchBatch + 5 {
		all = append(all, fmt.Sprintf("app/%04d", i))
	}
	all = append(all, "b/hosted/app", "zzz")
	err = db.Update(t.Context(), func(tx *store.Tx) error {
		blobStore, err := tx.CreateBlobStore(store.BlobStore{UUID: "u", Name: "default", Type: "File", Config: "{}"})
		if err != nil {
			return err
		}
		repo.id, err = tx.CreateRepository(store.Repository{Name: "hosted", Format: "docker", Type: "hosted", BlobStoreID: blobStore, Config: "{}"})
		if err != nil {
			return err
		}
		d := digest.FromString("x")
		blob, err := tx.PutBlob(content.Staged{StoreID: blobStore, Key: "k", SHA256: d.Encoded(), Size: 1})
		if err != nil {
			return err
		}
		for _, name := range all {
			rec := store.AssetRecord{RepositoryID: repo.id, Path: "/" + name, Kind: "manifest", Name: name, Digest: d}
			if _, err := tx.PutAsset(rec, blob, nil); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, term := range []string{"", "Hosted", "hosted/app", "TED/App/00", "/app", "app", "hosted/b", "x/app", "none", "hosted/none"} {
		want := []string{}
		for _, name := range all {
			if strings.Contains("hosted/"+name, strings.ToLower(term)) {
				want = append(want, name)
			}
		}
		for _, limit := range []int{150, len(want), len(all)} {
			if limit == 0 {
				continue
			}
			l := content.List{Names: true, Kind: "manifest", Contains: term, Limit: limit}
			got := []string{}
			for {
				page, err := repo.namesContaining(t.Context(), "hosted/", l)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, page.Names...)
				if page.More != (len(got) < len(want)) || page.More && len(page.Names) != limit {
					t.Errorf("%q by %d: page of %d of %d, %d before, more: %t", term, limit, len(page.Names), len(want), len(got), page.More)
				}
				if !page.More || len(page.Names) == 0 {
					break
				}
				l.After = page.Names[len(page.Names)-1]
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%q by %d (-want +got):\n%s", term, limit, diff)
			}
		}
		l := content.List{Names: true, Kind: "manifest", Contains: term}
		if page, err := repo.namesContaining(t.Context(), "hosted/", l); err != nil || len(page.Names) > 0 || page.More != (len(want) > 0) {
			t.Errorf("%q by 0: %+v, %v", term, page, err)
		}
	}
}
