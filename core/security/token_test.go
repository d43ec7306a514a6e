package security_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
	"github.com/repomgr/repomgr/core/security"
)

var everything = []content.Action{content.Read, content.Add, content.Edit, content.Delete}

func issue(t *testing.T, s server, p security.Principal, want ...format.Grant) format.Token {
	t.Helper()
	token, err := s.Tokens(p, "docker").Issue(t.Context(), p.Caller(), want)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestIssueGrantsWhatTheCallerHas(t *testing.T) {
	s := newServer(t)
	want := format.Grant{Repository: "r", Name: "n", Actions: everything}
	for _, test := range []struct {
		name string
		who  security.Principal
		got  []content.Action
	}{
		{"admin", security.Principal{User: "admin"}, everything},
		{"contributor", security.Principal{User: "carl"}, everything[:3]},
		{"anonymous", security.Principal{User: "anonymous", Anonymous: true}, everything[:1]},
		{"unknown", security.Principal{User: "nobody"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			token := issue(t, s, test.who, want)
			grants := []format.Grant{}
			if test.got != nil {
				grants = append(grants, format.Grant{Repository: "r", Name: "n", Actions: test.got})
			}
			if diff := cmp.Diff(grants, token.Grants); diff != "" {
				t.Errorf("grants (-want +got):\n%s", diff)
			}
			if token.ExpiresIn != 3600 || token.IssuedAt == 0 {
				t.Errorf("token = %+v", token)
			}
			p, err := as(t, s.Service, "Bearer "+token.Value)
			if test.name == "unknown" {
				if !errs.Is(err, errs.Unauthenticated) {
					t.Errorf("%+v, %v", p, err)
				}
				return
			}
			if err != nil || p.User != test.who.User || p.Anonymous != test.who.Anonymous {
				t.Errorf("principal = %+v, %v", p, err)
			}
			if diff := cmp.Diff(grants, p.Grants); diff != "" {
				t.Errorf("the principal's grants (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTokenIsLimited(t *testing.T) {
	s := newServer(t)
	token := issue(t, s, security.Principal{User: "admin"},
		format.Grant{Repository: "r", Name: "n", Actions: []content.Action{content.Read, content.Add}})
	p := mustBe(t, s.Service, "Bearer "+token.Value)
	for _, test := range []struct {
		name, repo, asset string
		action            content.Action
		want              bool
	}{
		{"granted", "r", "n", content.Read, true},
		{"granted too", "r", "n", content.Add, true},
		{"other action", "r", "n", content.Delete, false},
		{"other name", "r", "n/m", content.Read, false},
		{"no name", "r", "", content.Read, false},
		{"other repository", "q", "n", content.Read, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := s.Allowed(p, "docker", test.repo, test.action, "/"+test.asset, test.asset); got != test.want {
				t.Errorf("allowed = %v", got)
			}
		})
	}
	if s.Permitted(p, "nexus:users:read") {
		t.Error("a token manages users")
	}
	empty := mustBe(t, s.Service, "Bearer "+issue(t, s, security.Principal{User: "admin"}).Value)
	if empty.Grants == nil || s.Allowed(empty, "docker", "r", content.Read, "/n", "n") || s.Permitted(empty, "nexus:users:read") {
		t.Errorf("a token without grants is not limited: %+v", empty)
	}
}

// TestTokenForToken: a token can't be made into one that lasts longer or allows more.
func TestTokenForToken(t *testing.T) {
	s := newServer(t)
	p := mustBe(t, s.Service, "Bearer "+issue(t, s, security.Principal{User: "admin"}).Value)
	tokens := s.Tokens(p, "docker")
	if got, err := tokens.Issue(t.Context(), p.Caller(), nil); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("issue = %+v, %v", got, err)
	}
	if got, err := tokens.IssueRefresh(t.Context(), p.Caller()); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("refresh = %q, %v", got, err)
	}
	if _, err := tokens.Issue(t.Context(), format.Caller{User: "carl"}, nil); err != nil {
		t.Errorf("a caller found by other means: %v", err)
	}
}

func TestRefresh(t *testing.T) {
	s := newServer(t)
	p := security.Principal{User: "carl"}
	tokens := s.Tokens(p, "docker")
	refresh, err := tokens.IssueRefresh(t.Context(), p.Caller())
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, ok bool) {
		t.Helper()
		c, err := tokens.Refresh(t.Context(), refresh)
		if ok && (err != nil || c != p.Caller()) || !ok && !errs.Is(err, errs.Unauthenticated) {
			t.Errorf("%s: %+v, %v", what, c, err)
		}
	}
	check("new", true)
	s.advance(364 * 24 * time.Hour)
	check("364 days old", true)
	refused(t, s.Service, "a refresh token as access token", "Bearer "+refresh)
	access := issue(t, s, p)
	if c, err := tokens.Refresh(t.Context(), access.Value); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("an access token as refresh token: %+v, %v", c, err)
	}
	s.advance(25 * time.Hour)
	check("a year old", false)

	if refresh, err = tokens.IssueRefresh(t.Context(), p.Caller()); err != nil {
		t.Fatal(err)
	}
	check("another", true)
	if err := s.ChangePassword(t.Context(), "carl", "new"); err != nil {
		t.Fatal(err)
	}
	check("after a change of the password", false)
	guest := security.Principal{User: "anonymous", Anonymous: true}
	if got, err := tokens.IssueRefresh(t.Context(), guest.Caller()); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("anonymous callers got %q, %v", got, err)
	}
}

func TestPassword(t *testing.T) {
	s := newServer(t)
	tokens := s.Tokens(security.Principal{User: "anonymous", Anonymous: true}, "docker")
	if c, err := tokens.Password(t.Context(), "carl", "carl:pass"); err != nil || c != (format.Caller{User: "carl"}) {
		t.Errorf("password = %+v, %v", c, err)
	}
	if c, err := tokens.Password(t.Context(), "carl", "wrong"); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("wrong password = %+v, %v", c, err)
	}
}

func TestTokenExpires(t *testing.T) {
	s := newServer(t)
	token := "Bearer " + issue(t, s, security.Principal{User: "carl"}).Value
	other := s.node(t)
	mustBe(t, other, token)
	s.advance(59 * time.Minute)
	mustBe(t, s.Service, token)
	s.advance(time.Minute)
	refused(t, s.Service, "expired, remembered", token)
	refused(t, s.node(t), "expired, not remembered", token)
	s.advance(-62 * time.Minute)
	refused(t, s.node(t), "not valid yet", token)
}

func TestAnonymousToken(t *testing.T) {
	s := newServer(t)
	guest := security.Principal{User: "anonymous", Anonymous: true}
	token := "Bearer " + issue(t, s, guest, format.Grant{Repository: "r", Name: "n", Actions: everything}).Value
	p := mustBe(t, s.Service, token)
	if !s.Allowed(p, "docker", "r", content.Read, "/n", "n") || s.Allowed(p, "docker", "r", content.Read, "/m", "m") {
		t.Errorf("principal = %+v", p)
	}
	if _, err := s.SetAnonymous(t.Context(), security.Anonymous{}); err != nil {
		t.Fatal(err)
	}
	refused(t, s.Service, "anonymous token without anonymous access", token)
	if s.Allowed(p, "docker", "r", content.Read, "/n", "n") {
		t.Error("it still allows to read")
	}
}

// TestForgedTokens changes a good token in the ways that have fooled others.
func TestForgedTokens(t *testing.T) {
	s := newServer(t)
	good := issue(t, s, security.Principal{User: "carl"}).Value
	parts := strings.Split(good, ".")
	claims := jwt.MapClaims{}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(strings.NewReader(string(body)))
	decoder.UseNumber()
	if err := decoder.Decode(&claims); err != nil {
		t.Fatal(err)
	}
	state, err := s.directory.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	key, err := base64.StdEncoding.DecodeString(state.Settings["security.token-key"])
	if err != nil || len(key) != 32 {
		t.Fatalf("key of %d bytes: %v", len(key), err)
	}
	signed := func(method jwt.SigningMethod, key any, change func(jwt.MapClaims)) string {
		t.Helper()
		changed := jwt.MapClaims{}
		for k, v := range claims {
			changed[k] = v
		}
		change(changed)
		value, err := jwt.NewWithClaims(method, changed).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	unchanged := func(jwt.MapClaims) {}
	mustBe(t, s.Service, "Bearer "+signed(jwt.SigningMethodHS256, key, unchanged))
	admin := strings.Replace(string(body), `"carl"`, `"admin"`, 1)
	for _, test := range []struct{ name, token string }{
		{"other subject", parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(admin)) + "." + parts[2]},
		{"no signature", parts[0] + "." + parts[1] + "."},
		{"algorithm none", signed(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, unchanged)},
		{"other algorithm", signed(jwt.SigningMethodHS512, key, unchanged)},
		{"other key", signed(jwt.SigningMethodHS256, make([]byte, 32), unchanged)},
		{"empty key", signed(jwt.SigningMethodHS256, []byte{}, unchanged)},
		{"other issuer", signed(jwt.SigningMethodHS256, key, func(c jwt.MapClaims) { c["iss"] = "other" })},
		{"no issuer", signed(jwt.SigningMethodHS256, key, func(c jwt.MapClaims) { delete(c, "iss") })},
		{"no expiry", signed(jwt.SigningMethodHS256, key, func(c jwt.MapClaims) { delete(c, "exp") })},
		{"no type", signed(jwt.SigningMethodHS256, key, func(c jwt.MapClaims) { delete(c, "typ") })},
		{"other version", signed(jwt.SigningMethodHS256, key, func(c jwt.MapClaims) { c["ver"] = 0 })},
		{"unknown user", signed(jwt.SigningMethodHS256, key, func(c jwt.MapClaims) { c["sub"] = "nobody" })},
		{"cut", good[:len(good)-1]},
		{"longer", good + "A"},
		{"four parts", good + ".x"},
	} {
		t.Run(test.name, func(t *testing.T) { refused(t, s.Service, test.token, "Bearer "+test.token) })
	}
}

// TestRootGrant: a grant for a format's root goes to who may do the action in some repository.
func TestRootGrant(t *testing.T) {
	s := newServer(t)
	want := format.Grant{Actions: []content.Action{content.Browse, content.Delete}}
	for _, test := range []struct {
		name string
		who  security.Principal
		got  []content.Action
	}{
		{"admin", security.Principal{User: "admin"}, want.Actions},
		{"contributor", security.Principal{User: "carl"}, want.Actions[:1]},
		{"unknown", security.Principal{User: "nobody"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []content.Action
			for _, g := range issue(t, s, test.who, want).Grants {
				got = append(got, g.Actions...)
			}
			if diff := cmp.Diff(test.got, got); diff != "" {
				t.Errorf("granted (-want +got):\n%s", diff)
			}
		})
	}
}
