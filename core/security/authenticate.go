package security

import (
	"context"
	"encoding/base64"
	"hash"
	"net/http"
	"strings"
	"time"

	"github.com/repomgr/repomgr/core/errs"
)

// rememberPassword is for how long a right password is not checked again.
const rememberPassword = 2 * time.Minute

// Authenticate says who sent the request, by its Authorization header (RFC 9110 section 11.6.2): Basic with a user's
// password, or Bearer with an access token. Without the header it is an anonymous principal, whether or not anonymous
// callers have any rights. Whatever is wrong with a header that is there is an Unauthenticated error.
func (s *Service) Authenticate(ctx context.Context, r *http.Request) (Principal, error) {
	headers := r.Header["Authorization"]
	if len(headers) == 0 {
		return nobody, nil
	}
	if len(headers) > 1 {
		return Principal{}, malformed()
	}
	scheme, credentials, _ := strings.Cut(headers[0], " ")
	credentials = strings.Trim(credentials, " ")
	switch {
	case credentials == "":
		return Principal{}, malformed()
	case strings.EqualFold(scheme, "Basic"):
		user, password, ok := parseBasic(credentials)
		if !ok {
			return Principal{}, malformed()
		}
		return s.checkPassword(ctx, user, password)
	case strings.EqualFold(scheme, "Bearer"):
		return s.checkToken(credentials)
	}
	return Principal{}, malformed()
}

func malformed() error {
	return errs.New(errs.Unauthenticated, "the Authorization header is malformed or of an unknown scheme")
}

// parseBasic reads the credentials of RFC 7617.
func parseBasic(credentials string) (user, password string, ok bool) {
	plain, err := base64.StdEncoding.DecodeString(credentials)
	if err != nil {
		return "", "", false
	}
	return strings.Cut(string(plain), ":")
}

// checkPassword finds the user with the password. Its errors say nothing of which of the two was wrong, and take the
// same time.
func (s *Service) checkPassword(ctx context.Context, user, password string) (Principal, error) {
	now, snap := s.now(), s.current.Load()
	key := s.pairKey(user, password)
	if snap.remembers(key, now) {
		return Principal{User: user}, nil
	}
	if err := s.hasher.enter(ctx); err != nil {
		return Principal{}, err
	}
	defer s.hasher.leave()
	// Another request may have found the same pair right while this one waited.
	if snap.remembers(key, now) {
		return Principal{User: user}, nil
	}
	account, hash := snap.users[user], s.hasher.decoy
	if account != nil && account.user.Hash != "" {
		hash = account.user.Hash
	}
	right := matches(hash, password)
	if !right || account == nil || account.user.Hash == "" || !account.user.Status.lets() {
		return Principal{}, errs.New(errs.Unauthenticated, "the user name or the password is wrong")
	}
	snap.passwords.Add(key, now.Add(rememberPassword))
	return Principal{User: user}, nil
}

// remembers tells whether the pair was found right a short time ago.
func (s *snapshot) remembers(key [32]byte, now time.Time) bool {
	until, ok := s.passwords.Get(key)
	return ok && now.Before(until)
}

// pairKey is the name under which the pair is remembered. No one can find the password from it: its key never leaves the
// process.
func (s *Service) pairKey(user, password string) (key [32]byte) {
	mac := s.macs.Get().(hash.Hash)
	defer s.macs.Put(mac)
	mac.Reset()
	var buf [256]byte
	// a user's id has no colon (RFC 7617 section 2)
	mac.Write(append(append(append(buf[:0], user...), ':'), password...))
	mac.Sum(key[:0])
	return key
}
