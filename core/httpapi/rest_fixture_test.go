package httpapi

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
	"github.com/labstack/echo/v4"

	"github.com/repomgr/repomgr/api"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
	"github.com/repomgr/repomgr/core/remote"
	"github.com/repomgr/repomgr/core/repository"
	"github.com/repomgr/repomgr/core/security"
	"github.com/repomgr/repomgr/core/security/securitytest"
	"github.com/repomgr/repomgr/core/task"
	"github.com/repomgr/repomgr/formats/docker"
	"github.com/repomgr/repomgr/formats/raw"
)

// memoryRepositories keeps repositories in memory. It checks what the real one checks and the API shows: names.
type memoryRepositories struct {
	mu  sync.Mutex
	all map[string]repository.Config
	// fail, when set, is what all methods answer.
	fail error
}

func (m *memoryRepositories) List(context.Context) ([]repository.Config, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []repository.Config
	for _, c := range m.all {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b repository.Config) int { return cmp.Compare(a.Name, b.Name) })
	return all, m.fail
}

func (m *memoryRepositories) Get(_ context.Context, name string) (repository.Config, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, ok := m.all[name]
	if !ok {
		return c, cmp.Or(m.fail, error(errs.New(errs.NotFound, "no repository of that name")))
	}
	return c, m.fail
}

func (m *memoryRepositories) Create(_ context.Context, c repository.Config) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name := range m.all {
		if strings.EqualFold(name, c.Name) {
			return errs.Field("name", "Name is already used, must be unique (ignoring case)")
		}
	}
	if err := repository.CheckName(c.Name); err != nil {
		return err
	}
	for _, f := range formats() {
		if d := f.Describe(); d.Name != c.Format {
			continue
		}
		if _, _, err := f.(format.Settler).Settings(c.Settings); err != nil {
			return err
		}
	}
	m.all[c.Name] = c
	return m.fail
}

func (m *memoryRepositories) Update(_ context.Context, c repository.Config) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.all[c.Name].Storage.BlobStore != c.Storage.BlobStore {
		return errs.Field("BlobStoreName", "Blob store can't be changed")
	}
	m.all[c.Name] = c
	return m.fail
}

func (m *memoryRepositories) Delete(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.all, name)
	return m.fail
}

func (m *memoryRepositories) Invalidate(context.Context, string) error { return m.fail }

func (m *memoryRepositories) Upstream(context.Context, string) (remote.State, error) {
	return remote.State{Status: remote.Ready}, m.fail
}

func formats() []format.Format { return []format.Format{docker.New(), raw.New()} }

// memoryStores keeps blob stores in memory.
type memoryStores struct {
	mu  sync.Mutex
	all []repository.BlobStoreStatus
}

func (m *memoryStores) index(name string) int {
	return slices.IndexFunc(m.all, func(b repository.BlobStoreStatus) bool { return b.Name == name })
}

func (m *memoryStores) List(context.Context) ([]repository.BlobStoreStatus, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.all), nil
}

func (m *memoryStores) Get(_ context.Context, name string) (repository.BlobStoreStatus, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := m.index(name); i >= 0 {
		return m.all[i], nil
	}
	return repository.BlobStoreStatus{}, errs.New(errs.NotFound, "Blob store %s not found", name)
}

func (m *memoryStores) Create(_ context.Context, c repository.BlobStoreConfig) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.index(c.Name) >= 0 {
		return errs.New(errs.Conflict, "Name is already used, must be unique (ignoring case)")
	}
	m.all = append(m.all, repository.BlobStoreStatus{BlobStoreConfig: c})
	return nil
}

func (m *memoryStores) Update(_ context.Context, c repository.BlobStoreConfig) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all[m.index(c.Name)].BlobStoreConfig = c
	return nil
}

func (m *memoryStores) Delete(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := m.index(name)
	switch {
	case i < 0:
		return errs.New(errs.NotFound, "Blob store %s not found", name)
	case name == "default":
		return errs.New(errs.Conflict, "Blob store default is in use by a repository")
	}
	m.all = slices.Delete(m.all, i, i+1)
	return nil
}

// noTasks are no tasks at all.
type noTasks struct{ Tasks }

func (noTasks) List(context.Context, string) ([]task.Job, error) { return nil, nil }
func (noTasks) Get(context.Context, int64) (task.Job, error) {
	return task.Job{}, errs.New(errs.NotFound, "Task not found")
}
func (noTasks) Templates() []task.Template { return nil }

// The users of a fixture; the password of each is the same as the name.
const (
	admin       = "admin"
	contributor = "contributor"
	powerless   = "powerless"
	anonymously = ""
)

// fixture is a server over real HTTP, and what is behind it.
type fixture struct {
	*httptest.Server
	t            *testing.T
	echo         *echo.Echo
	repositories *memoryRepositories
	stores       *memoryStores
	security     *security.Service
	log          *bytes.Buffer
}

// newFixture starts a server with the repository "images", port 8082, the blob stores "default" and "s3", and the users.
// Nobody is let in anonymously.
func newFixture(t *testing.T, changes ...func(*Deps)) *fixture {
	t.Helper()
	f := &fixture{t: t, echo: echo.New(), log: &bytes.Buffer{}}
	f.repositories = &memoryRepositories{all: map[string]repository.Config{"images": {
		Name: "images", Format: "docker", Type: "hosted", Online: true,
		Storage:  repository.Storage{BlobStore: "default", WritePolicy: repository.Allow},
		Settings: []byte(`{"v1Enabled":false,"forceBasicAuth":true,"httpPort":8082}`),
	}}}
	f.stores = &memoryStores{all: []repository.BlobStoreStatus{
		{BlobStoreConfig: repository.BlobStoreConfig{Name: "default", Type: "File", Path: "default"}, BlobCount: 3, TotalSize: 4096, AvailableSpace: 1 << 40},
		{BlobStoreConfig: repository.BlobStoreConfig{Name: "s3", Type: "S3"}, Unavailable: "no such bucket"},
	}}
	deps := Deps{
		Repositories: f.repositories, BlobStores: f.stores, Formats: formats(),
		Tasks: noTasks{}, Version: "1.2.3", Log: slog.New(slog.NewTextHandler(f.log, nil)),
	}
	for _, change := range changes {
		change(&deps)
	}
	if deps.Security == nil {
		f.security = newSecurity(t.TempDir())
		deps.Security = f.security
	}
	if err := Mount(f.echo, deps); err != nil {
		t.Fatal(err)
	}
	f.Server = httptest.NewServer(f.echo)
	t.Cleanup(f.Close)
	return f
}

// in is the fixture for a subtest, which must not change anything.
func (f *fixture) in(t *testing.T) *fixture {
	sub := *f
	sub.t = t
	return &sub
}

// routes finds the described operation of a request.
var routes = sync.OnceValue(func() routers.Router {
	doc, err := api.Load(context.Background())
	must(err)
	r, err := legacy.NewRouter(doc)
	must(err)
	return r
})

// knownUsers makes fixtures share their users, so that passwords are checked once: for tests that don't change users.
func knownUsers(d *Deps) { d.Security = sharedSecurity() }

var sharedSecurity = sync.OnceValue(func() *security.Service { return newSecurity("") })

// users are the users of all fixtures, with passwords hashed once.
var users = sync.OnceValue(func() []security.User {
	memory := &securitytest.Memory{}
	s := openSecurity(memory, "")
	_, err := s.EnsureAdmin(context.Background(), admin, false)
	must(err)
	for id, roles := range map[string][]string{contributor: {security.RoleContributor}, powerless: nil} {
		u := security.User{ID: id, FirstName: id, LastName: id, Email: id + "@example.org", Status: security.Active, Roles: roles}
		_, err := s.CreateUser(context.Background(), u, id)
		must(err)
	}
	state, err := memory.Load(context.Background())
	must(err)
	return state.Users
})

func newSecurity(dataDir string) *security.Service {
	memory := &securitytest.Memory{}
	must(memory.Update(context.Background(), func(tx security.Tx) error {
		for _, u := range users() {
			if err := tx.Save(u); err != nil {
				return err
			}
		}
		return nil
	}))
	return openSecurity(memory, dataDir)
}

func openSecurity(directory security.Directory, dataDir string) *security.Service {
	s, err := security.New(context.Background(), directory, security.Options{DataDir: dataDir, Log: slog.New(slog.DiscardHandler)})
	must(err)
	return s
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// answer is a response with its body read.
type answer struct {
	*http.Response
	body string
}

// do sends a request, as JSON when it has a body and headers (pairs of name and value) say nothing else. path is below the
// API's base when it starts with /v1. Answers of the API must be as its description says.
func (f *fixture) do(user, method, path, body string, headers ...string) answer {
	f.t.Helper()
	if strings.HasPrefix(path, "/v1") {
		path = api.Base + path
	}
	r, err := http.NewRequestWithContext(f.t.Context(), method, f.URL+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	if user != anonymously {
		r.SetBasicAuth(user, user)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(r)
	if err != nil {
		f.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	f.conform(r, response, text)
	return answer{response, string(text)}
}

// conform checks a response against the API's description. Internal errors are not described.
func (f *fixture) conform(r *http.Request, response *http.Response, body []byte) {
	f.t.Helper()
	if response.StatusCode >= 500 || r.Method == http.MethodHead {
		return
	}
	asked := r.Clone(r.Context())
	// the description's server is a path without a host
	path := strings.TrimSuffix(r.URL.Path, "/")
	if strings.HasPrefix(path, api.Own) {
		path = api.Base + path
	}
	asked.URL = &url.URL{Path: path}
	route, params, err := routes().FindRoute(asked)
	if err != nil {
		if !strings.HasPrefix(r.URL.Path, api.Base+"/v1/") || response.StatusCode == 404 || response.StatusCode == 405 {
			return
		}
		f.t.Fatalf("%s %s: %v", r.Method, r.URL.Path, err)
	}
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route},
		Status:                 response.StatusCode, Header: response.Header, Body: io.NopCloser(bytes.NewReader(body)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	}
	if err := openapi3filter.ValidateResponse(f.t.Context(), input); err != nil {
		f.t.Errorf("%s %s answers other than described: %v\n%s", r.Method, r.URL.Path, err, body)
	}
}

// allowAnonymous lets anonymous callers browse and read.
func (f *fixture) allowAnonymous() {
	f.t.Helper()
	if _, err := f.security.SetAnonymous(f.t.Context(), security.Anonymous{Enabled: true}); err != nil {
		f.t.Fatal(err)
	}
}
