package docker

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
)

func TestPaging(t *testing.T) {
	tests := []struct {
		name  string
		query string
		n     int
		last  string
		ok    bool
	}{
		{"none", "", pageSize, "", true},
		{"both", "n=5&last=a/b", 5, "a/b", true},
		{"zero", "n=0", 0, "", true},
		{"empty", "n=&last=", pageSize, "", true},
		{"above the most", "n=10001", pageSize, "", true},
		{"above all numbers", "n=99999999999999999999999", pageSize, "", true},
		{"negative", "n=-1", 0, "", false},
		{"word", "n=ten", 0, "", false},
		{"hex", "n=0x10", 0, "", false},
		{"long last", "last=" + strings.Repeat("a", maxName+maxTag+1), 0, "", false},
		{"line break in last", "last=a%0a", 0, "", false},
		{"not ASCII in last", "last=%ff", 0, "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q, _ := url.ParseQuery(tt.query)
			n, last, err := paging(q)
			if (err == nil) != tt.ok || n != tt.n || last != tt.last {
				t.Fatalf("got %d, %q, %v", n, last, err)
			}
			if err != nil && errs.As(err).Code != codePageInvalid {
				t.Errorf("code %q", errs.As(err).Code)
			}
		})
	}
}

func TestWriteList(t *testing.T) {
	tagged := func(tags ...string) content.Page {
		p := content.Page{Known: true}
		for _, tag := range tags {
			p.Assets = append(p.Assets, content.Asset{Path: "/v2/a/b/manifests/" + tag})
		}
		return p
	}
	more := func(p content.Page) content.Page { p.More = true; return p }
	path := format.Entry{NamePrefix: "r/"}
	tests := []struct {
		name   string
		entry  format.Entry
		target string
		page   content.Page
		body   string
		link   string
	}{
		{"tags", format.Entry{}, "/v2/a/b/tags/list", tagged("1", "2"), `{"name":"a/b","tags":["1","2"]}`, ""},
		{"no tags", format.Entry{}, "/v2/a/b/tags/list", tagged(), `{"name":"a/b","tags":[]}`, ""},
		{"zero tags", format.Entry{}, "/v2/a/b/tags/list?n=0", more(tagged()), `{"name":"a/b","tags":[]}`, ""},
		{"page of tags", format.Entry{}, "/v2/a/b/tags/list?n=2", more(tagged("1", "2")), `{"name":"a/b","tags":["1","2"]}`,
			`</v2/a/b/tags/list?last=2&n=2>; rel="next"`},
		{"page by path", path, "/v2/a/b/tags/list?n=1", more(tagged("1")), `{"name":"r/a/b","tags":["1"]}`,
			`</v2/r/a/b/tags/list?last=1&n=1>; rel="next"`},
		{"page of the repository URL", format.Entry{Base: "/repository/r"}, "/v2/a/b/tags/list?n=1", more(tagged("1")), `{"name":"a/b","tags":["1"]}`,
			`</repository/r/v2/a/b/tags/list?last=1&n=1>; rel="next"`},
		{"catalog", format.Entry{}, "/v2/_catalog", content.Page{Names: []string{"a", "b"}}, `{"repositories":["a","b"]}`, ""},
		{"empty catalog", format.Entry{}, "/v2/_catalog", content.Page{}, `{"repositories":[]}`, ""},
		{"page of the catalog", format.Entry{Base: "/repository/r"}, "/v2/_catalog?n=1", content.Page{Names: []string{"a/b"}, More: true},
			`{"repositories":["a/b"]}`, `</repository/r/v2/_catalog?last=a%2Fb&n=1>; rel="next"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			route, err := resolve("GET", tt.target)
			if err != nil {
				t.Fatal(err)
			}
			w := httptest.NewRecorder()
			if err := (docker{}).WriteList(w, nil, format.Repository{}, tt.entry, route, tt.page); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.body, w.Body.String()); diff != "" {
				t.Error(diff)
			}
			if got := w.Header().Get("Link"); got != tt.link {
				t.Errorf("link %q, want %q", got, tt.link)
			}
			if got := w.Header().Get("Content-Type"); got != "application/json" {
				t.Errorf("type %q", got)
			}
		})
	}
}

func TestWriteListUnknown(t *testing.T) {
	route, _ := resolve("GET", "/v2/a/tags/list")
	w := httptest.NewRecorder()
	err := docker{}.WriteList(w, nil, format.Repository{}, format.Entry{}, route, content.Page{})
	if e := errs.As(err); err == nil || e.Kind != errs.NotFound || e.Code != codeNameUnknown {
		t.Errorf("got %v", err)
	}
	if w.Body.Len() > 0 {
		t.Error("written in spite of the error")
	}
}

// names is a lister of sorted names.
type names []string

func (n names) list(_ context.Context, l content.List) (content.Page, error) {
	var p content.Page
	for _, name := range n {
		if name <= l.After || !strings.Contains(name, strings.ToLower(l.Contains)) {
			continue
		}
		if len(p.Names) == l.Limit {
			p.More = true
			break
		}
		p.Names = append(p.Names, name)
	}
	return p, nil
}

func (n names) find(prefix string) finder {
	return func(ctx context.Context, term string) ([]result, error) {
		found, err := findNames(ctx, n.list, term)
		return named(prefix, found), err
	}
}

func TestSearch(t *testing.T) {
	var many names
	for i := range 2500 {
		many = append(many, fmt.Sprintf("app%04d", i))
	}
	tests := []struct {
		name   string
		names  names
		prefix string
		query  string
		want   answer
		first  string
	}{
		{"nothing", nil, "", "q=x", answer{Query: "x", Page: 1, PageSize: 25}, ""},
		{"term", names{"alpine", "debian"}, "", "q=deb", answer{Query: "deb", NumResults: 1, NumPages: 1, Page: 1, PageSize: 25}, "debian"},
		{"by path", names{"alpine"}, "r/", "q=alp", answer{Query: "alp", NumResults: 1, NumPages: 1, Page: 1, PageSize: 25}, "r/alpine"},
		{"everything", many, "", "", answer{NumResults: 2500, NumPages: 100, Page: 1, PageSize: 25}, "app0000"},
		{"second page", many, "", "n=100&page=2", answer{NumResults: 2500, NumPages: 25, Page: 2, PageSize: 100}, "app0100"},
		{"page past the end", many, "", "page=9999", answer{NumResults: 2500, NumPages: 100, Page: 9999, PageSize: 25}, ""},
		{"page size above the most", many, "", "n=5000", answer{NumResults: 2500, NumPages: 25, Page: 1, PageSize: 100}, "app0000"},
		{"page size zero", many, "", "n=0&page=0", answer{NumResults: 2500, NumPages: 2500, Page: 1, PageSize: 1}, "app0000"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			r := httptest.NewRequest("GET", "/v1/search?"+tt.query, nil)
			if err := answerSearch(w, r, tt.names.find(tt.prefix)); err != nil {
				t.Fatal(err)
			}
			var got answer
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got.Results == nil {
				t.Fatalf("%s: %v", w.Body, err)
			}
			if first := slices.Concat(got.Results, []result{{}})[0].Name; first != tt.first {
				t.Errorf("first %q, want %q", first, tt.first)
			}
			if len(got.Results) > got.PageSize {
				t.Errorf("%d results", len(got.Results))
			}
			got.Results = nil
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSearchErrors(t *testing.T) {
	for _, query := range []string{"n=x", "page=-1", "q=%00", "q=" + strings.Repeat("a", maxQuery+1)} {
		r := httptest.NewRequest("GET", "/v1/search?"+query, nil)
		if err := answerSearch(httptest.NewRecorder(), r, names{}.find("")); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", query, err)
		}
	}
}
