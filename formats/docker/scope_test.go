package docker

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/format"
)

var (
	pull   = []content.Action{content.Read}
	push   = []content.Action{content.Add, content.Edit}
	both   = []content.Action{content.Read, content.Add, content.Edit}
	all    = []content.Action{content.Read, content.Add, content.Edit, content.Delete}
	browse = []content.Action{content.Browse}
)

func TestWants(t *testing.T) {
	port := inRepository("r", "")
	tests := []struct {
		name   string
		locate locator
		scopes []string
		want   []format.Grant
	}{
		{"none", port, nil, nil},
		{"pull", port, []string{"repository:a/b:pull"}, []format.Grant{{Repository: "r", Name: "a/b", Actions: pull}}},
		{"push in any order", port, []string{"repository:a:push,pull"},
			[]format.Grant{{Repository: "r", Name: "a", Actions: []content.Action{content.Add, content.Edit, content.Read}}}},
		{"all", port, []string{"repository:a:*"}, []format.Grant{{Repository: "r", Name: "a", Actions: all}}},
		{"delete", port, []string{"repository:a:delete"}, []format.Grant{{Repository: "r", Name: "a", Actions: []content.Action{content.Delete}}}},
		{"several parameters", port, []string{"repository:a:pull", "repository:b:pull"},
			[]format.Grant{{Repository: "r", Name: "a", Actions: pull}, {Repository: "r", Name: "b", Actions: pull}}},
		{"one parameter of several", port, []string{" repository:a:pull  repository:b:pull "},
			[]format.Grant{{Repository: "r", Name: "a", Actions: pull}, {Repository: "r", Name: "b", Actions: pull}}},
		{"the same image twice", port, []string{"repository:a:pull", "repository:a:pull,push"},
			[]format.Grant{{Repository: "r", Name: "a", Actions: both}}},
		{"class", port, []string{"repository(plugin):a:pull"}, []format.Grant{{Repository: "r", Name: "a", Actions: pull}}},
		{"catalog", port, []string{"registry:catalog:*"}, []format.Grant{{Repository: "r", Actions: browse}}},
		{"catalog, but another action", port, []string{"registry:catalog:pull"}, nil},
		{"unknown type", port, []string{"blob:a:pull"}, nil},
		{"unknown action", port, []string{"repository:a:fly"}, nil},
		{"unknown beside known action", port, []string{"repository:a:fly,pull,"}, []format.Grant{{Repository: "r", Name: "a", Actions: pull}}},
		{"bad name", port, []string{"repository:A:pull", "repository:../x:pull", "repository::pull"}, nil},
		{"name with a host", port, []string{"repository:host:5000/a:pull"}, nil},
		{"no scopes at all", port, []string{"", ":", "::", "repository", "repository:a", "repository(:a:pull"}, nil},
		{"by path", inRoot, []string{"repository:r/a/b:pull"}, []format.Grant{{Repository: "r", Name: "a/b", Actions: pull}}},
		{"by path without image", inRoot, []string{"repository:r:pull"}, nil},
		{"the root's catalog", inRoot, []string{"registry:catalog:*"}, []format.Grant{{Actions: browse}}},
		{"another prefix", inRepository("r", "r/"), []string{"repository:x/a:pull", "repository:r/a:pull"},
			[]format.Grant{{Repository: "r", Name: "a", Actions: pull}}},
		{"too many", port, []string{strings.Repeat("x:y:z ", maxScopes) + "repository:a:pull"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, wants(parseScopes(tt.scopes), tt.locate)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestGrantedScopes(t *testing.T) {
	tests := []struct {
		name   string
		locate locator
		scopes string
		grants []format.Grant
		want   string
	}{
		{"all of it", inRepository("r", ""), "repository:a:pull,push", []format.Grant{{Repository: "r", Name: "a", Actions: both}}, "repository:a:pull,push"},
		{"a part", inRepository("r", ""), "repository:a:pull,push", []format.Grant{{Repository: "r", Name: "a", Actions: pull}}, "repository:a:pull"},
		{"half of push is none", inRepository("r", ""), "repository:a:push", []format.Grant{{Repository: "r", Name: "a", Actions: push[:1]}}, ""},
		{"nothing", inRepository("r", ""), "repository:a:pull", nil, ""},
		{"another image", inRepository("r", ""), "repository:a:pull repository:b:pull", []format.Grant{{Repository: "r", Name: "b", Actions: pull}}, "repository:b:pull"},
		{"star", inRepository("r", ""), "repository:a:*", []format.Grant{{Repository: "r", Name: "a", Actions: all}}, "repository:a:*"},
		{"star in part", inRepository("r", ""), "repository:a:*,pull", []format.Grant{{Repository: "r", Name: "a", Actions: both}}, "repository:a:pull"},
		{"by path", inRoot, "repository:r/a:pull", []format.Grant{{Repository: "r", Name: "a", Actions: pull}}, "repository:r/a:pull"},
		{"catalog", inRoot, "registry:catalog:*", []format.Grant{{Actions: browse}}, "registry:catalog:*"},
		{"no catalog", inRoot, "registry:catalog:*", nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := grantedScopes(parseScopes([]string{tt.scopes}), tt.grants, tt.locate); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// No scope makes a grant for anything but a valid name, nor one of more than the words say.
func FuzzScope(f *testing.F) {
	for _, s := range []string{"repository:a/b:pull,push", "repository(plugin):x:*", "registry:catalog:*", "a:b:c d:e:f", ":::", "repository:h:1/a:pull"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, locate := range []locator{inRepository("r", ""), inRepository("r", "r/"), inRoot} {
			scopes := parseScopes([]string{s})
			grants := wants(scopes, locate)
			for _, g := range grants {
				if g.Name != "" && !namePattern.MatchString(g.Name) {
					t.Errorf("%q wants name %q", s, g.Name)
				}
				for _, a := range g.Actions {
					if g.Name == "" && a != content.Browse || a == content.Public {
						t.Errorf("%q wants %q on %q", s, a, g.Name)
					}
				}
			}
			if grantedScopes(scopes, nil, locate) != "" {
				t.Errorf("%q is granted without a grant", s)
			}
		}
	})
}
