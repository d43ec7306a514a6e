package docker

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
)

// The numbers of results of a search: on a page when the client doesn't say, on a page at most, and in all that are looked at.
const (
	searchDefault = 25
	searchMost    = 100
	searchDepth   = 10_000
	searchStep    = 1_000
	maxQuery      = maxName
)

// How long an upstream server may take over a search, and its index alone: the others' results wait for it.
const (
	searchTime = 10 * time.Second
	indexTime  = 5 * time.Second
)

// lister is what both a repository and the format's root can do.
type lister func(ctx context.Context, l content.List) (content.Page, error)

// finder finds what a search is for. A result's name is as clients write it.
type finder func(ctx context.Context, term string) ([]result, error)

// search answers GET /v1/search: the images whose name contains a term, and what the index of a proxy finds by it.
func search(w http.ResponseWriter, r *http.Request, x format.Exchange) error {
	return answerSearch(w, r, func(ctx context.Context, term string) ([]result, error) { return searchMembers(ctx, x, term) })
}

// rootSearch is search over all repositories that are reached by the root.
func rootSearch(w http.ResponseWriter, r *http.Request, x format.RootExchange) error {
	list := lister(x.List)
	if x.Caller().Anonymous {
		list = orSignIn(list)
	}
	return answerSearch(w, r, func(ctx context.Context, term string) ([]result, error) {
		found := searchIndexes(ctx, x.Members(), term)
		if len(found) > 0 {
			list = x.List
		}
		names, err := findNames(ctx, list, term)
		if err != nil {
			return nil, err
		}
		return distinct(append(named("", names), found...)), nil
	})
}

// result is a result of API v1's search.
type result struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	StarCount   int    `json:"star_count"`
	IsOfficial  bool   `json:"is_official"`
	IsAutomated bool   `json:"is_automated"`
}

// named are results of which nothing but the name is known.
func named(prefix string, names []string) []result {
	list := make([]result, len(names))
	for i, name := range names {
		list[i].Name = prefix + name
	}
	return list
}

// distinct drops all but the first of results with the same name.
func distinct(list []result) []result {
	seen := make(map[string]bool, len(list))
	return slices.DeleteFunc(list, func(r result) bool {
		was := seen[r.Name]
		seen[r.Name] = true
		return was
	})
}

func answerSearch(w http.ResponseWriter, r *http.Request, find finder) error {
	q := r.URL.Query()
	term := q.Get("q")
	if len(term) > maxQuery || !isPrintable(strings.ReplaceAll(term, " ", "")) {
		return invalid(codeNameInvalid, "invalid search term")
	}
	size, err := count(q.Get("n"), searchDefault, searchMost)
	if err != nil {
		return err
	}
	page, err := count(q.Get("page"), 1, searchDepth)
	if err != nil {
		return err
	}
	found, err := find(r.Context(), term)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, searchPage(found, term, max(size, 1), max(page, 1)))
	return nil
}

// findNames collects the names that contain a term, up to searchDepth.
func findNames(ctx context.Context, list lister, term string) ([]string, error) {
	var names []string
	l := content.List{Names: true, Kind: kindManifest, Contains: term, Limit: searchStep}
	for {
		page, err := list(ctx, l)
		if err != nil {
			return nil, err
		}
		names = append(names, page.Names...)
		if !page.More || len(page.Names) == 0 || len(names) >= searchDepth {
			return names, nil
		}
		l.After = names[len(names)-1]
	}
}

// answer is a page of search results.
type answer struct {
	Query      string   `json:"query"`
	NumResults int      `json:"num_results"`
	NumPages   int      `json:"num_pages"`
	Page       int      `json:"page"`
	PageSize   int      `json:"page_size"`
	Results    []result `json:"results"`
}

func searchPage(found []result, term string, size, page int) answer {
	first := min((page-1)*size, len(found))
	return answer{
		Query: term, NumResults: len(found), NumPages: (len(found) + size - 1) / size, Page: page, PageSize: size,
		Results: append([]result{}, found[first:min(first+size, len(found))]...),
	}
}

// searchMembers are the results of the repositories that x shows: first those of the hosted ones, by name, then those of the proxies, in
// their order. Each name is there once. A member that can't answer is left out, unless all are.
func searchMembers(ctx context.Context, x format.Exchange, term string) ([]result, error) {
	members := x.Members()
	found, failed := make([][]result, len(members)), make([]error, len(members))
	var wait sync.WaitGroup
	for i, m := range members {
		wait.Go(func() { found[i], failed[i] = searchMember(ctx, m, x.Entry().NamePrefix, term) })
	}
	wait.Wait()
	var own, others []result
	answered := len(members) == 0
	for i, m := range members {
		if failed[i] == nil || errs.Is(failed[i], errs.NotFound) {
			answered = true
		}
		if _, proxy := proxySettings(m); proxy {
			others = append(others, found[i]...)
		} else {
			own = append(own, found[i]...)
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !answered {
		return nil, failed[0]
	}
	slices.SortStableFunc(own, func(a, b result) int { return cmp.Compare(a.Name, b.Name) })
	return distinct(append(own, others...)), nil
}

// searchMember are the results of a hosted repository or of a proxy. Where the proxy's index doesn't answer they are the names of
// upstream's catalog, or else of what the proxy has.
func searchMember(ctx context.Context, x format.Exchange, prefix, term string) ([]result, error) {
	if _, proxy := proxySettings(x); !proxy {
		names, err := findNames(ctx, x.List, term)
		return named(prefix, names), err
	}
	inner, cancel := context.WithTimeout(ctx, searchTime)
	defer cancel()
	found, err := askIndexInTime(inner, x, prefix, term)
	if err == nil || ctx.Err() != nil {
		return found, err
	}
	names, err := findNames(inner, x.List, term)
	if err != nil && inner.Err() != nil && ctx.Err() == nil {
		err = errs.Wrap(errs.Unavailable, err, "the upstream server of %s takes too long to search", x.Repository().Name)
	}
	return named(prefix, names), err
}

func askIndexInTime(ctx context.Context, x format.Exchange, prefix, term string) ([]result, error) {
	ctx, cancel := context.WithTimeout(ctx, indexTime)
	defer cancel()
	return askIndex(ctx, x, prefix, term)
}

func proxySettings(x format.Exchange) (s ProxySettings, proxy bool) {
	s, proxy = x.Repository().ProxySettings.(ProxySettings)
	return s, proxy
}

// searchIndexes are what the indexes of proxies among the repositories, and among the members of groups, find. Each is asked once, and
// one that can't answer is left out.
func searchIndexes(ctx context.Context, repositories []format.Exchange, term string) []result {
	ctx, cancel := context.WithTimeout(ctx, searchTime)
	defer cancel()
	found := map[string]*[]result{}
	var wait sync.WaitGroup
	for _, repo := range repositories {
		for _, m := range repo.Members() {
			name := m.Repository().Name
			if _, proxy := proxySettings(m); !proxy || found[name] != nil {
				continue
			}
			list := new([]result)
			found[name] = list
			wait.Go(func() { *list, _ = askIndex(ctx, m, "", term) }) // the core has logged an error
		}
	}
	wait.Wait()
	var all []result
	for _, repo := range repositories {
		for _, m := range repo.Members() {
			list := found[m.Repository().Name]
			if list == nil {
				continue
			}
			for _, r := range *list {
				r.Name = repo.Entry().NamePrefix + r.Name
				all = append(all, r)
			}
		}
	}
	return all
}
