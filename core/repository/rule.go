package repository

import (
	"net/url"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/repomgr/repomgr/core/errs"
)

// RoutingRule says which paths a proxy or group serves.
type RoutingRule struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	// Mode is RuleAllow or RuleBlock.
	Mode string `json:"mode"`
	// Matchers are regular expressions (RE2), each for a whole path with its leading slash.
	Matchers []string `json:"matchers"`
}

// The modes of routing rules.
const (
	// RuleAllow: what no matcher matches is denied.
	RuleAllow = "ALLOW"
	// RuleBlock: what a matcher matches is denied.
	RuleBlock = "BLOCK"
)

// Bounds of a rule. All matchers are tried for each request.
const (
	maxMatchers    = 1000
	maxMatcher     = 1024
	maxDescription = 4096
	// maxInstructions is how large the programs of all matchers of a rule may be together; a character takes about one.
	maxInstructions = 200_000
)

// rule is a routing rule at work; nil allows everything.
type rule struct {
	RoutingRule
	matchers []*regexp.Regexp
}

// compileRule checks a rule. Errors carry the field they are about.
func compileRule(r RoutingRule) (*rule, error) {
	if err := CheckName(r.Name); err != nil {
		return nil, err
	}
	if len(r.Description) > maxDescription {
		return nil, errs.Field("description", "a description must have at most %d bytes", maxDescription)
	}
	switch r.Mode = strings.ToUpper(r.Mode); {
	case r.Mode != RuleAllow && r.Mode != RuleBlock:
		return nil, errs.Field("mode", "mode must be %s or %s, not %.20q", RuleAllow, RuleBlock, r.Mode)
	case len(r.Matchers) == 0:
		return nil, errs.Field("matchers", "At least one matcher must be specified.")
	case len(r.Matchers) > maxMatchers:
		return nil, errs.Field("matchers", "a rule must have at most %d matchers", maxMatchers)
	}
	compiled, size := &rule{RoutingRule: r}, 0
	for _, text := range r.Matchers {
		m, n, err := compileMatcher(text)
		if err != nil {
			return nil, err
		}
		if size += n; size > maxInstructions {
			return nil, errs.Field("matchers", "the matchers are too large together; look for repetitions like {500}")
		}
		compiled.matchers = append(compiled.matchers, m)
	}
	return compiled, nil
}

// compileMatcher compiles a matcher for whole paths, and tells how large its program is.
func compileMatcher(text string) (*regexp.Regexp, int, error) {
	switch {
	case strings.TrimSpace(text) == "":
		return nil, 0, errs.Field("matchers", "a matcher must not be empty")
	case len(text) > maxMatcher:
		return nil, 0, errs.Field("matchers", "a matcher must have at most %d bytes: %.100q", maxMatcher, text)
	case nested(text):
		// Java takes these for unions and intersections of classes. Go would take them for plain characters.
		return nil, 0, errs.Field("matchers", "Invalid regex %q: [ and && inside a character class must be written with a backslash", text)
	}
	// By itself: what closes a group that it did not open must not become valid below.
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, 0, badMatcher(text, err)
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil, 0, badMatcher(text, err)
	}
	// With s, a dot is any character: no line break in a path gets around a rule.
	m, err := regexp.Compile(`\A(?s:` + text + `)\z`)
	if err != nil {
		return nil, 0, badMatcher(text, err)
	}
	return m, len(program.Inst), nil
}

func badMatcher(text string, err error) error {
	e := errs.Field("matchers", "Invalid regex %q: %v (the syntax is RE2: there are no lookarounds, back-references and possessive quantifiers)", text, err)
	e.Err = err
	return e
}

// nested tells whether an expression has what Java reads as a class within a class.
func nested(text string) bool {
	inside := false
	for i := 0; i < len(text); i++ {
		rest := text[i:]
		switch {
		case strings.HasPrefix(rest, `\Q`) && !inside:
			end := strings.Index(rest, `\E`)
			if end < 0 {
				return false
			}
			i += end + 1
		case rest[0] == '\\':
			i++
		case !inside && rest[0] == '[':
			inside = true
			// A bracket that comes first stands for itself.
			if strings.HasPrefix(rest, "[^]") {
				i += 2
			} else if strings.HasPrefix(rest, "[]") {
				i++
			}
		case inside && strings.HasPrefix(rest, "[:") && strings.Contains(rest, ":]"):
			i += strings.Index(rest, ":]") + 1
		case inside && (rest[0] == '[' || strings.HasPrefix(rest, "&&")):
			return true
		case inside && rest[0] == ']':
			inside = false
		}
	}
	return false
}

// question is what a rule is asked about: a path in the repository, and the query of the request as it was sent, if there is one.
type question struct {
	path, query string
	// whole is the path as a proxy keeps what clients know by a shorter name, too; empty where that is the path.
	whole string
}

// allows tells whether the rule allows what is asked for. As in Nexus a query is a part of it, after a question mark. What is blocked stays so
// whatever query is added, and however a query is written: most are ignored, and all could be used to get around a rule.
func (r *rule) allows(q question) bool {
	if r == nil || q.path == "" {
		return true
	}
	asked := r.allowsPath(q.path, q.query)
	if q.whole == "" {
		return asked
	}
	// Both names are of the same: what is blocked by one of them stays so by the other, and so does what is allowed.
	whole := r.allowsPath(q.whole, q.query)
	if r.Mode == RuleAllow {
		return asked || whole
	}
	return asked && whole
}

func (r *rule) allowsPath(path, query string) bool {
	q := question{path: path, query: query}
	whole := q.path
	if q.query != "" {
		whole += "?" + q.query
	}
	matched := r.matches(whole)
	if r.Mode == RuleAllow {
		return matched
	}
	if matched || q.query == "" {
		return !matched
	}
	pairs := decoded(q.query)
	if r.matches(q.path) || r.matches(q.path+"?"+strings.Join(pairs, "&")) {
		return false
	}
	slices.Sort(pairs)
	return !r.matches(q.path + "?" + strings.Join(pairs, "&"))
}

func (r *rule) matches(s string) bool {
	return slices.ContainsFunc(r.matchers, func(m *regexp.Regexp) bool { return m.MatchString(s) })
}

// decoded is a query's pairs of names and values, unescaped as far as they can be.
func decoded(query string) []string {
	pairs := strings.Split(query, "&")
	for i, pair := range pairs {
		if plain, err := url.QueryUnescape(pair); err == nil {
			pairs[i] = plain
		}
	}
	return slices.DeleteFunc(pairs, func(pair string) bool { return pair == "" })
}

// denied is the error about what a rule denies, in Nexus's words.
func denied() error {
	return errs.New(errs.Forbidden, "Routing rules block the requested item from this repository")
}
