package security

import (
	"context"
	"encoding/json"

	"github.com/repomgr/repomgr/core/errs"
)

// Anonymous is the setting of anonymous access (nexus-api.md section 6.5).
type Anonymous struct {
	Enabled bool `json:"enabled"`
	// UserID is the user whose roles anonymous callers have. They have none when there is no such user.
	UserID    string `json:"userId"`
	RealmName string `json:"realmName"`
}

// realmAuthorizing is the one realm that anonymous access can name.
const realmAuthorizing = "NexusAuthorizingRealm"

var noAnonymous = Anonymous{UserID: AnonymousUser, RealmName: realmAuthorizing}

// Anonymous returns the setting of anonymous access.
func (s *Service) Anonymous() Anonymous { return s.current.Load().anonymous }

// Guests tells whether callers who have not signed in have any rights.
func (s *Service) Guests() bool { return s.current.Load().guest != nil }

// SetAnonymous changes anonymous access, and returns it with the defaults that took the place of empty fields.
func (s *Service) SetAnonymous(ctx context.Context, a Anonymous) (Anonymous, error) {
	if a.UserID == "" {
		a.UserID = noAnonymous.UserID
	}
	if a.RealmName == "" {
		a.RealmName = noAnonymous.RealmName
	}
	if a.RealmName != realmAuthorizing {
		return Anonymous{}, errs.Field("realmName", "realmName must be %s, not %q", realmAuthorizing, a.RealmName)
	}
	return a, s.update(ctx, func(tx Tx) error { return setAnonymous(tx, a) })
}

func setAnonymous(tx Tx, a Anonymous) error {
	text, err := json.Marshal(a)
	if err != nil {
		return err
	}
	return tx.SetSetting(settingAnonymous, string(text))
}
