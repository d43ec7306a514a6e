package security

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/format"
)

// snapshot is what the directory said at one epoch, made ready for requests. Apart from its caches it never changes, so
// requests read it without a lock; the caches go with it, so nothing of an older epoch is ever found in them.
type snapshot struct {
	epoch     int64
	users     map[string]*account
	ids       []string
	anonymous Anonymous
	// guest is who stands for callers that have not signed in; nil when they have no rights.
	guest    *account
	tokenKey []byte
	// passwords are the pairs of name and password that were found right, by their HMAC, and until when that counts.
	passwords *lru.Cache[[32]byte, time.Time]
	// tokens are the tokens that were found right, by their SHA-256.
	tokens *lru.Cache[[32]byte, *claims]
}

// account is a user with the permissions of all roles.
type account struct {
	user        User
	permissions []Permission
	// views are those of the permissions that say something about content.
	views []Permission
}

const (
	maxPasswords = 4096
	maxTokens    = 16384
)

const viewDomain = "repository-view"

// take makes a snapshot of the state. The token key may be missing; it is an error if it is damaged.
func take(state State) (*snapshot, error) {
	roles, err := compile(Roles())
	if err != nil {
		return nil, err
	}
	s := &snapshot{epoch: state.Epoch, users: make(map[string]*account, len(state.Users)), anonymous: noAnonymous}
	for _, u := range state.Users {
		s.users[u.ID] = newAccount(u, roles)
		s.ids = append(s.ids, u.ID)
	}
	if s.tokenKey, err = base64.StdEncoding.DecodeString(state.Settings[settingTokenKey]); err != nil {
		return nil, fmt.Errorf("setting %s: %w", settingTokenKey, err)
	}
	if text := state.Settings[settingAnonymous]; text != "" {
		if err := json.Unmarshal([]byte(text), &s.anonymous); err != nil {
			return nil, fmt.Errorf("setting %s: %w", settingAnonymous, err)
		}
	}
	if guest := s.users[s.anonymous.UserID]; s.anonymous.Enabled && guest != nil && guest.user.Status.lets() {
		s.guest = guest
	}
	if s.passwords, err = lru.New[[32]byte, time.Time](maxPasswords); err != nil {
		return nil, err
	}
	s.tokens, err = lru.New[[32]byte, *claims](maxTokens)
	return s, err
}

func newAccount(u User, roles map[string][]Permission) *account {
	a := &account{user: u}
	for _, role := range u.Roles {
		a.permissions = append(a.permissions, roles[role]...)
	}
	for _, p := range a.permissions {
		if p.touches("nexus", viewDomain) {
			a.views = append(a.views, p)
		}
	}
	return a
}

// account returns who the principal is now; nil when it has no rights (any more).
func (s *snapshot) account(p Principal) *account {
	if p.Anonymous {
		return s.guest
	}
	if a := s.users[p.User]; a != nil && a.user.Status.lets() {
		return a
	}
	return nil
}

// allows tells whether the principal may do the action on the name in the repository.
func (s *snapshot) allows(p Principal, format, repo string, action content.Action, name string) bool {
	a := s.account(p)
	return a != nil && a.may(format, repo, action) && p.granted(repo, name, action)
}

// may tells whether the account may do the action in the repository.
func (a *account) may(format, repo string, action content.Action) bool {
	for _, p := range a.views {
		if p.covers("nexus", viewDomain, format, repo, string(action)) {
			return true
		}
	}
	return false
}

// sees tells whether the principal has any right on content of the repository.
func (s *snapshot) sees(p Principal, format, repo string) bool {
	a := s.account(p)
	if a == nil {
		return false
	}
	return slices.ContainsFunc(a.views, func(v Permission) bool { return v.touches("nexus", viewDomain, format, repo) })
}

// allowsSomewhere tells whether there may be a repository of the format in which the principal may do the action.
func (s *snapshot) allowsSomewhere(p Principal, format string, action content.Action) bool {
	a := s.account(p)
	return a != nil && slices.ContainsFunc(a.views, func(v Permission) bool {
		return v.anyRepository().covers("nexus", viewDomain, format, "", string(action))
	})
}

// anyRepository is the permission on content with "*" as its repository.
func (p Permission) anyRepository() Permission {
	if len(p.parts) > 3 {
		p.parts = slices.Clone(p.parts)
		p.parts[3] = nil
	}
	return p
}

// holds tells whether the principal has the permission.
func (s *snapshot) holds(p Principal, wanted Permission) bool {
	a := s.account(p)
	if a == nil || p.Grants != nil {
		return false
	}
	return slices.ContainsFunc(a.permissions, func(held Permission) bool { return held.Implies(wanted) })
}

// granted tells whether the token that the principal came with, if any, was issued for this.
func (p Principal) granted(repo, name string, action content.Action) bool {
	if p.Grants == nil {
		return true
	}
	return slices.ContainsFunc(p.Grants, func(g format.Grant) bool {
		return strings.EqualFold(g.Repository, repo) && g.Name == name && slices.Contains(g.Actions, action)
	})
}
