// Package media says of what media type files are: by their names, and by how their bytes begin. It asks no tables of the machine
// it runs on, so that all nodes say the same.
package media

import (
	"net/http"
	"path"
	"strings"
)

// Unknown is the type of bytes of which nothing is known (RFC 2046 section 4.5.1).
const Unknown = "application/octet-stream"

// SniffLen is how many bytes Detect looks at.
const SniffLen = 512

// ByName is the type that the extension of a file's name stands for, without parameters; empty for an extension that is not
// known. The last extension counts: a .tar.gz is a gzip file.
func ByName(name string) string {
	return types[strings.ToLower(strings.TrimPrefix(path.Ext(name), "."))]
}

// Detect is the type that the first bytes of a file look like (mimesniff.spec.whatwg.org), without parameters; Unknown when they
// look like nothing. No bytes at all look like text.
func Detect(head []byte) string {
	t, _, _ := strings.Cut(http.DetectContentType(head), ";")
	return t
}

// Agree tells whether bytes that Detect finds to be of one type can be a file of another. Where there is no mark to know a
// type by, they can; what is refused is text where a binary file should be and the other way round, an HTML page in place of
// anything that isn't one, and one known kind of file in place of another.
func Agree(named, detected string) bool {
	switch {
	case named == detected, named == "", named == Unknown:
		return true
	case detected == Unknown:
		// Binary files have marks that are not looked for; text has no such bytes.
		return !isText(named)
	case detected == "text/plain":
		return isText(named) || !marked(named)
	case detected == "text/html", detected == "text/xml":
		return isText(named) && !isJSON(named)
	case family(detected) != "":
		return family(named) == family(detected)
	}
	return !isText(named) && !marked(named)
}

// isText tells whether files of the type hold text.
func isText(t string) bool {
	return strings.HasPrefix(t, "text/") || isJSON(t) || strings.HasSuffix(t, "xml") || strings.HasSuffix(t, "+yaml") || textual[t]
}

func isJSON(t string) bool { return strings.HasSuffix(t, "json") }

// textual are types of text whose names don't tell.
var textual = map[string]bool{
	"application/yaml": true, "application/toml": true, "application/sql": true, "application/x-sh": true, "application/pgp-keys": true,
	"application/pgp-signature": true, "application/x-ndjson": true, "application/mbox": true, "application/rtf": true,
}

// marked tells whether Detect knows all files of the type.
func marked(t string) bool { return family(t) != "" && t != "application/pgp-signature" }

// family is what files of a type are to Detect: a zip file, whatever is in it. It is empty for types that have no mark.
func family(t string) string {
	switch t {
	case "image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp", "image/x-icon", "application/pdf", "application/wasm",
		"application/vnd.ms-fontobject", "font/ttf", "font/otf", "font/collection", "font/woff", "font/woff2", "application/postscript":
		return t
	case "image/vnd.microsoft.icon":
		return "image/x-icon"
	case "application/x-rar-compressed", "application/vnd.rar":
		return "rar"
	case "application/gzip", "application/x-gzip":
		return "gzip"
	case "application/zip", "application/java-archive", "application/epub+zip", "application/vnd.android.package-archive",
		"application/vnd.apple.installer+zip":
		return "zip"
	}
	switch {
	case strings.HasPrefix(t, "application/vnd.openxmlformats-"), strings.HasPrefix(t, "application/vnd.oasis.opendocument."):
		return "zip"
	case strings.HasPrefix(t, "audio/"), strings.HasPrefix(t, "video/"), t == "application/ogg":
		return "sound and pictures"
	}
	return ""
}
