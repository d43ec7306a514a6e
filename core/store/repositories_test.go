package store

import (
	"fmt"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
)

// count tells how many rows a table has.
func (f fixture) count(t *testing.T, table string) (n int) {
	t.Helper()
	if _, err := f.scan(t.Context(), &n, "SELECT count(*) FROM "+table); err != nil {
		t.Fatal(err)
	}
	return n
}

func (f fixture) update(t *testing.T, fn func(tx *Tx) error) {
	t.Helper()
	if err := f.Update(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

// TestPurgeRepositories: a deleted repository is gone at once, its name is free, and a purge takes its rows, in several
// batches, and nobody else's. The bytes are left to garbage collection.
func TestPurgeRepositories(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		f := newFixture(t, s)
		kept := f.put(t, f.b, "tag", "img", "/img/kept", "0")
		const n = purgeBatch + 1
		f.update(t, func(tx *Tx) error {
			for i := range n {
				d := digest.FromString(fmt.Sprint(i % 10))
				blob, err := tx.PutBlob(content.Staged{StoreID: f.blobStore, Key: fmt.Sprint(keys.Add(1)), SHA256: d.Encoded(), Size: 1})
				if err != nil {
					return err
				}
				_, err = tx.PutAsset(AssetRecord{RepositoryID: f.a, Path: fmt.Sprint("/img/", i), Kind: "tag", Name: "img", Digest: d,
					Component:  &content.Component{Name: "img", Version: fmt.Sprint(i)},
					References: []content.Reference{{Kind: content.Requires, To: d}}}, blob, nil)
				if err != nil {
					return err
				}
			}
			return tx.DeleteRepository(f.a)
		})
		rows, err := s.Repositories(t.Context())
		if err != nil || len(rows) != 1 || rows[0].Name != "b" {
			t.Errorf("repositories = %v, %v", rows, err)
		}
		f.update(t, func(tx *Tx) error {
			_, err := tx.CreateRepository(Repository{Name: "A", Format: "docker", Type: "hosted", BlobStoreID: f.blobStore, Config: "{}"})
			return err
		})
		if got, err := s.PurgeRepositories(t.Context()); err != nil || got != n {
			t.Errorf("purged %d assets of %d, %v", got, n, err)
		}
		for table, want := range map[string]int{"assets": 1, "components": 1, "asset_references": 0, "repositories": 2, "blobs": 10} {
			if got := f.count(t, table); got != want {
				t.Errorf("%d rows in %s, want %d", got, table, want)
			}
		}
		if _, err := s.Asset(t.Context(), f.b, kept.Path); err != nil {
			t.Errorf("an asset of another repository: %v", err)
		}
		if got, err := s.PurgeRepositories(t.Context()); err != nil || got != 0 {
			t.Errorf("a second purge: %d, %v", got, err)
		}
	})
}

func TestDeleteBlobStore(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		f := newFixture(t, s)
		var other int64
		f.update(t, func(tx *Tx) (err error) {
			other, err = tx.CreateBlobStore(BlobStore{UUID: "v", Name: "other", Type: "File", Config: "{}"})
			return err
		})
		a := f.put(t, f.a, "tag", "img", "/img/v1", "one")
		remove := func(id int64) error {
			return s.Update(t.Context(), func(tx *Tx) error { return tx.DeleteBlobStore(id) })
		}
		if err := remove(f.blobStore); !errs.Is(err, errs.Invalid) {
			t.Errorf("a repository's blob store was deleted: %v", err)
		}
		f.update(t, func(tx *Tx) error {
			_, err := tx.exec(`UPDATE repositories SET blob_store_id = ?`, other)
			return err
		})
		if err := remove(f.blobStore); !errs.Is(err, errs.Invalid) {
			t.Errorf("a blob store with an asset's bytes was deleted: %v", err)
		}
		f.update(t, func(tx *Tx) error { return tx.DeleteRepository(f.a) })
		if err := remove(f.blobStore); !errs.Is(err, errs.Invalid) {
			t.Errorf("a blob store with bytes of a deleted repository was deleted: %v", err)
		}
		if _, err := s.PurgeRepositories(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := remove(f.blobStore); err != nil {
			t.Errorf("a blob store that nobody uses: %v", err)
		}
		if stores, err := s.BlobStores(t.Context()); err != nil || len(stores) != 1 || stores[0].ID != other {
			t.Errorf("blob stores = %v, %v", stores, err)
		}
		if n := f.count(t, "blobs"); n != 0 {
			t.Errorf("%d blobs are left of %s", n, a.Path)
		}
	})
}

// TestHolders: all live names of bytes, of all repositories, page by page.
func TestHolders(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		f := newFixture(t, s)
		var want []string
		for i := range 5 {
			repository := []int64{f.a, f.b}[i%2]
			want = append(want, f.put(t, repository, "blob", "img", fmt.Sprint("/img/", i), "same").Path)
		}
		f.put(t, f.a, "blob", "img", "/img/other", "other")
		f.put(t, f.a, "tag", "img", "/img/tag", "same")
		gone := f.put(t, f.a, "blob", "img", "/img/gone", "same")
		f.update(t, func(tx *Tx) error { return tx.DeleteAsset(gone, "me") })
		var got []string
		for after := int64(0); ; {
			page, err := s.Holders(t.Context(), digest.FromString("same"), "blob", after, 2)
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range page {
				got, after = append(got, a.Path), a.ID
			}
			if len(page) < 2 {
				break
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("holders = %v, want %v", got, want)
		}
	})
}

// TestSubjects: the list of what is about a digest has those that name it as their subject, of one name and repository; that of what has
// it as a child has those.
func TestSubjects(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		f := newFixture(t, s)
		image, other := digest.FromString("image"), digest.FromString("other")
		about := func(kind content.ReferenceKind, to digest.Digest) content.Reference {
			return content.Reference{Kind: kind, To: to}
		}
		f.put(t, f.a, "manifest", "img", "/img/1", "1", about(content.Subject, image))
		f.put(t, f.a, "manifest", "img", "/img/2", "2", about(content.Subject, image), about(content.Requires, other))
		f.put(t, f.a, "manifest", "img", "/img/3", "3", about(content.Subject, other), about(content.Requires, image))
		f.put(t, f.a, "manifest", "img", "/img/4", "4", about(content.Child, image))
		f.put(t, f.a, "manifest", "sig", "/sig/1", "1", about(content.Subject, image))
		f.put(t, f.b, "manifest", "img", "/img/1", "1", about(content.Subject, image))
		moved := f.put(t, f.a, "manifest", "img", "/img/5", "5", about(content.Subject, image))
		f.put(t, f.a, "manifest", "img", moved.Path, "6")
		list := func(l content.List) string {
			l.Kind, l.Name = "manifest", "img"
			page, err := s.Assets(t.Context(), f.a, l)
			if err != nil {
				t.Fatal(err)
			}
			var paths []string
			for _, a := range page.Assets {
				paths = append(paths, a.Path)
			}
			return fmt.Sprint(paths, page.More)
		}
		for _, test := range []struct {
			name string
			list content.List
			want string
		}{
			{"of the image", content.List{Subject: image, Limit: 10}, "[/img/1 /img/2] false"},
			{"first page", content.List{Subject: image, Limit: 1}, "[/img/1] true"},
			{"second page", content.List{Subject: image, Limit: 1, After: "/img/1"}, "[/img/2] false"},
			{"of another", content.List{Subject: other, Limit: 10}, "[/img/3] false"},
			{"by digest too", content.List{Subject: image, Digest: digest.FromString("2"), Limit: 10}, "[/img/2] false"},
			{"that has it as a child", content.List{Child: image, Limit: 10}, "[/img/4] false"},
			{"of nothing", content.List{Subject: digest.FromString("none"), Limit: 10}, "[] false"},
		} {
			if got := list(test.list); got != test.want {
				t.Errorf("%s: %s, want %s", test.name, got, test.want)
			}
		}
	})
}
