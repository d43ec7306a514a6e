package repository

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
)

// TestCoded: which content codings of upstream's are refused.
func TestCoded(t *testing.T) {
	tests := []struct {
		name, path string
		encoding   []string
		refused    bool
	}{
		{"none", "/a.txt", nil, false},
		{"identity", "/a.txt", []string{"identity"}, false},
		{"gzip", "/a.txt", []string{"gzip"}, true},
		{"capitals", "/a.txt", []string{" GZip"}, true},
		{"a file that is a gzip file", "/a.tar.GZ", []string{"x-gzip"}, false},
		{"a gzip file compressed again", "/a.tgz", []string{"br"}, true},
		{"a gzip file within two", "/a.tgz", []string{"gzip", "identity, br"}, true},
		{"compress", "/a.tar.Z", []string{"x-compress"}, false},
		{"what is no coding", "/a.txt", []string{"utf-8"}, false},
		{"what an upload left behind", "/a.txt", []string{"aws-chunked"}, false},
		{"deflate", "/", []string{"deflate"}, true},
		{"no extension", "", []string{"zstd"}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := http.Header{"Content-Encoding": tt.encoding}
			if err := coded(h, format.Route{Path: tt.path}); (err != nil) != tt.refused || err != nil && !errs.Is(err, errs.BadGateway) {
				t.Errorf("%v", err)
			}
			if err := coded(h, format.Route{Path: "/x?a.gz", Source: &url.URL{Path: tt.path}}); (err != nil) != tt.refused {
				t.Errorf("with a query: %v", err)
			}
			if err := coded(h, format.Route{Path: tt.path, Expect: "sha256:x"}); err != nil {
				t.Errorf("with a digest: %v", err)
			}
		})
	}
}
