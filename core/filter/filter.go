// Package filter reads the patterns by which administrators choose content: names, versions and platforms.
package filter

import (
	"cmp"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/repomgr/repomgr/core/errs"
)

// The most that a filter may have, so that matching stays cheap.
const (
	maxPatterns = 1000
	maxPattern  = 1024
)

// constraintPrefix begins a pattern that is a constraint on versions.
const constraintPrefix = "semver:"

// Patterns choose strings: each is a string as it is, a glob, in which "*" stands for any characters and "?" for any one, or, where
// that is allowed, "semver:" and a constraint on versions (github.com/Masterminds/semver). The zero value chooses nothing.
type Patterns struct {
	exact       []string
	globs       []string
	constraints []*semver.Constraints
}

// Parse reads patterns that are separated by commas or line breaks. Errors are Invalid ones.
func Parse(s string) (Patterns, error) { return parse(s, false) }

// ParseVersions is Parse with constraints on versions. The parts of a constraint that must all hold are separated by spaces.
func ParseVersions(s string) (Patterns, error) { return parse(s, true) }

func parse(s string, versions bool) (Patterns, error) {
	var p Patterns
	for item := range strings.FieldsFuncSeq(s, func(c rune) bool { return c == ',' || c == '\n' || c == '\r' }) {
		item = strings.TrimSpace(item)
		constraint, isConstraint := strings.CutPrefix(item, constraintPrefix)
		switch {
		case item == "":
			continue
		case len(item) > maxPattern:
			return Patterns{}, errs.New(errs.Invalid, "a pattern may have at most %d bytes", maxPattern)
		case p.count() == maxPatterns:
			return Patterns{}, errs.New(errs.Invalid, "there may be at most %d patterns", maxPatterns)
		case versions && isConstraint:
			c, err := semver.NewConstraint(strings.TrimSpace(constraint))
			if err != nil {
				return Patterns{}, errs.Wrap(errs.Invalid, err, "%q is no constraint on versions, such as semver:>=1.2 <2", item)
			}
			p.constraints = append(p.constraints, c)
		case strings.ContainsAny(item, "*?"):
			p.globs = append(p.globs, item)
		case !slices.Contains(p.exact, item):
			p.exact = append(p.exact, item)
		}
	}
	return p, nil
}

func (p Patterns) count() int { return len(p.exact) + len(p.globs) + len(p.constraints) }

// Empty tells whether there are no patterns.
func (p Patterns) Empty() bool { return p.count() == 0 }

// Exact are the strings that are named as they are: to choose them nobody needs to know which there are.
func (p Patterns) Exact() []string { return slices.Clone(p.exact) }

// Open tells whether there are patterns beside the exact ones.
func (p Patterns) Open() bool { return len(p.globs)+len(p.constraints) > 0 }

// Match tells whether a pattern chooses s.
func (p Patterns) Match(s string) bool {
	if slices.Contains(p.exact, s) || slices.ContainsFunc(p.globs, func(g string) bool { return glob(g, s) }) {
		return true
	}
	if len(p.constraints) == 0 {
		return false
	}
	v, err := semver.NewVersion(s)
	return err == nil && slices.ContainsFunc(p.constraints, func(c *semver.Constraints) bool { return c.Check(v) })
}

// glob tells whether a pattern with "*" and "?" matches the whole of s. It takes no more than the product of their lengths.
func glob(pattern, s string) bool {
	// star is where the last "*" is, and from how far into s what follows it was last tried.
	p, i, star, from := 0, 0, -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			from++
			p, i = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// Newest are at most n of the versions: the highest by their precedence (https://semver.org, section 11), then, in reverse byte order,
// those that are no versions. Those named as they are are kept beside.
func (p Patterns) Newest(versions []string, n int) []string {
	var named, others []string
	for _, v := range versions {
		if slices.Contains(p.exact, v) {
			named = append(named, v)
		} else {
			others = append(others, v)
		}
	}
	parsed := make(map[string]*semver.Version, len(others))
	for _, v := range others {
		if version, err := semver.NewVersion(v); err == nil {
			parsed[v] = version
		}
	}
	slices.SortFunc(others, func(a, b string) int {
		x, y := parsed[a], parsed[b]
		switch {
		case x != nil && y != nil:
			return cmp.Or(y.Compare(x), strings.Compare(b, a))
		case x != nil:
			return -1
		case y != nil:
			return 1
		}
		return strings.Compare(b, a)
	})
	return append(named, others[:min(n, len(others))]...)
}
