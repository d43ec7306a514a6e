package blobstore

import (
	"testing"

	"github.com/opencontainers/go-digest"
)

// TestSum compares with what the algorithms' specifications have for "abc" (RFC 1321, FIPS 180).
func TestSum(t *testing.T) {
	tests := []struct {
		name string
		alg  digest.Algorithm
		want string
	}{
		{"md5", MD5, "900150983cd24fb0d6963f7d28e17f72"},
		{"sha1", SHA1, "a9993e364706816aba3e25717850c26c9cd0d89d"},
		{"sha256", digest.SHA256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Sum(tt.alg, []byte("abc")); got.String() != tt.name+":"+tt.want {
				t.Errorf("sum is %s, want %s", got, tt.want)
			}
		})
	}
	if Hash("md4") != nil {
		t.Error("there is a hash for md4")
	}
}
