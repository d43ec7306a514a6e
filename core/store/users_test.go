package store

import (
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/repomgr/repomgr/core/security"
	"github.com/repomgr/repomgr/core/security/securitytest"
)

func TestDirectory(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		securitytest.Run(t, func(t *testing.T) security.Directory {
			// The suite asks for an empty one each time.
			for _, statement := range []string{`DELETE FROM users`, `DELETE FROM settings`} {
				if err := s.Update(t.Context(), func(tx *Tx) error { _, err := tx.exec(statement); return err }); err != nil {
					t.Fatal(err)
				}
			}
			return s.Directory()
		})
	})
}

// TestUsersStay: what a server stored about its users is there after it is started again, tokens included.
func TestUsersStay(t *testing.T) {
	path, log := filepath.Join(t.TempDir(), "repomgr.db"), slog.New(slog.DiscardHandler)
	var token string
	for _, start := range []string{"first", "second"} {
		s, err := Open(t.Context(), path, "", log)
		if err != nil {
			t.Fatal(err)
		}
		users, err := security.New(t.Context(), s.Directory(), security.Options{DataDir: t.TempDir(), Log: log})
		if err != nil {
			t.Fatal(err)
		}
		created, err := users.EnsureAdmin(t.Context(), "secret", false)
		if err != nil || created != (start == "first") {
			t.Fatalf("%s start: created %v, %v", start, created, err)
		}
		tokens := users.Tokens(security.Principal{User: "admin"}, "docker")
		if start == "first" {
			caller, err := tokens.Password(t.Context(), "admin", "secret")
			if err != nil {
				t.Fatal(err)
			}
			if token, err = tokens.IssueRefresh(t.Context(), caller); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := tokens.Refresh(t.Context(), token); err != nil {
			t.Errorf("%s start: %v", start, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
