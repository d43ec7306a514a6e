package security

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
)

const (
	issuer      = "repomgr"
	lifeAccess  = time.Hour
	lifeRefresh = 365 * 24 * time.Hour
	// skew is how far the clocks of nodes may differ: a token is valid from that long before it was issued.
	skew = 30 * time.Second
)

// The values of the claim typ: a token is accepted only for what it was issued for.
const (
	typeAccess  = "access"
	typeRefresh = "refresh"
)

// claims are what a token says (RFC 7519).
type claims struct {
	jwt.RegisteredClaims
	Type string `json:"typ"`
	// Version is the user's when the token was issued.
	Version int64 `json:"ver,omitempty"`
	// Anonymous marks a token for callers who have not signed in.
	Anonymous bool           `json:"anon,omitempty"`
	Grants    []format.Grant `json:"grants,omitempty"`
}

// parser accepts nothing but tokens that sign made: the algorithm is pinned.
func (s *Service) parser() *jwt.Parser {
	return jwt.NewParser(jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}), jwt.WithIssuer(issuer),
		jwt.WithExpirationRequired(), jwt.WithTimeFunc(s.now))
}

func (s *Service) sign(c claims, life time.Duration) (string, time.Time, error) {
	now := s.now().UTC().Truncate(time.Second)
	c.RegisteredClaims = jwt.RegisteredClaims{
		Issuer: issuer, Subject: c.Subject, ID: rand.Text(),
		IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now.Add(-skew)), ExpiresAt: jwt.NewNumericDate(now.Add(life)),
	}
	value, err := jwt.NewWithClaims(jwt.SigningMethodHS256, c).SignedString(s.current.Load().tokenKey)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("sign a token for %s: %w", c.Subject, err)
	}
	return value, now, nil
}

// verify returns the claims of a token of the type that is valid now, for a user whose tokens of that version count.
func (s *Service) verify(snap *snapshot, token, typ string) (*claims, error) {
	key := sha256.Sum256([]byte(token))
	c, known := snap.tokens.Get(key)
	if !known {
		c = new(claims)
		_, err := s.parser().ParseWithClaims(token, c, func(*jwt.Token) (any, error) { return snap.tokenKey, nil })
		if err != nil {
			return nil, errs.Wrap(errs.Unauthenticated, err, "the token is not valid")
		}
	}
	if c.Type != typ || !s.now().Before(c.ExpiresAt.Time) || !snap.accepts(c) {
		return nil, errs.New(errs.Unauthenticated, "the token is not valid")
	}
	if !known {
		snap.tokens.Add(key, c)
	}
	return c, nil
}

// accepts tells whether the one that the token was issued to still has that token's rights.
func (s *snapshot) accepts(c *claims) bool {
	a := s.account(Principal{User: c.Subject, Anonymous: c.Anonymous})
	return a != nil && (c.Anonymous || a.user.Version == c.Version)
}

// checkToken finds who an access token was issued to.
func (s *Service) checkToken(token string) (Principal, error) {
	c, err := s.verify(s.current.Load(), token, typeAccess)
	if err != nil {
		return Principal{}, err
	}
	p := Principal{User: c.Subject, Anonymous: c.Anonymous, Grants: c.Grants}
	if p.Grants == nil {
		// A token is always limited: one without grants allows nothing, not everything.
		p.Grants = []format.Grant{}
	}
	return p, nil
}

// Tokens issues and accepts tokens in a request by the principal to a repository of the format.
func (s *Service) Tokens(p Principal, format string) format.Tokens {
	return tokens{service: s, by: p, format: format}
}

type tokens struct {
	service *Service
	by      Principal
	format  string
}

// limited tells whether the caller is here by a token: that must not be exchanged for one that allows more or lasts longer.
func (t tokens) limited(c format.Caller) bool { return t.by.Grants != nil && c == t.by.Caller() }

func (t tokens) Issue(_ context.Context, c format.Caller, want []format.Grant) (format.Token, error) {
	if t.limited(c) {
		return format.Token{}, errs.New(errs.Unauthenticated, "a token can't be exchanged for another one")
	}
	snap := t.service.current.Load()
	granted := []format.Grant{}
	for _, g := range want {
		if g = t.part(snap, c, g); len(g.Actions) > 0 {
			granted = append(granted, g)
		}
	}
	value, at, err := t.service.sign(snap.claims(c, typeAccess, granted), lifeAccess)
	if err != nil {
		return format.Token{}, err
	}
	return format.Token{Value: value, ExpiresIn: int(lifeAccess / time.Second), IssuedAt: at.Unix(), Grants: granted}, nil
}

// part is the part of a grant that the caller's rights allow. A grant for the format's root, with an empty repository, is
// allowed to who may do the action in some repository: the root checks each that it looks into.
func (t tokens) part(snap *snapshot, c format.Caller, want format.Grant) format.Grant {
	got := format.Grant{Repository: want.Repository, Name: want.Name}
	p := Principal{User: c.User, Anonymous: c.Anonymous}
	for _, action := range want.Actions {
		if action == content.Public {
			continue
		}
		if snap.allows(p, t.format, want.Repository, action, want.Name) || want.Repository == "" && snap.allowsSomewhere(p, t.format, action) {
			got.Actions = append(got.Actions, action)
		}
	}
	return got
}

func (t tokens) IssueRefresh(_ context.Context, c format.Caller) (string, error) {
	if c.Anonymous || t.limited(c) {
		return "", errs.New(errs.Unauthenticated, "authentication required")
	}
	value, _, err := t.service.sign(t.service.current.Load().claims(c, typeRefresh, nil), lifeRefresh)
	return value, err
}

func (t tokens) Refresh(_ context.Context, token string) (format.Caller, error) {
	c, err := t.service.verify(t.service.current.Load(), token, typeRefresh)
	if err != nil {
		return format.Caller{}, err
	}
	return format.Caller{User: c.Subject}, nil
}

func (t tokens) Password(ctx context.Context, user, password string) (format.Caller, error) {
	p, err := t.service.checkPassword(ctx, user, password)
	if err != nil {
		return format.Caller{}, err
	}
	return p.Caller(), nil
}

// claims are those of a new token for the caller.
func (s *snapshot) claims(c format.Caller, typ string, grants []format.Grant) claims {
	made := claims{Type: typ, Anonymous: c.Anonymous, Grants: grants}
	made.Subject = c.User
	if a := s.users[c.User]; a != nil && !c.Anonymous {
		made.Version = a.user.Version
	}
	return made
}
