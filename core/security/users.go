package security

import (
	"context"
	"slices"
	"strings"

	"github.com/repomgr/repomgr/core/errs"
)

// Users returns the users whose ids start with prefix, whatever the case, in the byte order of their ids.
func (s *Service) Users(prefix string) []User {
	snap := s.current.Load()
	found := []User{}
	for _, id := range snap.ids {
		if len(id) >= len(prefix) && strings.EqualFold(id[:len(prefix)], prefix) {
			found = append(found, snap.users[id].user.shown())
		}
	}
	return found
}

// User returns the user; a NotFound error when there is none.
func (s *Service) User(id string) (User, error) {
	if a := s.current.Load().users[id]; a != nil {
		return a.user.shown(), nil
	}
	return User{}, notFound(id)
}

// shown is the user without secrets.
func (u User) shown() User {
	u.Hash, u.Roles = "", slices.Clone(u.Roles)
	return u
}

func notFound(id string) error { return errs.New(errs.NotFound, "User '%s' not found.", id) }

// CreateUser adds a user with the password. It ignores u's Hash and Version; an empty Source is SourceLocal.
func (s *Service) CreateUser(ctx context.Context, u User, password string) (User, error) {
	if u.Source == "" {
		u.Source = SourceLocal
	}
	if err := u.check(); err != nil {
		return User{}, err
	}
	hash, err := s.hash(ctx, password)
	if err != nil {
		return User{}, err
	}
	u.Hash = hash
	err = s.update(ctx, func(tx Tx) error {
		users, err := tx.Users()
		if err != nil {
			return err
		}
		if find(users, u.ID) != nil {
			return errs.Field("userId", "User '%s' already exists.", u.ID)
		}
		u.Version = tx.Epoch()
		return tx.Save(u)
	})
	return u.shown(), err
}

// UpdateUser changes names, e-mail address, status and roles of the user u.ID. A status that doesn't let the user in
// ends the user's tokens.
func (s *Service) UpdateUser(ctx context.Context, u User) error {
	if u.Source == "" {
		u.Source = SourceLocal
	}
	if err := u.check(); err != nil {
		return err
	}
	return s.change(ctx, u.ID, func(tx Tx, stored *User) error {
		if !u.Status.lets() {
			stored.Version = tx.Epoch()
		}
		stored.FirstName, stored.LastName, stored.Email = u.FirstName, u.LastName, u.Email
		stored.Status, stored.Roles = u.Status, u.Roles
		return nil
	})
}

// ChangePassword gives the user another password, and ends the user's tokens.
func (s *Service) ChangePassword(ctx context.Context, id, password string) error {
	hash, err := s.hash(ctx, password)
	if err != nil {
		return err
	}
	err = s.change(ctx, id, func(tx Tx, stored *User) error {
		stored.Hash, stored.Version = hash, tx.Epoch()
		if stored.Status == MustChange {
			stored.Status = Active
		}
		return nil
	})
	if err == nil && id == Administrator {
		s.removePasswordFile()
	}
	return err
}

// DeleteUser deletes the user, and ends the user's tokens.
func (s *Service) DeleteUser(ctx context.Context, id string) error {
	if id == AnonymousUser || id == s.Anonymous().UserID {
		return errs.New(errs.Invalid, "User '%s' stands for anonymous callers and can't be deleted.", id)
	}
	return s.update(ctx, func(tx Tx) error {
		users, err := tx.Users()
		if err != nil {
			return err
		}
		if find(users, id) == nil {
			return notFound(id)
		}
		users = slices.DeleteFunc(users, func(u User) bool { return u.ID == id })
		if !hasAdministrator(users) {
			return errLastAdministrator()
		}
		return tx.Delete(id)
	})
}

// change edits one stored user.
func (s *Service) change(ctx context.Context, id string, edit func(Tx, *User) error) error {
	return s.update(ctx, func(tx Tx) error {
		users, err := tx.Users()
		if err != nil {
			return err
		}
		stored := find(users, id)
		if stored == nil {
			return notFound(id)
		}
		if err := edit(tx, stored); err != nil {
			return err
		}
		if !hasAdministrator(users) {
			return errLastAdministrator()
		}
		return tx.Save(*stored)
	})
}

func (s *Service) hash(ctx context.Context, password string) (string, error) {
	if err := checkPassword(password); err != nil {
		return "", err
	}
	return s.hasher.hash(ctx, password)
}

func find(users []User, id string) *User {
	if i := slices.IndexFunc(users, func(u User) bool { return u.ID == id }); i >= 0 {
		return &users[i]
	}
	return nil
}

// hasAdministrator tells whether one of the users can sign in and do everything.
func hasAdministrator(users []User) bool {
	return slices.ContainsFunc(users, func(u User) bool {
		return u.Status.lets() && u.Hash != "" && slices.Contains(u.Roles, RoleAdmin)
	})
}

func errLastAdministrator() error {
	return errs.New(errs.Invalid, "The server needs an active user with the role %s: this is the last one.", RoleAdmin)
}
