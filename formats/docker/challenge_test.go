package docker

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseOffers(t *testing.T) {
	type parameters = map[string]string
	for _, test := range []struct {
		name   string
		values []string
		want   []offer
	}{
		{"none", nil, nil},
		{"empty", []string{""}, nil},
		{"bearer", []string{`Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a/b:pull,push"`},
			[]offer{{"bearer", parameters{"realm": "https://auth.example/token", "service": "registry.example", "scope": "repository:a/b:pull,push"}}}},
		{"spaces and case", []string{`BEARER  Realm = "r" ,  SERVICE=s`}, []offer{{"bearer", parameters{"realm": "r", "service": "s"}}}},
		{"two in one field", []string{`Basic realm="a, b", Bearer realm="c"`},
			[]offer{{"basic", parameters{"realm": "a, b"}}, {"bearer", parameters{"realm": "c"}}}},
		{"two fields", []string{`Bearer realm="c"`, `Basic realm="a"`}, []offer{{"bearer", parameters{"realm": "c"}}, {"basic", parameters{"realm": "a"}}}},
		{"without parameters", []string{"Basic, Bearer realm=x"}, []offer{{"basic", parameters{}}, {"bearer", parameters{"realm": "x"}}}},
		{"token68", []string{"Negotiate YII+/abc==, Basic realm=x"}, []offer{{"negotiate", parameters{}}, {"basic", parameters{"realm": "x"}}}},
		{"token68 with one pad", []string{"NTLM YIIabc=, Basic realm=x"}, []offer{{"ntlm", parameters{}}, {"basic", parameters{"realm": "x"}}}},
		{"empty values", []string{`Bearer scope="",realm="r",service=,x="y"`}, []offer{{"bearer", parameters{"scope": "", "realm": "r", "service": "", "x": "y"}}}},
		{"quoted pairs", []string{`Bearer realm="a\"b\\c"`}, []offer{{"bearer", parameters{"realm": `a"b\c`}}}},
		{"no quotes around a URL", []string{`Bearer realm=https://auth.example/token,service=s`},
			[]offer{{"bearer", parameters{"realm": "https://auth.example/token", "service": "s"}}}},
		{"empty elements", []string{`, ,Bearer ,realm="r",, service="s",`}, []offer{{"bearer", parameters{"realm": "r", "service": "s"}}}},
		{"the first of a name", []string{`Bearer realm="r",realm="s"`}, []offer{{"bearer", parameters{"realm": "r"}}}},
		{"no end", []string{`Bearer realm="r`}, []offer{{"bearer", parameters{"realm": "r"}}}},
		{"a parameter of nothing", []string{`realm="r"`, `Basic realm="b"`}, []offer{{"basic", parameters{"realm": "b"}}}},
		{"no token", []string{`Bearer realm="r", "x", service="s"`}, []offer{{"bearer", parameters{"realm": "r"}}}},
		{"too long", []string{`Bearer realm="` + strings.Repeat("r", maxChallenge) + `"`}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, parseOffers(test.values), cmp.AllowUnexported(offer{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func FuzzParseOffers(f *testing.F) {
	for _, s := range []string{`Bearer realm="https://a/t",service="s",scope="x"`, `Basic realm=a, Negotiate b==`, `Bearer realm="\`, `a=b,=c`, `x y z=="`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		offers := parseOffers([]string{s, s})
		if len(offers) > maxOffers {
			t.Fatalf("%d challenges", len(offers))
		}
		for _, o := range offers {
			if o.scheme == "" || len(o.parameters) > maxParameters {
				t.Fatalf("%+v", o)
			}
			for name, value := range o.parameters {
				// What is read is in the input, but for backslashes and case.
				if name == "" || len(name)+len(value) > len(s) {
					t.Fatalf("parameter %q=%q of %q", name, value, s)
				}
			}
		}
	})
}
