package store_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/repomgr/repomgr/core/store"
	"github.com/repomgr/repomgr/core/store/storetest"
)

func TestArea(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func() *store.Store) {
		one, two := open(), open()
		area := func(s *store.Store, name string) store.Area {
			t.Helper()
			a, err := s.Area(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			return a
		}
		if diff := cmp.Diff(store.Area{Settings: map[string]string{}}, area(one, "a")); diff != "" {
			t.Errorf("at first: %s", diff)
		}
		set := func(s *store.Store, name, key, value string) error {
			return s.Update(t.Context(), func(tx *store.Tx) error {
				if _, err := tx.ChangeArea(name); err != nil {
					return err
				}
				return tx.SetSetting(key, value)
			})
		}
		for key, value := range map[string]string{"a.x": "1", "a.y": "2", "ab.x": "3"} {
			if err := set(one, key[:len(key)-2], key, value); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(store.Area{Epoch: 2, Settings: map[string]string{"a.x": "1", "a.y": "2"}}, area(two, "a")); diff != "" {
			t.Errorf("on another node: %s", diff)
		}
		failed := errors.New("no")
		err := one.Update(t.Context(), func(tx *store.Tx) error {
			if _, err := tx.ChangeArea("a"); err != nil {
				return err
			}
			return errors.Join(tx.SetSetting("a.x", "9"), failed)
		})
		if a := area(one, "a"); !errors.Is(err, failed) || a.Epoch != 2 || a.Settings["a.x"] != "1" {
			t.Errorf("a change that failed: %v, %+v", err, a)
		}
		// Changes at once are made one after the other: none is lost.
		var wg sync.WaitGroup
		for i := range 16 {
			s := []*store.Store{one, two}[i%2]
			wg.Go(func() {
				err := s.Update(t.Context(), func(tx *store.Tx) error {
					a, err := tx.ChangeArea("a")
					if err != nil {
						return err
					}
					return tx.SetSetting("a.n", a.Settings["a.n"]+"+")
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if a := area(one, "a"); len(a.Settings["a.n"]) != 16 || a.Epoch != 18 {
			t.Errorf("after changes at once: %+v", a)
		}
	})
}
