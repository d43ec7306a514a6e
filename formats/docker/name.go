package docker

import (
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/core/errs"
)

// Limits of names, in bytes (distribution-spec 1.1, "Pulling manifests"; the image's is that of distribution/reference).
const (
	maxName = 255
	maxTag  = 128
)

// The error codes of distribution-spec 1.1, "Error Codes", and those that Docker's API v2 adds.
const (
	codeBlobUnknown         = "BLOB_UNKNOWN"
	codeUploadInvalid       = "BLOB_UPLOAD_INVALID"
	codeUploadUnknown       = "BLOB_UPLOAD_UNKNOWN"
	codeDigestInvalid       = "DIGEST_INVALID"
	codeManifestBlobUnknown = "MANIFEST_BLOB_UNKNOWN"
	codeManifestInvalid     = "MANIFEST_INVALID"
	codeManifestUnknown     = "MANIFEST_UNKNOWN"
	codeNameInvalid         = "NAME_INVALID"
	codeNameUnknown         = "NAME_UNKNOWN"
	codeSizeInvalid         = "SIZE_INVALID"
	codeTagInvalid          = "TAG_INVALID"
	codeUnauthorized        = "UNAUTHORIZED"
	codeDenied              = "DENIED"
	codeUnsupported         = "UNSUPPORTED"
	codeTooManyRequests     = "TOOMANYREQUESTS"
	codePageInvalid         = "PAGINATION_NUMBER_INVALID"
	codeUnavailable         = "UNAVAILABLE"
	codeUnknown             = "UNKNOWN"
)

// invalid is an Invalid error with one of the codes.
func invalid(code, msg string, args ...any) *errs.Error {
	e := errs.New(errs.Invalid, msg, args...)
	e.Code = code
	return e
}

// checkName checks an image's name: components of [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*, separated by slashes. Words such as
// "blobs" or "tags" are components like any other.
func checkName(name string) error {
	if len(name) > maxName {
		return invalid(codeNameInvalid, "image name is longer than %d bytes", maxName)
	}
	if !isName(name) {
		return invalid(codeNameInvalid, "invalid image name %q", name)
	}
	return nil
}

func isName(name string) bool {
	for component := range strings.SplitSeq(name, "/") {
		if !isComponent(component) {
			return false
		}
	}
	return true
}

func isComponent(s string) bool {
	for {
		n := 0
		for n < len(s) && isAlnum(s[n]) {
			n++
		}
		if n == 0 {
			return false
		}
		if s = s[n:]; s == "" {
			return true
		}
		n = separator(s)
		if n == 0 {
			return false
		}
		s = s[n:]
	}
}

// separator is the length of the separator that s starts with: one dot, one or two underscores, any number of dashes.
func separator(s string) int {
	switch {
	case s[0] == '.':
		return 1
	case strings.HasPrefix(s, "__"):
		return 2
	case s[0] == '_':
		return 1
	}
	return len(s) - len(strings.TrimLeft(s, "-"))
}

func isAlnum(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' }

// isTag tells whether s is [a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}.
func isTag(s string) bool {
	if s == "" || len(s) > maxTag || s[0] == '.' || s[0] == '-' {
		return false
	}
	for _, c := range []byte(s) {
		if !isAlnum(c) && (c < 'A' || 'Z' < c) && c != '_' && c != '.' && c != '-' {
			return false
		}
	}
	return true
}

// parseDigest accepts the digests that the registry can verify, strictly: sha256 and sha512 in lower-case hex.
func parseDigest(s string) (digest.Digest, error) {
	alg, encoded, ok := strings.Cut(s, ":")
	if !ok {
		return "", invalid(codeDigestInvalid, "invalid digest %q", clip(s))
	}
	want := hexLength(digest.Algorithm(alg))
	if want == 0 {
		return "", invalid(codeDigestInvalid, "digest algorithm %q is not supported; sha256 and sha512 are", clip(alg))
	}
	if len(encoded) != want || !isHex(encoded) {
		return "", invalid(codeDigestInvalid, "invalid digest %q", clip(s))
	}
	return digest.Digest(s), nil
}

// hexLength is the number of hex digits of an algorithm's digests; 0 when it is not supported.
func hexLength(alg digest.Algorithm) int {
	switch alg {
	case digest.SHA256:
		return 64
	case digest.SHA512:
		return 128
	}
	return 0
}

func isHex(s string) bool {
	for _, c := range []byte(s) {
		if (c < '0' || '9' < c) && (c < 'a' || 'f' < c) {
			return false
		}
	}
	return true
}

// isUploadID tells whether s can be the id of an upload session.
func isUploadID(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for _, c := range []byte(s) {
		if !isAlnum(c) && (c < 'A' || 'Z' < c) && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// aboutDigest is the digest that a tag of the form sha256-<hex>, with or without a suffix such as ".sig", is about; empty for
// other tags. Signing tools name their signatures so.
func aboutDigest(tag string) digest.Digest {
	encoded, ok := strings.CutPrefix(tag, "sha256-")
	if !ok || len(encoded) < 64 || !isHex(encoded[:64]) {
		return ""
	}
	if len(encoded) > 64 && encoded[64] != '.' {
		return ""
	}
	return digest.NewDigestFromEncoded(digest.SHA256, encoded[:64])
}

// clip shortens what a client sent for an error message.
func clip(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return s[:most] + "..."
}
