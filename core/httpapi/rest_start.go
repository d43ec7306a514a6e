package httpapi

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/repomgr/repomgr/api"
	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/format"
	"github.com/repomgr/repomgr/core/repository"
	"github.com/repomgr/repomgr/ui"
)

// pathLogin is where a browser goes to be asked for credentials, which it then sends with all that follows.
const pathLogin = "/login"

type pageKey struct{}

// mountStart serves the start page.
func (s *server) mountStart(e *echo.Echo) {
	index := ui.Handler(func(r *http.Request) ui.Page { return r.Context().Value(pageKey{}).(ui.Page) })
	r := router{e}
	r.GET("/", func(c echo.Context) error {
		page, err := s.start(c.Request())
		if err != nil {
			return err
		}
		ctx := context.WithValue(c.Request().Context(), pageKey{}, page)
		index.ServeHTTP(c.Response(), c.Request().WithContext(ctx))
		return nil
	})
	r.GET(pathLogin, func(c echo.Context) error {
		caller, err := s.Security.Authenticate(c.Request().Context(), c.Request())
		if err != nil {
			return err
		}
		if caller.Anonymous {
			return refusal(caller)
		}
		return c.Redirect(http.StatusSeeOther, "/")
	})
}

// start is the start page for the caller. It lists no repositories for callers who have not signed in.
func (s *server) start(r *http.Request) (ui.Page, error) {
	page := ui.Page{Version: s.Version, API: api.Base + "/", Login: pathLogin}
	principal, err := s.Security.Authenticate(r.Context(), r)
	if err != nil {
		return page, err
	}
	if principal.Anonymous {
		page.Ports, err = s.ports(r)
		return page, err
	}
	caller := call{principal, baseURL(r)}
	ctx := withCall(r.Context(), caller)
	page.User = principal.User
	all, err := s.Repositories.List(ctx)
	if err != nil {
		return page, err
	}
	for _, c := range all {
		if s.views(ctx, c, content.Browse) {
			page.Repositories = append(page.Repositories, s.show(ctx, c))
		}
	}
	return page, nil
}

// ports are the addresses of all connectors. They tell no more than what a look at the machine's open ports does.
func (s *server) ports(r *http.Request) ([]string, error) {
	all, err := s.Repositories.List(r.Context())
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(baseURL(r))
	if err != nil {
		return nil, nil //nolint:nilerr // the caller's own idea of where we are makes no address
	}
	var ports []string
	for _, c := range all {
		settler, ok := s.formats[c.Format].(format.Settler)
		if !ok {
			continue
		}
		if _, access, err := settler.Settings(c.Settings); err == nil && access.HTTPPort != 0 {
			ports = append(ports, net.JoinHostPort(u.Hostname(), strconv.Itoa(access.HTTPPort)))
		}
	}
	return ports, nil
}

func (s *server) show(ctx context.Context, c repository.Config) ui.Repository {
	caller := callOf(ctx)
	shown := ui.Repository{Name: c.Name, Format: c.Format, Type: c.Type, URL: caller.repositoryURL(c.Name), Online: c.Online}
	f := s.formats[c.Format]
	settler, ok := f.(format.Settler)
	if !ok {
		return shown
	}
	_, access, err := settler.Settings(c.Settings)
	if err != nil {
		return shown
	}
	usage := f.Describe().Usage
	if strings.Contains(usage, "{url}") {
		shown.Entrances = append(shown.Entrances, ui.Entrance{Address: shown.URL, Commands: strings.ReplaceAll(usage, "{url}", shown.URL)})
	}
	for _, e := range entrances(caller.base, c.Name, f, access) {
		commands := strings.NewReplacer("{host}", e.host, "{address}", e.address()).Replace(usage)
		shown.Entrances = append(shown.Entrances, ui.Entrance{Address: e.address(), Commands: commands})
	}
	return shown
}

// entrance is what clients of a repository write before a name.
type entrance struct{ host, path string }

func (e entrance) address() string { return strings.TrimSuffix(e.host+"/"+e.path, "/") }

// entrances are all ways into the repository beside its URL, as seen by a client that knows the server by its base URL.
func entrances(base, name string, f format.Format, access format.Access) []entrance {
	u, err := url.Parse(base)
	if err != nil {
		return nil
	}
	var all []entrance
	for _, port := range []int{access.HTTPPort, access.HTTPSPort} {
		if port != 0 {
			all = append(all, entrance{host: net.JoinHostPort(u.Hostname(), strconv.Itoa(port))})
		}
	}
	if access.Subdomain != "" {
		all = append(all, entrance{host: access.Subdomain + "." + u.Host})
	}
	if e, ok := f.(format.Entrance); ok && access.PathEnabled {
		all = append(all, entrance{host: u.Host, path: e.Prefix(name).NamePrefix})
	}
	return all
}
