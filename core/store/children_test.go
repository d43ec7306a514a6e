package store

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestChildren(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		f := newFixture(t, s)
		for _, path := range []string{"/a", "/a/b/c", "/a/b/d", "/a!", "/a0", "/a.b/x", "/ä/ö/ü", "/ä/ö!", "/日本/語", "/z/%_'\"", "/Z"} {
			f.put(t, f.a, "file", "x", path, path)
		}
		f.put(t, f.b, "file", "x", "/other", "other")
		gone := f.put(t, f.a, "file", "x", "/gone/x", "gone")
		f.update(t, func(tx *Tx) error { return tx.DeleteAsset(gone, "me") })
		tests := []struct{ name, directory, want string }{
			{"root", "/", "Z a a! a.b/ a/ a0 z/ ä/ 日本/"},
			{"directory beside a file", "/a/", "b/"},
			{"files", "/a/b/", "c d"},
			{"more than ASCII", "/ä/", "ö! ö/"},
			{"below more than ASCII", "/ä/ö/", "ü"},
			{"special characters", "/z/", "%_'\""},
			{"nothing", "/a/b/c/", ""},
			{"deleted", "/gone/", ""},
			{"the start of a name", "/ä/ö!/", ""},
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				for _, limit := range []int{1, 2, 100} {
					var names []string
					after := ""
					for more := true; more; {
						var page []Child
						var err error
						page, more, err = s.Children(t.Context(), f.a, tt.directory, after, limit)
						if err != nil || len(page) > limit || more && len(page) < limit {
							t.Fatalf("page after %q: %v, %t, %v", after, page, more, err)
						}
						for _, c := range page {
							after = c.Key()
							if want := int64(len(tt.directory + c.Name)); !c.Directory && (c.Size != want || c.UpdatedAt.IsZero()) {
								t.Errorf("%s has %d bytes of %v, want %d", c.Name, c.Size, c.UpdatedAt, want)
							}
							names = append(names, after)
						}
					}
					if diff := cmp.Diff(tt.want, strings.Join(names, " ")); diff != "" {
						t.Errorf("by %d: %s", limit, diff)
					}
				}
			})
		}
	})
}

// TestChildrenHidden: what is of a hidden kind is not there, nor is a directory of nothing else.
func TestChildrenHidden(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		f := newFixture(t, s)
		for path, kind := range map[string]string{"/a/file": "file", "/a/0": "list", "/a/list": "list", "/a/tags/list": "tags", "/b/tags/list": "tags", "/list": "list", "/z": "file"} {
			f.put(t, f.a, kind, "x", path, path)
		}
		for directory, want := range map[string]string{"/": "a/ z", "/a/": "file", "/a/tags/": "", "/b/": ""} {
			children, more, err := s.Children(t.Context(), f.a, directory, "", 10, "list", "tags")
			var names []string
			for _, c := range children {
				names = append(names, c.Key())
			}
			if got := strings.Join(names, " "); err != nil || more || got != want {
				t.Errorf("%s has %q, %v, %v, want %q", directory, got, more, err, want)
			}
		}
	})
}

// TestChildrenSteps: a directory costs its children, not all that is below them.
func TestChildrenSteps(t *testing.T) {
	s := sqliteStore(t)
	f := newFixture(t, s)
	t.Run("all", func(t *testing.T) {
		checkChildSteps(t, f, childQuery(0), f.a, "/", "0", f.a, "0", 2, 1, 2, "\x01", 10, f.a)
	})
	t.Run("some hidden", func(t *testing.T) {
		checkChildSteps(t, f, childQuery(1), f.a, "/", "0", "x", f.a, "0", "x", 2, 1, 2, "\x01", 10, f.a)
	})
}

func checkChildSteps(t *testing.T, f fixture, query string, args ...any) {
	t.Helper()
	plan := []struct{ Detail string }{}
	if _, err := f.scan(t.Context(), &plan, "EXPLAIN QUERY PLAN "+query, args...); err != nil {
		t.Fatal(err)
	}
	searches := 0
	for _, step := range plan {
		if strings.HasPrefix(step.Detail, "SCAN a") || strings.HasPrefix(step.Detail, "SCAN assets") {
			t.Errorf("plan scans: %s", step.Detail)
		}
		if strings.Contains(step.Detail, "assets_path (repository_id=? AND path>?") {
			searches++
		}
	}
	if searches != 2 {
		t.Errorf("the plan has %d searches for the next path, want 2: %+v", searches, plan)
	}
}
