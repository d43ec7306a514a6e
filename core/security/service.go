// Package security says who a caller is and what a caller may do.
//
// Rights are Nexus permissions, held by roles, held by users. What a request needs is in a snapshot of the directory,
// read without locks; a change makes a new one before it is acknowledged, so that a right taken away counts at the next
// request. On a directory that several nodes share, Sync and Watch notice the others' changes.
package security

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
)

// Options are what a Service may be told; the zero value works.
type Options struct {
	// DataDir is where EnsureAdmin leaves the first password.
	DataDir string
	// Log is slog.Default when nil.
	Log *slog.Logger
	// Now is the clock; time.Now when nil.
	Now func() time.Time
}

// Service answers for users and rights. It is safe for concurrent use.
type Service struct {
	directory Directory
	dataDir   string
	log       *slog.Logger
	now       func() time.Time
	hasher    *hasher
	// macs holds HMACs under a key of this process.
	macs *sync.Pool

	current atomic.Pointer[snapshot]
	// loading orders loads, so that no older snapshot replaces a newer one.
	loading sync.Mutex
}

// Principal is who sent a request.
type Principal struct {
	// User is the user's id; AnonymousUser when nobody signed in.
	User      string
	Anonymous bool
	// Grants limit a principal that came with a token to a part of the user's rights; nil is no limit. Not to be changed.
	Grants []format.Grant
}

// Caller is the principal in the words of formats.
func (p Principal) Caller() format.Caller {
	return format.Caller{User: p.User, Anonymous: p.Anonymous}
}

// Nobody is who has not signed in.
func Nobody() Principal { return nobody }

var nobody = Principal{User: AnonymousUser, Anonymous: true}

// New returns a service on the directory, in which it stores a key for tokens if there is none.
func New(ctx context.Context, directory Directory, opts Options) (*Service, error) {
	s := &Service{directory: directory, dataDir: opts.DataDir, log: opts.Log, now: opts.Now, hasher: newHasher()}
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.now == nil {
		s.now = time.Now
	}
	key := make([]byte, 32)
	rand.Read(key)
	s.macs = &sync.Pool{New: func() any { return hmac.New(sha256.New, key) }}
	if err := s.load(ctx); err != nil {
		return nil, err
	}
	if len(s.current.Load().tokenKey) == 0 {
		if err := s.createTokenKey(ctx); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *Service) createTokenKey(ctx context.Context) error {
	key := make([]byte, 32)
	rand.Read(key)
	err := s.update(ctx, func(tx Tx) error {
		old, err := tx.Setting(settingTokenKey)
		if err != nil || old != "" {
			return err
		}
		return tx.SetSetting(settingTokenKey, base64.StdEncoding.EncodeToString(key))
	})
	if err != nil {
		return fmt.Errorf("create the token key: %w", err)
	}
	return nil
}

// update changes the directory, and returns when requests see the change.
func (s *Service) update(ctx context.Context, change func(Tx) error) error {
	if err := s.directory.Update(ctx, change); err != nil {
		return err
	}
	// The change is made: a client that leaves now must not keep it from counting.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	return s.load(ctx)
}

func (s *Service) load(ctx context.Context) error {
	s.loading.Lock()
	defer s.loading.Unlock()
	state, err := s.directory.Load(ctx)
	if err != nil {
		return fmt.Errorf("load users: %w", err)
	}
	next, err := take(state)
	if err != nil {
		return fmt.Errorf("load users: %w", err)
	}
	s.current.Store(next)
	return nil
}

// Epoch is the epoch of the directory that requests are judged by.
func (s *Service) Epoch() int64 { return s.current.Load().epoch }

// Sync makes requests be judged by the directory of the given epoch, or a later one. It does nothing when they are.
func (s *Service) Sync(ctx context.Context, epoch int64) error {
	if s.Epoch() == epoch {
		return nil
	}
	return s.load(ctx)
}

// Watch polls the directory for changes until ctx ends.
func (s *Service) Watch(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		epoch, err := s.directory.Epoch(ctx)
		if err == nil {
			err = s.Sync(ctx, epoch)
		}
		if err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "users may be out of date", "err", err)
		}
	}
}

// Allowed tells whether the principal may do the action on content of a repository: by a permission
// "nexus:repository-view:<format>:<repo>:<action>", and, with a token, by a grant for exactly the name in the repository.
// path is the route's canonical path, name the route's name.
func (s *Service) Allowed(p Principal, format, repo string, action content.Action, path, name string) bool {
	return action == content.Public || s.current.Load().allows(p, format, repo, action, name)
}

// Sees tells whether the principal, whatever its token, has any right on content of the repository.
func (s *Service) Sees(p Principal, format, repo string) bool {
	return s.current.Load().sees(p, format, repo)
}

// Permitted tells whether the principal has the permission, for example "nexus:users:read". Principals with a token of
// limited grants have none; nobody has one that isn't well-formed.
func (s *Service) Permitted(p Principal, permission string) bool {
	wanted, err := ParsePermission(permission)
	return err == nil && s.current.Load().holds(p, wanted)
}

// Refusal is the error for a principal that Allowed refused: Unauthenticated for callers who have not signed in, and for
// tokens of limited grants (with format.CodeScope, RFC 6750 section 3.1); NotFound for a user without any right
// on the repository, who may not learn that it exists; else Forbidden.
func (s *Service) Refusal(p Principal, formatName, repo string) *errs.Error {
	switch {
	case p.Anonymous && p.Grants == nil:
		return errs.New(errs.Unauthenticated, "authentication required")
	case p.Grants != nil:
		e := errs.New(errs.Unauthenticated, "the token does not allow this")
		e.Code = format.CodeScope
		return e
	case !s.current.Load().sees(p, formatName, repo):
		return errs.New(errs.NotFound, "Repository not found")
	}
	return errs.New(errs.Forbidden, "you are not allowed to do this")
}
