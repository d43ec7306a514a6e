package security

import (
	"strings"
	"testing"
)

func TestImplies(t *testing.T) {
	for _, test := range []struct {
		name         string
		held, wanted string
		want         bool
	}{
		{"same", "nexus:users:read", "nexus:users:read", true},
		{"other action", "nexus:users:read", "nexus:users:update", false},
		{"all", "nexus:*", "nexus:repository-view:docker:a:delete", true},
		{"star alone", "*", "nexus:users:read", true},
		{"shorter implies longer", "nexus:users", "nexus:users:read", true},
		{"longer does not imply shorter", "nexus:users:read", "nexus:users", false},
		{"longer with stars implies shorter", "nexus:users:*:*", "nexus:users", true},
		{"longer ending in a star after a word", "nexus:users:read:*", "nexus:users:read", true},
		{"list", "nexus:repository-view:*:*:browse,read", "nexus:repository-view:docker:a:read", true},
		{"list misses", "nexus:repository-view:*:*:browse,read", "nexus:repository-view:docker:a:edit", false},
		{"list implies part of it", "nexus:x:a,b,c", "nexus:x:c,a", true},
		{"list does not imply more", "nexus:x:a,b", "nexus:x:a,c", false},
		{"words do not imply star", "nexus:x:a,b", "nexus:x:*", false},
		{"star in a list is all", "nexus:x:a,*", "nexus:x:b", true},
		{"star in the middle", "nexus:repository-view:*:a:read", "nexus:repository-view:raw:b:read", false},
		{"case does not matter", "NEXUS:Users:READ", "nexus:users:Read", true},
		{"star in a word is a character", "nexus:x:a*", "nexus:x:ab", false},
		{"other domain", "nexus:repository-admin:*:*:*", "nexus:repository-view:raw:a:read", false},
		{"spaces around", " nexus:users:read ", "nexus:users:read", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			held, wanted := mustParse(t, test.held), mustParse(t, test.wanted)
			if got := held.Implies(wanted); got != test.want {
				t.Errorf("%q implies %q = %v", test.held, test.wanted, got)
			}
			if !strings.ContainsAny(test.wanted, ",*") {
				if got := held.covers(strings.Split(test.wanted, ":")...); got != test.want {
					t.Errorf("%q covers %q = %v", test.held, test.wanted, got)
				}
			}
		})
	}
}

func TestTouches(t *testing.T) {
	for _, test := range []struct {
		name, held, words string
		want              bool
	}{
		{"all", "nexus:*", "nexus:repository-view:raw:a", true},
		{"an action on it", "nexus:repository-view:raw:a:read", "nexus:repository-view:raw:a", true},
		{"another repository", "nexus:repository-view:raw:b:read", "nexus:repository-view:raw:a", false},
		{"another domain", "nexus:search:read", "nexus:repository-view", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := mustParse(t, test.held).touches(strings.Split(test.words, ":")...); got != test.want {
				t.Errorf("%q touches %q = %v", test.held, test.words, got)
			}
		})
	}
	if (Permission{}).touches("nexus") || (Permission{}).covers("nexus") || (Permission{}).Implies(mustParse(t, "*")) {
		t.Error("the zero permission implies something")
	}
}

func TestParsePermissionRefuses(t *testing.T) {
	for _, s := range []string{"", " ", "nexus:", ":", "nexus::read", "nexus:a,,b", "nexus:a,"} {
		if p, err := ParsePermission(s); err == nil {
			t.Errorf("ParsePermission(%q) = %v", s, p)
		}
	}
}

func mustParse(t testing.TB, s string) Permission {
	t.Helper()
	p, err := ParsePermission(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func FuzzPermission(f *testing.F) {
	f.Add("nexus:*", "nexus:users:read")
	f.Add("nexus:a,b:*", "nexus:b")
	f.Add("*:*:x", "İ:ſ:x")
	f.Fuzz(func(t *testing.T, a, b string) {
		p, err := ParsePermission(a)
		if err != nil {
			return
		}
		if !p.Implies(p) {
			t.Errorf("%q does not imply itself", a)
		}
		if again := mustParse(t, p.String()); !again.Implies(p) || !p.Implies(again) {
			t.Errorf("%q changed when it was written and read", a)
		}
		q, err := ParsePermission(b)
		if err != nil {
			return
		}
		if !mustParse(t, "*").Implies(q) {
			t.Errorf("* does not imply %q", b)
		}
		if p.Implies(q) && !strings.ContainsAny(b, ",*") && strings.ToLower(b) == b && strings.TrimSpace(b) == b &&
			!p.covers(strings.Split(b, ":")...) {
			t.Errorf("%q implies %q but does not cover it", a, b)
		}
	})
}

func BenchmarkCovers(b *testing.B) {
	p := mustParse(b, "nexus:repository-view:*:*:browse,read,add,edit")
	for b.Loop() {
		if !p.covers("nexus", "repository-view", "docker", "team-images", "edit") {
			b.Fatal("not covered")
		}
	}
}
