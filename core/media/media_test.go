package media

import (
	"strings"
	"testing"
)

func TestByName(t *testing.T) {
	tests := []struct{ name, want string }{
		{"/a/index.html", "text/html"},
		{"INDEX.HTM", "text/html"},
		{"a.tar.gz", "application/gzip"},
		{"style.css", "text/css"},
		{"lib-1.0.jar", "application/java-archive"},
		{"README", ""},
		{"v1.0", ""},
		{"dir.html/file", ""},
		{".html", "text/html"},
		{"a.", ""},
		{"", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := ByName(tt.name); got != tt.want {
				t.Errorf("type is %q, want %q", got, tt.want)
			}
		})
	}
}

// TestTypes: the table is in the form that look-ups rely on, and nothing in it contradicts what its files look like.
func TestTypes(t *testing.T) {
	for ext, typ := range types {
		if ext != strings.ToLower(ext) || strings.Contains(ext, ".") {
			t.Errorf("extension %q is never found", ext)
		}
		if !strings.Contains(typ, "/") || strings.Contains(typ, ";") {
			t.Errorf("%s: type %q", ext, typ)
		}
		if !Agree(typ, typ) {
			t.Errorf("%s does not agree with itself", typ)
		}
		if isText(typ) && !Agree(typ, "text/plain") {
			t.Errorf("%s: text is refused", ext)
		}
	}
}

const (
	png  = "\x89PNG\x0D\x0A\x1A\x0A rest"
	jpeg = "\xFF\xD8\xFF rest"
	zip  = "PK\x03\x04 rest"
	gzip = "\x1F\x8B\x08 rest"
	html = "<!DOCTYPE html><html>"
	xml  = "<?xml version=\"1.0\"?><a/>"
)

func TestAgree(t *testing.T) {
	tests := []struct {
		name, file, head string
		want             bool
	}{
		{"image", "a.png", png, true},
		{"image of another kind", "a.png", jpeg, false},
		{"page in place of an image", "a.png", html, false},
		{"page in place of a jar", "a.jar", html, false},
		{"page in place of JSON", "a.json", html, false},
		{"page in place of an unmarked archive", "a.tar", html, false},
		{"page", "a.html", html, true},
		{"page without a mark", "a.html", "hello", true},
		{"page of binary", "a.html", "\x00\x01\x02", false},
		{"page in markdown", "a.md", html, true},
		{"page as vector image", "a.svg", "<svg>", true},
		{"XML", "a.xml", xml, true},
		{"vector image", "a.svg", xml, true},
		{"POM", "a.pom", xml, true},
		{"XML in place of JSON", "a.json", xml, false},
		{"jar", "a.jar", zip, true},
		{"wheel", "a.whl", zip, true},
		{"document", "a.docx", zip, true},
		{"zip in place of gzip", "a.tgz", zip, false},
		{"zip in place of text", "a.txt", zip, false},
		{"zip in place of an unmarked type", "a.rpm", zip, false},
		{"gzip", "a.tar.gz", gzip, true},
		{"gzip in place of a jar", "a.jar", gzip, false},
		{"text in place of a jar", "a.jar", "hello", false},
		{"text in place of an unmarked type", "a.dmg", "hello", true},
		{"script", "a.js", "let a = 1", true},
		{"style", "a.css", "a { }", true},
		{"script of binary", "a.js", "\x00\x01", false},
		{"checksum", "a.jar.sha1", "da39a3ee", true},
		{"signature", "a.jar.asc", "-----BEGIN PGP SIGNATURE-----", true},
		{"binary of an unmarked type", "a.rpm", "\xed\xab\xee\xdb", true},
		{"extension that is not known", "a.xyz", html, true},
		{"no extension", "a", zip, true},
		{"bytes of no type", "a.bin", html, true},
		{"nothing", "a.txt", "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			named, detected := ByName(tt.file), Detect([]byte(tt.head))
			if got := Agree(named, detected); got != tt.want {
				t.Errorf("Agree(%q, %q) = %t", named, detected, got)
			}
		})
	}
}
