package check

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/core/blobstore"
	"github.com/repomgr/repomgr/core/blobstore/file"
	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/store"
)

func flip(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	b[0]++
	return os.WriteFile(path, b, 0o600)
}

// TestDamage: damage is told with all who name the bytes, a repair takes them out of use and touches nothing else, a check
// after that is clean, and the next upload of the bytes mends it for all.
func TestDamage(t *testing.T) {
	for _, tt := range []struct {
		name   string
		damage func(path string) error
		rehash bool
		want   Kind
		detail string
	}{
		{"no file", os.Remove, false, Missing, ""},
		{"no file, rehash", os.Remove, true, Missing, ""},
		{"truncated", func(p string) error { return os.Truncate(p, 2) }, false, Size, "2 bytes are there"},
		{"empty", func(p string) error { return os.Truncate(p, 0) }, true, Size, "0 bytes are there"},
		{"longer", func(p string) error { return os.Truncate(p, 100) }, false, Size, "100 bytes are there"},
		{"another byte", flip, true, Digest, "the bytes there have " + digest.FromString("uhe bytes").String()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			each(t, func(f *fixture) {
				f.fill(7)
				a := f.put(f.a, "/one", "the bytes")
				f.put(f.b, "/two", "the bytes")
				o := Options{Rehash: tt.rehash}
				f.exits("before", f.check(o), 0)
				f.must(tt.damage(f.path(a.Blob.Key)))

				f.check(o)
				r := f.check(o)
				f.exits("check", r, 1, tt.want)
				want := []Finding{{Store: "default", Kind: tt.want, Key: a.Blob.Key, SHA256: a.Blob.SHA256, Size: 9, Detail: tt.detail,
					Assets: []store.Place{{Repository: "a", Path: "/one"}, {Repository: "b", Path: "/two"}}, Named: 2}}
				if diff := cmp.Diff(want, r.found); diff != "" {
					t.Errorf("found: %s", diff)
				}

				o.Repair = true
				want[0].Mended = true
				r = f.check(o)
				if diff := cmp.Diff(want, r.found); r.Exit() != 0 || diff != "" {
					t.Errorf("repair: exit %d, %s", r.Exit(), diff)
				}
				if got, err := f.db.Asset(t.Context(), f.b, "/two"); err != nil || !got.Blob.Suspect {
					t.Errorf("after the repair: %+v, %v", got.Blob, err)
				}
				r = f.check(o)
				f.exits("after the repair", r, 0, Waiting)
				if r.Mended != 0 || r.Waiting != 1 || r.found[0].Named != 2 {
					t.Errorf("after the repair: %+v", r)
				}

				f.put(f.b, "/three", "the bytes")
				for i := range 7 {
					f.reads(f.a, fmt.Sprintf("/fill/%d", i), fmt.Sprintf("fill %d", i))
				}
				f.reads(f.a, "/one", "the bytes")
				f.reads(f.b, "/two", "the bytes")
				f.reads(f.b, "/three", "the bytes")
				f.exits("after an upload", f.check(o), 0)
			})
		})
	}
}

// TestFlippedByte: without Rehash only sizes are compared.
func TestFlippedByte(t *testing.T) {
	each(t, func(f *fixture) {
		f.must(flip(f.path(f.put(f.a, "/one", "the bytes").Blob.Key)))
		f.exits("check", f.check(Options{Repair: true}), 0)
		f.exits("rehash", f.check(Options{Rehash: true}), 1, Digest)
	})
}

// TestRowOfOtherBytes: a row that does not agree with its key is looked into without being told to.
func TestRowOfOtherBytes(t *testing.T) {
	each(t, func(f *fixture) {
		staged := f.stage("the bytes")
		staged.SHA256 = digest.FromString("other one").Encoded()
		_, err := f.name(f.a, "/one", staged)
		f.must(err)
		f.exits("check", f.check(Options{}), 1, Digest)
		f.exits("repair", f.check(Options{Repair: true}), 0, Digest)
		f.exits("after", f.check(Options{}), 0, Waiting)
	})
}

// TestSound: a suspect blob whose bytes somebody brought back is in use again, once they are known to be the right ones.
func TestSound(t *testing.T) {
	each(t, func(f *fixture) {
		a := f.put(f.a, "/one", "the bytes")
		path := f.path(a.Blob.Key)
		f.must(os.Remove(path))
		f.exits("repair", f.check(Options{Repair: true}), 0, Missing)
		f.must(os.WriteFile(path, []byte("not bytes"), 0o600))
		r := f.check(Options{Repair: true})
		f.exits("with wrong bytes", r, 0, Waiting)
		if got := r.found[0].Detail; got != "digest: the bytes there have "+digest.FromString("not bytes").String() {
			t.Errorf("detail = %q", got)
		}
		f.must(os.WriteFile(path, []byte("the bytes"), 0o600))
		f.exits("with the right bytes", f.check(Options{}), 1, Sound)
		f.exits("repair", f.check(Options{Repair: true}), 0, Sound)
		f.reads(f.a, "/one", "the bytes")
		f.exits("after", f.check(Options{Rehash: true}), 0)
	})
}

// TestEachPlace: damage is found wherever in the order of keys, and of pages, it is.
func TestEachPlace(t *testing.T) {
	each(t, func(f *fixture) {
		keys := map[string]bool{}
		for _, a := range f.fill(10) {
			keys[a.Blob.Key] = true
		}
		for key := range keys {
			path := f.path(key)
			f.must(os.Rename(path, f.root+"/aside"))
			r := f.check(Options{})
			f.exits("check", r, 1, Missing)
			if r.found[0].Key != key || r.summary.Files != 9 || r.summary.Rows != 10 {
				t.Errorf("found %+v, %+v", r.found, r.summary)
			}
			f.must(os.Rename(f.root+"/aside", path))
		}
		for key := range keys {
			f.must(os.Remove(f.path(key)))
		}
		if r := f.check(Options{}); len(r.found) != 10 || r.summary.Files != 0 {
			t.Errorf("with all files gone: %+v", r)
		}
	})
}

// TestStray: old files without a row are put aside, if they are few; young ones, and what is not a blob, stay.
func TestStray(t *testing.T) {
	for _, tt := range []struct {
		name       string
		old, young int
		options    Options
		status     int
		moved      bool
		alarm      string
	}{
		{"young", 0, 5, Options{Repair: true}, 0, false, ""},
		{"told", 1, 0, Options{}, 1, false, ""},
		{"told, many", 3, 0, Options{Force: true}, 1, false, ""},
		{"a hundredth", 1, 2, Options{Repair: true}, 0, true, ""},
		{"more", 2, 1, Options{Repair: true}, 1, false, "2 of 102 files have no row, which is more than 1 %: "},
		{"more, forced", 2, 1, Options{Repair: true, Force: true}, 0, true, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			each(t, func(f *fixture) {
				f.fill(99)
				var stray, young []string
				for i := range tt.old {
					stray = append(stray, f.stage(fmt.Sprintf("old %d", i)).Key)
					f.age(stray[i])
				}
				for i := range tt.young {
					young = append(young, f.stage(fmt.Sprintf("young %d", i)).Key)
				}
				_, err := f.files.Begin(t.Context(), "somebody")
				f.must(err)
				f.must(os.WriteFile(filepath.Join(f.root, "tmp", "x"), nil, 0o600))

				r := f.check(tt.options)
				kinds := make([]Kind, tt.old)
				for i := range kinds {
					kinds[i] = Stray
				}
				f.exits("check", r, tt.status, kinds...)
				want := Summary{Store: "default", Files: int64(99 + tt.old + tt.young), Rows: 99, Recent: int64(tt.young), Strays: int64(tt.old), Alarm: r.summary.Alarm}
				if tt.moved {
					want.Mended = int64(tt.old)
				}
				if diff := cmp.Diff(want, r.summary); diff != "" {
					t.Errorf("summary: %s", diff)
				}
				if !strings.HasPrefix(r.summary.Alarm, tt.alarm) || (tt.alarm == "") != (r.summary.Alarm == "") {
					t.Errorf("alarm %q, want %q", r.summary.Alarm, tt.alarm)
				}
				for _, key := range stray {
					if f.exists("quarantine", key) != tt.moved || f.exists("blobs", key[:2], key) == tt.moved {
						t.Errorf("%s is not where it should be", key)
					}
				}
				for _, key := range young {
					if !f.exists("blobs", key[:2], key) {
						t.Errorf("%s is gone", key)
					}
				}
				if !f.exists("tmp", "x") {
					t.Error("a temporary file is gone")
				}
				if tt.moved {
					f.exits("after", f.check(Options{Repair: true}), 0)
				}
			})
		})
	}
}

// hooked is a file store with something in its way.
type hooked struct {
	*file.Store
	open       func(key string) error
	quarantine func(key string)
	// seen is called after each blob of a walk, hidden tells which are not seen.
	seen   func()
	hidden string
}

func (h hooked) Walk(ctx context.Context, after string, fn func(blobstore.Info) error) error {
	return h.Store.Walk(ctx, after, func(i blobstore.Info) error {
		if i.Key == h.hidden {
			return nil
		}
		err := fn(i)
		if h.seen != nil {
			h.seen()
		}
		return err
	})
}

func (h hooked) Open(ctx context.Context, key string) (blobstore.Reader, int64, error) {
	if h.open != nil {
		if err := h.open(key); err != nil {
			return nil, 0, err
		}
	}
	return h.Store.Open(ctx, key)
}

func (h hooked) Quarantine(ctx context.Context, key string) error {
	err := h.Store.Quarantine(ctx, key)
	h.quarantine(key)
	return err
}

func (f *fixture) hook(h hooked) {
	h.Store = f.files
	f.checker.places = func() []Place { return []Place{{f.id, "default", h}} }
}

// TestLateRow: bytes whose row turns up while they are put aside are where it says.
func TestLateRow(t *testing.T) {
	each(t, func(f *fixture) {
		late := f.stage("late")
		f.age(late.Key)
		f.hook(hooked{quarantine: func(string) {
			_, err := f.name(f.a, "/late", late)
			f.must(err)
		}})
		r := f.check(Options{Repair: true, Force: true})
		f.exits("check", r, 0)
		f.reads(f.a, "/late", "late")
		f.exits("after", f.check(Options{Rehash: true}), 0)
	})
}

// TestRowDuringWalk: a walk need not see what is stored meanwhile, and rows are read ahead of it.
func TestRowDuringWalk(t *testing.T) {
	each(t, func(f *fixture) {
		f.fill(5)
		f.checker.page = 100
		unseen := f.put(f.a, "/unseen", "unseen")
		f.hook(hooked{hidden: unseen.Blob.Key})
		f.exits("a row whose file the walk passed by", f.check(Options{}), 0)

		// The first walk counts two stray files, the second one tells of them.
		stray, late := f.stage("stray"), f.stage(last())
		f.age(stray.Key)
		f.age(late.Key)
		walked := 0
		f.hook(hooked{seen: func() {
			if walked++; walked == 8+1 {
				_, err := f.name(f.a, "/late", late)
				f.must(err)
			}
		}})
		r := f.check(Options{})
		f.exits("a file whose row comes after those around it were read", r, 1, Stray)
		if r.found[0].Key != stray.Key || r.summary.Strays != 1 {
			t.Errorf("found %+v", r)
		}
	})
}

// last is a body whose key is likely to be the last one.
func last() string {
	for i := 0; ; i++ {
		if body := fmt.Sprint(i); strings.HasPrefix(digest.FromString(body).Encoded(), "fff") {
			return body
		}
	}
}

// TestReadErrors: what the medium can't read is damage; any other error says nothing about the bytes.
func TestReadErrors(t *testing.T) {
	for _, tt := range []struct {
		name   string
		err    error
		status int
		kinds  []Kind
	}{
		{"medium", fmt.Errorf("open: %w", syscall.EIO), 0, []Kind{Unreadable}},
		{"permission", fmt.Errorf("open: %w", os.ErrPermission), 2, nil},
		{"open files", fmt.Errorf("open: %w", syscall.EMFILE), 2, nil},
		{"unavailable", blobstore.ErrUnavailable, 2, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			each(t, func(f *fixture) {
				f.fill(5)
				bad := f.put(f.a, "/bad", "bad")
				f.hook(hooked{open: func(key string) error {
					if key == bad.Blob.Key {
						return tt.err
					}
					return nil
				}})
				r := f.check(Options{Repair: true, Rehash: true})
				f.exits("check", r, tt.status, tt.kinds...)
				a, err := f.db.Asset(t.Context(), f.a, "/bad")
				if err != nil || a.Blob.Suspect != (tt.kinds != nil) {
					t.Errorf("after: %+v, %v", a.Blob, err)
				}
				if tt.status == 2 && !strings.Contains(r.summary.Error, tt.err.Error()) {
					t.Errorf("error %q, want %q in it", r.summary.Error, tt.err)
				}
			})
		})
	}
}

// TestUnavailable: in a directory that is not the store's nothing is taken for missing or stray.
func TestUnavailable(t *testing.T) {
	const marker = ".repomgr-store.json"
	for _, tt := range []struct {
		name string
		do   func(root string) error
		want string
	}{
		{"no marker", func(root string) error { return os.Remove(filepath.Join(root, marker)) }, "no marker file"},
		{"another store's marker", func(root string) error {
			path := filepath.Join(root, marker)
			if err := os.Remove(path); err != nil {
				return err
			}
			return os.WriteFile(path, []byte(`{"store":"x","installation":"i","layout":1}`), 0o600)
		}, `is store "x", not "s"`},
		{"no directory", os.RemoveAll, "no marker file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			each(t, func(f *fixture) {
				f.fill(3)
				key := f.stage("stray").Key
				f.age(key)
				gone := f.put(f.a, "/gone", "gone")
				f.must(os.Remove(f.path(gone.Blob.Key)))
				f.must(tt.do(f.root))
				r := f.check(Options{Repair: true, Force: true, Rehash: true})
				f.exits("check", r, 2)
				if !strings.Contains(r.summary.Error, tt.want) {
					t.Errorf("error %q, want %q in it", r.summary.Error, tt.want)
				}
				if f.exists("quarantine") {
					t.Error("something was swept")
				}
				if a, err := f.db.Asset(t.Context(), f.a, "/gone"); err != nil || a.Blob.Suspect {
					t.Errorf("after: %+v, %v", a.Blob, err)
				}
			})
		})
	}
}

// TestCondemned: the bytes of a condemned row are the collector's.
func TestCondemned(t *testing.T) {
	p := &pass{}
	if err := p.row(store.BlobRow{State: store.Condemned}, nil); err != nil || p.summary.Damaged != 0 {
		t.Errorf("%v, %+v", err, p.summary)
	}
}

// TestManyNames: a report names some of the assets and counts all.
func TestManyNames(t *testing.T) {
	each(t, func(f *fixture) {
		var a content.Asset
		for i := range maxAssets + 5 {
			a = f.put(f.a, fmt.Sprintf("/%d", i), "the bytes")
		}
		f.must(os.Remove(f.path(a.Blob.Key)))
		r := f.check(Options{})
		f.exits("check", r, 1, Missing)
		if got := r.found[0]; len(got.Assets) != maxAssets || got.Named != maxAssets+5 || !strings.HasSuffix(got.String(), "and by 5 more") {
			t.Errorf("%d assets of %d: %s", len(got.Assets), got.Named, got)
		}
	})
}

// TestEnds: a check ends with its context, and when nobody listens.
func TestEnds(t *testing.T) {
	each(t, func(f *fixture) {
		for _, a := range f.fill(5) {
			f.must(os.Remove(f.path(a.Blob.Key)))
		}
		deaf := errors.New("nobody listens")
		calls := 0
		err := f.checker.Run(t.Context(), Options{}, func(Event) error { calls++; return deaf })
		if !errors.Is(err, deaf) || calls != 1 {
			t.Errorf("Run = %v after %d events", err, calls)
		}
		ctx, cancel := context.WithCancel(t.Context())
		calls = 0
		err = f.checker.Run(ctx, Options{}, func(Event) error { calls++; cancel(); return nil })
		if !errors.Is(err, context.Canceled) || calls != 1 {
			t.Errorf("Run = %v after %d events", err, calls)
		}
	})
}

// TestConcurrent: repairs run one after the other while assets are stored, moved and deleted, and take nothing for damage or stray.
func TestConcurrent(t *testing.T) {
	each(t, func(f *fixture) {
		f.checker.page = 50
		f.fill(50)
		const writers, rounds = 4, 40
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				for i := range rounds {
					// Every second body is everybody's.
					body := fmt.Sprintf("round %d of %d", i, w*(i%2))
					info, err := f.files.Put(t.Context(), strings.NewReader(body))
					if err != nil {
						t.Error(err)
						return
					}
					staged := content.Staged{StoreID: f.id, Key: info.Key, SHA256: info.Digests[digest.SHA256].Encoded(), Size: info.Size}
					if _, err := f.name(f.b, fmt.Sprintf("/%d/%d", w, i%30), staged); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		done := make(chan struct{})
		go func() { wg.Wait(); close(done) }()
		checks := 0
		for running := true; running; checks++ {
			select {
			case <-done:
				running = false
			default:
			}
			r := f.check(Options{Repair: true, Rehash: checks%2 == 0})
			if len(r.found) != 0 || r.Exit() != 0 {
				t.Errorf("check %d: %+v %+v", checks, r.found, r.summary)
			}
		}
		if checks < 3 {
			t.Logf("only %d checks", checks)
		}
		for w := range writers {
			for i := range rounds {
				if i >= rounds-30 {
					f.reads(f.b, fmt.Sprintf("/%d/%d", w, i%30), fmt.Sprintf("round %d of %d", i, w*(i%2)))
				}
			}
		}
		if f.exists("quarantine") {
			t.Error("something was put aside")
		}
	})
}

func TestText(t *testing.T) {
	modified := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, tt := range []struct {
		name  string
		event Event
		want  string
	}{
		{"missing", Event{Finding: &Finding{Store: "default", Kind: Missing, Key: "k", Size: 5, Assets: []store.Place{{Repository: "a", Path: "/x"}}, Named: 3}},
			"default: bytes are missing: k (5 bytes)\n  named by a /x\n  and by 2 more"},
		{"mended", Event{Finding: &Finding{Store: "s", Kind: Size, Key: "k", Size: 5, Detail: "4 bytes are there", Mended: true}},
			"s: bytes have another size: k (5 bytes); 4 bytes are there\n  named by nothing that is not deleted\n  marked as suspect: the next upload of these bytes mends it"},
		{"stray", Event{Finding: &Finding{Store: "s", Kind: Stray, Key: "k", Size: 5, ModTime: &modified, Mended: true, Quarantined: true}},
			"s: file without a row: k (5 bytes) of 2026-01-02T03:04:05Z\n  moved to quarantine"},
		{"misplaced", Event{Finding: &Finding{Store: "s", Kind: Misplaced, Key: "k", Size: 5, Detail: "blobs/00/k", Mended: true}},
			"s: file is in the wrong place: k (5 bytes); blobs/00/k\n  moved to where it belongs"},
		{"hostile path", Event{Finding: &Finding{Store: "s", Kind: Missing, Key: "k", Assets: []store.Place{{Repository: "a", Path: "/\x1b[2J"}}, Named: 1}},
			"s: bytes are missing: k (0 bytes)\n  named by a \"/\\x1b[2J\""},
		{"summary", Event{Summary: &Summary{Store: "s", Files: 3, Rows: 4, Read: 9, Damaged: 1, Mended: 1, Alarm: "many", Error: "gone"}},
			"s: 3 files, 4 rows, 9 bytes read, 1 damaged, 1 mended\ns: ALARM: many\ns: could not be checked: gone"},
		{"well", Event{Result: &Result{}}, "all is well"},
		{"waiting", Event{Result: &Result{Waiting: 2}}, "all is well, but 2 blobs wait for an upload"},
		{"wrong", Event{Result: &Result{Wrong: 2}}, "2 things are wrong"},
		{"unchecked", Event{Result: &Result{Stores: 3, Unchecked: 1, Wrong: 2}}, "1 of 3 blob stores could not be checked"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.event.String(); got != tt.want {
				t.Errorf("text = %q, want %q", got, tt.want)
			}
		})
	}
}
