package repository

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
	"github.com/repomgr/repomgr/core/remote"
	"github.com/repomgr/repomgr/core/security"
)

// contentPrefix is where each repository is found on the main port, whatever its format.
const contentPrefix = "/repository/"

// portHandler serves the repository that has the port now.
func (m *Manager) portHandler(port int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		repo := m.table.Load().ports[port]
		if repo == nil {
			http.Error(w, "no repository on this port", http.StatusNotFound)
			return
		}
		m.serve(w, m.along(r), repo, format.Entry{}, r.URL.Path)
	})
}

// along is a request that remembers by which servers it came.
func (m *Manager) along(r *http.Request) *http.Request {
	ctx := r.Context()
	if next := remote.Along(ctx, r.Header, m.loop); next != ctx {
		return r.WithContext(next)
	}
	return r
}

// ServeMain serves a request to the main port if it is for repositories, and tells whether it was.
func (m *Manager) ServeMain(w http.ResponseWriter, r *http.Request) bool {
	path := r.URL.Path
	r = m.along(r)
	if rest, ok := strings.CutPrefix(path, contentPrefix); ok {
		name, _, _ := strings.Cut(rest, "/")
		m.serveNamed(w, r, name, rest[len(name):])
		return true
	}
	t := m.table.Load()
	for _, p := range m.order {
		if p.entrance == nil || !hasPrefix(path, p.entrance.Prefixes()) {
			continue
		}
		if len(t.subdomains) > 0 {
			if repo := t.subdomain(r); repo != nil && repo.plugin == p {
				m.serve(w, r, repo, format.Entry{}, path)
				return true
			}
		}
		name, rest := p.entrance.Enter(path)
		if name == "" {
			m.serveRoot(w, r, p)
			return true
		}
		repo := t.names[strings.ToLower(name)]
		if repo == nil || repo.plugin != p || !repo.access.PathEnabled {
			m.serveUnknown(w, r, p, name, rest)
			return true
		}
		m.serve(w, r, repo, p.entrance.Prefix(name), rest)
		return true
	}
	return false
}

func hasPrefix(path string, prefixes []string) bool {
	for _, prefix := range prefixes {
		if path == prefix || strings.HasSuffix(prefix, "/") && strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return false
}

// subdomain is the repository that the host names: that of the request, which a proxy in front may have chosen, or else the one
// that the client used.
func (t *table) subdomain(r *http.Request) *Repository {
	if repo := t.subdomains[firstLabel(r.Host)]; repo != nil {
		return repo
	}
	return t.subdomains[firstLabel(format.ClientHost(r))]
}

// firstLabel is the first part of a host name, which may have a port.
func firstLabel(host string) string {
	if i := strings.IndexAny(host, ".:"); i >= 0 {
		host = host[:i]
	}
	return strings.ToLower(host)
}

func (m *Manager) serveNamed(w http.ResponseWriter, r *http.Request, name, path string) {
	repo := m.find(name)
	if repo == nil {
		principal, err := m.security.Authenticate(r.Context(), r)
		if err == nil {
			err = m.hidden(principal)
		}
		m.fail(w, r, nil, exchangeOf(m, principal), err)
		return
	}
	if path == "" {
		path = "/"
	}
	m.serve(w, r, repo, format.Entry{Base: contentPrefix + name}, path)
}

// hidden is the answer about a repository that isn't there: to somebody who has not signed in the same as about one that is.
func (m *Manager) hidden(p security.Principal) error {
	if p.Anonymous {
		return errs.New(errs.Unauthenticated, "authentication required")
	}
	return notFound()
}

// serveUnknown answers a request for a repository that isn't there, as the format would.
func (m *Manager) serveUnknown(w http.ResponseWriter, r *http.Request, p *plugin, name, path string) {
	x := &exchange{manager: m, repo: &Repository{config: Config{Name: name}, plugin: p, manager: m}, entry: p.entrance.Prefix(name)}
	var err error
	if x.principal, err = m.security.Authenticate(r.Context(), r); err == nil {
		if x.route, err = p.Resolve(r, path); err == nil {
			err = m.hidden(x.principal)
		}
	}
	m.fail(w, r, p, x, err)
}

// serve answers a request to a repository.
func (m *Manager) serve(w http.ResponseWriter, r *http.Request, repo *Repository, entry format.Entry, path string) {
	x := &exchange{manager: m, repo: repo, entry: entry}
	defer m.recover(w, r, repo.plugin, x)
	if err := x.serve(w, r, path); err != nil {
		m.fail(w, r, repo.plugin, x, err)
	}
}

func (x *exchange) serve(w http.ResponseWriter, r *http.Request, path string) error {
	principal, err := x.manager.security.Authenticate(r.Context(), r)
	x.principal, x.request = principal, r
	if err != nil {
		// The challenge needs the route, as far as there is one.
		x.route, _ = x.repo.plugin.Resolve(r, path)
		return err
	}
	if x.route, err = x.repo.plugin.Resolve(r, path); err != nil {
		if principal.Anonymous && (x.repo.access.NoAnonymous || !x.manager.security.Sees(principal, x.repo.config.Format, x.repo.config.Name)) {
			return errs.New(errs.Unauthenticated, "authentication required")
		}
		return err
	}
	if err := x.admit(); err != nil {
		return err
	}
	if !x.repo.config.Online {
		return errs.New(errs.Unavailable, "repository %s is offline", x.repo.Name())
	}
	if err := x.ruled(); err != nil {
		return err
	}
	return x.dispatch(w, r)
}

// admit checks the caller's rights on the route.
func (x *exchange) admit() error {
	if x.route.Open {
		return nil
	}
	p, c := x.principal, x.repo.config
	switch {
	case p.Anonymous && x.repo.access.NoAnonymous:
		return errs.New(errs.Unauthenticated, "authentication required")
	case x.route.Action != content.Public:
		if !x.manager.security.Allowed(p, c.Format, c.Name, x.route.Action, x.route.Path, x.route.Name) {
			return x.refusal()
		}
	case p.Anonymous && (p.Grants == nil || !x.manager.security.Sees(p, c.Format, c.Name)):
		// A ping tells clients how to sign in: those who show nothing, not even a token for everybody, are told.
		return errs.New(errs.Unauthenticated, "authentication required")
	}
	return nil
}

// refusal is the error for a caller without the right that the route needs.
func (x *exchange) refusal() error {
	if x.repo.plugin.describe.Challenges && !x.principal.Anonymous {
		e := errs.New(errs.Unauthenticated, "you are not allowed to do this")
		e.Code = format.CodeScope
		return e
	}
	c := x.asked().config
	return x.manager.security.Refusal(x.principal, c.Format, c.Name)
}

func (x *exchange) dispatch(w http.ResponseWriter, r *http.Request) error {
	if x.route.Handler != nil {
		return x.route.Handler(w, r, x)
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		switch x.route.Class {
		case content.Query:
			return x.serveList(w, r)
		case content.Index:
			return x.serveDocument(w, r)
		default:
			return x.serveAsset(w, r)
		}
	case http.MethodPut, http.MethodPost:
		return x.serveUpload(w, r)
	case http.MethodDelete:
		return x.serveDelete(w, r)
	}
	return errs.New(errs.MethodNotAllowed, "method %s is not allowed here", r.Method)
}

func (x *exchange) serveList(w http.ResponseWriter, r *http.Request) error {
	if x.repo.plugin.lister == nil {
		return fmt.Errorf("format %s has a query route but no Lister", x.repo.config.Format)
	}
	page, err := x.List(r.Context(), x.route.List)
	if err != nil {
		return err
	}
	if page.Known {
		page.Flaws.Mark(w.Header())
	}
	return x.repo.plugin.lister.WriteList(w, r, x.Repository(), x.entry, x.route, page)
}

func (x *exchange) serveUpload(w http.ResponseWriter, r *http.Request) error {
	if limit := x.route.MaxSize; limit > 0 && r.ContentLength > limit {
		return tooLarge(limit)
	}
	x, err := x.writer()
	if err != nil {
		return err
	}
	if err := x.expectations(r); err != nil {
		return err
	}
	assets, err := x.Receive(r.Context(), x.route, r.Body)
	if err != nil {
		return err
	}
	h := w.Header()
	h["Etag"] = []string{etag(assets[0])}
	if x.repo.plugin.headers != nil {
		x.repo.plugin.headers.Headers(h, x.Repository(), x.entry, x.route, assets[0], http.StatusCreated)
	}
	h.Set("Content-Length", "0")
	w.WriteHeader(http.StatusCreated)
	return nil
}

func (x *exchange) serveDelete(w http.ResponseWriter, r *http.Request) error {
	x, err := x.writer()
	if err != nil && !errs.Is(err, errs.Forbidden) { // remove has its own word for a write policy that denies
		return err
	}
	x.conditions = conditionsOf(r.Header)
	if err := x.remove(r.Context()); err != nil {
		return err
	}
	status := http.StatusNoContent
	if x.repo.plugin.describe.DeleteStatus != 0 {
		status = x.repo.plugin.describe.DeleteStatus
	}
	h := w.Header()
	if x.repo.plugin.headers != nil {
		x.repo.plugin.headers.Headers(h, x.Repository(), x.entry, x.route, content.Asset{}, status)
	}
	h.Set("Content-Length", "0")
	w.WriteHeader(status)
	return nil
}

// recover turns a panic of a format's code into an answer in its dialect.
func (m *Manager) recover(w http.ResponseWriter, r *http.Request, p *plugin, x *exchange) {
	cause := recover()
	if cause == nil {
		return
	}
	if err, ok := cause.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(cause)
	}
	m.log.Error("panic", "cause", cause, "method", r.Method, "path", r.URL.Path, "stack", string(debug.Stack()))
	m.fail(w, r, p, x, errs.New(errs.Internal, "internal error"))
}

// fail renders an error in the dialect of the format, and logs those that are the server's fault.
func (m *Manager) fail(w http.ResponseWriter, r *http.Request, p *plugin, x *exchange, err error) {
	err = storeError(err)
	e := errs.As(err)
	level := slog.LevelDebug
	// An error without a cause is an answer, not a fault: an offline repository, for example.
	if e.Kind.Status() >= http.StatusInternalServerError && e.Err != nil && r.Context().Err() == nil {
		level = slog.LevelError
	}
	m.log.Log(r.Context(), level, "request failed", "method", r.Method, "path", r.URL.Path, "user", x.principal.User, "status", e.Kind.Status(), "err", err)
	if p != nil && p.dialect != nil {
		p.dialect.WriteError(w, r, x.Repository(), x.entry, x.route, err)
		return
	}
	writePlain(w, e)
}

// writePlain renders an error as text, for formats without a dialect.
func writePlain(w http.ResponseWriter, e *errs.Error) {
	text, status := e.Message, e.Kind.Status()
	switch {
	case e.Kind == errs.Internal:
		text = "internal error"
	case e.Kind == errs.Unauthenticated:
		w.Header().Set("WWW-Authenticate", `BASIC realm="Sonatype Nexus Repository Manager"`)
	case e.Code == format.CodePolicy:
		status = http.StatusBadRequest
	}
	if methods, ok := e.Detail.(format.Allow); ok {
		w.Header().Set("Allow", strings.Join(methods, ", "))
	}
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.FormatInt(int64(max(e.RetryAfter.Seconds(), 1)), 10))
	}
	http.Error(w, text, status)
}
