package security_test

import (
	"context"
	"encoding/base64"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
	"github.com/repomgr/repomgr/core/security"
	"github.com/repomgr/repomgr/core/security/securitytest"
)

// server is a service with the users admin (password "secret"), carl, a contributor (password "carl:pass"), and
// anonymous, who is let in. Its clock stands until it is moved.
type server struct {
	*security.Service
	directory *securitytest.Memory
	dataDir   string
	moved     *atomic.Int64
}

func newServer(t testing.TB) server {
	t.Helper()
	s := server{directory: new(securitytest.Memory), dataDir: t.TempDir(), moved: new(atomic.Int64)}
	s.Service = s.node(t)
	if created, err := s.EnsureAdmin(t.Context(), "secret", true); err != nil || !created {
		t.Fatal(created, err)
	}
	if _, err := s.CreateUser(t.Context(), carl(), "carl:pass"); err != nil {
		t.Fatal(err)
	}
	return s
}

// node is another service on the same directory.
func (s server) node(t testing.TB) *security.Service {
	t.Helper()
	start := time.Now()
	node, err := security.New(t.Context(), s.directory, security.Options{
		DataDir: s.dataDir, Log: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return start.Add(time.Duration(s.moved.Load())) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return node
}

func (s server) advance(d time.Duration) { s.moved.Add(int64(d)) }

func carl() security.User {
	return security.User{
		ID: "carl", FirstName: "Carl", LastName: "C", Email: "carl@example.org",
		Status: security.Active, Roles: []string{security.RoleContributor},
	}
}

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// as authenticates a request with the Authorization headers.
func as(t testing.TB, s *security.Service, headers ...string) (security.Principal, error) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for _, h := range headers {
		r.Header.Add("Authorization", h)
	}
	return s.Authenticate(t.Context(), r)
}

func mustBe(t testing.TB, s *security.Service, header string) security.Principal {
	t.Helper()
	p, err := as(t, s, header)
	if err != nil {
		t.Fatalf("%q: %v", header, err)
	}
	return p
}

func refused(t testing.TB, s *security.Service, what, header string) {
	t.Helper()
	if p, err := as(t, s, header); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("%s: %+v, %v", what, p, err)
	}
}

func TestAuthenticate(t *testing.T) {
	s := newServer(t)
	for _, test := range []struct {
		name    string
		headers []string
		user    string // empty: Unauthenticated
	}{
		{"none", nil, security.AnonymousUser},
		{"basic", []string{basic("admin", "secret")}, "admin"},
		{"password with a colon", []string{basic("carl", "carl:pass")}, "carl"},
		{"scheme in lower case", []string{"basic" + basic("admin", "secret")[5:]}, "admin"},
		{"two spaces", []string{"Basic  " + basic("admin", "secret")[6:]}, "admin"},
		{"wrong password", []string{basic("admin", "Secret")}, ""},
		{"no password", []string{basic("admin", "")}, ""},
		{"unknown user", []string{basic("nobody", "secret")}, ""},
		{"no user", []string{basic("", "")}, ""},
		{"other case of the name", []string{basic("Admin", "secret")}, ""},
		{"the anonymous user", []string{basic("anonymous", "")}, ""},
		{"two headers", []string{basic("admin", "secret"), basic("admin", "secret")}, ""},
		{"empty", []string{""}, ""},
		{"scheme only", []string{"Basic"}, ""},
		{"not base64", []string{"Basic !!!"}, ""},
		{"no colon", []string{"Basic " + base64.StdEncoding.EncodeToString([]byte("admin"))}, ""},
		{"other scheme", []string{"Digest username=admin"}, ""},
		{"bearer rubbish", []string{"Bearer rubbish"}, ""},
		{"bearer without a token", []string{"Bearer "}, ""},
		{"credentials without a scheme", []string{basic("admin", "secret")[6:]}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, round := range []string{"first", "remembered"} {
				p, err := as(t, s.Service, test.headers...)
				switch {
				case test.user == "" && !errs.Is(err, errs.Unauthenticated):
					t.Errorf("%s: %+v, %v, want Unauthenticated", round, p, err)
				case test.user != "" && (err != nil || p.User != test.user || p.Anonymous != (test.headers == nil) || p.Grants != nil):
					t.Errorf("%s: %+v, %v, want %s", round, p, err, test.user)
				}
			}
		})
	}
}

// TestChangesCountAtOnce: who was let in and remembered a moment ago is judged by what holds now.
func TestChangesCountAtOnce(t *testing.T) {
	status := func(status security.Status) func(server) error {
		return func(s server) error {
			u := carl()
			u.Status = status
			return s.UpdateUser(context.Background(), u)
		}
	}
	for _, test := range []struct {
		name   string
		change func(s server) error
		// in: the password lets in; may: the principal may still read; token: the old token lets in
		in, may, token bool
	}{
		{"none", func(server) error { return nil }, true, true, true},
		{"other user", func(s server) error { return s.ChangePassword(context.Background(), "admin", "x") }, true, true, true},
		{"password", func(s server) error { return s.ChangePassword(context.Background(), "carl", "x") }, false, true, false},
		{"disabled", status(security.Disabled), false, false, false},
		{"locked", status(security.Locked), false, false, false},
		{"must change", status(security.MustChange), true, true, true},
		{"deleted", func(s server) error { return s.DeleteUser(context.Background(), "carl") }, false, false, false},
		{"roles", func(s server) error {
			u := carl()
			u.Roles = nil
			return s.UpdateUser(context.Background(), u)
		}, true, false, true},
		{"deleted and created", func(s server) error {
			if err := s.DeleteUser(context.Background(), "carl"); err != nil {
				return err
			}
			_, err := s.CreateUser(context.Background(), carl(), "carl:pass")
			return err
		}, true, true, false},
		{"disabled and enabled", func(s server) error {
			if err := status(security.Disabled)(s); err != nil {
				return err
			}
			return status(security.Active)(s)
		}, true, true, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newServer(t)
			p := mustBe(t, s.Service, basic("carl", "carl:pass"))
			grants := []format.Grant{{Repository: "r", Name: "n", Actions: []content.Action{content.Read}}}
			token, err := s.Tokens(p, "docker").Issue(t.Context(), p.Caller(), grants)
			if err != nil {
				t.Fatal(err)
			}
			byToken := mustBe(t, s.Service, "Bearer "+token.Value)
			if !s.Allowed(byToken, "docker", "r", content.Read, "/n", "n") {
				t.Fatal("the token allows nothing")
			}
			if err := test.change(s); err != nil {
				t.Fatal(err)
			}
			if _, err := as(t, s.Service, basic("carl", "carl:pass")); (err == nil) != test.in {
				t.Errorf("password: %v", err)
			}
			if got := s.Allowed(p, "docker", "r", content.Read, "/n", "n"); got != test.may {
				t.Errorf("may read = %v", got)
			}
			if got := s.Allowed(byToken, "docker", "r", content.Read, "/n", "n"); got != test.may {
				t.Errorf("may read by token = %v", got)
			}
			if _, err := as(t, s.Service, "Bearer "+token.Value); (err == nil) != test.token {
				t.Errorf("token: %v", err)
			}
		})
	}
}

func TestAllowed(t *testing.T) {
	s := newServer(t)
	actions := []content.Action{content.Browse, content.Read, content.Add, content.Edit, content.Delete}
	for _, test := range []struct {
		name string
		who  security.Principal
		want []bool
	}{
		{"admin", security.Principal{User: "admin"}, []bool{true, true, true, true, true}},
		{"contributor", security.Principal{User: "carl"}, []bool{true, true, true, true, false}},
		{"anonymous", security.Principal{User: "anonymous", Anonymous: true}, []bool{true, true, false, false, false}},
		{"unknown", security.Principal{User: "nobody"}, []bool{false, false, false, false, false}},
		{"zero", security.Principal{}, []bool{false, false, false, false, false}},
	} {
		t.Run(test.name, func(t *testing.T) {
			for i, action := range actions {
				if got := s.Allowed(test.who, "docker", "r", action, "/p", "p"); got != test.want[i] {
					t.Errorf("%s = %v", action, got)
				}
			}
			if !s.Allowed(test.who, "docker", "r", content.Public, "/p", "p") {
				t.Error("public is refused")
			}
		})
	}
}

func TestPermitted(t *testing.T) {
	s := newServer(t)
	admin, contributor := security.Principal{User: "admin"}, security.Principal{User: "carl"}
	guest := security.Principal{User: "anonymous", Anonymous: true}
	for _, test := range []struct {
		permission                string
		admin, contributor, guest bool
	}{
		{"nexus:users:delete", true, false, false},
		{"nexus:settings:read", true, false, false},
		{"nexus:*", true, false, false},
		{"nexus:repository-admin:docker:r:add", true, true, false},
		{"nexus:repository-admin:docker:r:delete", true, false, false},
		{"nexus:repository-admin:docker:r:edit", true, false, false},
		{"nexus:repository-view:docker:r:browse", true, true, true},
		{"nexus:search:read", true, true, true},
		{"nexus:userschangepw:create,read", true, true, false},
		{"", false, false, false},
		{"nexus::read", false, false, false},
	} {
		t.Run(test.permission, func(t *testing.T) {
			for _, w := range []struct {
				who  security.Principal
				want bool
			}{{admin, test.admin}, {contributor, test.contributor}, {guest, test.guest}} {
				if got := s.Permitted(w.who, test.permission); got != w.want {
					t.Errorf("%s: %v", w.who.User, got)
				}
			}
		})
	}
	if s.Permitted(security.Principal{User: "admin", Grants: []format.Grant{}}, "nexus:users:read") {
		t.Error("a token of limited grants manages users")
	}
}

func TestRefusal(t *testing.T) {
	s := newServer(t)
	u := carl()
	u.ID, u.Roles = "dora", nil
	if _, err := s.CreateUser(t.Context(), u, "x"); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		who  security.Principal
		kind errs.Kind
		code string
	}{
		{"anonymous", security.Principal{User: "anonymous", Anonymous: true}, errs.Unauthenticated, ""},
		{"no right on the repository", security.Principal{User: "dora"}, errs.NotFound, ""},
		{"other rights on the repository", security.Principal{User: "carl"}, errs.Forbidden, ""},
		{"token", security.Principal{User: "carl", Grants: []format.Grant{}}, errs.Unauthenticated, "insufficient_scope"},
		{"anonymous token", security.Principal{Anonymous: true, Grants: []format.Grant{}}, errs.Unauthenticated, "insufficient_scope"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if e := s.Refusal(test.who, "docker", "r"); e.Kind != test.kind || e.Code != test.code {
				t.Errorf("refusal = %+v", e)
			}
		})
	}
}

// TestUnknownUserCostsTheSame: the time of an answer doesn't tell whether there is such a user.
func TestUnknownUserCostsTheSame(t *testing.T) {
	s := newServer(t)
	took := func(user string) time.Duration {
		start := time.Now()
		refused(t, s.Service, user, basic(user, "wrong"))
		return time.Since(start)
	}
	for _, user := range []string{"nobody", "anonymous", ""} {
		// a hash takes milliseconds, everything else microseconds
		if known, unknown := took("admin"), took(user); unknown < known/20 {
			t.Errorf("%q was refused in %v, a wrong password in %v", user, unknown, known)
		}
	}
}

func TestNodes(t *testing.T) {
	s := newServer(t)
	other := s.node(t)
	mustBe(t, other, basic("carl", "carl:pass"))
	if err := s.DeleteUser(t.Context(), "carl"); err != nil {
		t.Fatal(err)
	}
	if err := other.Sync(t.Context(), s.Epoch()); err != nil || other.Epoch() != s.Epoch() {
		t.Errorf("epoch %d, want %d: %v", other.Epoch(), s.Epoch(), err)
	}
	refused(t, other, "deleted on the other node", basic("carl", "carl:pass"))

	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { other.Watch(ctx, time.Millisecond) })
	if _, err := s.CreateUser(t.Context(), carl(), "carl:pass"); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); other.Epoch() != s.Epoch(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the change was not noticed")
		}
	}
	cancel()
	wg.Wait()
	mustBe(t, other, basic("carl", "carl:pass"))
}

// TestConcurrent is for the race detector, and shows that right credentials are never refused while others change.
func TestConcurrent(t *testing.T) {
	s := newServer(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 30 {
				p, err := as(t, s.Service, basic("admin", "secret"))
				if err != nil || !s.Allowed(p, "docker", "r", content.Delete, "/p", "p") {
					t.Errorf("admin: %+v, %v", p, err)
				}
				token, err := s.Tokens(p, "docker").Issue(t.Context(), p.Caller(), nil)
				if err != nil {
					t.Error(err)
				}
				if _, err := as(t, s.Service, "Bearer "+token.Value); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range 10 {
		u := carl()
		u.FirstName = string(rune('a' + i))
		if err := s.UpdateUser(t.Context(), u); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
}

func BenchmarkAllowed(b *testing.B) {
	s := newServer(b)
	grants := []format.Grant{{Repository: "r", Name: "team/image", Actions: []content.Action{content.Read, content.Add}}}
	for _, bench := range []struct {
		name string
		who  security.Principal
	}{
		{"admin", security.Principal{User: "admin"}},
		{"contributor", security.Principal{User: "carl"}},
		{"token", security.Principal{User: "carl", Grants: grants}},
		{"anonymous", security.Principal{User: "anonymous", Anonymous: true}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !s.Allowed(bench.who, "docker", "r", content.Read, "/v2/team/image", "team/image") {
					b.Fatal("refused")
				}
			}
		})
	}
}

func BenchmarkAuthenticate(b *testing.B) {
	s := newServer(b)
	p := mustBe(b, s.Service, basic("carl", "carl:pass"))
	token, err := s.Tokens(p, "docker").Issue(b.Context(), p.Caller(), nil)
	if err != nil {
		b.Fatal(err)
	}
	for _, bench := range []struct{ name, header string }{
		{"basic", basic("carl", "carl:pass")},
		{"bearer", "Bearer " + token.Value},
	} {
		b.Run(bench.name, func(b *testing.B) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header.Set("Authorization", bench.header)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Authenticate(b.Context(), r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func FuzzAuthenticate(f *testing.F) {
	s := newServer(f)
	p := security.Principal{User: "carl"}
	token, err := s.Tokens(p, "docker").Issue(context.Background(), p.Caller(), nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add("Bearer " + token.Value)
	f.Add(basic("carl", "carl:pass"))
	f.Add("Basic ")
	f.Add("Bearer a.b.c")
	f.Add("Bearer eyJhbGciOiJub25lIn0.e30.")
	f.Fuzz(func(t *testing.T, header string) {
		if len(header) > 6 && header[5] == ' ' && len(header) < 40 {
			// each new pair costs a hash: leave time for the rest
			if _, err := base64.StdEncoding.DecodeString(header[6:]); err == nil && header != basic("carl", "carl:pass") {
				return
			}
		}
		p, err := as(t, s.Service, header)
		if err == nil && p.User != "carl" {
			t.Errorf("%q is %+v", header, p)
		}
		if err != nil && !errs.Is(err, errs.Unauthenticated) {
			t.Errorf("%q: %v", header, err)
		}
	})
}
