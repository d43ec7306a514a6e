package remote

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/repomgr/repomgr/core/errs"
)

// TestConfigJSON reads what Nexus's clients send and shows what they get.
func TestConfigJSON(t *testing.T) {
	var c Config
	err := json.Unmarshal([]byte(`{"blocked":false,"autoBlock":true,"connection":{"retries":0,"userAgentSuffix":"x","timeout":60,
		"enableCircularRedirects":true,"enableCookies":false,"useTrustStore":null},
		"authentication":{"type":"username","username":"u","password":"secret","ntlmHost":"","ntlmDomain":"","preemptive":false}}`), &c)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(c.Public())
	if err != nil {
		t.Fatal(err)
	}
	want := `{"blocked":false,"autoBlock":true,"connection":{"retries":0,"userAgentSuffix":"x","timeout":60,` +
		`"enableCircularRedirects":true,"enableCookies":false,"useTrustStore":false},` +
		`"authentication":{"type":"username","username":"u","preemptive":false}}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
	if c.Authentication.Password != "secret" {
		t.Error("Public has changed the configuration")
	}
	got, _ = json.Marshal(Config{}.Public())
	want = `{"blocked":false,"autoBlock":false,"connection":{"retries":null,"userAgentSuffix":null,"timeout":null,` +
		`"enableCircularRedirects":false,"enableCookies":false,"useTrustStore":false}}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
}

func TestConfigCheck(t *testing.T) {
	tests := []struct {
		name, config, field string // no field: nothing is wrong
	}{
		{"empty", `{}`, ""},
		{"retries at most", `{"connection":{"retries":10}}`, ""},
		{"retries", `{"connection":{"retries":11}}`, "connection.retries"},
		{"negative retries", `{"connection":{"retries":-1}}`, "connection.retries"},
		{"timeout", `{"connection":{"timeout":0}}`, "connection.timeout"},
		{"timeout over an hour", `{"connection":{"timeout":3601}}`, "connection.timeout"},
		{"timeout of an hour", `{"connection":{"timeout":3600}}`, ""},
		{"suffix", `{"connection":{"userAgentSuffix":"a\nb"}}`, "connection.userAgentSuffix"},
		{"no type", `{"authentication":{}}`, "authentication.type"},
		{"unknown type", `{"authentication":{"type":"digest"}}`, "authentication.type"},
		{"ntlm", `{"authentication":{"type":"ntlm","username":"u","password":"p"}}`, "authentication.type"},
		{"no user", `{"authentication":{"type":"username"}}`, "authentication.username"},
		{"a colon", `{"authentication":{"type":"username","username":"a:b"}}`, "authentication.username"},
		{"a newline", `{"authentication":{"type":"username","username":"a","password":"a\nb"}}`, "authentication.password"},
		{"user", `{"authentication":{"type":"username","username":"a","password":"ä:b"}}`, ""},
		{"no token", `{"authentication":{"type":"bearerToken"}}`, "authentication.bearerToken"},
		{"a token with space", `{"authentication":{"type":"bearerToken","bearerToken":"Bearer x"}}`, "authentication.bearerToken"},
		{"token", `{"authentication":{"type":"bearerToken","bearerToken":"x"}}`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var c Config
			if err := json.Unmarshal([]byte(tt.config), &c); err != nil {
				t.Fatal(err)
			}
			_, err := New(newNetwork(t, NetworkConfig{}), "http://host/", c, Options{})
			switch e := errs.As(err); {
			case tt.field == "" && err != nil:
				t.Errorf("error %v, want none", err)
			case tt.field != "" && (e.Kind != errs.Invalid || e.Field != "httpClient."+tt.field):
				t.Errorf("error %v about %q, want one about %q", err, e.Field, tt.field)
			case strings.HasPrefix(tt.name, "ntlm") && !strings.Contains(e.Message, "use username or bearerToken"):
				t.Errorf("message %q does not say what to use", e.Message)
			}
		})
	}
}

// TestSecretsUnprinted prints what has secrets in the ways that logs do.
func TestSecretsUnprinted(t *testing.T) {
	auth := &Authentication{Type: TypeUsername, Username: "user", Password: "hush", BearerToken: "hush"}
	proxy := OutboundProxy{Host: "proxy", Port: 1, Username: "user", Password: "hush"}
	cred := Credentials{Username: "user", Password: "hush"}
	var b strings.Builder
	for _, v := range []any{auth, Config{Authentication: auth}, proxy, &proxy, cred, NetworkConfig{HTTPProxy: &proxy}} {
		fmt.Fprintf(&b, "%v %+v %#v\n", v, v, v)
		slog.New(slog.NewTextHandler(&b, nil)).Info("x", "v", v)
	}
	if strings.Contains(b.String(), "hush") {
		t.Errorf("a secret is printed:\n%s", b.String())
	}
}
