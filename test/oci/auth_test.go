package oci

import (
	"bufio"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
)

// challenge is a WWW-Authenticate header (RFC 9110 section 11.6.1).
type challenge struct {
	scheme     string
	parameters map[string]string
}

var parameter = regexp.MustCompile(`([a-z]+)="([^"]*)"`)

// challenge is the answer's only challenge.
func (res response) challenge(t testing.TB) challenge {
	t.Helper()
	values := res.header.Values("WWW-Authenticate")
	if len(values) != 1 {
		t.Fatalf("%s: status %d: WWW-Authenticate is %q", res.request, res.status, values)
	}
	scheme, rest, _ := strings.Cut(values[0], " ")
	c := challenge{scheme, map[string]string{}}
	for _, m := range parameter.FindAllStringSubmatch(rest, -1) {
		c.parameters[m[1]] = m[2]
	}
	return c
}

// wantBearer checks that a refusal asks for a token with the scope, from the host that the client knows. Its realm must be on that
// host and port: clients refuse another loopback or private address.
func (r registry) wantBearer(t testing.TB, res response, scope string) challenge {
	t.Helper()
	c := res.want(t, http.StatusUnauthorized).wantHeader(t, "Docker-Distribution-API-Version", "registry/2.0").challenge(t)
	if c.scheme != "Bearer" || c.parameters["service"] == "" || c.parameters["scope"] != scope {
		t.Errorf("%s: challenge %+v, want one of Bearer with the scope %q", res.request, c, scope)
	}
	if realm := c.parameters["realm"]; realm != "http://"+r.hostname()+r.rootPath("/v2/token") {
		t.Errorf("%s: realm %q", res.request, realm)
	}
	return c
}

// hostname is the host and port that the client calls.
func (r registry) hostname() string {
	if r.host != "" {
		return r.host
	}
	return strings.TrimPrefix(r.root, "http://")
}

// scope is one for the image.
func (r registry) scope(actions string) string { return "repository:" + r.name() + ":" + actions }

// end-1: 200 tells that this is a registry; old dockers look for the version as well.
func TestPing_SignedIn200(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		for _, authorization := range []string{basic(adminUser, adminPassword), bearer(r.token(t, basic(adminUser, adminPassword)).Token)} {
			r.by(authorization).get(t, r.rootPath("/v2/")).want(t, http.StatusOK).wantHeader(t, "Docker-Distribution-API-Version", "registry/2.0")
		}
	})
}

// end-1: 401 with the challenge. Docker asks here, once, how to sign in, so it is told even where anonymous callers may read.
func TestPing_Anonymous401(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		res := r.by("").get(t, r.rootPath("/v2/")).refused(t, http.StatusUnauthorized, "UNAUTHORIZED")
		r.wantBearer(t, res, "")
	})
}

// An anonymous client comes back with the token that it got for nothing.
func TestPing_AnonymousToken200(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		r.by(bearer(r.token(t, "").Token)).get(t, r.rootPath("/v2/")).want(t, http.StatusOK)
	})
}

// Wrong credentials are refused, though anonymous callers may read: else "docker login" takes any password.
func TestPing_WrongCredentials401(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		good := r.token(t, basic(adminUser, adminPassword), r.scope("pull")).Token
		wrong := []string{
			basic(adminUser, "wrong"), basic("nobody", adminPassword), basic(adminUser, ""), basic("", ""), basic("", adminPassword),
			"Basic", "Basic !!!", "Basic YWRtaW4=", "Bearer", "Bearer x", "Bearer a.b.c", bearer(good + "x"), bearer(good[:len(good)-2]),
			bearer("eyJhbGciOiJub25lIn0." + strings.Split(good, ".")[1] + "."), "Digest x", "admin:" + adminPassword,
		}
		for _, authorization := range wrong {
			r.by(authorization).get(t, r.rootPath("/v2/")).refused(t, http.StatusUnauthorized, "UNAUTHORIZED").challenge(t)
		}
		_, _ = r.pushImage(t, "v1")
		for _, authorization := range wrong[:2] {
			r.by(authorization).get(t, r.manifest("v1")).refused(t, http.StatusUnauthorized, "UNAUTHORIZED")
			r.by(authorization).get(t, r.path("tags/list")).refused(t, http.StatusUnauthorized, "UNAUTHORIZED")
		}
		twice := func(req *http.Request) {
			req.Header["Authorization"] = []string{basic(adminUser, adminPassword), basic("x", "y")}
		}
		r.get(t, r.rootPath("/v2/"), twice).want(t, http.StatusUnauthorized)
	})
}

// "docker login": ping, challenge, token request with account, client_id and offline_token, ping.
func TestAuth_DockerLogin(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		c := r.by("").get(t, r.rootPath("/v2/")).want(t, http.StatusUnauthorized).challenge(t)
		realm, err := url.Parse(c.parameters["realm"])
		if err != nil {
			t.Fatal(err)
		}
		var got token
		r.get(t, realm.Path, query("account", adminUser, "client_id", "docker", "offline_token", "true", "service", c.parameters["service"])).
			want(t, http.StatusOK).decode(t, &got)
		if got.RefreshToken == "" {
			t.Error("there is no refresh_token")
		}
		r.by(bearer(got.Token)).get(t, r.rootPath("/v2/")).want(t, http.StatusOK)
		r.by(basic(adminUser, "wrong")).get(t, realm.Path, query("account", adminUser)).want(t, http.StatusUnauthorized)
	})
}

// Without the right a caller who is signed in gets 401 insufficient_scope as well, by Basic too.
func TestAuth_WithoutRight401(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		d, _ := r.pushImage(t, "v1")
		carla := r.by(basic(contributor, contributorPassword))
		carla.get(t, r.manifest("v1")).want(t, http.StatusOK)
		c := r.wantBearer(t, carla.remove(t, r.manifest(d)).refused(t, http.StatusUnauthorized, "DENIED"), r.scope("delete"))
		if c.parameters["error"] != "insufficient_scope" {
			t.Errorf("challenge %+v", c)
		}
		r.get(t, r.manifest(d)).want(t, http.StatusOK)
	})
}

// Anonymous pull: the token end-point gives a token for what everybody may read, without credentials.
func TestAnonymous_Pull(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		d, b := r.pushImage(t, "v1")
		blob := r.pushBlob(t, random(10))
		got := r.token(t, "", r.scope("pull,push"))
		for _, authorization := range []string{"", bearer(got.Token)} {
			nobody := r.by(authorization)
			nobody.get(t, r.manifest("v1")).want(t, http.StatusOK).wantBody(t, b)
			nobody.head(t, r.manifest(d)).want(t, http.StatusOK)
			nobody.get(t, r.blob(blob)).want(t, http.StatusOK)
			nobody.get(t, r.path("tags/list")).want(t, http.StatusOK)
			nobody.get(t, r.path("referrers/%s", d)).want(t, http.StatusOK)
		}
	})
}

// Anonymous callers who may not push are told which scope to get.
func TestAnonymous_Push401(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		d, b := r.pushImage(t, "v1")
		location := r.begin(t)
		nobody := r.by("")
		for _, tt := range []struct {
			res   response
			scope string
		}{
			{nobody.put(t, "v2", typeManifest, b), "pull,push"},
			{nobody.put(t, d, typeManifest, b), "pull,push"},
			{nobody.do(t, http.MethodPost, r.path("blobs/uploads/")), "pull,push"},
			{nobody.patch(t, location, random(10)), "pull,push"},
			{nobody.get(t, location), "pull,push"},
			{nobody.finish(t, location, digest.FromBytes(nil)), "pull,push"},
			{nobody.remove(t, location), "pull,push"},
			{nobody.remove(t, r.manifest("v1")), "delete"},
			{nobody.remove(t, r.manifest(d)), "delete"},
		} {
			r.wantBearer(t, tt.res.refused(t, http.StatusUnauthorized, "UNAUTHORIZED"), r.scope(tt.scope))
		}
		token := r.by(bearer(r.token(t, "", r.scope("pull,push")).Token))
		c := r.wantBearer(t, token.put(t, "v2", typeManifest, b), r.scope("pull,push"))
		if c.parameters["error"] != "insufficient_scope" && c.parameters["error"] != "" {
			t.Errorf("challenge %+v", c)
		}
		r.get(t, r.manifest("v2")).want(t, http.StatusNotFound)
	})
}

// Where anonymous callers may nothing, they can't tell what exists.
func TestAnonymous_Disabled401(t *testing.T) {
	t.Parallel()
	s := newServer(t, false)
	for _, e := range s.entries(t, open) {
		t.Run(e.name, func(t *testing.T) {
			r := s.newRegistry(e, open)
			d, _ := r.pushImage(t, "v1")
			nobody := r.by("")
			absent := nobody.sibling()
			for _, pair := range [][2]response{
				{nobody.get(t, r.manifest("v1")), nobody.get(t, r.manifest("v2"))},
				{nobody.get(t, r.manifest(d)), nobody.get(t, r.manifest(digest.FromBytes(random(8))))},
				{nobody.head(t, r.manifest("v1")), nobody.head(t, r.manifest("v2"))},
				{nobody.get(t, r.path("tags/list")), absent.get(t, absent.path("tags/list"))},
			} {
				there, missing := pair[0].want(t, http.StatusUnauthorized), pair[1].want(t, http.StatusUnauthorized)
				if diff := cmp.Diff(string(there.body), string(missing.body)); diff != "" {
					t.Errorf("the bodies differ:\n%s", diff)
				}
			}
			r.wantBearer(t, nobody.get(t, r.manifest("v1")), r.scope("pull"))
			// A token can be had, but it is good for nothing.
			got := r.token(t, "", r.scope("pull"))
			r.by(bearer(got.Token)).get(t, r.manifest("v1")).want(t, http.StatusUnauthorized)
			r.get(t, r.manifest("v1")).want(t, http.StatusOK)
		})
	}
}

// forceBasicAuth: a Basic challenge, and no anonymous callers though the server allows them.
func TestForceBasic_Challenge(t *testing.T) {
	eachOf(t, forced, func(t *testing.T, r registry) {
		r.pushImage(t, "v1")
		if r.entry.name != "path" { // the root of the main port is no repository's
			if c := r.by("").get(t, r.rootPath("/v2/")).refused(t, http.StatusUnauthorized, "UNAUTHORIZED").challenge(t); c.scheme != "Basic" || c.parameters["realm"] == "" {
				t.Errorf("challenge %+v", c)
			}
		}
		for _, res := range []response{r.by("").get(t, r.manifest("v1")), r.by("").get(t, r.manifest("v2")), r.by("").do(t, http.MethodPost, r.path("blobs/uploads/"))} {
			if c := res.refused(t, http.StatusUnauthorized, "UNAUTHORIZED").challenge(t); c.scheme != "Basic" {
				t.Errorf("%s: challenge %+v", res.request, c)
			}
		}
		r.get(t, r.manifest("v1")).want(t, http.StatusOK)
		// An anonymous token doesn't open it either.
		got := r.token(t, "", r.scope("pull"))
		r.by(bearer(got.Token)).get(t, r.manifest("v1")).want(t, http.StatusUnauthorized)
	})
}

// The path-based entry leads to many repositories: who is not signed in can't tell which exist.
func TestAuth_UnknownRepository(t *testing.T) {
	t.Parallel()
	s := sharedServer(t)
	r := s.newRegistry(s.entries(t, open)[1], open)
	for _, path := range []string{"/v2/no-such-repository/app/manifests/v1", "/v2/no-such-repository/app/tags/list"} {
		r.get(t, path).refused(t, http.StatusNotFound, "NAME_UNKNOWN", "MANIFEST_UNKNOWN")
		r.by("").get(t, path).refused(t, http.StatusUnauthorized, "UNAUTHORIZED").challenge(t)
	}
	uploads := "/v2/no-such-repository/app/blobs/uploads/"
	r.do(t, http.MethodPost, uploads).want(t, http.StatusNotFound).problems(t)
	r.by("").do(t, http.MethodPost, uploads).refused(t, http.StatusUnauthorized, "UNAUTHORIZED").challenge(t)
}

// RFC 9110 section 10.1.1: a client that expects 100 sends its body only if it is let in.
func TestAuth_BeforeBody(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		_, _ = r.pushImage(t, "v1")
		for _, tt := range []struct {
			name, method, target string
			registry
			status int
		}{
			{"anonymous blob", http.MethodPost, r.path("blobs/uploads/?digest=sha256:%064d", 0), r.by(""), http.StatusUnauthorized},
			{"wrong password", http.MethodPut, r.manifest("v1"), r.by(basic(adminUser, "wrong")), http.StatusUnauthorized},
			{"too large", http.MethodPut, r.manifest("v1"), r, http.StatusRequestEntityTooLarge},
			{"unknown session", http.MethodPatch, r.path("blobs/uploads/x"), r, http.StatusNotFound},
		} {
			conn := tt.dial(t)
			request := tt.head11(tt.method, tt.target) + "Content-Type: " + typeManifest + "\r\nContent-Length: 100000000\r\nExpect: 100-continue\r\n\r\n"
			if _, err := conn.Write([]byte(request)); err != nil {
				t.Fatal(err)
			}
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatalf("%s: %v", tt.name, err)
			}
			if res.StatusCode != tt.status {
				t.Errorf("%s: status %d before the body, want %d", tt.name, res.StatusCode, tt.status)
			}
			conn.Close()
		}
	})
}

// X-Forwarded-Proto and -Host of a proxy in front make the realm.
func TestAuth_RealmBehindProxy(t *testing.T) {
	each(t, func(t *testing.T, r registry) {
		res := r.by("").do(t, http.MethodPost, r.path("blobs/uploads/"), header("X-Forwarded-Proto", "https"), header("X-Forwarded-Host", "registry.example.org"))
		want := "https://registry.example.org" + r.rootPath("/v2/token")
		if c := res.want(t, http.StatusUnauthorized).challenge(t); c.parameters["realm"] != want {
			t.Errorf("challenge %+v, want the realm %q", c, want)
		}
	})
}
