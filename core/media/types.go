package media

// types are those of extensions, in lower case: of the files that repositories hold, and of those that web sites are made of.
// They are the registered ones (www.iana.org/assignments/media-types) where there is one.
var types = map[string]string{
	// web sites
	"html": "text/html", "htm": "text/html", "xhtml": "application/xhtml+xml", "css": "text/css", "js": "text/javascript",
	"mjs": "text/javascript", "json": "application/json", "map": "application/json", "webmanifest": "application/manifest+json",
	"jsonld": "application/ld+json", "geojson": "application/geo+json", "wasm": "application/wasm", "rss": "application/rss+xml",
	"atom": "application/atom+xml", "vtt": "text/vtt", "ics": "text/calendar", "vcf": "text/vcard",
	// images
	"png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "gif": "image/gif", "svg": "image/svg+xml", "webp": "image/webp",
	"avif": "image/avif", "bmp": "image/bmp", "ico": "image/x-icon", "tif": "image/tiff", "tiff": "image/tiff", "heic": "image/heic",
	// fonts
	"ttf": "font/ttf", "otf": "font/otf", "ttc": "font/collection", "woff": "font/woff", "woff2": "font/woff2",
	"eot": "application/vnd.ms-fontobject",
	// sound and pictures
	"mp3": "audio/mpeg", "wav": "audio/wav", "ogg": "audio/ogg", "oga": "audio/ogg", "flac": "audio/flac", "m4a": "audio/mp4",
	"mid": "audio/midi", "aiff": "audio/aiff", "mp4": "video/mp4", "m4v": "video/mp4", "webm": "video/webm", "ogv": "video/ogg",
	"avi": "video/x-msvideo", "mov": "video/quicktime", "mkv": "video/x-matroska", "mpeg": "video/mpeg", "mpg": "video/mpeg",
	// text
	"txt": "text/plain", "text": "text/plain", "log": "text/plain", "md": "text/markdown", "markdown": "text/markdown", "rst": "text/x-rst",
	"adoc": "text/asciidoc", "csv": "text/csv", "tsv": "text/tab-separated-values", "xml": "application/xml", "xsd": "application/xml",
	"xsl": "application/xml", "dtd": "application/xml-dtd", "yaml": "application/yaml", "yml": "application/yaml",
	"toml": "application/toml", "ini": "text/plain", "conf": "text/plain", "cfg": "text/plain", "properties": "text/plain",
	"sql": "application/sql", "sh": "application/x-sh", "ndjson": "application/x-ndjson", "diff": "text/x-diff", "patch": "text/x-diff",
	"c": "text/plain", "h": "text/plain", "go": "text/plain", "java": "text/plain", "py": "text/plain", "rb": "text/plain",
	// documents
	"pdf": "application/pdf", "ps": "application/postscript", "rtf": "application/rtf", "epub": "application/epub+zip",
	"doc": "application/msword", "xls": "application/vnd.ms-excel", "ppt": "application/vnd.ms-powerpoint",
	"docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
	"xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
	"pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
	"odt":  "application/vnd.oasis.opendocument.text", "ods": "application/vnd.oasis.opendocument.spreadsheet",
	"odp": "application/vnd.oasis.opendocument.presentation",
	// archives and packages
	"zip": "application/zip", "gz": "application/gzip", "tgz": "application/gzip", "tar": "application/x-tar", "bz2": "application/x-bzip2",
	"tbz2": "application/x-bzip2", "xz": "application/x-xz", "txz": "application/x-xz", "zst": "application/zstd", "lz4": "application/x-lz4",
	"7z": "application/x-7z-compressed", "rar": "application/vnd.rar", "jar": "application/java-archive", "war": "application/java-archive",
	"ear": "application/java-archive", "aar": "application/java-archive", "whl": "application/zip", "nupkg": "application/zip",
	"crate": "application/gzip", "deb": "application/vnd.debian.binary-package", "rpm": "application/x-rpm", "gem": "application/x-tar",
	"iso": "application/x-iso9660-image", "msi": "application/x-msi", "exe": "application/vnd.microsoft.portable-executable",
	"dll": "application/vnd.microsoft.portable-executable", "dmg": "application/x-apple-diskimage", "class": "application/java-vm",
	// beside packages
	"pom": "application/xml", "module": "application/json", "sha1": "text/plain", "sha256": "text/plain", "sha512": "text/plain",
	"md5": "text/plain", "asc": "application/pgp-signature", "sig": Unknown, "sigstore": "application/json",
	"pem": "application/x-pem-file", "crt": "application/x-x509-ca-cert", "der": "application/x-x509-ca-cert",
	"bin": Unknown, "dat": Unknown, "img": Unknown,
}
