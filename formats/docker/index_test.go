package docker

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestIndexRequest(t *testing.T) {
	custom := func(s string) *string { return &s }
	for _, test := range []struct {
		name     string
		settings ProxySettings
		base     string
		want     string
	}{
		{"Docker Hub's", ProxySettings{IndexType: IndexHub}, "https://registry-1.docker.io", "https://index.docker.io/v1/search"},
		{"Docker Hub's, for another registry", ProxySettings{IndexType: IndexHub}, "https://quay.io/", "https://quay.io/v1/search"},
		{"Docker Hub's, for a name that looks like it", ProxySettings{IndexType: IndexHub}, "https://docker.io.example", "https://docker.io.example/v1/search"},
		{"upstream's", ProxySettings{IndexType: IndexRegistry}, "https://quay.io", "https://quay.io/v1/search"},
		{"upstream's with a port", ProxySettings{IndexType: IndexRegistry}, "http://127.0.0.1:5000/", "http://127.0.0.1:5000/v1/search"},
		{"upstream's below a path", ProxySettings{IndexType: IndexRegistry}, "http://h/repository/images/", "http://h/repository/images/v1/search"},
		{"upstream's beside /v2/", ProxySettings{IndexType: IndexRegistry}, "http://h/x/v2/project", "http://h/x/v1/search"},
		{"upstream's beside /v2", ProxySettings{IndexType: IndexRegistry, IndexURL: custom("http://i")}, "http://h/v2", "http://h/v1/search"},
		{"custom", ProxySettings{IndexType: IndexCustom, IndexURL: custom("http://i:1/")}, "https://registry-1.docker.io", "http://i:1/v1/search"},
		{"custom with its path", ProxySettings{IndexType: IndexCustom, IndexURL: custom("http://i/a/v1/search")}, "http://h", "http://i/a/v1/search"},
		{"custom with a part of its path", ProxySettings{IndexType: IndexCustom, IndexURL: custom("http://i/a%20b/v1/#x")}, "http://h", "http://i/a%20b/v1/search"},
	} {
		t.Run(test.name, func(t *testing.T) {
			base, err := url.Parse(test.base)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := indexRequest(test.settings, base, "a b&c").URL, test.want+"?n=100&q=a+b%26c"; got != want {
				t.Errorf("%s, want %s", got, want)
			}
		})
	}
}

func TestReadIndex(t *testing.T) {
	for _, test := range []struct {
		name string
		body string
		want []result
	}{
		{"all fields", `{"results":[{"name":"alpine","description":"A minimal image","star_count":9,"is_official":true,"is_automated":true,"x":1}]}`,
			[]result{{"p/alpine", "A minimal image", 9, true, true}}},
		{"only names", `{"results":[{"name":"a/b"},{"name":"a"}]}`, []result{{Name: "p/a/b"}, {Name: "p/a"}}},
		{"what can't be a name", `{"results":[{"name":"A"},{"name":""},{"name":"a b"},{"name":"../a"},{"name":"a\u001b[2J"}]}`, []result{}},
		{"what terminals act on", `{"results":[{"name":"a","description":"one\ntwo\u001b[2J\u0007"}]}`, []result{{Name: "p/a", Description: "one two[2J"}}},
		{"none", `{"results":[]}`, []result{}},
		{"a catalog", `{"repositories":["a"]}`, nil},
		{"no JSON", `<html>`, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := readIndex([]byte(test.body), "p/")
			if diff := cmp.Diff(test.want, got); diff != "" || (err == nil) != (test.want != nil) {
				t.Error(diff, err)
			}
		})
	}
	many := `{"results":[` + strings.TrimSuffix(strings.Repeat(`{"name":"a","description":"`+strings.Repeat("é", maxDescription+1)+`"},`, searchMost+1), ",") + `]}`
	if got, err := readIndex([]byte(many), ""); err != nil || len(got) != searchMost || len([]rune(got[0].Description)) != maxDescription {
		t.Errorf("%d results, %v", len(got), err)
	}
}

func FuzzReadIndex(f *testing.F) {
	f.Add([]byte(`{"results":[{"name":"alpine","description":"A minimal image","star_count":9,"is_official":true}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		list, err := readIndex(body, "")
		if err == nil && len(list) > searchMost {
			t.Errorf("%d results", len(list))
		}
		for _, r := range list {
			if !isName(r.Name) || strings.ContainsRune(fmt.Sprint(r), 0x1b) {
				t.Errorf("%+v", r)
			}
		}
	})
}
