package oci

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
)

// tagged stores one image under all tags.
func (r registry) tagged(t testing.TB, tags ...string) {
	t.Helper()
	b := encode(t, r.newImage(t))
	d := digest.FromBytes(b)
	for chunk := range slices.Chunk(tags, 10) {
		var options []option
		for _, tag := range chunk {
			options = append(options, query("tag", tag))
		}
		r.put(t, d, typeManifest, b, options...).want(t, http.StatusCreated)
	}
}

// list asks for tags with n and last.
func (r registry) list(t testing.TB, parameters ...string) (response, []string) {
	t.Helper()
	res := r.get(t, r.path("tags/list"), query(parameters...)).want(t, http.StatusOK)
	var list tagList
	res.decode(t, &list)
	if list.Tags == nil {
		t.Errorf("%s: tags are null: %s", res.request, res.body)
	}
	return res, list.Tags
}

// wantTags compares lists of tags; empty ones are equal.
func wantTags(t testing.TB, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(append([]string{}, want...), append([]string{}, got...)); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
}

// "Listing Tags", end-8a: 200 with the name as the client says it, and all tags.
func TestTags_List200(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		r.tagged(t, "v2", "v1", "latest")
		res := r.get(t, r.path("tags/list")).want(t, http.StatusOK)
		if got := res.header.Get("Content-Type"); got != "application/json" && got != "application/json; charset=utf-8" {
			t.Errorf("Content-Type %q", got)
		}
		var got tagList
		res.decode(t, &got)
		if diff := cmp.Diff(tagList{r.name(), []string{"latest", "v1", "v2"}}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		res.wantNoHeader(t, "Link")
	})
}

// "Listing Tags": lexical order, or "ASCIIbetical" (main).
func TestTags_Ordered(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		tags := []string{"10", "9", "a", "B", "b", "A", "_x", "v1.10", "v1.9", "v1-rc", "v1_rc", "v1"}
		r.tagged(t, tags...)
		slices.Sort(tags)
		wantTags(t, r.tags(t), tags...)
	})
}

// "Listing Tags": the list may be empty. It is not null, which breaks clients.
func TestTags_Empty200(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		d, _ := r.pushImage(t, "v1")
		r.do(t, http.MethodDelete, r.manifest("v1")).want(t, http.StatusAccepted)
		res, tags := r.list(t)
		wantTags(t, tags)
		if !strings.Contains(strings.ReplaceAll(string(res.body), " ", ""), `"tags":[]`) {
			t.Errorf("body %s", res.body)
		}
		r.get(t, r.manifest(d)).want(t, http.StatusOK)
	})
}

// end-8a: 404 for a repository that is not there (code-9). A blob alone makes none.
func TestTags_UnknownName404(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		r.get(t, r.path("tags/list")).refused(t, http.StatusNotFound, "NAME_UNKNOWN")
		r.get(t, r.path("tags/list"), query("n", "0")).refused(t, http.StatusNotFound, "NAME_UNKNOWN")
	})
}

// "Listing Tags", end-8b: n tags from the beginning, and the next after last, which is not included.
func TestTags_PageByLast(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		r.tagged(t, "a", "b", "c", "d", "e")
		tests := []struct {
			n, last string
			want    []string
		}{
			{"2", "", []string{"a", "b"}}, {"2", "b", []string{"c", "d"}}, {"2", "d", []string{"e"}}, {"2", "e", nil}, {"5", "", []string{"a", "b", "c", "d", "e"}},
			{"100", "c", []string{"d", "e"}}, {"", "c", []string{"d", "e"}}, {"1", "a", []string{"b"}}, {"2", "bb", []string{"c", "d"}}, {"2", "zzz", nil},
			{"2", "0", []string{"a", "b"}},
		}
		for _, tt := range tests {
			var parameters []string
			if tt.n != "" {
				parameters = append(parameters, "n", tt.n)
			}
			if tt.last != "" {
				parameters = append(parameters, "last", tt.last)
			}
			_, tags := r.list(t, parameters...)
			wantTags(t, tags, tt.want...)
		}
	})
}

// "Listing Tags" and RFC 8288: Link with rel="next" leads through all tags, and is absent on the last page. It is relative, so that
// it holds behind any proxy.
func TestTags_PageByLink(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		var all []string
		for i := range 25 {
			all = append(all, fmt.Sprintf("v%02d", i))
		}
		r.tagged(t, all...)
		for _, n := range []int{1, 7, 24, 25, 26} {
			var got []string
			pages := 0
			for target := r.path("tags/list?n=%d", n); target != ""; pages++ {
				if !strings.HasPrefix(target, r.path("tags/list")) || pages > 30 {
					t.Fatalf("page %d of n=%d is at %q", pages, n, target)
				}
				res := r.get(t, target).want(t, http.StatusOK)
				var list tagList
				res.decode(t, &list)
				got = append(got, list.Tags...)
				target = res.next(t)
			}
			wantTags(t, got, all...)
			if want := (len(all) + n - 1) / n; pages != want {
				t.Errorf("n=%d: %d pages, want %d", n, pages, want)
			}
		}
	})
}

// "Listing Tags": n=0 is an empty list without Link.
func TestTags_PageOfZero(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		r.tagged(t, "a", "b")
		res, tags := r.list(t, "n", "0")
		wantTags(t, tags)
		res.wantNoHeader(t, "Link")
		res, tags = r.list(t, "n", "0", "last", "a")
		wantTags(t, tags)
		res.wantNoHeader(t, "Link")
	})
}

// What is not a number is refused; one that is too large is as good as all.
func TestTags_PageBadNumber400(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		r.tagged(t, "a", "b")
		for _, n := range []string{"-1", "a", "1.5", "0x10", "1e3", " 1", "+1", "--"} {
			res := r.get(t, r.path("tags/list"), query("n", n)).want(t, http.StatusBadRequest)
			res.problems(t)
		}
		for _, n := range []string{"1000000", "9223372036854775807", "99999999999999999999999999"} {
			res, tags := r.list(t, "n", n)
			wantTags(t, tags, "a", "b")
			res.wantNoHeader(t, "Link")
		}
	})
}

// last is the value of a tag; whatever else comes must not break the server, nor reach a pattern of the database.
func TestTags_PageStrangeLast(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		r.tagged(t, "a", "b")
		for _, last := range []string{"%", "_", "' OR 1=1 --", "\x00", "\xff", "../a", strings.Repeat("a", 5000), "ä", "a/b", "sha256:abc"} {
			r.get(t, r.path("tags/list"), query("last", last)).want(t, http.StatusOK, http.StatusBadRequest)
		}
	})
}

// Each push and delete shows in the next list.
func TestTags_ListAtOnce(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		r.tagged(t, "a")
		wantTags(t, r.tags(t), "a")
		r.tagged(t, "b")
		wantTags(t, r.tags(t), "a", "b")
		r.do(t, http.MethodDelete, r.manifest("a")).want(t, http.StatusAccepted)
		wantTags(t, r.tags(t), "b")
	})
}

// An image whose name begins with another one's has its own tags.
func TestTags_OfOneImage(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		r.tagged(t, "a")
		r.named(r.image+"/sub").tagged(t, "b")
		r.named(r.image+"2").tagged(t, "c")
		wantTags(t, r.tags(t), "a")
	})
}

// Docker Registry HTTP API v2, "Listing Repositories": the names of all images, as clients say them, in lexical order, page by page.
func TestCatalog_Pages(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		names := []string{r.name(), r.name() + "-2", r.name() + "/x"}
		for _, name := range names {
			r.named(strings.TrimPrefix(name, r.prefix)).tagged(t, "v1")
		}
		var got []string
		for target, pages := r.rootPath("/v2/_catalog?n=50"), 0; target != ""; pages++ {
			if !strings.HasPrefix(target, r.rootPath("/v2/_catalog")) || pages > 200 {
				t.Fatalf("page %d is at %q", pages, target)
			}
			res := r.get(t, target).want(t, http.StatusOK)
			var list struct {
				Repositories []string `json:"repositories"`
			}
			if res.decode(t, &list); list.Repositories == nil {
				t.Fatalf("%s: %s", res.request, res.body)
			}
			got = append(got, list.Repositories...)
			target = res.next(t)
		}
		if !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
			t.Error("the names are not in order, or not each there once")
		}
		for _, name := range names {
			if !slices.Contains(got, name) {
				t.Errorf("%q is not in the catalog", name)
			}
		}
		r.get(t, r.rootPath("/v2/_catalog?n=-1")).want(t, http.StatusBadRequest)
		r.get(t, r.rootPath("/v2/_catalog?n=0")).want(t, http.StatusOK).wantNoHeader(t, "Link")
	})
}

// Docker Registry HTTP API v1: what "docker search host/term" asks for.
func TestSearch_V1(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		r.tagged(t, "v1")
		r.get(t, r.rootPath("/v1/_ping")).want(t, http.StatusOK)
		var answer struct {
			NumResults int `json:"num_results"`
			Results    []struct {
				Name string `json:"name"`
			} `json:"results"`
		}
		r.get(t, r.rootPath("/v1/search"), query("q", r.image, "n", "100")).want(t, http.StatusOK).decode(t, &answer)
		if answer.NumResults != 1 || len(answer.Results) != 1 || answer.Results[0].Name != r.name() {
			t.Errorf("%+v, want the one result %q", answer, r.name())
		}
		r.get(t, r.rootPath("/v1/search"), query("q", "no-such-image-anywhere")).want(t, http.StatusOK).decode(t, &answer)
		if answer.NumResults != 0 {
			t.Errorf("%+v", answer)
		}
	})
}

// On the path entry a name begins with the repository's: a search finds names by what it shows of them.
func TestSearch_V1RepositoryInTerm(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		if r.prefix == "" {
			t.Skip("names have no prefix here")
		}
		r.tagged(t, "v1")
		search := func(term string, page int) (names []string, pages int) {
			t.Helper()
			var answer struct {
				NumPages int `json:"num_pages"`
				Results  []struct {
					Name string `json:"name"`
				} `json:"results"`
			}
			r.get(t, r.rootPath("/v1/search"), query("q", term, "n", "100", "page", fmt.Sprint(page))).want(t, http.StatusOK).decode(t, &answer)
			for _, result := range answer.Results {
				names = append(names, result.Name)
			}
			return names, answer.NumPages
		}
		end := r.prefix[len(r.prefix)-3:]
		for _, term := range []string{r.name(), strings.ToUpper(r.name()), end + r.image, "/" + r.image, end + r.image[:len(r.image)-1]} {
			if names, _ := search(term, 1); !slices.Equal(names, []string{r.name()}) {
				t.Errorf("%q finds %q, want %q alone", term, names, r.name())
			}
		}
		for _, term := range []string{end + r.image[1:], "x" + r.prefix + r.image, r.prefix + r.prefix + r.image} {
			if names, _ := search(term, 1); len(names) > 0 {
				t.Errorf("%q finds %q", term, names)
			}
		}
		for _, term := range []string{r.prefix, strings.TrimSuffix(r.prefix, "/")} {
			found := false
			for page, pages := 1, 1; page <= pages; page++ {
				var names []string
				names, pages = search(term, page)
				found = found || slices.Contains(names, r.name())
			}
			if !found {
				t.Errorf("%q does not find %q", term, r.name())
			}
		}
	})
}
