package filter

import (
	"slices"
	"strings"
	"testing"

	"github.com/repomgr/repomgr/core/errs"
)

func TestMatch(t *testing.T) {
	for _, test := range []struct {
		name, patterns string
		yes, no        []string
		open           bool
	}{
		{"nothing", " \n,", nil, []string{"", "a"}, false},
		{"exact", "library/alpine, team/app\nother", []string{"library/alpine", "team/app", "other"}, []string{"alpine", "library/alpin", "library/alpine2"}, false},
		{"any", "*", []string{"", "a", "a/b"}, nil, true},
		{"glob", "team/*", []string{"team/", "team/a", "team/a/b"}, []string{"team", "xteam/a"}, true},
		{"globs in the middle", "a*b*c", []string{"abc", "axxbyyc", "abbcc"}, []string{"ab", "acb", "abcd"}, true},
		{"one character", "1.?", []string{"1.2"}, []string{"1.", "1.22"}, true},
		{"constraint", "semver:>=1.2 <2", []string{"1.2", "v1.9.3", "1.2.0"}, []string{"1.1", "2.0.0", "latest", "1.3.0-rc1"}, true},
		{"constraint with alternatives", "semver:^1.2 || ^3", []string{"1.4", "3.9"}, []string{"2.0"}, true},
		{"constraint on all of a version", "semver:>=1.2-0 <2", []string{"1.3-alpine", "1.2.0"}, []string{"1.1-alpine"}, true},
		{"all kinds", "latest\nsemver:~1.2\n9.*", []string{"latest", "1.2.7", "9.x"}, []string{"1.3"}, true},
	} {
		p, err := ParseVersions(test.patterns)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		for _, s := range test.yes {
			if !p.Match(s) {
				t.Errorf("%s: %q does not match", test.name, s)
			}
		}
		for _, s := range test.no {
			if p.Match(s) {
				t.Errorf("%s: %q matches", test.name, s)
			}
		}
		if p.Open() != test.open {
			t.Errorf("%s: open is %t", test.name, p.Open())
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for name, s := range map[string]string{
		"constraint": "semver:newest", "empty constraint": "semver:", "long": strings.Repeat("a", maxPattern+1),
		"many": strings.Repeat("a*,", maxPatterns+1),
	} {
		if _, err := ParseVersions(s); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if p, err := Parse("semver:>=1"); err != nil || !p.Match("semver:>=1") {
		t.Errorf("a name is taken for a constraint: %v", err)
	}
}

func TestNewest(t *testing.T) {
	tags := []string{"1.10", "1.9", "1.2.0", "latest", "edge", "2.0.0-rc1", "1.10-alpine"}
	for _, test := range []struct {
		name, patterns string
		n              int
		want           []string
	}{
		{"highest", "*", 3, []string{"2.0.0-rc1", "1.10", "1.10-alpine"}},
		{"none", "*", 0, []string{}},
		{"named ones beside", "latest, *", 1, []string{"latest", "2.0.0-rc1"}},
		{"more than there are", "*", 99, []string{"2.0.0-rc1", "1.10", "1.10-alpine", "1.9", "1.2.0", "latest", "edge"}},
	} {
		p, err := ParseVersions(test.patterns)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Newest(tags, test.n); !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "a,b\nc*", "semver:>=1.2 <2", "semver:~1 || ^2.x", "a?*?b", "semver:1 - 2"} {
		f.Add(s, "1.2.3")
	}
	f.Fuzz(func(t *testing.T, s, candidate string) {
		p, err := ParseVersions(s)
		if err != nil {
			if !errs.Is(err, errs.Invalid) {
				t.Fatalf("%q: %v", s, err)
			}
			return
		}
		if all, err := Parse("*"); err != nil || !all.Match(candidate) {
			t.Fatalf("* does not match %q", candidate)
		}
		for _, exact := range p.Exact() {
			if !p.Match(exact) {
				t.Fatalf("%q does not choose %q, which it names", s, exact)
			}
		}
		_ = p.Match(candidate)
		if got := p.Newest([]string{candidate}, 1); len(got) != 1 {
			t.Fatalf("newest of one: %q", got)
		}
	})
}
