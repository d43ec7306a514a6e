package file

import (
	"crypto/rand"
	"encoding/hex"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/core/blobstore"
)

const (
	// randomLen is the length of the random part of a key, and of an upload's id, in hex digits.
	randomLen = 32
	sha256Len = 64
	// maxIDLen is the contract's.
	maxIDLen = 64
)

// random is 128 unguessable bits in hex.
func random() string {
	var b [randomLen / 2]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// newKey makes a key for bytes with that sha256.
func newKey(sha256 digest.Digest) string {
	return sha256.Encoded() + "." + random()
}

// validKey tells whether a key can be one of this store's. All others are not found, without asking the file system.
func validKey(key string) bool {
	return len(key) == sha256Len+1+randomLen && key[sha256Len] == '.' && isHex(key[:sha256Len]) && isHex(key[sha256Len+1:])
}

// newID makes the id of an upload. It holds the digests that are wanted beside sha256, so that they need no file of their own:
// 32 hex digits, then "-sha512" and the like.
func newID(d digester) string {
	id := random()
	for _, alg := range slices.Sorted(maps.Keys(d)) {
		if alg != digest.SHA256 {
			id += "-" + alg.String()
		}
	}
	return id
}

// parseID returns the digests that an upload's id holds; false for what can't be an id of this store.
func parseID(id string) ([]digest.Algorithm, bool) {
	parts := strings.Split(id, "-")
	if len(id) > maxIDLen || len(parts[0]) != randomLen || !isHex(parts[0]) {
		return nil, false
	}
	var algs []digest.Algorithm
	for _, part := range parts[1:] {
		alg := digest.Algorithm(part)
		if blobstore.Hash(alg) == nil {
			return nil, false
		}
		algs = append(algs, alg)
	}
	return algs, true
}

func isHex(s string) bool {
	return strings.Trim(s, "0123456789abcdef") == ""
}

// sha256Of is the digest that a valid key holds.
func sha256Of(key string) digest.Digest {
	return digest.NewDigestFromEncoded(digest.SHA256, key[:sha256Len])
}

// blobDir and blobPath are where the blob with a valid key is.
func (s *Store) blobDir(key string) string {
	return filepath.Join(s.root, blobsDir, key[:2])
}

func (s *Store) blobPath(key string) string {
	return filepath.Join(s.blobDir(key), key)
}
