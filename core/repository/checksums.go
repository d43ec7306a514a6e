package repository

import (
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/core/blobstore"
	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
)

// checksumHeaders are the headers that hold a digest in hex. The names are those of Artifactory, which other servers and
// clients took over.
var checksumHeaders = []struct {
	name string
	alg  digest.Algorithm
}{
	{"X-Checksum-Md5", blobstore.MD5},
	{"X-Checksum-Sha1", blobstore.SHA1},
	{"X-Checksum-Sha256", digest.SHA256},
	{"X-Checksum-Sha512", digest.SHA512},
}

// digestNames are the algorithms in the words of RFC 3230 and RFC 9530, which are in lower case in the latter. Others are ignored, as
// both have it.
var digestNames = map[string]digest.Algorithm{
	"md5": blobstore.MD5, "sha": blobstore.SHA1, "sha-256": digest.SHA256, "sha-512": digest.SHA512,
}

// checksums are the digests that the headers of a message name for its body: X-Checksum-*, Content-MD5 (RFC 1864), Digest (RFC 3230),
// Repr-Digest and Content-Digest (RFC 9530).
func checksums(h http.Header) ([]digest.Digest, error) {
	var sums []digest.Digest
	add := func(header string, alg digest.Algorithm, sum []byte, err error) error {
		if err != nil || len(sum) != blobstore.Hash(alg).Size() {
			return errs.New(errs.Invalid, "%s: this is not a digest by %s", header, alg)
		}
		sums = append(sums, digest.NewDigestFromBytes(alg, sum))
		return nil
	}
	for _, header := range checksumHeaders {
		for _, value := range h[header.name] {
			sum, err := hex.DecodeString(strings.TrimSpace(value))
			if err := add(header.name, header.alg, sum, err); err != nil {
				return nil, err
			}
		}
	}
	for _, value := range h["Content-Md5"] {
		sum, err := base64.StdEncoding.DecodeString(strings.TrimSpace(value))
		if err := add("Content-MD5", blobstore.MD5, sum, err); err != nil {
			return nil, err
		}
	}
	for _, name := range []string{"Digest", "Repr-Digest", "Content-Digest"} {
		for member := range strings.SplitSeq(strings.Join(h[name], ","), ",") {
			key, value, _ := strings.Cut(strings.TrimSpace(member), "=")
			alg, ok := digestNames[strings.ToLower(key)]
			if !ok {
				continue
			}
			value, _, _ = strings.Cut(value, ";") // parameters
			if name != "Digest" {
				value = strings.TrimSuffix(strings.TrimPrefix(value, ":"), ":") // RFC 8941 section 3.3.5
			}
			sum, err := base64.StdEncoding.DecodeString(value)
			if err := add(name, alg, sum, err); err != nil {
				return nil, err
			}
		}
	}
	return sums, nil
}

// setChecksums tells the digests of a blob, as far as they are known.
func setChecksums(h http.Header, b content.Blob) {
	for i, sum := range [...]string{b.MD5, b.SHA1, b.SHA256, b.SHA512} {
		if sum != "" {
			h[checksumHeaders[i].name] = []string{sum}
		}
	}
}
