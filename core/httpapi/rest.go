// Package httpapi is what the server shows over HTTP beside its content: the REST API, its reference and the start page.
// It is the one package that knows echo.
package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/repomgr/repomgr/api"
	"github.com/repomgr/repomgr/core/format"
	"github.com/repomgr/repomgr/core/remote"
	"github.com/repomgr/repomgr/core/repository"
	"github.com/repomgr/repomgr/core/security"
	"github.com/repomgr/repomgr/core/task"
)

// Repositories are the repositories of the server. A missing one is a NotFound error.
type Repositories interface {
	// List returns all, ordered by name.
	List(ctx context.Context) ([]repository.Config, error)
	Get(ctx context.Context, name string) (repository.Config, error)
	// Create checks all of the configuration: name, storage, settings, ports. Errors about it carry the field.
	Create(ctx context.Context, c repository.Config) error
	// Update refuses another blob store, format or type with an Invalid error.
	Update(ctx context.Context, c repository.Config) error
	// Delete also takes the repository out of all groups.
	Delete(ctx context.Context, name string) error
	// Invalidate makes what a proxy, or any in a group, keeps stale; a hosted repository is an Invalid error.
	Invalidate(ctx context.Context, name string) error
	// Upstream is the state of a proxy's upstream server; what is not a proxy is a NotFound error.
	Upstream(ctx context.Context, name string) (remote.State, error)
}

// RoutingRules are the rules about what proxies and groups serve. A missing one is a NotFound error.
type RoutingRules interface {
	// List returns all, ordered by name.
	List(ctx context.Context) ([]repository.RoutingRule, error)
	Get(ctx context.Context, name string) (repository.RoutingRule, error)
	// Create and Update check all of the rule. Errors about it carry the field.
	Create(ctx context.Context, r repository.RoutingRule) error
	Update(ctx context.Context, r repository.RoutingRule) error
	// Delete refuses a rule that a repository uses with a Conflict error.
	Delete(ctx context.Context, name string) error
	// Test tells whether a rule, which need not be one that there is, allows a path, which may have a query.
	Test(r repository.RoutingRule, path string) (allowed bool, err error)
}

// BlobStores are the blob stores of the server. A missing one is a NotFound error.
type BlobStores interface {
	// List returns all: "default" first, then by name.
	List(ctx context.Context) ([]repository.BlobStoreStatus, error)
	Get(ctx context.Context, name string) (repository.BlobStoreStatus, error)
	Create(ctx context.Context, c repository.BlobStoreConfig) error
	Update(ctx context.Context, c repository.BlobStoreConfig) error
	// Delete refuses a store that is in use with a Conflict or Invalid error.
	Delete(ctx context.Context, name string) error
}

// Security knows the users and their rights; *security.Service is one.
type Security interface {
	// Authenticate says who sent the request. Without credentials that is an anonymous principal.
	Authenticate(ctx context.Context, r *http.Request) (security.Principal, error)
	Permitted(p security.Principal, permission string) bool
	// Guests tells whether anonymous callers have any rights.
	Guests() bool
	Anonymous() security.Anonymous
	SetAnonymous(ctx context.Context, a security.Anonymous) (security.Anonymous, error)
	// Users returns the users whose ids start with the prefix, ignoring case, ordered by id.
	Users(prefix string) []security.User
	CreateUser(ctx context.Context, u security.User, password string) (security.User, error)
	UpdateUser(ctx context.Context, u security.User) error
	ChangePassword(ctx context.Context, id, password string) error
	DeleteUser(ctx context.Context, id string) error
}

// Tasks are the tasks of the server; *task.Manager is them. A missing one is a NotFound error.
type Tasks interface {
	// List returns all, or those of a type, ordered by name.
	List(ctx context.Context, typeID string) ([]task.Job, error)
	Get(ctx context.Context, id int64) (task.Job, error)
	// Create and Update check all of the definition. Errors about it carry the field.
	Create(ctx context.Context, d task.Definition) (task.Job, error)
	Update(ctx context.Context, id int64, d task.Definition) error
	// Delete refuses one of the server's own with a Conflict error.
	Delete(ctx context.Context, id int64) error
	// Start refuses one that is running, and Stop one that is not, with a Conflict error.
	Start(ctx context.Context, id int64) error
	Stop(ctx context.Context, id int64) error
	History(ctx context.Context, id int64, limit int) ([]task.Run, error)
	// Templates are the types of tasks that can be created.
	Templates() []task.Template
}

// Deps is what the pages and operations work on.
type Deps struct {
	Repositories Repositories
	BlobStores   BlobStores
	RoutingRules RoutingRules
	Security     Security
	Network      Network
	// Browser lists what is in repositories; without one there are no listings.
	Browser Browser
	Tasks   Tasks
	// Formats are all formats of the server.
	Formats []format.Format
	// Version is the server's own version.
	Version string
	// Ready tells why the server can't answer requests now, Writable why it can't store; nil means that it always can.
	Ready, Writable func(ctx context.Context) error
	// Log is slog.Default when nil.
	Log *slog.Logger
}

// server implements the generated interface.
type server struct {
	Deps
	// formats are the formats by their names in the data model and in the API's paths.
	formats map[string]format.Format
}

var _ api.StrictServerInterface = (*server)(nil)

// REST serves all that Mount registers.
func REST(deps Deps) (http.Handler, error) {
	e := echo.New()
	return e, Mount(e, deps)
}

// Mount registers the REST API, its reference and the start page on e, and takes over e's error handling.
func Mount(e *echo.Echo, deps Deps) error {
	s := &server{Deps: deps, formats: map[string]format.Format{}}
	if s.Log == nil {
		s.Log = slog.Default()
	}
	for _, f := range deps.Formats {
		d := f.Describe()
		s.formats[d.Name] = f
		if d.API != "" {
			s.formats[d.API] = f
		}
	}
	doc, err := api.Load(context.Background())
	if err != nil {
		return err
	}
	e.HTTPErrorHandler = s.handleError
	e.Pre(normalise)
	e.Use(restHeaders, s.recover)
	guards := map[string][]echo.MiddlewareFunc{}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			guards[op.OperationID] = []echo.MiddlewareFunc{s.guard(operation{doc, path, item, method, op})}
		}
	}
	api.RegisterHandlersWithOptions(router{e}, api.NewStrictHandler(s, nil), api.RegisterHandlersOptions{
		BaseURL: api.Base, OperationMiddlewares: guards,
	})
	mountReference(e, doc)
	s.mountBrowse(e)
	s.mountStart(e)
	return nil
}

// isREST tells whether the request is for the REST API.
func isREST(r *http.Request) bool {
	return r.URL.Path == api.Base || strings.HasPrefix(r.URL.Path, api.Base+"/") || strings.HasPrefix(r.URL.Path, api.Own)
}

// normalise makes the paths of requests for the REST API look as the routes are written: clients of Nexus may end a path
// with a slash. Paths are matched as they were sent, so that a parameter may hold an escaped slash or percent sign; the
// generated code unescapes parameters.
func normalise(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		if !isREST(r) {
			return next(c)
		}
		// echo finds the route of the request it was called with, so that is the one to change
		r.URL.RawPath = r.URL.EscapedPath()
		if strings.HasPrefix(r.URL.Path, api.Base+"/v1/") || strings.HasPrefix(r.URL.Path, api.Own) {
			r.URL.Path, r.URL.RawPath = strings.TrimSuffix(r.URL.Path, "/"), strings.TrimSuffix(r.URL.RawPath, "/")
		}
		return next(c)
	}
}

// router answers HEAD wherever it answers GET, as Nexus does; net/http sends no body then. It knows which paths are not below
// api.Base, where the generated code puts all.
type router struct{ *echo.Echo }

func (r router) GET(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	r.HEAD(place(path), h, m...)
	return r.Echo.GET(place(path), h, m...)
}

func (r router) PUT(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	return r.Echo.PUT(place(path), h, m...)
}

func (r router) POST(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	return r.Echo.POST(place(path), h, m...)
}

func (r router) DELETE(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	return r.Echo.DELETE(place(path), h, m...)
}

// place is where the path of a route belongs that the generated code has put below api.Base.
func place(path string) string {
	if below, ok := strings.CutPrefix(path, api.Base); ok {
		return api.Path(below)
	}
	return path
}

// serverHeader tells clients of Nexus which version's behaviour to expect: some read version and edition from it.
const serverHeader = "Nexus/3.77.1-01 (OSS)"

func restHeaders(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if h := c.Response().Header(); isREST(c.Request()) {
			h.Set("Server", serverHeader)
			h.Set("X-Content-Type-Options", "nosniff")
		}
		return next(c)
	}
}

// recover turns a panic into an error, whose text goes to the log only.
func (s *server) recover(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if e, ok := v.(error); ok && errors.Is(e, http.ErrAbortHandler) {
				panic(v)
			}
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}()
		return next(c)
	}
}
