package securitytest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/repomgr/repomgr/core/security"
)

// Run tests that a directory keeps the contract of security.Directory. open returns an empty one each time.
func Run(t *testing.T, open func(t *testing.T) security.Directory) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, security.Directory)
	}{
		{"users", testUsers},
		{"settings", testSettings},
		{"failure leaves nothing", testFailure},
		{"epoch", testEpoch},
		{"one after the other", testSerial},
		{"ended context", testContext},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

var (
	ann = security.User{
		ID: "ann", FirstName: "Ann", LastName: "Õ", Email: "ann@example.org", Source: security.SourceLocal,
		Status: security.Active, Roles: []string{"b", "a"}, Hash: "$h$", Version: 7,
	}
	bob = security.User{ID: "Bob", Source: security.SourceLocal, Status: security.Locked}
)

func update(t *testing.T, d security.Directory, change func(security.Tx) error) {
	t.Helper()
	if err := d.Update(t.Context(), change); err != nil {
		t.Fatal(err)
	}
}

func load(t *testing.T, d security.Directory) security.State {
	t.Helper()
	state, err := d.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func save(users ...security.User) func(security.Tx) error {
	return func(tx security.Tx) error {
		for _, u := range users {
			if err := tx.Save(u); err != nil {
				return err
			}
		}
		return nil
	}
}

func testUsers(t *testing.T, d security.Directory) {
	if got := load(t, d).Users; len(got) != 0 {
		t.Fatalf("new directory has users %+v", got)
	}
	update(t, d, save(ann, bob))
	equal := cmpopts.EquateEmpty()
	if diff := cmp.Diff([]security.User{bob, ann}, load(t, d).Users, equal); diff != "" {
		t.Errorf("users (-want +got):\n%s", diff)
	}
	changed := ann
	changed.Email, changed.Roles, changed.Version = "a@example.org", nil, 8
	update(t, d, func(tx security.Tx) error {
		if err := tx.Save(changed); err != nil {
			return err
		}
		if err := tx.Delete(bob.ID); err != nil {
			return err
		}
		if err := tx.Delete("nobody"); err != nil {
			return err
		}
		users, err := tx.Users()
		if diff := cmp.Diff([]security.User{changed}, users, equal); diff != "" {
			t.Errorf("users in the transaction (-want +got):\n%s", diff)
		}
		return err
	})
	if diff := cmp.Diff([]security.User{changed}, load(t, d).Users, equal); diff != "" {
		t.Errorf("users after the change (-want +got):\n%s", diff)
	}
}

func testSettings(t *testing.T, d security.Directory) {
	for _, value := range []string{"one", "two"} {
		update(t, d, func(tx security.Tx) error { return tx.SetSetting("security.k", value) })
		update(t, d, func(tx security.Tx) error {
			if got, err := tx.Setting("security.k"); err != nil || got != value {
				t.Errorf("setting = %q, %v, want %q", got, err, value)
			}
			got, err := tx.Setting("security.unset")
			if got != "" {
				t.Errorf("unset setting = %q", got)
			}
			return err
		})
		if got := load(t, d).Settings["security.k"]; got != value {
			t.Errorf("loaded setting = %q, want %q", got, value)
		}
	}
}

func testFailure(t *testing.T, d security.Directory) {
	update(t, d, save(ann))
	before := load(t, d)
	failure := errors.New("no")
	err := d.Update(t.Context(), func(tx security.Tx) error {
		if err := save(bob)(tx); err != nil {
			return err
		}
		if err := tx.SetSetting("security.k", "v"); err != nil {
			return err
		}
		return failure
	})
	if !errors.Is(err, failure) {
		t.Errorf("update = %v, want the error of the change", err)
	}
	if diff := cmp.Diff(before, load(t, d), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("a change that failed left (-want +got):\n%s", diff)
	}
}

func testEpoch(t *testing.T, d security.Directory) {
	last := load(t, d).Epoch
	for range 3 {
		var within int64
		update(t, d, func(tx security.Tx) error { within = tx.Epoch(); return nil })
		polled, err := d.Epoch(t.Context())
		if loaded := load(t, d).Epoch; err != nil || within <= last || polled != within || loaded != within {
			t.Errorf("epoch in the change %d, polled %d (%v), loaded %d, before %d", within, polled, err, loaded, last)
		}
		last = within
	}
}

// testSerial loses a change when two changes read the same state.
func testSerial(t *testing.T, d security.Directory) {
	const changes = 20
	var wg sync.WaitGroup
	for range changes {
		wg.Go(func() {
			err := d.Update(t.Context(), func(tx security.Tx) error {
				users, err := tx.Users()
				if err != nil {
					return err
				}
				return tx.Save(security.User{ID: fmt.Sprintf("u%02d", len(users)), Status: security.Active})
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := len(load(t, d).Users); got != changes {
		t.Errorf("%d users after %d changes that each added one", got, changes)
	}
}

func testContext(t *testing.T, d security.Directory) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Update(ctx, save(ann)); !errors.Is(err, context.Canceled) {
		t.Errorf("update with an ended context = %v", err)
	}
	if got := load(t, d).Users; len(got) != 0 {
		t.Errorf("an update with an ended context stored %+v", got)
	}
}
