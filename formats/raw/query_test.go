package raw

import (
	"net/url"
	"strings"
	"testing"

	"github.com/repomgr/repomgr/core/format"
)

func TestForward(t *testing.T) {
	yes, no := true, false
	tests := []struct {
		name  string
		s     Settings
		query string
		want  string
		ok    bool
		bad   bool
	}{
		{"not set", Settings{}, "a=1", "", false, false},
		{"off", Settings{Forward: &no}, "a=1", "", false, false},
		{"none", Settings{Forward: &yes}, "", "", true, false},
		{"order", Settings{Forward: &yes}, "b=2&a=1&b=1", "a=1&b=2&b=1", true, false},
		{"escapes", Settings{Forward: &yes}, "%61=%62+c%3F", "a=b+c%3F", true, false},
		{"question mark", Settings{Forward: &yes}, "a=?", "a=%3F", true, false},
		{"without a value", Settings{Forward: &yes}, "b&a=", "a=&b", true, false},
		{"nothing between", Settings{Forward: &yes}, "&&a=1&", "a=1", true, false},
		{"excluded", Settings{Forward: &yes, Excluded: []string{"token", "t"}}, "%74oken=x&a=1&token&T=1", "T=1&a=1", true, false},
		{"all excluded", Settings{Forward: &yes, Excluded: []string{"a"}}, "a=1", "", true, false},
		{"wrong escape", Settings{Forward: &yes}, "a=%zz", "", true, true},
		{"wrong escape in a name", Settings{Forward: &yes}, "%=a", "", true, true},
		{"as long as it may be", Settings{Forward: &yes}, "a=" + strings.Repeat("x", maxPath-len("/f?a=")), "a=" + strings.Repeat("x", maxPath-len("/f?a=")), true, false},
		{"too long", Settings{Forward: &yes}, "a=" + strings.Repeat("x", maxPath), "", true, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok, err := raw{}.Forward(format.Route{Path: "/f"}, tt.query, format.Repository{Settings: tt.s})
			if (err != nil) != tt.bad || ok != tt.ok || !tt.bad && got != tt.want {
				t.Errorf("%q, %v, %v", got, ok, err)
			}
		})
	}
}

// The canonical form is one: it is its own, means the same, and has no question mark.
func FuzzCanonicalQuery(f *testing.F) {
	for _, seed := range []string{"", "a=1&b=2", "b&a=&&%61=%3F", "a=?", "+=+", "%", "a;b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		once, err := canonicalQuery(query, nil)
		if err != nil {
			return
		}
		if twice, err := canonicalQuery(once, nil); err != nil || twice != once {
			t.Errorf("%q becomes %q becomes %q, %v", query, once, twice, err)
		}
		if strings.Contains(once, "?") {
			t.Errorf("%q has a question mark", once)
		}
		if !strings.Contains(query, ";") { // which net/url refuses
			want, err := url.ParseQuery(query)
			got, err2 := url.ParseQuery(once)
			if err != nil || err2 != nil || got.Encode() != want.Encode() {
				t.Errorf("%q means %v, %q means %v", query, want, once, got)
			}
		}
	})
}
