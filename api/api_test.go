package api

import (
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

func load(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// What the validation of the format can't know: that each operation says all that readers and the server need.
func TestDescription(t *testing.T) {
	doc := load(t)
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			if op.Summary == "" || op.OperationID == "" || len(op.Tags) != 1 || doc.Tags.Get(op.Tags[0]) == nil {
				t.Errorf("%s %s lacks a summary, an id, or one of the tags", method, path)
			}
			if Open(op) == (Permission(op) != "") {
				t.Errorf("%s %s: an operation names a permission or is open to all", method, path)
			}
			statuses := []string{"401"}
			if op.RequestBody != nil {
				statuses = append(statuses, "400", "403", "413", "415")
			}
			for _, status := range statuses {
				if op.Responses.Value(status) == nil {
					t.Errorf("%s %s says nothing about status %s", method, path, status)
				}
			}
		}
	}
}

func TestReference(t *testing.T) {
	doc := load(t)
	page, err := NewReference(doc)
	if err != nil {
		t.Fatal(err)
	}
	html := string(page.HTML)
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			if !strings.Contains(html, "<b>"+method+"</b> <code>"+Path(path)+"</code>") || !strings.Contains(html, `id="`+op.OperationID+`"`) {
				t.Errorf("nothing about %s %s", method, path)
			}
		}
	}
	style := html[strings.Index(html, "<style>")+len("<style>") : strings.Index(html, "</style>")]
	sum := sha256.Sum256([]byte(style))
	if !strings.Contains(page.Policy, "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'") {
		t.Errorf("the policy %q forbids the page's style", page.Policy)
	}
	for _, forbidden := range []string{"<script", " style=", "https:", " on"} {
		if tags := strings.Join(tagsOf(html), "\n"); strings.Contains(tags, forbidden) {
			t.Errorf("the page has %q in a tag", forbidden)
		}
	}
}

// tagsOf are the tags of a page, with their attributes.
func tagsOf(html string) []string {
	var tags []string
	for part := range strings.SplitSeq(html, "<") {
		tag, _, _ := strings.Cut(part, ">")
		tags = append(tags, "<"+tag)
	}
	return tags
}

func TestFields(t *testing.T) {
	s := openapi3.NewArraySchema().WithItems(openapi3.NewObjectSchema().
		WithProperty("b", openapi3.NewObjectSchema().WithProperty("inner", openapi3.NewBoolSchema())).
		WithProperty("a", openapi3.NewArraySchema().WithItems(openapi3.NewObjectSchema().WithProperty("inner", openapi3.NewStringSchema().WithNullable()))).
		WithRequired([]string{"b"}))
	var got []string
	for _, f := range fields("", s, 0) {
		got = append(got, f.Name+" "+f.Type)
	}
	want := []string{"[].b object", "[].b.inner boolean", "[].a array of object", "[].a[].inner string or null"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestProse(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"empty", "", ""},
		{"paragraphs", "one\ntwo\n\nthree\n", "<p>one\ntwo</p>\n<p>three</p>\n"},
		{"code and strong words", "**Is** `a<b`", "<p><strong>Is</strong> <code>a&lt;b</code></p>\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := string(prose(test.text)); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
