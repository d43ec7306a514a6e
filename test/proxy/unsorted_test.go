package proxy

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// paged answers with lists of the pages given. A Link leads to the next one by the last item, as the specification has it, or by what
// only upstream understands.
func paged(byName bool, pages ...[]string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		n, _ := strconv.Atoi(q.Get("token"))
		if last := q.Get("last"); last != "" {
			n = 1 + slices.IndexFunc(pages, func(page []string) bool { return page[len(page)-1] == last })
		}
		if n+1 < len(pages) {
			next := fmt.Sprintf("token=%d", n+1)
			if byName {
				next = "last=" + url.QueryEscape(pages[n][len(pages[n])-1])
			}
			w.Header().Set("Link", "<"+r.URL.Path+"?"+next+`>; rel="next"`)
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"name": "a", "tags": pages[n], "repositories": pages[n]})
	}
}

// walk follows the Links from a path of the server on and returns all items, and whether an answer had a Warning.
func (s *server) walk(t *testing.T, path string) (items []string, warned bool) {
	t.Helper()
	for n := 0; path != ""; n++ {
		code, h, body := call(t, "GET", s.host+path, "", "")
		var answer struct{ Tags, Repositories []string }
		if err := json.Unmarshal([]byte(body), &answer); code != 200 || err != nil || n > 100 {
			t.Fatalf("%s: %d %s", path, code, body)
		}
		items = append(append(items, answer.Tags...), answer.Repositories...)
		warned = warned || h.Get("Warning") != ""
		path, _, _ = strings.Cut(strings.TrimPrefix(h.Get("Link"), "<"), ">")
	}
	return items, warned
}

// Registries list tags in the order of their creation, without regard to case, or in none. Clients get all of them, in byte order.
func TestUnsortedPages(t *testing.T) {
	pages := [][]string{{"zeta", "alpha", "v10"}, {"v9", "beta", "v2"}, {"latest", "rc", "nightly"}, {"aaa"}}
	want := slices.Sorted(slices.Values(slices.Concat(pages...)))
	for _, byName := range []bool{false, true} {
		t.Run(fmt.Sprintf("by name %t", byName), func(t *testing.T) {
			u, s := newScriptedProxy(t)
			s.group(t, "held", "", "lasting", "local")
			u.handle(paged(byName, pages...))
			for _, repository := range []string{"lasting", "held", "far", "all"} {
				for _, path := range []string{"/v2/" + repository + "/a/tags/list", "/repository/" + repository + "/v2/_catalog"} {
					u.take()
					for _, n := range []int{100, 10, 3, 1} {
						got, warned := s.walk(t, fmt.Sprintf("%s?n=%d", path, n))
						if !slices.Equal(got, want) || warned {
							t.Errorf("%s by %d: %q, warned %t; want %q", path, n, got, warned, want)
						}
					}
					if n := len(u.take()); repository == "lasting" && n != len(pages) || repository == "held" && n > 0 {
						t.Errorf("%s: upstream was asked %d times for its pages", path, n)
					}
				}
			}
		})
	}
}

// What is in order is read as far as it is needed.
func TestSortedPages(t *testing.T) {
	u, s := newScriptedProxy(t)
	u.handle(paged(true, []string{"a", "b"}, []string{"c", "d"}, []string{"e"}))
	for _, step := range []struct {
		query string
		asked int
	}{{"n=2", 1}, {"n=2&last=b", 1}, {"n=5", 0}, {"n=2&last=d", 1}} {
		u.take()
		if code, _, body := call(t, "GET", s.host+"/v2/lasting/a/tags/list?"+step.query, "", ""); code != 200 {
			t.Errorf("%s: %d %s", step.query, code, body)
		}
		if n := len(u.take()); n != step.asked {
			t.Errorf("%s: upstream was asked %d times, want %d", step.query, n, step.asked)
		}
	}
}

// Pages that are in order by chance, so that this is seen late: who was given a part already is told that something is missing, and who comes
// next gets all.
func TestPagesSortedByChance(t *testing.T) {
	u, s := newScriptedProxy(t)
	u.handle(paged(true, []string{"v1", "v2"}, []string{"latest", "v0"}, []string{"v3"}))
	for _, test := range []struct {
		want   []string
		warned bool
	}{
		{[]string{"v1", "v2", "v3"}, true},
		{[]string{"latest", "v0", "v1", "v2", "v3"}, false},
	} {
		if got, warned := s.walk(t, "/v2/lasting/a/tags/list?n=2"); !slices.Equal(got, test.want) || warned != test.warned {
			t.Errorf("%q, warned %t; want %q, %t", got, warned, test.want, test.warned)
		}
	}
}

// A list that is longer than what is read of one is cut, which clients are told.
func TestEndlessPages(t *testing.T) {
	for _, test := range []struct {
		name  string
		next  func(n int) int
		big   int
		want  int
		asked int
	}{
		{"long", func(n int) int { return min(n+1, 149) }, 0, 150, 150},
		{"a circle", func(n int) int { return (n + 1) % 3 }, 0, 3, 3},
		{"large", func(n int) int { return n + 1 }, 15 << 20, 5, 5},
	} {
		t.Run(test.name, func(t *testing.T) {
			u, s := newScriptedProxy(t)
			u.handle(func(w http.ResponseWriter, r *http.Request) {
				n, _ := strconv.Atoi(r.URL.Query().Get("page"))
				if next := test.next(n); next != n {
					w.Header().Set("Link", fmt.Sprintf(`<%s?page=%d>; rel="next"`, r.URL.Path, next))
				}
				fmt.Fprintf(w, `{"name":"a","tags":["v%d"]%s}`, n, strings.Repeat(" ", test.big))
			})
			got, warned := s.walk(t, "/v2/lasting/a/tags/list")
			asked := len(u.take())
			if len(got) != test.want || warned != (test.name != "long") || asked < test.asked || asked > test.asked+1 {
				t.Errorf("%d items, warned %t, asked %d times", len(got), warned, asked)
			}
		})
	}
}
