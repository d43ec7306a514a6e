package security_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/security"
	"github.com/repomgr/repomgr/core/security/securitytest"
)

func TestMemory(t *testing.T) {
	securitytest.Run(t, func(*testing.T) security.Directory { return new(securitytest.Memory) })
}

func TestUsers(t *testing.T) {
	s := newServer(t)
	ids := func(prefix string) string {
		var ids []string
		for _, u := range s.Users(prefix) {
			if u.Hash != "" {
				t.Errorf("%s is shown with a password hash", u.ID)
			}
			ids = append(ids, u.ID)
		}
		return strings.Join(ids, " ")
	}
	for _, test := range []struct{ prefix, want string }{
		{"", "admin anonymous carl"}, {"A", "admin anonymous"}, {"ad", "admin"}, {"carl", "carl"}, {"carla", ""},
	} {
		if got := ids(test.prefix); got != test.want {
			t.Errorf("users with prefix %q: %q, want %q", test.prefix, got, test.want)
		}
	}
	if u, err := s.User("carl"); err != nil || u.Email != "carl@example.org" || u.Source != security.SourceLocal || u.Hash != "" {
		t.Errorf("carl = %+v, %v", u, err)
	}
	if _, err := s.User("x"); !errs.Is(err, errs.NotFound) || err.Error() != "User 'x' not found." {
		t.Errorf("unknown user: %v", err)
	}
}

func TestCreateUserRefuses(t *testing.T) {
	s := newServer(t)
	for _, test := range []struct {
		name, field string
		change      func(*security.User)
		password    string
	}{
		{"taken", "userId", func(u *security.User) { u.ID = "carl" }, "x"},
		{"no id", "userId", func(u *security.User) { u.ID = " " }, "x"},
		{"colon", "userId", func(u *security.User) { u.ID = "a:b" }, "x"},
		{"control character", "userId", func(u *security.User) { u.ID = "a\nb" }, "x"},
		{"long id", "userId", func(u *security.User) { u.ID = strings.Repeat("a", 201) }, "x"},
		{"no first name", "firstName", func(u *security.User) { u.FirstName = "" }, "x"},
		{"no last name", "lastName", func(u *security.User) { u.LastName = "" }, "x"},
		{"no address", "emailAddress", func(u *security.User) { u.Email = "" }, "x"},
		{"bad address", "emailAddress", func(u *security.User) { u.Email = "Eve <e@example.org>" }, "x"},
		{"bad status", "status", func(u *security.User) { u.Status = "gone" }, "x"},
		{"unknown role", "roles", func(u *security.User) { u.Roles = []string{"x"} }, "x"},
		{"other source", "source", func(u *security.User) { u.Source = "LDAP" }, "x"},
		{"no password", "password", func(*security.User) {}, " "},
	} {
		t.Run(test.name, func(t *testing.T) {
			u := carl()
			u.ID = "eve"
			test.change(&u)
			_, err := s.CreateUser(t.Context(), u, test.password)
			if e := errs.As(err); e.Kind != errs.Invalid || e.Field != test.field {
				t.Errorf("create = %v", err)
			}
		})
	}
	if got := len(s.Users("")); got != 3 {
		t.Errorf("%d users", got)
	}
}

func TestLastAdministrator(t *testing.T) {
	s := newServer(t)
	admin, err := s.User("admin")
	if err != nil {
		t.Fatal(err)
	}
	edit := func(change func(*security.User)) func() error {
		return func() error {
			u := admin
			u.Roles = slices.Clone(u.Roles)
			change(&u)
			return s.UpdateUser(t.Context(), u)
		}
	}
	losses := []struct {
		name string
		lose func() error
	}{
		{"deleted", func() error { return s.DeleteUser(t.Context(), "admin") }},
		{"disabled", edit(func(u *security.User) { u.Status = security.Disabled })},
		{"locked", edit(func(u *security.User) { u.Status = security.Locked })},
		{"without the role", edit(func(u *security.User) { u.Roles = []string{security.RoleContributor} })},
	}
	for _, loss := range losses {
		if err := loss.lose(); !errs.Is(err, errs.Invalid) {
			t.Errorf("last administrator %s: %v", loss.name, err)
		}
	}
	mustBe(t, s.Service, basic("admin", "secret"))
	second := carl()
	second.ID, second.Roles = "root", []string{security.RoleAdmin}
	if _, err := s.CreateUser(t.Context(), second, "x"); err != nil {
		t.Fatal(err)
	}
	for _, loss := range slices.Backward(losses) {
		if err := loss.lose(); err != nil {
			t.Errorf("one of two administrators %s: %v", loss.name, err)
		}
	}
	if err := s.DeleteUser(t.Context(), "root"); !errs.Is(err, errs.Invalid) {
		t.Errorf("last administrator with another name: %v", err)
	}
}

func TestUnknownUser(t *testing.T) {
	s := newServer(t)
	u := carl()
	u.ID = "x"
	for name, err := range map[string]error{
		"update": s.UpdateUser(t.Context(), u), "password": s.ChangePassword(t.Context(), "x", "y"), "delete": s.DeleteUser(t.Context(), "x"),
	} {
		if !errs.Is(err, errs.NotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := s.ChangePassword(t.Context(), "carl", ""); errs.As(err).Field != "password" {
		t.Errorf("empty password: %v", err)
	}
}

func TestAnonymous(t *testing.T) {
	s := newServer(t)
	guest, err := as(t, s.Service)
	if err != nil || !s.Guests() || !s.Allowed(guest, "raw", "r", content.Read, "/", "") {
		t.Fatalf("guest = %+v, %v", guest, err)
	}
	got, err := s.SetAnonymous(t.Context(), security.Anonymous{Enabled: false})
	if want := (security.Anonymous{UserID: "anonymous", RealmName: "NexusAuthorizingRealm"}); err != nil || got != want || s.Anonymous() != want {
		t.Errorf("set = %+v, %v; now %+v", got, err, s.Anonymous())
	}
	if s.Guests() || s.Allowed(guest, "raw", "r", content.Read, "/", "") || s.Permitted(guest, "nexus:search:read") {
		t.Error("anonymous callers have rights though they are not let in")
	}
	if _, err := s.SetAnonymous(t.Context(), security.Anonymous{Enabled: true, RealmName: "x"}); errs.As(err).Field != "realmName" {
		t.Errorf("unknown realm: %v", err)
	}
	if _, err := s.SetAnonymous(t.Context(), security.Anonymous{Enabled: true, UserID: "carl"}); err != nil {
		t.Fatal(err)
	}
	if !s.Allowed(guest, "raw", "r", content.Add, "/", "") {
		t.Error("anonymous callers don't have the roles of the user that stands for them")
	}
	for _, id := range []string{"carl", "anonymous"} {
		if err := s.DeleteUser(t.Context(), id); !errs.Is(err, errs.Invalid) {
			t.Errorf("delete %s: %v", id, err)
		}
	}
	if _, err := s.SetAnonymous(t.Context(), security.Anonymous{Enabled: true, UserID: "nobody"}); err != nil || s.Guests() {
		t.Errorf("a user that there isn't: %v, guests %v", err, s.Guests())
	}
}

// firstStart starts a server on an empty directory; failing tells whether the user can't be stored.
func firstStart(t *testing.T, dir string, d security.Directory, password string) (*security.Service, bool, error) {
	t.Helper()
	s, err := security.New(t.Context(), d, security.Options{DataDir: dir, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	created, err := s.EnsureAdmin(t.Context(), password, false)
	return s, created, err
}

func passwordFile(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, security.PasswordFile)
	password, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return ""
	}
	info, e := os.Stat(path)
	if err != nil || e != nil || info.Mode() != 0o600 {
		t.Fatalf("password file: %v, %v, %v", info.Mode(), err, e)
	}
	return string(password)
}

func TestFirstStart(t *testing.T) {
	dir, d := t.TempDir(), new(securitytest.Memory)
	s, created, err := firstStart(t, dir, d, "")
	if err != nil || !created {
		t.Fatal(created, err)
	}
	password := passwordFile(t, dir)
	if len(password) < 20 {
		t.Fatalf("password file holds %q", password)
	}
	mustBe(t, s, basic("admin", password))
	if u, _ := s.User("admin"); u.Status != security.MustChange {
		t.Errorf("admin is %s", u.Status)
	}
	if s.Guests() {
		t.Error("anonymous callers are let in")
	}
	if s, created, err = firstStart(t, dir, d, "other"); err != nil || created || passwordFile(t, dir) != password {
		t.Errorf("second start: created %v, %v, file %q", created, err, passwordFile(t, dir))
	}
	refused(t, s, "the password of a later start", basic("admin", "other"))
	if err := s.ChangePassword(t.Context(), "carl", "x"); err == nil {
		t.Error("carl exists")
	}
	if passwordFile(t, dir) == "" {
		t.Error("the file went without a change of the password")
	}
	if err := s.ChangePassword(t.Context(), "admin", "changed"); err != nil || passwordFile(t, dir) != "" {
		t.Errorf("change: %v, file %q", err, passwordFile(t, dir))
	}
	mustBe(t, s, basic("admin", "changed"))
	if u, _ := s.User("admin"); u.Status != security.Active {
		t.Errorf("admin is %s", u.Status)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 0 {
		t.Errorf("left over: %v, %v", entries, err)
	}
}

func TestFirstStartWithPassword(t *testing.T) {
	dir := t.TempDir()
	s, created, err := firstStart(t, dir, new(securitytest.Memory), "configured")
	if err != nil || !created || passwordFile(t, dir) != "" {
		t.Errorf("created %v, %v, file %q", created, err, passwordFile(t, dir))
	}
	mustBe(t, s, basic("admin", "configured"))
	if u, _ := s.User("admin"); u.Status != security.Active {
		t.Errorf("admin is %s", u.Status)
	}
}

// full is a directory that can't store users, as after a crash between the file and the commit.
type full struct{ *securitytest.Memory }

var errFull = errors.New("full")

func (f full) Update(ctx context.Context, change func(security.Tx) error) error {
	return f.Memory.Update(ctx, func(tx security.Tx) error {
		if err := change(tx); err != nil {
			return err
		}
		if users, err := tx.Users(); err != nil || len(users) > 0 {
			return errors.Join(errFull, err)
		}
		return nil
	})
}

// TestInterruptedFirstStart: whatever a first start that was cut off left behind, the next one ends with a user whose
// password the file holds.
func TestInterruptedFirstStart(t *testing.T) {
	for _, test := range []struct{ name, password string }{{"again without a password", ""}, {"then with one", "configured"}} {
		t.Run(test.name, func(t *testing.T) {
			dir, d := t.TempDir(), new(securitytest.Memory)
			if _, created, err := firstStart(t, dir, full{d}, ""); !errors.Is(err, errFull) || created {
				t.Fatal(created, err)
			}
			first := passwordFile(t, dir)
			if first == "" {
				t.Fatal("the user was stored before the file")
			}
			// as a crash in the middle of writing leaves it
			if err := os.WriteFile(filepath.Join(dir, "."+security.PasswordFile+".new"), []byte("par"), 0o600); err != nil {
				t.Fatal(err)
			}
			s, created, err := firstStart(t, dir, d, test.password)
			if err != nil || !created {
				t.Fatal(created, err)
			}
			refused(t, s, "the password of the start that was cut off", basic("admin", first))
			if test.password != "" {
				if left := passwordFile(t, dir); left != "" {
					t.Errorf("the outdated file stays with %q", left)
				}
				mustBe(t, s, basic("admin", test.password))
				return
			}
			mustBe(t, s, basic("admin", passwordFile(t, dir)))
		})
	}
}

// TestStalePasswordFile: a crash between the change of the password and the removal of the file is mended at the next start.
func TestStalePasswordFile(t *testing.T) {
	dir, d := t.TempDir(), new(securitytest.Memory)
	s, _, err := firstStart(t, dir, d, "configured")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, security.PasswordFile)
	for _, test := range []struct {
		content string
		stays   bool
	}{{"configured", true}, {"outdated", false}} {
		if err := os.WriteFile(path, []byte(test.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := s.EnsureAdmin(t.Context(), "", false); err != nil {
			t.Fatal(err)
		}
		if got := passwordFile(t, dir) != ""; got != test.stays {
			t.Errorf("file with %q stays: %v", test.content, got)
		}
	}
}

func TestResetAdmin(t *testing.T) {
	s := newServer(t)
	second := carl()
	second.ID, second.Roles = "root", []string{security.RoleAdmin}
	if _, err := s.CreateUser(t.Context(), second, "x"); err != nil {
		t.Fatal(err)
	}
	disabled, _ := s.User("admin")
	disabled.Status, disabled.Roles = security.Disabled, nil
	for name, damage := range map[string]func() error{
		"nothing":  func() error { return nil },
		"disabled": func() error { return s.UpdateUser(t.Context(), disabled) },
		"deleted":  func() error { return s.DeleteUser(t.Context(), "admin") },
	} {
		t.Run(name, func(t *testing.T) {
			if err := damage(); err != nil {
				t.Fatal(err)
			}
			if err := s.ResetAdmin(t.Context(), "reset "+name); err != nil {
				t.Fatal(err)
			}
			p := mustBe(t, s.Service, basic("admin", "reset "+name))
			if !s.Permitted(p, "nexus:*") {
				t.Error("admin is no administrator")
			}
		})
	}
	if err := s.ResetAdmin(t.Context(), ""); errs.As(err).Field != "password" {
		t.Errorf("empty password: %v", err)
	}
}

func TestNoDataDirectory(t *testing.T) {
	if _, created, err := firstStart(t, "", new(securitytest.Memory), ""); err == nil || created {
		t.Errorf("a password that nobody can know was set: %v, %v", created, err)
	}
}
