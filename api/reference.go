package api

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

//go:embed reference.html
var referenceHTML string

//go:embed reference.css
var referenceCSS string

// Reference is the description as a page for people. It needs no scripts and nothing from elsewhere.
type Reference struct {
	HTML []byte
	// Policy is the Content-Security-Policy that the page works under: nothing but its own style.
	Policy string
}

// NewReference renders the description.
func NewReference(doc *openapi3.T) (Reference, error) {
	page := referencePage{Title: doc.Info.Title, Version: doc.Info.Version, About: prose(doc.Info.Description), Style: template.CSS(referenceCSS)}
	for _, tag := range doc.Tags {
		page.Sections = append(page.Sections, newSection(doc, tag))
	}
	t, err := template.New("reference").Parse(referenceHTML)
	if err != nil {
		return Reference{}, fmt.Errorf("parse the API reference: %w", err)
	}
	var out bytes.Buffer
	if err := t.Execute(&out, page); err != nil {
		return Reference{}, fmt.Errorf("render the API reference: %w", err)
	}
	sum := sha256.Sum256([]byte(referenceCSS))
	policy := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	return Reference{HTML: out.Bytes(), Policy: policy}, nil
}

type referencePage struct {
	Title, Version string
	About          template.HTML
	Style          template.CSS
	Sections       []section
}

// section is the operations with one tag.
type section struct {
	ID, Name   string
	About      template.HTML
	Operations []operation
}

type operation struct {
	ID, Method, Path, Summary string
	About                     template.HTML
	// Permission and Own are x-permission and x-permission-own; Open: no credentials are needed.
	Permission, Own string
	Open            bool
	Parameters      []field
	// Body is nil when there is none.
	Body      *body
	Responses []response
}

type body struct {
	ContentType string
	Fields      []field
	Example     string
}

type response struct {
	Status string
	About  template.HTML
	// Body is nil for errors, whose shapes are the same everywhere.
	Body *body
}

// field is a parameter, or a member of a body by its path.
type field struct {
	Name, Type, Default string
	Required            bool
	About               template.HTML
}

func newSection(doc *openapi3.T, tag *openapi3.Tag) section {
	s := section{ID: anchor(tag.Name), Name: tag.Name, About: prose(tag.Description)}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			if slices.Contains(op.Tags, tag.Name) {
				s.Operations = append(s.Operations, newOperation(path, method, item, op))
			}
		}
	}
	methods := []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete}
	slices.SortFunc(s.Operations, func(a, b operation) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(slices.Index(methods, a.Method), slices.Index(methods, b.Method)))
	})
	return s
}

func newOperation(path, method string, item *openapi3.PathItem, op *openapi3.Operation) operation {
	o := operation{
		ID: op.OperationID, Method: method, Path: Path(path), Summary: op.Summary, About: prose(op.Description),
		Permission: Permission(op), Own: OwnPermission(op), Open: Open(op),
	}
	for _, ref := range append(slices.Clone(item.Parameters), op.Parameters...) {
		p := ref.Value
		o.Parameters = append(o.Parameters, field{
			Name: p.Name, Type: p.In + ", " + typeName(p.Schema.Value), Required: p.Required, About: prose(p.Description),
		})
	}
	if op.RequestBody != nil {
		o.Body = newBody(op.RequestBody.Value.Content)
	}
	for status, ref := range op.Responses.Map() {
		r := response{Status: status, About: prose(*ref.Value.Description)}
		if status < "400" {
			r.Body = newBody(ref.Value.Content)
		}
		o.Responses = append(o.Responses, r)
	}
	slices.SortFunc(o.Responses, func(a, b response) int { return cmp.Compare(a.Status, b.Status) })
	return o
}

func newBody(content openapi3.Content) *body {
	for contentType, media := range content {
		return &body{ContentType: contentType, Fields: fields("", media.Schema.Value, 0), Example: example(media)}
	}
	return nil
}

// maxDepth is how deep schemas are shown, should one contain itself.
const maxDepth = 8

// fields lists the members of a schema and of all that is in them, required ones first.
func fields(prefix string, s *openapi3.Schema, depth int) []field {
	if s.Type.Is(openapi3.TypeArray) && s.Items != nil {
		return fields(prefix+"[].", s.Items.Value, depth)
	}
	names := make([]string, 0, len(s.Properties))
	for name := range s.Properties {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(index(s.Required, a), index(s.Required, b)), cmp.Compare(a, b))
	})
	var all []field
	for _, name := range names {
		p := s.Properties[name].Value
		f := field{Name: prefix + name, Type: typeName(p), Required: slices.Contains(s.Required, name), About: prose(p.Description)}
		if p.Default != nil {
			f.Default = fmt.Sprint(p.Default)
		}
		all = append(all, f)
		if depth < maxDepth {
			all = append(all, fields(prefix+name+dot(p), p, depth+1)...)
		}
	}
	return all
}

// dot is what stands between the name of a member and the names within it.
func dot(s *openapi3.Schema) string {
	if s.Type.Is(openapi3.TypeArray) {
		return ""
	}
	return "."
}

// index is where name is in names; behind all when it isn't.
func index(names []string, name string) int {
	if i := slices.Index(names, name); i >= 0 {
		return i
	}
	return len(names)
}

func typeName(s *openapi3.Schema) string {
	name := strings.Join(s.Type.Slice(), " or ")
	switch {
	case s.Type.Is(openapi3.TypeArray) && s.Items != nil:
		name = "array of " + typeName(s.Items.Value)
	case len(s.Enum) > 0:
		words := make([]string, len(s.Enum))
		for i, v := range s.Enum {
			words[i] = fmt.Sprint(v)
		}
		name = strings.Join(words, ", ")
	case s.Min != nil && s.Max != nil:
		name += fmt.Sprintf(" %v to %v", *s.Min, *s.Max)
	}
	if s.Nullable {
		name += " or null"
	}
	return name
}

// example is the example of a body, put together from those of its members when it has none itself.
func example(media *openapi3.MediaType) string {
	v := media.Example
	if v == nil {
		v = sample(media.Schema.Value, 0)
	}
	if s, ok := v.(string); ok {
		return s
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return ""
	}
	return strings.TrimSpace(out.String())
}

func sample(s *openapi3.Schema, depth int) any {
	switch {
	case s.Example != nil:
		return s.Example
	case s.Default != nil:
		return s.Default
	case len(s.Enum) > 0:
		return s.Enum[0]
	case s.Nullable || depth > maxDepth:
		return nil
	case s.Type.Is(openapi3.TypeArray):
		return []any{sample(s.Items.Value, depth+1)}
	case s.Type.Is(openapi3.TypeObject):
		members := make(map[string]any, len(s.Properties))
		for name, p := range s.Properties {
			members[name] = sample(p.Value, depth+1)
		}
		return members
	case s.Type.Is(openapi3.TypeBoolean):
		return false
	case s.Type.Is(openapi3.TypeInteger):
		return 0
	}
	return ""
}

var (
	codePattern   = regexp.MustCompile("`([^`]+)`")
	strongPattern = regexp.MustCompile(`\*\*([^*]+)\*\*`)
	wordPattern   = regexp.MustCompile(`[^a-z0-9]+`)
)

// prose renders the little of Markdown that the description uses: paragraphs, code and strong words.
func prose(text string) template.HTML {
	var out strings.Builder
	for paragraph := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		if paragraph == "" {
			continue
		}
		p := template.HTMLEscapeString(paragraph)
		p = codePattern.ReplaceAllString(p, "<code>$1</code>")
		p = strongPattern.ReplaceAllString(p, "<strong>$1</strong>")
		out.WriteString("<p>" + p + "</p>\n")
	}
	return template.HTML(out.String())
}

// anchor is the name of a section in links.
func anchor(name string) string {
	return strings.Trim(wordPattern.ReplaceAllString(strings.ToLower(name), "-"), "-")
}
