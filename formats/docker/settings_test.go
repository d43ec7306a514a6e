package docker

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
)

func TestSettings(t *testing.T) {
	tests := []struct {
		name string
		raw  string
		// json is the settings as the REST API shows them.
		json   string
		access format.Access
	}{
		{"absent", "", `{"v1Enabled":false,"forceBasicAuth":true,"httpPort":null,"httpsPort":null,"subdomain":null,"pathEnabled":null}`,
			format.Access{NoAnonymous: true}},
		{"null", "null", `{"v1Enabled":false,"forceBasicAuth":true,"httpPort":null,"httpsPort":null,"subdomain":null,"pathEnabled":null}`,
			format.Access{NoAnonymous: true}},
		{"port", `{"v1Enabled":true,"forceBasicAuth":false,"httpPort":8082}`,
			`{"v1Enabled":true,"forceBasicAuth":false,"httpPort":8082,"httpsPort":null,"subdomain":null,"pathEnabled":null}`,
			format.Access{HTTPPort: 8082}},
		{"all entries", `{"forceBasicAuth":false,"httpPort":1,"httpsPort":65535,"subdomain":"Docker-1","pathEnabled":true}`,
			`{"v1Enabled":false,"forceBasicAuth":false,"httpPort":1,"httpsPort":65535,"subdomain":"Docker-1","pathEnabled":true}`,
			format.Access{HTTPPort: 1, HTTPSPort: 65535, Subdomain: "docker-1", PathEnabled: true}},
		{"no path", `{"pathEnabled":false}`,
			`{"v1Enabled":false,"forceBasicAuth":true,"httpPort":null,"httpsPort":null,"subdomain":null,"pathEnabled":false}`,
			format.Access{NoAnonymous: true}},
		{"empty subdomain", `{"subdomain":""}`,
			`{"v1Enabled":false,"forceBasicAuth":true,"httpPort":null,"httpsPort":null,"subdomain":null,"pathEnabled":null}`,
			format.Access{NoAnonymous: true}},
		{"null values and unknown keys", `{"forceBasicAuth":null,"httpPort":null,"url":"x"}`,
			`{"v1Enabled":false,"forceBasicAuth":true,"httpPort":null,"httpsPort":null,"subdomain":null,"pathEnabled":null}`,
			format.Access{NoAnonymous: true}},
		{"longest subdomain", `{"subdomain":"` + strings.Repeat("a", 63) + `"}`,
			`{"v1Enabled":false,"forceBasicAuth":true,"httpPort":null,"httpsPort":null,"subdomain":"` + strings.Repeat("a", 63) + `","pathEnabled":null}`,
			format.Access{NoAnonymous: true, Subdomain: strings.Repeat("a", 63)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, access, err := docker{}.Settings(json.RawMessage(tt.raw))
			if err != nil {
				t.Fatal(err)
			}
			got, _ := json.Marshal(s)
			if diff := cmp.Diff(tt.json, string(got)); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tt.access, access); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSettingsErrors(t *testing.T) {
	tests := []struct {
		name  string
		raw   string
		field string
	}{
		{"no JSON", `{`, "docker"},
		{"list", `[]`, "docker"},
		{"string", `"x"`, "docker"},
		{"port is a string", `{"httpPort":"8082"}`, "docker.httpPort"},
		{"port with a fraction", `{"httpsPort":1.5}`, "docker.httpsPort"},
		{"port 0", `{"httpPort":0}`, "docker.httpPort"},
		{"negative port", `{"httpPort":-1}`, "docker.httpPort"},
		{"port too large", `{"httpsPort":65536}`, "docker.httpsPort"},
		{"same ports", `{"httpPort":5000,"httpsPort":5000}`, "docker.httpsPort"},
		{"flag is a number", `{"forceBasicAuth":1}`, "docker.forceBasicAuth"},
		{"subdomain starts with a digit", `{"subdomain":"1a"}`, "docker.subdomain"},
		{"subdomain ends with a dash", `{"subdomain":"a-"}`, "docker.subdomain"},
		{"subdomain with a dot", `{"subdomain":"a.b"}`, "docker.subdomain"},
		{"subdomain too long", `{"subdomain":"` + strings.Repeat("a", 64) + `"}`, "docker.subdomain"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := docker{}.Settings(json.RawMessage(tt.raw))
			if e := errs.As(err); err == nil || e.Kind != errs.Invalid || e.Field != tt.field {
				t.Errorf("got %v, field %q", err, e.Field)
			}
		})
	}
}

// What is accepted is accepted again as it is shown, and means the same.
func FuzzSettings(f *testing.F) {
	for _, s := range []string{"", "null", `{"httpPort":8082,"subdomain":"x"}`, `{"httpPort":1,"httpsPort":1}`, `{"subdomain":"K-1"}`, `{"pathEnabled":true}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, access, err := docker{}.Settings(raw)
		if err != nil {
			if !errs.Is(err, errs.Invalid) || !strings.HasPrefix(errs.As(err).Field, "docker") {
				t.Errorf("error %v", err)
			}
			return
		}
		shown, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		again, access2, err := docker{}.Settings(shown)
		if err != nil || access != access2 || cmp.Diff(s, again) != "" {
			t.Errorf("%s is shown as %s, which is %+v, %v", raw, shown, again, err)
		}
	})
}
