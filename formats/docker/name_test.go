package docker

import (
	"regexp"
	"strings"
	"testing"

	"github.com/repomgr/repomgr/core/errs"
)

var (
	hex256 = strings.Repeat("a1", 32)
	hex512 = strings.Repeat("b2", 64)
	sha256 = "sha256:" + hex256
	sha512 = "sha512:" + hex512
)

// The grammars of distribution-spec 1.1, "Pulling manifests".
var (
	namePattern = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
	tagPattern  = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
)

func TestCheckName(t *testing.T) {
	tests := []struct {
		name string
		in   string
		ok   bool
	}{
		{"one part", "alpine", true},
		{"parts", "library/alpine/edge", true},
		{"digits", "1/2", true},
		{"dot", "a.b", true},
		{"underscore", "a_b", true},
		{"two underscores", "a__b", true},
		{"dashes", "a----b", true},
		{"reserved words", "blobs/manifests/tags/uploads/referrers/list", true},
		{"longest", strings.Repeat("a", 255), true},
		{"empty", "", false},
		{"too long", strings.Repeat("a", 256), false},
		{"capital", "Alpine", false},
		{"two dots", "a..b", false},
		{"three underscores", "a___b", false},
		{"dot and dash", "a.-b", false},
		{"dash and dot", "a-.b", false},
		{"leading dot", ".a", false},
		{"trailing dash", "a-", false},
		{"trailing underscores", "a__", false},
		{"leading underscore", "_catalog", false},
		{"parent", "../a", false},
		{"empty part", "a//b", false},
		{"leading slash", "/a", false},
		{"trailing slash", "a/", false},
		{"space", "a b", false},
		{"NUL", "a\x00b", false},
		{"not ASCII", "ä", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := checkName(tt.in)
			if (err == nil) != tt.ok {
				t.Fatalf("checkName(%q) = %v", tt.in, err)
			}
			if err != nil && (errs.As(err).Code != codeNameInvalid || !errs.Is(err, errs.Invalid)) {
				t.Errorf("error %#v", errs.As(err))
			}
		})
	}
}

func TestIsTag(t *testing.T) {
	tests := []struct {
		name string
		in   string
		ok   bool
	}{
		{"latest", "latest", true},
		{"capitals", "V1.2-RC_3", true},
		{"leading underscore", "_x", true},
		{"longest", strings.Repeat("a", 128), true},
		{"too long", strings.Repeat("a", 129), false},
		{"empty", "", false},
		{"leading dot", ".x", false},
		{"leading dash", "-x", false},
		{"colon", "a:b", false},
		{"plus", "1+2", false},
		{"slash", "a/b", false},
		{"not ASCII", "é", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := isTag(tt.in); got != tt.ok {
				t.Errorf("isTag(%q) = %v", tt.in, got)
			}
		})
	}
}

func TestParseDigest(t *testing.T) {
	tests := []struct {
		name string
		in   string
		ok   bool
	}{
		{"sha256", sha256, true},
		{"sha512", sha512, true},
		{"empty", "", false},
		{"no colon", hex256, false},
		{"nothing after colon", "sha256:", false},
		{"short", "sha256:" + hex256[:63], false},
		{"long", sha256 + "0", false},
		{"capitals", "sha256:" + strings.ToUpper(hex256), false},
		{"not hex", "sha256:" + strings.Repeat("g", 64), false},
		{"sha512 of the length of sha256", "sha512:" + hex256, false},
		{"sha384", "sha384:" + strings.Repeat("a", 96), false},
		{"algorithm in capitals", "SHA256:" + hex256, false},
		{"unknown algorithm", "blake3:" + hex256, false},
		{"two colons", "sha256:" + sha256, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, err := parseDigest(tt.in)
			if (err == nil) != tt.ok {
				t.Fatalf("parseDigest(%q) = %v", tt.in, err)
			}
			if tt.ok && d.String() != tt.in {
				t.Errorf("got %s", d)
			}
			if err != nil && errs.As(err).Code != codeDigestInvalid {
				t.Errorf("code %q", errs.As(err).Code)
			}
		})
	}
}

func TestAboutDigest(t *testing.T) {
	tests := []struct {
		name string
		tag  string
		want string
	}{
		{"fallback list", "sha256-" + hex256, sha256},
		{"signature", "sha256-" + hex256 + ".sig", sha256},
		{"a tag", "latest", ""},
		{"too short", "sha256-abc", ""},
		{"goes on otherwise", "sha256-" + hex256 + "-x", ""},
		{"not hex", "sha256-" + strings.Repeat("x", 64), ""},
		{"cut sha512", "sha512-" + hex512[:64], ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := aboutDigest(tt.tag); got.String() != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func FuzzName(f *testing.F) {
	for _, s := range []string{"alpine", "a/b.c__d---e", "A", "a..b", "a___b", "a/", "-", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got, want := checkName(s) == nil, len(s) <= maxName && namePattern.MatchString(s); got != want {
			t.Errorf("checkName(%q): %v, grammar: %v", s, got, want)
		}
		if got, want := isTag(s), tagPattern.MatchString(s); got != want {
			t.Errorf("isTag(%q): %v, grammar: %v", s, got, want)
		}
		if d, err := parseDigest(s); err == nil && d.Validate() != nil {
			t.Errorf("parseDigest(%q) takes what go-digest refuses", s)
		}
		if d := aboutDigest(s); d != "" && d.Validate() != nil {
			t.Errorf("aboutDigest(%q) = %q", s, d)
		}
	})
}
