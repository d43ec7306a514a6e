package store

import (
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/core/content"
)

// TestDigests: what is known of bytes stays known, and grows when they come again with more.
func TestDigests(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		f := newFixture(t, s)
		sum := digest.FromString("bytes")
		put := func(path, key, sha512, sha1, md5 string) {
			t.Helper()
			staged := content.Staged{StoreID: f.blobStore, Key: key, SHA256: sum.Encoded(), SHA512: sha512, SHA1: sha1, MD5: md5, Size: 5}
			f.update(t, func(tx *Tx) error {
				blob, err := tx.PutBlob(staged)
				if err != nil {
					return err
				}
				_, err = tx.PutAsset(AssetRecord{RepositoryID: f.a, Path: path, Kind: "file", Digest: sum}, blob, nil)
				return err
			})
		}
		want := func(step, sha512, sha1, md5 string) {
			t.Helper()
			if b := f.asset(t, f.a, "/1").Blob; b.SHA512 != sha512 || b.SHA1 != sha1 || b.MD5 != md5 {
				t.Errorf("%s: digests are %q %q %q, want %q %q %q", step, b.SHA512, b.SHA1, b.MD5, sha512, sha1, md5)
			}
		}
		put("/1", "one", "", "", "")
		want("none", "", "", "")
		put("/2", "two", "", "s1", "m")
		want("two come later", "", "s1", "m")
		put("/3", "three", "s512", "", "")
		want("one comes later", "s512", "s1", "m")
		f.suspect(t, f.asset(t, f.a, "/1"))
		put("/4", "four", "", "", "m")
		want("mended by bytes with less", "s512", "s1", "m")
		if b := f.asset(t, f.a, "/4").Blob; b != f.asset(t, f.a, "/1").Blob || b.Key != "four" {
			t.Errorf("the blob is %+v", b)
		}
	})
}

// TestDeleteUnseen: what was stored after the look at what is to be deleted is not deleted unseen.
func TestDeleteUnseen(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		f := newFixture(t, s)
		old := f.put(t, f.a, "file", "x", "/f", "old")
		f.put(t, f.a, "file", "x", "/f", "new")
		if err := f.Update(t.Context(), func(tx *Tx) error { return tx.DeleteAsset(old, "me") }); err == nil {
			t.Error("the new bytes were deleted in place of the old ones")
		}
		if a := f.asset(t, f.a, "/f"); a.Digest != digest.FromString("new") {
			t.Errorf("there is %s", a.Digest)
		}
	})
}
