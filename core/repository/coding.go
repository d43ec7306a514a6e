package repository

import (
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
)

// codings are the content codings that change bytes (RFC 9110 section 8.4.1 and IANA's registry), with the extensions of files that are
// in them. Other words are slips of servers, such as "utf-8", or left over from an upload, such as "aws-chunked".
var codings = map[string][]string{
	"gzip":     {".gz", ".tgz", ".taz", ".svgz"},
	"compress": {".z", ".taz"},
	"deflate":  nil,
	"br":       {".br"},
	"zstd":     {".zst", ".tzst"},
	"dcb":      nil, "dcz": nil, "exi": nil, "aes128gcm": nil, "pack200-gzip": nil,
}

// coded is an error where upstream sends bytes in a content coding, though identity is asked for. They are not decoded: the ETag, the length
// and the ranges by which they are compared and put together are those of the coded bytes, and checksums may be of either. Nor are they
// handed on with their coding, which not all clients know. What stays is what names a compressed file, which many servers take for a coding
// (x.tar.gz as x-gzip), and bytes that their digest tells.
func coded(h http.Header, route format.Route) error {
	if route.Expect != "" {
		return nil
	}
	name := route.Path
	if route.Source != nil {
		name = route.Source.Path
	}
	for coding := range strings.SplitSeq(strings.Join(h.Values("Content-Encoding"), ","), ",") {
		coding = strings.TrimPrefix(strings.ToLower(strings.TrimSpace(coding)), "x-")
		extensions, known := codings[coding]
		if known && !slices.Contains(extensions, strings.ToLower(path.Ext(name))) {
			return errs.New(errs.BadGateway, "the upstream server sends it in the content coding %s, though it was asked not to", coding)
		}
	}
	return nil
}
