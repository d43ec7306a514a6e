package security

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// PasswordFile is the name of the file in the data directory that holds the first administrator's password until it
// is changed.
const PasswordFile = "admin.password"

// NewPassword returns a random password of 26 characters, of which no two look alike.
func NewPassword() string { return rand.Text() }

// EnsureAdmin prepares a server that has no administrator: it creates the users admin and anonymous, and sets whether
// anonymous callers are let in. Without a password it makes one and leaves it in PasswordFile, readable by the owner
// only; the file is durable before the user exists, so that there is never a user whose password nobody knows. It tells
// whether it did anything. On a server that has an administrator, password and anonymous are ignored.
func (s *Service) EnsureAdmin(ctx context.Context, password string, anonymous bool) (created bool, err error) {
	if hasAdministrator(s.current.Load().stored()) {
		s.dropStaleFile(ctx)
		if password != "" {
			s.log.InfoContext(ctx, "the configured administrator password is ignored: it counts at the first start only")
		}
		return false, nil
	}
	admin := User{
		ID: Administrator, FirstName: "Administrator", LastName: "User", Email: "admin@example.org",
		Source: SourceLocal, Status: Active, Roles: []string{RoleAdmin},
	}
	if password == "" {
		password, admin.Status = NewPassword(), MustChange
		if err := writeSecret(s.dataDir, PasswordFile, password); err != nil {
			return false, fmt.Errorf("write the administrator's password: %w", err)
		}
	}
	if admin.Hash, err = s.hash(ctx, password); err != nil {
		return false, err
	}
	err = s.update(ctx, func(tx Tx) error {
		created, err = createFirst(tx, admin, anonymous)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("create the administrator: %w", err)
	}
	// Another node may have been faster, or a start with another password was interrupted: then the file is wrong.
	s.dropStaleFile(ctx)
	if created && admin.Status == MustChange {
		s.log.InfoContext(ctx, "the first password of the user admin is in a file", "file", filepath.Join(s.dataDir, PasswordFile))
	}
	return created, nil
}

// createFirst stores the first users, unless there is an administrator by now.
func createFirst(tx Tx, admin User, anonymous bool) (bool, error) {
	users, err := tx.Users()
	if err != nil || hasAdministrator(users) {
		return false, err
	}
	admin.Version = tx.Epoch()
	if err := tx.Save(admin); err != nil {
		return false, err
	}
	if find(users, AnonymousUser) == nil {
		guest := User{
			ID: AnonymousUser, FirstName: "Anonymous", LastName: "User", Email: "anonymous@example.org",
			Source: SourceLocal, Status: Active, Roles: []string{RoleAnonymous}, Version: tx.Epoch(),
		}
		if err := tx.Save(guest); err != nil {
			return false, err
		}
	}
	setting := noAnonymous
	setting.Enabled = anonymous
	return true, setAnonymous(tx, setting)
}

// ResetAdmin gives the user admin the password, and the role and status of an administrator, whatever became of it.
func (s *Service) ResetAdmin(ctx context.Context, password string) error {
	hash, err := s.hash(ctx, password)
	if err != nil {
		return err
	}
	err = s.update(ctx, func(tx Tx) error {
		users, err := tx.Users()
		if err != nil {
			return err
		}
		admin := find(users, Administrator)
		if admin == nil {
			admin = &User{ID: Administrator, FirstName: "Administrator", LastName: "User", Email: "admin@example.org", Source: SourceLocal}
		}
		if !slices.Contains(admin.Roles, RoleAdmin) {
			admin.Roles = append(admin.Roles, RoleAdmin)
		}
		admin.Status, admin.Hash, admin.Version = Active, hash, tx.Epoch()
		return tx.Save(*admin)
	})
	if err != nil {
		return fmt.Errorf("reset the administrator's password: %w", err)
	}
	s.removePasswordFile()
	return nil
}

// stored returns all users as the directory has them.
func (s *snapshot) stored() []User {
	users := make([]User, 0, len(s.ids))
	for _, id := range s.ids {
		users = append(users, s.users[id].user)
	}
	return users
}

// dropStaleFile removes a password file that doesn't hold the administrator's password, as a crash between a change of
// the password and the removal of the file leaves it.
func (s *Service) dropStaleFile(ctx context.Context) {
	password, err := os.ReadFile(filepath.Join(s.dataDir, PasswordFile))
	if s.dataDir == "" || err != nil {
		return
	}
	admin := s.current.Load().users[Administrator]
	if s.hasher.enter(ctx) != nil {
		return
	}
	defer s.hasher.leave()
	if admin == nil || !matches(admin.user.Hash, string(password)) {
		s.removePasswordFile()
	}
}

func (s *Service) removePasswordFile() {
	if s.dataDir == "" {
		return
	}
	path := filepath.Join(s.dataDir, PasswordFile)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.log.Warn("a file with an outdated password stays", "path", path, "err", err)
	}
}

// writeSecret writes a file that only its owner can read. It is there whole and durably, or not at all.
func writeSecret(dir, name, content string) error {
	if dir == "" {
		return errors.New("there is no data directory")
	}
	temporary := filepath.Join(dir, "."+name+".new")
	// one may be left from a start that was interrupted
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteString(content); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(temporary, filepath.Join(dir, name)); err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
