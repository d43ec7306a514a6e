package docker

import (
	"context"
	"net/http"
	"strings"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
)

// Prefixes are the paths of the main port that are the format's: docker knows no other place than the root of a host.
func (docker) Prefixes() []string { return []string{"/v2/", "/v2", "/v1/"} }

// Enter takes the first part of an image's name for the repository: /v2/<repository>/<image>/... What has no name is the root's.
func (docker) Enter(path string) (repository, rest string) {
	switch path {
	case pathPing, "/v2", pathToken, pathCatalog:
		return "", path
	}
	after, ok := strings.CutPrefix(path, "/v2/")
	if !ok {
		return "", path
	}
	repository, rest, _ = strings.Cut(after, "/")
	return repository, "/v2/" + rest
}

// Prefix is the entry by which a repository is reached on the main port. Clients take no capitals in names.
func (docker) Prefix(repository string) format.Entry {
	return format.Entry{NamePrefix: strings.ToLower(repository) + "/"}
}

// ResolveRoot says what a request to the root is: what of the API is not about one image.
func (docker) ResolveRoot(r *http.Request, path string) (format.RootRoute, error) {
	t, err := parsePath(path)
	if err != nil {
		return format.RootRoute{}, err
	}
	route, ok := rootRoute(t.kind)
	if !ok {
		return format.RootRoute{}, errs.New(errs.NotFound, "no such endpoint")
	}
	return route, checkMethod(r.Method, methods(t))
}

func rootRoute(kind string) (format.RootRoute, bool) {
	switch kind {
	case kindPing:
		return format.RootRoute{Handler: rootPing}, true
	case kindPingV1:
		return format.RootRoute{Open: true, Handler: rootPingV1}, true
	case kindToken:
		return format.RootRoute{Open: true, Handler: rootToken}, true
	case kindCatalog:
		return format.RootRoute{Open: true, Handler: rootCatalog}, true
	case kindSearch:
		// docker search doesn't sign in when it is refused: anonymous callers see what they may browse.
		return format.RootRoute{Open: true, Handler: rootSearch}, true
	}
	return format.RootRoute{}, false
}

func rootPing(w http.ResponseWriter, _ *http.Request, _ format.RootExchange) error {
	answerPing(w)
	return nil
}

func rootPingV1(w http.ResponseWriter, _ *http.Request, _ format.RootExchange) error {
	answerPingV1(w)
	return nil
}

// orSignIn refuses where there is nothing to show: podman asks without credentials first, takes an empty answer for the last
// word, and signs in only when it is refused.
func orSignIn(list lister) lister {
	return func(ctx context.Context, l content.List) (content.Page, error) {
		page, err := list(ctx, l)
		if err == nil && len(page.Names) == 0 {
			err = errs.New(errs.Unauthenticated, "nothing found; sign in to see what else there may be")
		}
		return page, err
	}
}

// rootToken issues tokens for images of any repository that is reached by the root.
func rootToken(w http.ResponseWriter, r *http.Request, x format.RootExchange) error {
	return desk{tokens: x.Tokens(), caller: x.Caller(), locate: inRoot}.serve(w, r)
}

// inRoot locates names that start with their repository's. The empty name is the root's own.
func inRoot(name string) (repository, image string, ok bool) {
	if name == "" {
		return "", "", true
	}
	return strings.Cut(name, "/")
}

// rootCatalog lists the images of all repositories that are reached by the root, each as a client names it.
func rootCatalog(w http.ResponseWriter, r *http.Request, x format.RootExchange) error {
	n, last, err := paging(r.URL.Query())
	if err != nil {
		return err
	}
	list := lister(x.List)
	if x.Caller().Anonymous && last == "" && n > 0 {
		list = orSignIn(list)
	}
	page, err := list(r.Context(), content.List{Names: true, Kind: kindManifest, After: last, Limit: n})
	if err != nil {
		return err
	}
	names := page.Names
	if names == nil {
		names = []string{}
	}
	page.Flaws.Mark(w.Header())
	writeNames(w, pathCatalog, n, names, page.More)
	return nil
}
