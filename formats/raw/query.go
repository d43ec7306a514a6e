package raw

import (
	"net/url"
	"slices"
	"strings"

	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
)

// Bounds of excludedQueryParameters: their number, and the bytes of each.
const (
	maxExcluded     = 100
	maxExcludedName = 255
)

// Forward is the request's query without the excluded parameters, in order of names: what differs in the order of parameters, or in how
// characters are escaped, is the same file. Parameters of the same name stay in their order.
func (raw) Forward(route format.Route, query string, repo format.Repository) (string, bool, error) {
	s, ok := repo.Settings.(Settings)
	if !ok || s.Forward == nil || !*s.Forward {
		return "", false, nil
	}
	canonical, err := canonicalQuery(query, s.Excluded)
	if err == nil && canonical != "" && len(route.Path)+1+len(canonical) > maxPath {
		err = errs.New(errs.Invalid, "a path and its query must have at most %d bytes together", maxPath)
	}
	return canonical, true, err
}

// canonicalQuery is the one form of all queries that mean the same, without the excluded parameters.
func canonicalQuery(query string, excluded []string) (string, error) {
	type parameter struct{ name, text string }
	var parameters []parameter
	for pair := range strings.SplitSeq(query, "&") {
		if pair == "" {
			continue
		}
		name, value, equals := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		if err != nil {
			return "", errs.Wrap(errs.Invalid, err, "the query has a wrong escape")
		}
		if value, err = url.QueryUnescape(value); err != nil {
			return "", errs.Wrap(errs.Invalid, err, "the query has a wrong escape")
		}
		if slices.Contains(excluded, name) {
			continue
		}
		p := parameter{name, url.QueryEscape(name)}
		if equals {
			p.text += "=" + url.QueryEscape(value) // to some servers that is not the same as none
		}
		parameters = append(parameters, p)
	}
	slices.SortStableFunc(parameters, func(a, b parameter) int { return strings.Compare(a.name, b.name) })
	texts := make([]string, len(parameters))
	for i, p := range parameters {
		texts[i] = p.text
	}
	return strings.Join(texts, "&"), nil
}

// checkExcluded checks the names of parameters that are not forwarded.
func checkExcluded(names []string) error {
	if len(names) > maxExcluded {
		return errs.Field("raw.excludedQueryParameters", "there must be at most %d excluded parameters", maxExcluded)
	}
	for _, name := range names {
		if name == "" || len(name) > maxExcludedName {
			return errs.Field("raw.excludedQueryParameters", "the name of an excluded parameter must have 1 to %d bytes", maxExcludedName)
		}
	}
	return nil
}
