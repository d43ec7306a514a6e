package blobstore

import (
	"crypto/md5"
	"crypto/sha1"
	_ "crypto/sha256" // available to go-digest
	_ "crypto/sha512" // available to go-digest
	"hash"

	"github.com/opencontainers/go-digest"
)

// The algorithms of digests that clients of old protocols compare with, beside those that go-digest knows. They prove nothing:
// no bytes are found by them.
const (
	MD5  digest.Algorithm = "md5"
	SHA1 digest.Algorithm = "sha1"
)

// Hash returns a new hash of the algorithm, whose state can be marshalled; nil for an algorithm that is not known.
func Hash(alg digest.Algorithm) hash.Hash {
	switch {
	case alg == MD5:
		return md5.New()
	case alg == SHA1:
		return sha1.New()
	case alg.Available():
		return alg.Hash()
	}
	return nil
}

// Sum is the digest of the bytes by an algorithm that Hash knows.
func Sum(alg digest.Algorithm, data []byte) digest.Digest {
	h := Hash(alg)
	h.Write(data) // never fails
	return digest.NewDigest(alg, h)
}
