package security

import (
	"net/mail"
	"slices"
	"strings"
	"unicode"

	"github.com/repomgr/repomgr/core/errs"
)

// The users that every server starts with.
const (
	// Administrator is the id of the first user.
	Administrator = "admin"
	// AnonymousUser is the id of the user that stands for callers who have not signed in.
	AnonymousUser = "anonymous"
)

// SourceLocal is the source of the users that the server itself keeps.
const SourceLocal = "default"

// User is somebody who may sign in.
type User struct {
	ID, FirstName, LastName, Email string
	// Source says who knows the user's password; SourceLocal so far.
	Source string
	Status Status
	// Roles are the ids of roles.
	Roles []string
	// Hash is the password's, in PHC string form; empty when the user can't sign in by password. Service doesn't show it.
	Hash string
	// Version is the epoch of the last change that ended the user's tokens.
	Version int64
}

// Status says whether a user may sign in.
type Status string

// The states of a user.
const (
	Active   Status = "active"
	Locked   Status = "locked"
	Disabled Status = "disabled"
	// MustChange asks for a new password; the user may sign in.
	MustChange Status = "changepassword"
)

// lets tells whether a user of the status may do anything.
func (s Status) lets() bool { return s == Active || s == MustChange }

// maxID is the longest user id, in bytes.
const maxID = 200

// check checks what a client may set of a user (nexus-api.md section 6.1). Errors are Invalid, with the field of the REST API.
func (u User) check() error {
	switch {
	case strings.TrimSpace(u.ID) == "":
		return errs.Field("userId", "userId must not be empty")
	case len(u.ID) > maxID:
		return errs.Field("userId", "userId must be at most %d bytes long", maxID)
	case strings.ContainsRune(u.ID, ':'):
		// RFC 7617 section 2: the first colon ends the user-id
		return errs.Field("userId", "userId must not contain a colon")
	case strings.ContainsFunc(u.ID, unicode.IsControl):
		return errs.Field("userId", "userId must not contain control characters")
	case strings.TrimSpace(u.FirstName) == "":
		return errs.Field("firstName", "firstName must not be empty")
	case strings.TrimSpace(u.LastName) == "":
		return errs.Field("lastName", "lastName must not be empty")
	case !isAddress(u.Email):
		return errs.Field("emailAddress", "emailAddress must be an e-mail address")
	case u.Source != SourceLocal:
		return errs.Field("source", "source must be %s", SourceLocal)
	}
	switch u.Status {
	case Active, Locked, Disabled, MustChange:
	default:
		return errs.Field("status", "status must be active, locked, disabled or changepassword, not %q", u.Status)
	}
	return checkRoles(u.Roles)
}

func isAddress(s string) bool {
	a, err := mail.ParseAddress(s)
	return err == nil && a.Address == s
}

func checkRoles(ids []string) error {
	for _, id := range ids {
		if !slices.ContainsFunc(Roles(), func(r Role) bool { return r.ID == id }) {
			return errs.Field("roles", "Role '%s' not found.", id)
		}
	}
	return nil
}

// checkPassword refuses what can't be a password.
func checkPassword(password string) error {
	if strings.TrimSpace(password) == "" {
		return errs.Field("password", "password must not be empty")
	}
	return nil
}
