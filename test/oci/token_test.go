package oci

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

// token is the answer of the token end-point (Docker, "Token Authentication Specification" and "OAuth2 Token Authentication").
type token struct {
	Token        string `json:"token"`
	AccessToken  string `json:"access_token"`
	ExpiresIn    int    `json:"expires_in"`
	IssuedAt     string `json:"issued_at"`
	RefreshToken string `json:"refresh_token"`
	Scope        string `json:"scope"`
}

// token gets a token for scopes.
func (r registry) token(t testing.TB, authorization string, scopes ...string) token {
	t.Helper()
	options := []option{query("service", r.hostname())}
	for _, s := range scopes {
		options = append(options, query("scope", s))
	}
	var answer token
	r.by(authorization).get(t, r.rootPath("/v2/token"), options...).want(t, http.StatusOK).decode(t, &answer)
	return answer
}

// form asks for a token by POST.
func (r registry) form(t testing.TB, pairs ...string) response {
	t.Helper()
	values := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		values.Add(pairs[i], pairs[i+1])
	}
	return r.by("").do(t, http.MethodPost, r.rootPath("/v2/token"),
		header("Content-Type", "application/x-www-form-urlencoded"), body([]byte(values.Encode())))
}

// Docker, "Token Authentication Specification": the answer's fields. Clients read the one or the other name of the token.
func TestToken_Answer(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		res := r.get(t, r.rootPath("/v2/token"), query("service", "x", "scope", r.scope("pull"))).want(t, http.StatusOK)
		if got := res.header.Get("Cache-Control"); !strings.Contains(got, "no-store") {
			t.Errorf("Cache-Control %q", got)
		}
		var got token
		res.decode(t, &got)
		if got.Token == "" || got.Token != got.AccessToken {
			t.Errorf("token %q, access_token %q", got.Token, got.AccessToken)
		}
		// A push may be long: its token must last.
		if got.ExpiresIn < 15*60 {
			t.Errorf("expires_in %d", got.ExpiresIn)
		}
		issued, err := time.Parse(time.RFC3339, got.IssuedAt)
		if age := time.Since(issued); err != nil || age < -time.Minute || age > time.Minute {
			t.Errorf("issued_at %q: %v", got.IssuedAt, err)
		}
		if got.RefreshToken != "" {
			t.Error("a refresh_token that was not asked for")
		}
	})
}

// A token does what it was issued for, and no more; the refusal says which scope is wanted.
func TestToken_LimitedToScope(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		d, b := r.pushImage(t, "v1")
		other := r.sibling()
		other.pushImage(t, "v1")
		pull := r.by(bearer(r.token(t, r.authorization, r.scope("pull")).Token))
		pull.get(t, r.manifest("v1")).want(t, http.StatusOK)
		pull.get(t, r.path("tags/list")).want(t, http.StatusOK)
		pull.get(t, r.path("referrers/%s", d)).want(t, http.StatusOK)
		for _, tt := range []struct {
			res   response
			scope string
		}{
			{pull.put(t, "v2", typeManifest, b), r.scope("pull,push")},
			{pull.do(t, http.MethodPost, r.path("blobs/uploads/")), r.scope("pull,push")},
			{pull.remove(t, r.manifest("v1")), r.scope("delete")},
			{pull.get(t, other.manifest("v1")), other.scope("pull")},
			{pull.get(t, other.path("tags/list")), other.scope("pull")},
			{pull.get(t, r.rootPath("/v2/_catalog")), "registry:catalog:*"},
		} {
			c := r.wantBearer(t, tt.res, tt.scope)
			if c.parameters["error"] != "insufficient_scope" {
				t.Errorf("%s: error %q", tt.res.request, c.parameters["error"])
			}
			if code := tt.res.problems(t)[0].Code; code != "DENIED" && code != "UNAUTHORIZED" {
				t.Errorf("%s: code %s", tt.res.request, code)
			}
		}
		push := r.by(bearer(r.token(t, r.authorization, r.scope("pull,push")).Token))
		push.pushBlob(t, random(10))
		push.put(t, "v2", typeManifest, b).want(t, http.StatusCreated)
		push.remove(t, r.manifest("v2")).want(t, http.StatusUnauthorized)
		remove := r.by(bearer(r.token(t, r.authorization, r.scope("delete")).Token))
		remove.remove(t, r.manifest("v2")).want(t, http.StatusAccepted)
		all := r.by(bearer(r.token(t, r.authorization, r.scope("*")).Token))
		all.get(t, r.manifest("v1")).want(t, http.StatusOK)
		all.remove(t, r.manifest(d)).want(t, http.StatusAccepted)
	})
}

// A token without scopes allows nothing on images, not everything.
func TestToken_WithoutScope(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		_, b := r.pushImage(t, "v1")
		none := r.by(bearer(r.token(t, r.authorization).Token))
		none.get(t, r.manifest("v1")).want(t, http.StatusUnauthorized)
		none.put(t, "v2", typeManifest, b).want(t, http.StatusUnauthorized)
	})
}

// Scopes come as several parameters, or separated by spaces in one; a class of the type is allowed.
func TestToken_SeveralScopes(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		r.pushImage(t, "v1")
		other := r.sibling()
		other.pushImage(t, "v1")
		for name, got := range map[string]token{
			"several parameters": r.token(t, r.authorization, r.scope("pull"), other.scope("pull")),
			"space-joined":       r.token(t, r.authorization, r.scope("pull")+" "+other.scope("pull")),
			"with a class":       r.token(t, r.authorization, strings.Replace(r.scope("pull"), ":", "(plugin):", 1), other.scope("pull,pull")),
		} {
			both := r.by(bearer(got.Token))
			if a, b := both.get(t, r.manifest("v1")).status, both.get(t, other.manifest("v1")).status; a != http.StatusOK || b != http.StatusOK {
				t.Errorf("%s: status %d and %d", name, a, b)
			}
		}
		// The same name twice: the union of its actions.
		push := r.by(bearer(r.token(t, r.authorization, r.scope("pull"), r.scope("push")).Token))
		push.pushImage(t, "v2")
		push.get(t, r.manifest("v2")).want(t, http.StatusOK)
	})
}

// What is strange in a scope is not granted; the request never fails for it.
func TestToken_StrangeScopes200(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		r.pushImage(t, "v1")
		for _, strange := range []string{
			"", " ", ":", "::", "repository", "repository:", "repository::pull", "repository:x", "repository:UPPER:pull", "repository:a//b:pull",
			"repository:../x:pull", "unknown:x:pull", "repository(:x:pull", "repository:" + strings.Repeat("a", 5000) + ":pull",
			r.scope("fly"), r.scope(""), r.scope(",,"), "registry:nothing:*", "\x00:\xff:pull",
		} {
			got := r.token(t, r.authorization, strange, r.scope("pull"))
			r.by(bearer(got.Token)).get(t, r.manifest("v1")).want(t, http.StatusOK)
		}
		many := make([]string, 300)
		for i := range many {
			many[i] = fmt.Sprintf("repository:%sx%d:pull", r.prefix, i)
		}
		r.token(t, r.authorization, many...)
	})
}

// The token end-point grants the part of a scope that the caller may have.
func TestToken_GrantsSubset(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		d, b := r.pushImage(t, "v1")
		limited := r.by(bearer(r.token(t, basic(contributor, contributorPassword), r.scope("pull,push,delete")).Token))
		limited.get(t, r.manifest("v1")).want(t, http.StatusOK)
		limited.put(t, "v2", typeManifest, b).want(t, http.StatusCreated)
		limited.remove(t, r.manifest(d)).want(t, http.StatusUnauthorized)
		r.get(t, r.manifest(d)).want(t, http.StatusOK)
	})
}

// The catalog has a scope of its own.
func TestToken_CatalogScope(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		r.pushImage(t, "v1")
		res := r.by(bearer(r.token(t, "").Token)).get(t, r.rootPath("/v2/_catalog"))
		r.wantBearer(t, res, "registry:catalog:*")
		catalog := r.by(bearer(r.token(t, r.authorization, "registry:catalog:*").Token))
		catalog.get(t, r.rootPath("/v2/_catalog")).want(t, http.StatusOK)
		catalog.get(t, r.manifest("v1")).want(t, http.StatusUnauthorized)
	})
}

// The token end-point refuses wrong credentials, with a Basic challenge: it can't send clients to itself.
func TestToken_WrongCredentials401(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		for _, authorization := range []string{basic(adminUser, "wrong"), basic("nobody", "x"), "Basic !!!", "Bearer x"} {
			res := r.by(authorization).get(t, r.rootPath("/v2/token"), query("scope", r.scope("pull"))).refused(t, http.StatusUnauthorized, "UNAUTHORIZED")
			if c := res.challenge(t); c.scheme != "Basic" {
				t.Errorf("%s: challenge %+v", authorization, c)
			}
		}
	})
}

// A token is no credential for another token: it would outgrow its scope and its life.
func TestToken_NotForToken(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		got := r.token(t, r.authorization, r.scope("pull"))
		r.by(bearer(got.Token)).get(t, r.rootPath("/v2/token"), query("scope", r.scope("pull,push"))).want(t, http.StatusUnauthorized)
	})
}

// Docker, "OAuth2 Token Authentication": grant_type=password.
func TestToken_PostPassword(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		r.pushImage(t, "v1")
		var got token
		r.form(t, "grant_type", "password", "service", r.hostname(), "client_id", "containerd-client", "username", adminUser, "password", adminPassword,
			"scope", r.scope("pull,push")).want(t, http.StatusOK).decode(t, &got)
		if got.AccessToken == "" || got.RefreshToken != "" {
			t.Errorf("%+v", got)
		}
		user := r.by(bearer(got.AccessToken))
		user.get(t, r.manifest("v1")).want(t, http.StatusOK)
		user.pushBlob(t, random(10))
		r.form(t, "grant_type", "password", "username", adminUser, "password", "wrong").refused(t, http.StatusUnauthorized, "UNAUTHORIZED")
		r.form(t, "grant_type", "password").refused(t, http.StatusUnauthorized, "UNAUTHORIZED")
		for _, grant := range []string{"", "client_credentials", "authorization_code"} {
			r.form(t, "grant_type", grant, "username", adminUser, "password", adminPassword).want(t, http.StatusBadRequest).problems(t)
		}
	})
}

// Docker, "OAuth2 Token Authentication": access_type=offline gets a refresh token, which gets access tokens later.
func TestToken_PostRefresh(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		r.pushImage(t, "v1")
		var first, again token
		r.form(t, "grant_type", "password", "access_type", "offline", "username", adminUser, "password", adminPassword, "scope", r.scope("pull")).
			want(t, http.StatusOK).decode(t, &first)
		if first.RefreshToken == "" {
			t.Fatal("there is no refresh_token")
		}
		r.form(t, "grant_type", "refresh_token", "refresh_token", first.RefreshToken, "service", r.hostname(), "client_id", "x", "scope", r.scope("pull")).
			want(t, http.StatusOK).decode(t, &again)
		r.by(bearer(again.AccessToken)).get(t, r.manifest("v1")).want(t, http.StatusOK)
		// Each kind of token for its own use only.
		r.by(bearer(first.RefreshToken)).get(t, r.manifest("v1")).want(t, http.StatusUnauthorized)
		for _, wrong := range []string{first.AccessToken, first.RefreshToken + "x", "x", ""} {
			r.form(t, "grant_type", "refresh_token", "refresh_token", wrong).refused(t, http.StatusUnauthorized, "UNAUTHORIZED")
		}
	})
}

// A form that is no form, or one without end, must not hurt.
func TestToken_PostBadForm(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		form := header("Content-Type", "application/x-www-form-urlencoded")
		anonymous := r.by("")
		anonymous.do(t, http.MethodPost, r.rootPath("/v2/token"), form, body([]byte("%zz=;;;"))).want(t, http.StatusBadRequest).problems(t)
		anonymous.do(t, http.MethodPost, r.rootPath("/v2/token"), header("Content-Type", "application/json"), body([]byte("{}"))).want(t, http.StatusBadRequest).problems(t)
		res, err := anonymous.send(http.MethodPost, r.rootPath("/v2/token"), form, body([]byte("grant_type=password&x="+strings.Repeat("x", 2<<20))))
		if err == nil {
			res.want(t, http.StatusBadRequest, http.StatusRequestEntityTooLarge)
		}
	})
}

// A token dies with the password that it was got by, and the rights of its user.
func TestToken_EndsWithPassword(t *testing.T) {
	t.Parallel()
	s := newServer(t, false)
	r := s.newRegistry(s.entries(t, open)[0], open)
	r.pushImage(t, "v1")
	if err := s.createUser("dora", "first-password-1", "contributor"); err != nil {
		t.Fatal(err)
	}
	var got token
	r.form(t, "grant_type", "password", "access_type", "offline", "username", "dora", "password", "first-password-1", "scope", r.scope("pull")).
		want(t, http.StatusOK).decode(t, &got)
	r.by(bearer(got.Token)).get(t, r.manifest("v1")).want(t, http.StatusOK)
	if err := s.rest(http.MethodPut, "/v1/security/users/dora/change-password", "second-password-2", nil); err != nil {
		t.Fatal(err)
	}
	r.by(bearer(got.Token)).get(t, r.manifest("v1")).want(t, http.StatusUnauthorized)
	r.form(t, "grant_type", "refresh_token", "refresh_token", got.RefreshToken).want(t, http.StatusUnauthorized)
	r.by(basic("dora", "first-password-1")).get(t, r.manifest("v1")).want(t, http.StatusUnauthorized)
	r.by(basic("dora", "second-password-2")).get(t, r.manifest("v1")).want(t, http.StatusOK)
	if err := s.rest(http.MethodDelete, "/v1/security/users/dora", nil, nil); err != nil {
		t.Fatal(err)
	}
	r.by(basic("dora", "second-password-2")).get(t, r.manifest("v1")).want(t, http.StatusUnauthorized)
}

// An upload session is not bound to the token that it was begun with: tokens end before large pushes do.
func TestToken_ChangesWithinUpload(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		b := random(3000)
		fresh := func() registry { return r.by(bearer(r.token(t, r.authorization, r.scope("pull,push")).Token)) }
		location := fresh().begin(t)
		for at := 0; at < len(b); at += 1000 {
			location = fresh().chunk(t, location, at, b[at:at+1000]).want(t, http.StatusAccepted).location(t)
		}
		fresh().finish(t, location, digest.FromBytes(b)).want(t, http.StatusCreated)
	})
}
