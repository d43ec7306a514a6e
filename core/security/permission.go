package security

import (
	"slices"
	"strings"

	"github.com/repomgr/repomgr/core/errs"
)

// Permission is a right in Nexus's words, for example "nexus:repository-view:docker:*:browse,read": parts separated by
// colons, each a word, a comma list of words, or "*". Case doesn't matter. The zero value implies nothing.
type Permission struct {
	parts []part
	text  string
}

// part is the words that one part of a permission stands for, in lower case; nil stands for all.
type part []string

// ParsePermission reads a permission. It returns an Invalid error when a part or a word of it is empty.
func ParsePermission(s string) (Permission, error) {
	text := strings.TrimSpace(s)
	fields := strings.Split(strings.ToLower(text), ":")
	parts := make([]part, len(fields))
	for i, field := range fields {
		words := strings.Split(field, ",")
		if slices.Contains(words, "") {
			return Permission{}, errs.New(errs.Invalid, "permission %q has an empty part", s)
		}
		if !slices.Contains(words, "*") {
			parts[i] = words
		}
	}
	return Permission{parts: parts, text: text}, nil
}

// String is the permission as it was written.
func (p Permission) String() string { return p.text }

// Implies tells whether who holds p holds q. Parts that p lacks stand for all; parts that q lacks must be "*" in p.
func (p Permission) Implies(q Permission) bool {
	if len(p.parts) == 0 || len(q.parts) == 0 {
		return false
	}
	for i, wanted := range q.parts {
		if i >= len(p.parts) {
			return true
		}
		if !p.parts[i].all(wanted) {
			return false
		}
	}
	return p.open(len(q.parts))
}

// covers is Implies for a permission given as one plain word a part. It doesn't allocate.
func (p Permission) covers(words ...string) bool {
	if len(p.parts) == 0 {
		return false
	}
	for i, word := range words {
		if i >= len(p.parts) {
			return true
		}
		if !p.parts[i].has(word) {
			return false
		}
	}
	return p.open(len(words))
}

// touches tells whether p covers some permission that begins with the words.
func (p Permission) touches(words ...string) bool {
	n := min(len(words), len(p.parts))
	return n > 0 && Permission{parts: p.parts[:n]}.covers(words...)
}

// open tells whether all parts from the nth on are "*".
func (p Permission) open(n int) bool {
	for ; n < len(p.parts); n++ {
		if p.parts[n] != nil {
			return false
		}
	}
	return true
}

func (p part) has(word string) bool {
	if p == nil {
		return true
	}
	for _, w := range p {
		if w == word || strings.EqualFold(w, word) {
			return true
		}
	}
	return false
}

func (p part) all(q part) bool {
	if p == nil {
		return true
	}
	if q == nil {
		return false
	}
	for _, w := range q {
		if !slices.Contains(p, w) {
			return false
		}
	}
	return true
}
