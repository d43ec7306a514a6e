package docker

import (
	"strings"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/format"
)

// maxScopes is the most scopes of one token; further ones are not granted.
const maxScopes = 100

// scope is a piece of what a client wants a token for: "repository:library/alpine:pull,push".
type scope struct {
	// kind is the resource type without its class: "repository" for "repository(plugin)".
	kind    string
	name    string
	actions []string
}

// parseScopes parses the values of scope parameters, each of them several scopes separated by spaces. What is none is left out:
// a token without it is the answer to a client that asks for something strange.
func parseScopes(values []string) []scope {
	var scopes []scope
	for _, v := range values {
		for field := range strings.FieldsSeq(v) {
			s, ok := parseScope(field)
			if ok && len(scopes) < maxScopes {
				scopes = append(scopes, s)
			}
		}
	}
	return scopes
}

// parseScope parses type[(class)]:name:action[,action...]. A name may hold colons, since it may start with a host and a port.
func parseScope(s string) (scope, bool) {
	kind, rest, ok := strings.Cut(s, ":")
	i := strings.LastIndexByte(rest, ':')
	if !ok || i < 0 {
		return scope{}, false
	}
	if base, class, ok := strings.Cut(kind, "("); ok {
		if !strings.HasSuffix(class, ")") {
			return scope{}, false
		}
		kind = base
	}
	if kind == "" || rest[:i] == "" {
		return scope{}, false
	}
	return scope{kind: kind, name: rest[:i], actions: strings.Split(rest[i+1:], ",")}, true
}

// The words of scopes for the actions on an image.
const (
	wordPull   = "pull"
	wordPush   = "push"
	wordDelete = "delete"
	wordAll    = "*"
	// wordSearch is what Docker's engine asks for before a search: registry:catalog:search.
	wordSearch = "search"
)

// granted is what a word of a scope stands for.
func granted(word string) []content.Action {
	switch word {
	case wordPull:
		return []content.Action{actionPull}
	case wordPush:
		return []content.Action{actionUpload, actionPush}
	case wordDelete:
		return []content.Action{content.Delete}
	case wordAll:
		return []content.Action{actionPull, actionUpload, actionPush, content.Delete}
	}
	return nil
}

// locator says what an image's name means where the client asks: the repository, and the name in it.
type locator func(name string) (repository, image string, ok bool)

// want is the grant that the scope stands for; false when it stands for none.
func (s scope) want(locate locator) (format.Grant, bool) {
	var g format.Grant
	switch {
	case s.kind == "repository":
		repo, image, ok := locate(s.name)
		if !ok || checkName(image) != nil {
			return g, false
		}
		g.Repository, g.Name = repo, image
		for _, word := range s.actions {
			g.Actions = addActions(g.Actions, granted(word)...)
		}
	case s.kind == "registry" && (s.name == "catalog" || s.name == "search"):
		g.Repository, _, _ = locate("")
		for _, word := range s.actions {
			if word == wordAll || word == wordSearch {
				g.Actions = []content.Action{content.Browse}
			}
		}
	}
	return g, len(g.Actions) > 0
}

func addActions(to []content.Action, actions ...content.Action) []content.Action {
	for _, a := range actions {
		if !hasAction(to, a) {
			to = append(to, a)
		}
	}
	return to
}

func hasAction(in []content.Action, a content.Action) bool {
	for _, have := range in {
		if have == a {
			return true
		}
	}
	return false
}

// grantedScopes says, in the client's words, which part of the scopes the grants cover.
func grantedScopes(scopes []scope, grants []format.Grant, locate locator) string {
	var out []string
	for _, s := range scopes {
		want, ok := s.want(locate)
		if !ok {
			continue
		}
		var words []string
		for _, word := range s.actions {
			if covered(want, word, grants) {
				words = append(words, word)
			}
		}
		if len(words) > 0 {
			out = append(out, s.kind+":"+s.name+":"+strings.Join(words, ","))
		}
	}
	return strings.Join(out, " ")
}

// covered tells whether the grants have all that a word of a scope stands for.
func covered(want format.Grant, word string, grants []format.Grant) bool {
	actions := granted(word)
	if want.Name == "" {
		actions = want.Actions
	}
	for _, a := range actions {
		if !hasGrant(grants, want.Repository, want.Name, a) {
			return false
		}
	}
	return len(actions) > 0
}

func hasGrant(grants []format.Grant, repository, name string, a content.Action) bool {
	for _, g := range grants {
		if g.Repository == repository && g.Name == name && hasAction(g.Actions, a) {
			return true
		}
	}
	return false
}
