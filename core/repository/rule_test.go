package repository

import (
	"strings"
	"testing"

	"github.com/repomgr/repomgr/core/errs"
)

func TestRuleAllows(t *testing.T) {
	tests := []struct {
		name     string
		matchers []string
		path     string
		query    string
		// allow and block tell what rules of the two modes allow.
		allow, block bool
	}{
		{"match", []string{"/a/.*"}, "/a/b", "", true, false},
		{"no match", []string{"/a/.*"}, "/b/a/b", "", false, true},
		{"a part is no match", []string{"/a"}, "/a/b", "", false, true},
		{"a part behind is no match", []string{"b"}, "/a/b", "", false, true},
		{"any of several", []string{"/x", "/y", "/a"}, "/a", "", true, false},
		{"alternatives are whole paths", []string{"/a|/b"}, "/a/b", "", false, true},
		{"one of alternatives", []string{"/a|/b"}, "/b", "", true, false},
		{"case counts", []string{"/a"}, "/A", "", false, true},
		{"flags", []string{"(?i)/a"}, "/A", "", true, false},
		{"dot and line break", []string{"/a.*"}, "/a\nb", "", true, false},
		{"end of a line is no end", []string{"(?m)/a$"}, "/a\nb", "", false, true},
		{"anchors", []string{"^/a$"}, "/a", "", true, false},
		{"query", []string{`/a\?x=1`}, "/a", "x=1", true, false},
		{"query that is not asked for", []string{`/a\?x=1`}, "/a", "", false, true},
		{"query does not get around a block", []string{"/a"}, "/a", "x=1", false, false},
		{"nor does an escape", []string{`/a\?x=1`}, "/a", "%78=%31", false, false},
		{"nor does order", []string{`/a\?x=1&y=2`}, "/a", "y=2&x=1", false, false},
		{"nor do empty pairs", []string{`/a\?x=1`}, "/a", "&x=1&", false, false},
		{"escape that is none", []string{`/a\?x=%zz`}, "/a", "x=%zz", true, false},
		{"quoted bracket", []string{`/\Q[a&&[b\E`}, "/[a&&[b", "", true, false},
		{"class", []string{`/[]a[:digit:]\[&]+`}, "/]a1[&", "", true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for mode, want := range map[string]bool{RuleAllow: tt.allow, RuleBlock: tt.block} {
				r, err := compileRule(RoutingRule{Name: "r", Mode: mode, Matchers: tt.matchers})
				if err != nil {
					t.Fatal(err)
				}
				if got := r.allows(question{path: tt.path, query: tt.query}); got != want {
					t.Errorf("%s: allowed is %v", mode, got)
				}
			}
		})
	}
	if !(*rule)(nil).allows(question{path: "/a"}) {
		t.Error("no rule denies something")
	}
}

func TestCompileRule(t *testing.T) {
	good := RoutingRule{Name: "r", Mode: RuleBlock, Matchers: []string{"/a"}}
	matcher := func(text string) func(*RoutingRule) {
		return func(r *RoutingRule) { r.Matchers = []string{"/b", text} }
	}
	tests := []struct {
		name    string
		change  func(*RoutingRule)
		field   string
		message string
	}{
		{"good", func(*RoutingRule) {}, "", ""},
		{"mode in lower case", func(r *RoutingRule) { r.Mode = "allow" }, "", ""},
		{"as many as there may be", func(r *RoutingRule) { r.Matchers = make1000("/a") }, "", ""},
		{"as long as it may be", matcher(strings.Repeat("a", maxMatcher)), "", ""},
		{"name", func(r *RoutingRule) { r.Name = "_a" }, "name", "Only letters"},
		{"mode", func(r *RoutingRule) { r.Mode = "x" }, "mode", `not "X"`},
		{"description", func(r *RoutingRule) { r.Description = strings.Repeat("a", maxDescription+1) }, "description", "at most 4096 bytes"},
		{"no matchers", func(r *RoutingRule) { r.Matchers = nil }, "matchers", "At least one"},
		{"too many", func(r *RoutingRule) { r.Matchers = append(make1000("/a"), "/a") }, "matchers", "at most 1000 matchers"},
		{"too long", matcher(strings.Repeat("a", maxMatcher+1)), "matchers", "at most 1024 bytes"},
		{"all too large", func(r *RoutingRule) { r.Matchers = make1000(`/[ab]{900}`) }, "matchers", "too large together"},
		{"empty", matcher(""), "matchers", "must not be empty"},
		{"blank", matcher(" "), "matchers", "must not be empty"},
		{"lookahead", matcher("/(?!a).*"), "matchers", `"/(?!a).*"`},
		{"back-reference", matcher(`/(a)\1`), "matchers", "RE2"},
		{"possessive", matcher(`/a*+`), "matchers", `"/a*+"`},
		{"closes what it did not open", matcher("/a)|(/b"), "matchers", `"/a)|(/b"`},
		{"open", matcher("/(a"), "matchers", `"/(a"`},
		{"union of classes", matcher("/[a[bc]]"), "matchers", "backslash"},
		{"intersection of classes", matcher("/[a-z&&x]"), "matchers", "backslash"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := good
			tt.change(&r)
			_, err := compileRule(r)
			if tt.field == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if e := errs.As(err); err == nil || e.Kind != errs.Invalid || e.Field != tt.field || !strings.Contains(e.Message, tt.message) {
				t.Errorf("field %q: %v", e.Field, err)
			}
		})
	}
}

func make1000(matcher string) []string {
	list := make([]string, maxMatchers)
	for i := range list {
		list[i] = matcher
	}
	return list
}

// What compiles decides, and a block is never got around by a query.
func FuzzRule(f *testing.F) {
	for _, seed := range [][3]string{{"/a/.*", "/a/b", ""}, {"/[a[b]]", "/a", "x"}, {`/a)|(b`, "/b", ""}, {`\Q[\E`, "[", "%zz&"}, {"(?i)/A$", "/a", "b=1&a=2"}, {"[", "", ""}, {"[:", "", ""}} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, matcher, path, query string) {
		block, err := compileRule(RoutingRule{Name: "r", Mode: RuleBlock, Matchers: []string{matcher}})
		if err != nil {
			if e := errs.As(err); e.Kind != errs.Invalid || e.Field != "matchers" {
				t.Fatalf("field %q: %v", e.Field, err)
			}
			return
		}
		allow, err := compileRule(RoutingRule{Name: "r", Mode: RuleAllow, Matchers: []string{matcher}})
		if err != nil || path == "" {
			return
		}
		plain, asked := question{path: path}, question{path: path, query: query}
		if block.allows(plain) == allow.allows(plain) {
			t.Errorf("both modes answer %v", allow.allows(plain))
		}
		if block.allows(asked) && (allow.allows(asked) || !block.allows(plain)) {
			t.Errorf("the query %q gets around a block", query)
		}
	})
}
