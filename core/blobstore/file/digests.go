package file

import (
	"encoding"
	"fmt"
	"hash"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/core/blobstore"
)

// digester computes several digests of the same bytes.
type digester map[digest.Algorithm]hash.Hash

// newDigester computes sha256 and the algs.
func newDigester(algs []digest.Algorithm) (digester, error) {
	d := digester{digest.SHA256: digest.SHA256.Hash()}
	for _, alg := range algs {
		h := blobstore.Hash(alg)
		if h == nil {
			return nil, fmt.Errorf("digest algorithm %q: %w", alg, digest.ErrDigestUnsupported)
		}
		if _, ok := d[alg]; !ok {
			d[alg] = h
		}
	}
	return d, nil
}

// add digests p.
func (d digester) add(p []byte) {
	for _, h := range d {
		h.Write(p) // never fails
	}
}

// sums are the digests of what was written so far. More may be written after.
func (d digester) sums() map[digest.Algorithm]digest.Digest {
	sums := make(map[digest.Algorithm]digest.Digest, len(d))
	for alg, h := range d {
		sums[alg] = digest.NewDigest(alg, h)
	}
	return sums
}

// marshal returns the state of the computation.
func (d digester) marshal() (map[digest.Algorithm][]byte, error) {
	states := make(map[digest.Algorithm][]byte, len(d))
	for alg, h := range d {
		b, err := h.(encoding.BinaryMarshaler).MarshalBinary()
		if err != nil {
			return nil, fmt.Errorf("state of %s: %w", alg, err)
		}
		states[alg] = b
	}
	return states, nil
}

// unmarshal continues from a state that marshal returned. After an error the digester is of no use.
func (d digester) unmarshal(states map[digest.Algorithm][]byte) error {
	for alg, h := range d {
		if err := h.(encoding.BinaryUnmarshaler).UnmarshalBinary(states[alg]); err != nil {
			return fmt.Errorf("state of %s: %w", alg, err)
		}
	}
	return nil
}
