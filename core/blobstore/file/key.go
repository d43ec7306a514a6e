package file

import (
	"crypto/rand"
	"encoding/hex"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
)

const (
	// randomLen is the length of the random part of a key, and of an upload's id, in hex digits.
	randomLen = 32
	sha256Len = 64
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

// validID is validKey for the ids of uploads.
func validID(id string) bool {
	return len(id) == randomLen && isHex(id)
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
