package docker

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
)

// pageSize is the most items of one answer, and the number when the client doesn't ask for one.
const pageSize = 10_000

// tagsRoute is a question for an image's tags (distribution-spec 1.1, end-8a and end-8b).
func tagsRoute(name string, q url.Values) (format.Route, error) {
	route := format.Route{
		Action: actionPull, Path: tagsPath(name), Class: content.Query, Kind: kindTags, Name: name,
		List: content.List{Kind: kindTag, Name: name, Brief: true},
	}
	n, last, err := paging(q)
	if err != nil {
		return route, err
	}
	route.List.Limit = n
	if last != "" {
		route.List.After = manifestPath(name, last)
	}
	return route, nil
}

// catalogRoute is a question for the names of all images (Docker Registry HTTP API v2, "Listing Repositories").
func catalogRoute(q url.Values) (format.Route, error) {
	route := format.Route{
		Action: content.Browse, Path: pathCatalog, Class: content.Query, Kind: kindCatalog,
		List: content.List{Names: true, Kind: kindManifest},
	}
	n, last, err := paging(q)
	if err != nil {
		return route, err
	}
	route.List.Limit, route.List.After = n, last
	return route, nil
}

// paging reads n and last. A number above the most that is given is no error: there is a Link to the rest.
func paging(q url.Values) (n int, last string, err error) {
	if n, err = count(q.Get("n"), pageSize, pageSize); err != nil {
		return 0, "", err
	}
	last = q.Get("last")
	if len(last) > maxName+maxTag || !isPrintable(last) {
		return 0, "", invalid(codePageInvalid, "last is not the name of an item")
	}
	return n, last, nil
}

// count parses a number of items: absent when s is empty, and most at most.
func count(s string, absent, most int) (int, error) {
	if s == "" {
		return absent, nil
	}
	if strings.Trim(s, "0123456789") != "" {
		return 0, invalid(codePageInvalid, "invalid number of results requested: %q", clip(s))
	}
	n, err := strconv.Atoi(s)
	if err != nil || n > most {
		return most, nil
	}
	return n, nil
}

// isPrintable tells whether s is of the characters of names, tags and other printable ASCII.
func isPrintable(s string) bool {
	return strings.IndexFunc(s, func(c rune) bool { return c <= ' ' || c > '~' }) < 0
}

// WriteList renders a page of tags or of the catalog.
func (docker) WriteList(w http.ResponseWriter, _ *http.Request, _ format.Repository, entry format.Entry, route format.Route, page content.Page) error {
	if route.Kind == kindCatalog {
		names := make([]string, len(page.Names))
		for i, name := range page.Names {
			names[i] = entry.NamePrefix + name
		}
		writeNames(w, location(format.Entry{Base: entry.Base}, pathCatalog), route.List.Limit, names, page.More)
		return nil
	}
	if !page.Known {
		e := errs.New(errs.NotFound, "repository name not known to registry")
		e.Code, e.Detail = codeNameUnknown, map[string]string{"name": entry.NamePrefix + route.Name}
		return e
	}
	answer := struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	}{entry.NamePrefix + route.Name, make([]string, len(page.Assets))}
	for i, a := range page.Assets {
		answer.Tags[i] = tagOf(a.Path)
	}
	setNext(w.Header(), location(entry, tagsPath(route.Name)), route.List.Limit, answer.Tags, page.More)
	writeJSON(w, http.StatusOK, answer)
	return nil
}

// writeNames renders a page of the catalog.
func writeNames(w http.ResponseWriter, path string, limit int, names []string, more bool) {
	setNext(w.Header(), path, limit, names, more)
	writeJSON(w, http.StatusOK, map[string][]string{"repositories": names})
}

// setNext adds the Link to the page after items (RFC 8288). It is relative, so that it holds behind any proxy.
func setNext(h http.Header, path string, limit int, items []string, more bool) {
	if !more || len(items) == 0 {
		return
	}
	q := url.Values{"n": {strconv.Itoa(limit)}, "last": {items[len(items)-1]}}
	h.Set("Link", "<"+path+"?"+q.Encode()+`>; rel="next"`)
}

// writeJSON writes an answer of the API.
func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil { // only for values that are no JSON, and there are none of those here
		body = []byte("{}")
	}
	h := w.Header()
	setVersion(h)
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	w.Write(body) //nolint:errcheck // the client is gone
}

// ping answers GET /v2/. The core has sent who came without credentials or token for them, even where everybody may read:
// docker asks here which way of signing in there is, once, and does not ask again when a later request is refused.
func ping(w http.ResponseWriter, _ *http.Request, _ format.Exchange) error {
	answerPing(w)
	return nil
}

func answerPing(w http.ResponseWriter) { writeJSON(w, http.StatusOK, struct{}{}) }

// pingV1 answers GET /v1/_ping. "Standalone" makes docker send the credentials of docker login to /v1/search.
func pingV1(w http.ResponseWriter, _ *http.Request, _ format.Exchange) error {
	answerPingV1(w)
	return nil
}

func answerPingV1(w http.ResponseWriter) {
	w.Header().Set("X-Docker-Registry-Standalone", "true")
	writeJSON(w, http.StatusOK, map[string]bool{"standalone": true})
}
