package docker

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/format"
)

// numbered is the digest with the number.
func numbered(n int) string { return fmt.Sprintf("sha256:%064x", n) }

// indexOf is an index with descriptors of the numbers; those above 99 are of artifactType b, the others of a.
func indexOf(numbers ...int) string {
	descriptors := make([]string, len(numbers))
	for i, n := range numbers {
		artifactType := "a"
		if n > 99 {
			artifactType = "b"
		}
		descriptors[i] = fmt.Sprintf(`{"mediaType": "m",  "digest": %q, "size": 1, "artifactType": %q, "x": "<%d>"}`, numbered(n), artifactType, i)
	}
	return `{"schemaVersion": 2, "manifests": [` + strings.Join(descriptors, ",") + `]}`
}

// numbersOf are the descriptors of a page.
func numbersOf(t *testing.T, doc format.Document) []int {
	t.Helper()
	var parsed v1.Index
	if err := json.Unmarshal(doc.Body, &parsed); err != nil || parsed.Manifests == nil || parsed.MediaType != v1.MediaTypeImageIndex || doc.ContentType != v1.MediaTypeImageIndex {
		t.Fatalf("document %.200s of type %s: %v", doc.Body, doc.ContentType, err)
	}
	var numbers []int
	for _, d := range parsed.Manifests {
		var n int
		if _, err := fmt.Sscanf(d.Digest.Encoded(), "%x", &n); err != nil {
			t.Fatal(err)
		}
		numbers = append(numbers, n)
	}
	return numbers
}

func digestNext(n int) string {
	if n == 0 {
		return ""
	}
	return numbered(n)
}

func TestSelect(t *testing.T) {
	for _, test := range []struct {
		name, body string
		question   question
		want       []int
		next       int
	}{
		{"in order, once", indexOf(3, 1, 2, 1), question{}, []int{1, 2, 3}, 0},
		{"type", indexOf(100, 1, 102), question{artifactType: "b"}, []int{100, 102}, 0},
		{"limit", indexOf(3, 1, 2), question{limit: 2}, []int{1, 2}, 2},
		{"after", indexOf(3, 1, 2), question{limit: 2, last: numbered(1)}, []int{2, 3}, 0},
		{"type and limit", indexOf(103, 102, 1, 101), question{artifactType: "b", limit: 1}, []int{101}, 101},
		{"none", indexOf(), question{}, nil, 0},
		{"no list", `{"schemaVersion": 2}`, question{}, nil, 0},
		{"null", `{"manifests": null}`, question{}, nil, 0},
		{"no descriptors", `{"manifests": [null, 1, {}, {"digest": "sha256:x"}, {"digest": "` + numbered(4) + `"}]}`, question{}, []int{4}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.question.limit == 0 {
				test.question.limit = pageSize
			}
			doc, err := docker{}.Select(format.Route{Variant: test.question.String()}, format.Document{Body: []byte(test.body)})
			if err != nil {
				t.Fatal(err)
			}
			if got := numbersOf(t, doc); !slices.Equal(got, test.want) || doc.Next != digestNext(test.next) {
				t.Errorf("%v, next %q; want %v, %d", got, doc.Next, test.want, test.next)
			}
		})
	}
	t.Run("as they came", func(t *testing.T) {
		doc, err := docker{}.Select(format.Route{}, format.Document{Body: []byte(indexOf(7))})
		if err != nil || !strings.Contains(string(doc.Body), `"x":"<0>"`) {
			t.Errorf("%s, error %v", doc.Body, err)
		}
	})
	t.Run("bytes", func(t *testing.T) {
		var all []string
		for n := range 5 {
			all = append(all, fmt.Sprintf(`{"digest":%q,"annotations":{"a":%q}}`, numbered(n+1), strings.Repeat("a", 1<<20)))
		}
		list := format.Document{Body: []byte(`{"manifests":[` + strings.Join(all, ",") + `]}`)}
		var got []int
		q := question{limit: pageSize}
		for pages := 1; ; pages++ {
			doc, err := docker{}.Select(format.Route{Variant: q.String()}, list)
			if err != nil || len(doc.Body) > maxReferrers || pages > 5 {
				t.Fatalf("page %d of %d bytes, error %v", pages, len(doc.Body), err)
			}
			got = append(got, numbersOf(t, doc)...)
			if q.last = doc.Next; q.last == "" {
				break
			}
		}
		if !slices.Equal(got, []int{1, 2, 3, 4, 5}) {
			t.Errorf("%v", got)
		}
	})
	for _, body := range []string{"", "<html>", "[]"} {
		if _, err := (docker{}).Select(format.Route{}, format.Document{Body: []byte(body)}); err == nil {
			t.Errorf("%q is a list of referrers", body)
		}
	}
}

func TestMerge(t *testing.T) {
	doc := func(next int, numbers ...int) format.Document {
		return format.Document{Body: []byte(indexOf(numbers...)), Next: digestNext(next)}
	}
	for _, test := range []struct {
		name  string
		docs  []format.Document
		limit int
		want  []int
		next  int
	}{
		{"one", []format.Document{doc(0, 1, 2)}, 0, []int{1, 2}, 0},
		{"union", []format.Document{doc(0, 2, 4), doc(0, 1, 2, 3)}, 0, []int{1, 2, 3, 4}, 0},
		{"one has more", []format.Document{doc(4, 2, 4), doc(0, 1, 3, 5, 6)}, 0, []int{1, 2, 3, 4}, 4},
		{"both have more", []format.Document{doc(4, 2, 4), doc(3, 1, 3)}, 0, []int{1, 2, 3}, 3},
		{"limit", []format.Document{doc(0, 2, 4), doc(0, 1, 3)}, 3, []int{1, 2, 3}, 3},
		{"limit before what one has more", []format.Document{doc(4, 2, 4), doc(0, 1, 3)}, 2, []int{1, 2}, 2},
		{"nothing", []format.Document{doc(0), doc(0)}, 0, nil, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			q := question{limit: test.limit}
			if q.limit == 0 {
				q.limit = pageSize
			}
			got, err := docker{}.Merge(t.Context(), format.Route{Variant: q.String()}, test.docs)
			if err != nil {
				t.Fatal(err)
			}
			if numbers := numbersOf(t, got); !slices.Equal(numbers, test.want) || got.Next != digestNext(test.next) {
				t.Errorf("%v, next %q; want %v, %d", numbers, got.Next, test.want, test.next)
			}
		})
	}
	t.Run("the first member's descriptor", func(t *testing.T) {
		first, second := doc(0, 1), format.Document{Body: []byte(strings.Replace(indexOf(1), "<0>", "second", 1))}
		got, err := docker{}.Merge(t.Context(), format.Route{}, []format.Document{first, second})
		if err != nil || !strings.Contains(string(got.Body), "<0>") || strings.Contains(string(got.Body), "second") {
			t.Errorf("%s, error %v", got.Body, err)
		}
	})
}

func TestSubstitute(t *testing.T) {
	d512 := digest.SHA512.FromString("x")
	for _, test := range []struct{ name, path, want string }{
		{"sha256", "/v2/a/b/referrers/" + numbered(5), "/v2/a/b/manifests/sha256-" + numbered(5)[7:]},
		{"sha512 is cut to a tag's length", "/v2/a/referrers/" + d512.String(), "/v2/a/manifests/" + ("sha512-" + d512.Encoded())[:128]},
	} {
		t.Run(test.name, func(t *testing.T) {
			route, err := resolve("GET", test.path)
			if err != nil {
				t.Fatal(err)
			}
			asset, otherwise, ok := docker{}.Substitute(route)
			want, err := resolve("GET", test.want)
			if err != nil || !ok || asset.Path != want.Path || asset.Kind != want.Kind || asset.Class != want.Class || asset.MaxSize != want.MaxSize || asset.Metadata != want.Metadata {
				t.Errorf("%+v, want %+v; error %v", asset, want, err)
			}
			if got := numbersOf(t, otherwise); got != nil {
				t.Errorf("without the tag there are %v", got)
			}
		})
	}
	if _, _, ok := (docker{}).Substitute(format.Route{Kind: kindTag, Class: content.Mutable, Path: "/v2/a/manifests/x"}); ok {
		t.Error("a tag has a substitute")
	}
}

func FuzzSelect(f *testing.F) {
	f.Add(indexOf(1, 2), "", "a", 1)
	f.Add(`{"manifests":[null,[],"x"]}`, numbered(1), "", 0)
	f.Fuzz(func(t *testing.T, body, last, artifactType string, limit int) {
		route := format.Route{Variant: question{artifactType, last, min(max(limit, 1), pageSize)}.String()}
		doc, err := docker{}.Select(route, format.Document{Body: []byte(body)})
		if err != nil {
			return
		}
		if len(doc.Body) > maxReferrers {
			t.Fatalf("%d bytes", len(doc.Body))
		}
		again, err := docker{}.Merge(t.Context(), route, []format.Document{doc})
		if err != nil || string(again.Body) != string(doc.Body) || again.Next != doc.Next {
			t.Fatalf("merged with nothing %s becomes %s: %v", doc.Body, again.Body, err)
		}
	})
}
