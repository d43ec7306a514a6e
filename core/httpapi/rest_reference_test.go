package httpapi

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"

	"github.com/repomgr/repomgr/api"
)

// described is an operation of the API's description, with a path that can be asked for.
type described struct {
	method, path, route string
	// list: a GET that filters; browse: anonymous callers may have the right; body: there is one, JSON.
	open, list, browse, body bool
}

func (f *fixture) operations() []described {
	f.t.Helper()
	doc, err := api.Load(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	values := strings.NewReplacer("{repositoryName}", "images", "{name}", "default", "{userId}", "admin", "{id}", "1", "{typeId}", "none")
	routes := strings.NewReplacer("{", ":", "}", "")
	var all []described
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			permission := api.Permission(op)
			if permission == "" && !api.Open(op) {
				f.t.Errorf("%s %s names no permission", method, path)
			}
			all = append(all, described{
				method: method, path: values.Replace(path), route: routes.Replace(api.Path(path)), open: api.Open(op),
				list:   !strings.Contains(path, "{") && strings.Contains(permission, "{"),
				browse: strings.HasSuffix(permission, ":browse"), body: op.RequestBody != nil,
			})
		}
	}
	return all
}

func TestEveryOperationIsRegistered(t *testing.T) {
	f := newFixture(t)
	var want, got []string
	for _, op := range f.operations() {
		want = append(want, op.method+" "+op.route)
	}
	for _, route := range f.echo.Routes() {
		if (strings.HasPrefix(route.Path, api.Base+"/v1") || strings.HasPrefix(route.Path, api.Own)) && route.Method != http.MethodHead {
			got = append(got, route.Method+" "+route.Path)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("routes (-described +registered):\n%s", diff)
	}
}

func TestSwagger(t *testing.T) {
	f := newFixture(t, knownUsers)
	yaml := f.do(anonymously, "GET", "/service/rest/swagger.yaml", "")
	if yaml.StatusCode != http.StatusOK || yaml.body != string(api.YAML()) {
		t.Errorf("swagger.yaml: %d, %d bytes, not the %d embedded ones", yaml.StatusCode, len(yaml.body), len(api.YAML()))
	}
	// credentials don't matter, not even wrong ones
	served := f.do("nobody", "GET", "/service/rest/swagger.json", "")
	doc, err := openapi3.NewLoader().LoadFromData([]byte(served.body))
	if err != nil {
		t.Fatal(err)
	}
	embedded, err := api.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(generic(t, embedded), generic(t, doc)); diff != "" {
		t.Errorf("swagger.json (-embedded +served):\n%s", diff)
	}
	if got := served.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("content type is %s", got)
	}
	checkHeaders(t, served)
}

func generic(t *testing.T, doc *openapi3.T) (v any) {
	t.Helper()
	text, err := doc.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestReference(t *testing.T) {
	f := newFixture(t, knownUsers)
	page := f.do(anonymously, "GET", "/service/rest/", "")
	if page.StatusCode != http.StatusOK || page.Header.Get("Content-Type") != "text/html; charset=UTF-8" {
		t.Fatalf("%d %s", page.StatusCode, page.Header.Get("Content-Type"))
	}
	for _, text := range []string{"nexus:repository-admin:docker:{name}:add", "docker.httpPort", "integer 1 to 65535 or null", "[].userId"} {
		if !strings.Contains(page.body, text) {
			t.Errorf("nothing about %s", text)
		}
	}
	if policy := page.Header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'; style-src 'sha256-") || strings.Contains(page.body, "<script") {
		t.Errorf("scripts, or policy %q", policy)
	}
	for _, path := range []string{"/swagger-ui", "/swagger-ui/", "/service/rest"} {
		got := f.do(anonymously, "GET", path, "")
		if got.StatusCode != http.StatusFound || got.Header.Get("Location") != "/service/rest/" {
			t.Errorf("%s answers %d to %s", path, got.StatusCode, got.Header.Get("Location"))
		}
	}
}

func TestStart(t *testing.T) {
	tests := []struct {
		name, user, path string
		status           int
		want, lack       string
	}{
		{name: "anonymous", path: "/", status: 200, want: "admin.password", lack: "images"},
		{name: "signed in", user: admin, path: "/", status: 200, want: "<code>127.0.0.1:8082</code>", lack: "admin.password"},
		{name: "without rights", user: powerless, path: "/", status: 200, want: "no repository that you may browse", lack: "images"},
		{name: "wrong password", user: "nobody", path: "/", status: 401, want: "Unauthorized"},
		{name: "asked for credentials", path: "/login", status: 401, want: "Unauthorized"},
		{name: "after that", user: admin, path: "/login", status: 303},
		{name: "elsewhere", user: admin, path: "/nothing", status: 404, want: "Not Found"},
	}
	f := newFixture(t, knownUsers)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := f.in(t).do(test.user, "GET", test.path, "")
			if got.StatusCode != test.status || !strings.Contains(got.body, test.want) || test.lack != "" && strings.Contains(got.body, test.lack) {
				t.Errorf("%d %s", got.StatusCode, got.body)
			}
			if asks := got.Header.Get("WWW-Authenticate") != ""; asks != (test.status == 401) {
				t.Errorf("challenge %q", got.Header.Get("WWW-Authenticate"))
			}
		})
	}
}
