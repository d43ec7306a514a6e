package docker

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/repomgr/repomgr/core/errs"
)

func TestProxySettings(t *testing.T) {
	const none = `{"indexType":"REGISTRY","indexUrl":null,"cacheForeignLayers":null,"foreignLayerUrlWhitelist":[]}`
	tests := []struct{ name, raw, want string }{
		{"absent", "", none},
		{"null", "null", none},
		{"nulls", `{"indexType":"REGISTRY","indexUrl":null,"cacheForeignLayers":null,"foreignLayerUrlWhitelist":null}`, none},
		{"empty URL", `{"indexType":"REGISTRY","indexUrl":""}`, none},
		{"case", `{"indexType":"hub"}`, edit(none, "REGISTRY", "HUB")},
		{"hub with its URL", `{"indexType":"HUB","indexUrl":"https://index.docker.io/"}`,
			edit(edit(none, "REGISTRY", "HUB"), `"indexUrl":null`, `"indexUrl":"https://index.docker.io/"`)},
		{"all", `{"indexType":"CUSTOM","indexUrl":"http://index.test:5000/v1","cacheForeignLayers":true,"foreignLayerUrlWhitelist":["https?://a/.*",".*"]}`,
			`{"indexType":"CUSTOM","indexUrl":"http://index.test:5000/v1","cacheForeignLayers":true,"foreignLayerUrlWhitelist":["https?://a/.*",".*"]}`},
		{"without ECR", `{"indexType":"REGISTRY","ecrAuth":{"enabled":false,"awsRegion":"x"}}`, none},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := docker{}.ProxySettings(json.RawMessage(tt.raw))
			if err != nil {
				t.Fatal(err)
			}
			got, _ := json.Marshal(s)
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func edit(s, old, new string) string { return strings.Replace(s, old, new, 1) }

func TestProxySettingsErrors(t *testing.T) {
	tests := []struct{ name, raw, field string }{
		{"no JSON", `{`, "dockerProxy"},
		{"list", `[]`, "dockerProxy"},
		{"type is a number", `{"indexType":1}`, "dockerProxy.indexType"},
		{"unknown type", `{"indexType":"NONE"}`, "dockerProxy.indexType"},
		{"custom without URL", `{"indexType":"CUSTOM"}`, "dockerProxy.indexUrl"},
		{"custom with an empty URL", `{"indexType":"CUSTOM","indexUrl":""}`, "dockerProxy.indexUrl"},
		{"URL without a scheme", `{"indexType":"CUSTOM","indexUrl":"index.test"}`, "dockerProxy.indexUrl"},
		{"URL of a file", `{"indexType":"CUSTOM","indexUrl":"file:///x"}`, "dockerProxy.indexUrl"},
		{"URL with a password", `{"indexType":"HUB","indexUrl":"https://u:hidden@index.test"}`, "dockerProxy.indexUrl"},
		{"flag is text", `{"indexType":"HUB","cacheForeignLayers":"true"}`, "dockerProxy.cacheForeignLayers"},
		{"whitelist is text", `{"indexType":"HUB","foreignLayerUrlWhitelist":".*"}`, "dockerProxy.foreignLayerUrlWhitelist"},
		{"not an expression", `{"indexType":"HUB","foreignLayerUrlWhitelist":["("]}`, "dockerProxy.foreignLayerUrlWhitelist"},
		{"ECR", `{"indexType":"REGISTRY","ecrAuth":{"enabled":true}}`, "dockerProxy.ecrAuth"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := docker{}.ProxySettings(json.RawMessage(tt.raw))
			e := errs.As(err)
			if err == nil || e.Kind != errs.Invalid || e.Field != tt.field || strings.Contains(e.Message, "hidden") {
				t.Errorf("got %v, field %q", err, e.Field)
			}
		})
	}
}

// What is accepted is accepted again as it is shown, and means the same.
func FuzzProxySettings(f *testing.F) {
	for _, s := range []string{"", "null", `{"indexType":"hub"}`, `{"indexType":"CUSTOM","indexUrl":"http://x"}`, `{"foreignLayerUrlWhitelist":["("]}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := docker{}.ProxySettings(raw)
		if err != nil {
			if !errs.Is(err, errs.Invalid) || !strings.HasPrefix(errs.As(err).Field, "dockerProxy") {
				t.Errorf("error %v", err)
			}
			return
		}
		shown, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := (docker{}).ProxySettings(shown); err != nil || cmp.Diff(s, again) != "" {
			t.Errorf("%s is shown as %s, which is %+v, %v", raw, shown, again, err)
		}
	})
}
