package store

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"gorm.io/gorm"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/internal/testenv"
)

// TestManyRows looks at a database with many assets of one name and many names.
func TestManyRows(t *testing.T) {
	each(t, func(t *testing.T, s *Store) { testMany(t, newFixture(t, s), 20_000, 2_000) })
}

// TestSoakManyRows is the same with a million assets.
func TestSoakManyRows(t *testing.T) {
	testenv.Soak(t)
	each(t, func(t *testing.T, s *Store) { testMany(t, newFixture(t, s), 1_000_000, 100_000) })
}

const (
	// manyName is the name that has many assets; the subject of every subjectStep'th of them is manyDigest(0).
	manyName    = "img"
	subjectStep = 1_000
)

// The i'th asset of manyName has the bytes of its neighbour, and so has the asset of the i'th other name.
func manyPath(i int) string          { return fmt.Sprintf("/img/%07d", i) }
func otherName(i int) string         { return fmt.Sprintf("names/%07d", i) }
func manyDigest(i int) digest.Digest { return digest.Digest(fmt.Sprintf("sha256:%064d", i/2)) }

// fillMany stores assets of one name in repository a, and one asset each of as many other names.
func (f fixture) fillMany(t *testing.T, assets, names int) {
	t.Helper()
	const (
		// digits is a number in the form of the names, sum the digest of that number's asset, in both dialects.
		digits  = `substr(CAST(10000000 + n.i AS TEXT), 2)`
		columns = `(repository_id, path, kind, name, digest, content_type, blob_id, created_at, updated_at, touched_at)`
	)
	sum := `'sha256:` + strings.Repeat("0", 56) + `' || substr(CAST(100000000 + n.i / 2 AS TEXT), 2)`
	var blob content.Blob
	f.update(t, func(tx *Tx) (err error) {
		d := digest.FromString("many")
		blob, err = tx.PutBlob(content.Staged{StoreID: f.blobStore, Key: "many", SHA256: d.Encoded(), Size: 4})
		return err
	})
	const batch = 10_000
	insert := func(count int, path, name string) {
		for from := 0; from < count; from += batch {
			f.update(t, func(tx *Tx) error {
				_, err := tx.exec(fmt.Sprintf(`WITH RECURSIVE n (i) AS (SELECT %d UNION ALL SELECT i + 1 FROM n WHERE i + 1 < %d)
 INSERT INTO assets %s SELECT %d, %s, 'manifest', %s, %s, 'text/plain', %d, $NOW, $NOW, $NOW FROM n`,
					from, min(from+batch, count), columns, f.a, path, name, sum, blob.ID))
				return err
			})
		}
	}
	insert(assets, `'/img/' || `+digits, `'`+manyName+`'`)
	insert(names, `'/names/' || `+digits, `'names/' || `+digits)
	f.update(t, func(tx *Tx) error {
		if _, err := tx.exec(`INSERT INTO asset_references (asset_id, kind, to_digest) SELECT id, 'child', digest FROM assets`); err != nil {
			return err
		}
		_, err := tx.exec(`INSERT INTO asset_references (asset_id, kind, to_digest)
 SELECT id, 'subject', ? FROM assets WHERE name = ? AND path LIKE '%000'`, manyDigest(0).String(), manyName)
		return err
	})
}

// testMany fills the database, reads pages from the middle, and looks at how the database found them.
func testMany(t *testing.T, f fixture, assets, names int) {
	f.fillMany(t, assets, names)
	if f.dialect.name == dialectPostgres.name {
		// What autovacuum does in its own time.
		if err := f.db.Exec("VACUUM ANALYZE").Error; err != nil {
			t.Fatal(err)
		}
	}
	plans := record(t, f.Store)
	const limit = 100
	middle := assets / 2
	list := content.List{Kind: "manifest", Name: manyName, Limit: limit}
	paths := func(from, count, step int) (list []string) {
		for i := range count {
			list = append(list, manyPath(from+i*step))
		}
		return list
	}
	pages := []struct {
		name   string
		change func(l *content.List)
		want   []string
		more   bool
	}{
		{"first", func(*content.List) {}, paths(0, limit, 1), true},
		{"middle", func(l *content.List) { l.After = manyPath(middle) }, paths(middle+1, limit, 1), true},
		{"last", func(l *content.List) { l.After = manyPath(assets - limit - 1) }, paths(assets-limit, limit, 1), false},
		{"end", func(l *content.List) { l.After = manyPath(assets - 1) }, nil, false},
		{"digest", func(l *content.List) { l.Digest = manyDigest(middle) }, paths(middle, 2, 1), false},
		{"digest, second page", func(l *content.List) { l.Digest, l.After = manyDigest(middle), manyPath(middle) }, paths(middle+1, 1, 1), false},
		{"subject", func(l *content.List) { l.Subject, l.After, l.Limit = manyDigest(0), manyPath(middle), 5 }, paths(middle+subjectStep, 5, subjectStep), true},
		{"one name", func(l *content.List) { l.Name = otherName(names / 2) }, []string{"/" + otherName(names/2)}, false},
	}
	for _, tt := range pages {
		for _, brief := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s brief=%t", tt.name, brief), func(t *testing.T) {
				l := list
				l.Brief = brief
				tt.change(&l)
				index := "assets_list"
				switch {
				case l.Digest != "":
					index = "assets_digest"
				case l.Subject != "":
					index = "asset_references_to"
				}
				page, err := plans.page(t, index, func(ctx context.Context) (content.Page, error) { return f.Assets(ctx, f.a, l) })
				if err != nil {
					t.Fatal(err)
				}
				wantPage(t, pathsOf(page.Assets), tt.want, page.More, tt.more)
			})
		}
	}
	namesFrom := func(from, count int) (list []string) {
		for i := range count {
			list = append(list, otherName(from+i))
		}
		return list
	}
	nameLists := []struct {
		name string
		list content.List
		want []string
		more bool
	}{
		{"first", content.List{Limit: 3}, []string{manyName, otherName(0), otherName(1)}, true},
		{"middle", content.List{After: otherName(names / 2), Limit: limit}, namesFrom(names/2+1, limit), true},
		{"last", content.List{After: otherName(names - limit - 1), Limit: limit}, namesFrom(names-limit, limit), false},
		{"contains", content.List{Contains: strings.ToUpper(otherName(names - 1)), Limit: limit}, namesFrom(names-1, 1), false},
	}
	for _, tt := range nameLists {
		t.Run("names "+tt.name, func(t *testing.T) {
			tt.list.Names, tt.list.Kind = true, "manifest"
			page, err := plans.page(t, "assets_list", func(ctx context.Context) (content.Page, error) { return f.Names(ctx, f.a, tt.list) })
			if err != nil {
				t.Fatal(err)
			}
			wantPage(t, page.Names, tt.want, page.More, tt.more)
		})
	}
	t.Run("holders", func(t *testing.T) {
		i := names / 2 &^ 1
		want := []string{manyPath(i), manyPath(i + 1), "/" + otherName(i), "/" + otherName(i+1)}
		var got []string
		for after := int64(0); ; {
			page, err := plans.page(t, "assets_digest", func(ctx context.Context) (content.Page, error) {
				holders, err := f.Holders(ctx, manyDigest(i), "manifest", after, 1)
				return content.Page{Assets: holders}, err
			})
			if err != nil {
				t.Fatal(err)
			}
			if len(page.Assets) == 0 {
				break
			}
			got, after = append(got, page.Assets[0].Path), page.Assets[0].ID
		}
		wantPage(t, got, want, false, false)
	})
	for _, tt := range []struct {
		name string
		want bool
	}{{otherName(names / 2), true}, {"names/5", false}, {otherName(names), false}, {"", false}} {
		t.Run("has name "+tt.name, func(t *testing.T) {
			page, err := plans.page(t, "assets_list", func(ctx context.Context) (content.Page, error) {
				has, err := f.HasName(ctx, f.a, "manifest", tt.name)
				return content.Page{Known: has}, err
			})
			if err != nil || page.Known != tt.want {
				t.Errorf("%t, %v", page.Known, err)
			}
		})
	}
	t.Run("asset", func(t *testing.T) {
		_, err := plans.page(t, "assets_path", func(ctx context.Context) (content.Page, error) {
			_, err := f.Asset(ctx, f.a, manyPath(middle))
			return content.Page{}, err
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func pathsOf(assets []content.Asset) (paths []string) {
	for _, a := range assets {
		paths = append(paths, a.Path)
	}
	return paths
}

func wantPage(t *testing.T, got, want []string, more, wantMore bool) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if more != wantMore {
		t.Errorf("more = %t", more)
	}
}

// plans records the queries of a store, to look at how the database runs them.
type plans struct {
	store *Store
	// queries are recorded unless off is set.
	queries []query
	off     bool
}

type query struct {
	sql  string
	args []any
}

func record(t *testing.T, s *Store) *plans {
	t.Helper()
	p := &plans{store: s}
	err := s.db.Callback().Row().After("gorm:row").Register("test:plans", func(db *gorm.DB) {
		if !p.off {
			p.queries = append(p.queries, query{db.Statement.SQL.String(), slices.Clone(db.Statement.Vars)})
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// page runs read and checks that an index leads the database to each asset that its queries look at.
// SQLite, whose choice doesn't depend on what is stored, must use the index.
func (p *plans) page(t *testing.T, index string, read func(ctx context.Context) (content.Page, error)) (content.Page, error) {
	t.Helper()
	p.queries = nil
	page, err := read(t.Context())
	p.off = true
	defer func() { p.off = false }()
	if len(p.queries) == 0 {
		t.Fatal("no query was recorded")
	}
	for _, q := range p.queries {
		plan := p.explain(t, q)
		want := "assets_"
		if p.store.dialect.name == dialectSQLite.name {
			want = index
		}
		if !strings.Contains(plan, want) || scansAssets.MatchString(plan) {
			t.Errorf("not by the index %s:\n%s\n%v\n%s", want, q.sql, q.args, plan)
		}
	}
	return page, err
}

// scansAssets finds steps that look at all assets, in the words of both databases: "a" is what queries call them.
var scansAssets = regexp.MustCompile(`(?m)^SCAN (a|assets)\b|Seq Scan on assets`)

// explain is the plan of a query, a step per line.
func (p *plans) explain(t *testing.T, q query) string {
	t.Helper()
	ask := "EXPLAIN "
	if p.store.dialect.name == dialectSQLite.name {
		ask = "EXPLAIN QUERY PLAN "
	}
	rows, err := p.store.db.Statement.ConnPool.QueryContext(t.Context(), ask+q.sql, q.args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var plan strings.Builder
	for rows.Next() {
		// The text is the last column.
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(any)
		}
		if err := rows.Scan(values...); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&plan, *values[len(values)-1].(*any))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return plan.String()
}
