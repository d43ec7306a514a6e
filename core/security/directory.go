package security

import "context"

// Directory stores users and the settings of this package. It counts its changes: the epoch grows with each of them, in
// the transaction that makes it, so that what was derived from an epoch is right for as long as the epoch stands.
type Directory interface {
	// Load returns all there is, as it was at one moment.
	Load(ctx context.Context) (State, error)
	// Epoch returns the present epoch; it is cheap enough to be polled.
	Epoch(ctx context.Context) (int64, error)
	// Update runs change in a transaction of its own: changes of all nodes run one after the other, and what one reads
	// stays so until it is committed. All or nothing of it is stored; nothing when change fails, whose error comes back
	// as it is. The store may run change more than once before it commits.
	Update(ctx context.Context, change func(Tx) error) error
}

// State is the content of a Directory.
type State struct {
	Epoch int64
	// Users are in the byte order of their ids.
	Users    []User
	Settings map[string]string
}

// Tx is a Directory within an Update; it is not to be used after it.
type Tx interface {
	// Epoch is the epoch that this change makes: higher than any before.
	Epoch() int64
	// Users returns all users, in the byte order of their ids, with what this change did so far.
	Users() ([]User, error)
	// Save stores a user, new or not.
	Save(u User) error
	// Delete deletes a user; none of that id is not an error.
	Delete(id string) error
	// Setting returns a setting's value; empty when there is none.
	Setting(key string) (string, error)
	SetSetting(key, value string) error
}

// The keys of the settings.
const (
	// settingTokenKey is the key that signs tokens, 32 bytes in base64.
	settingTokenKey = "security.token-key"
	// settingAnonymous is an Anonymous as JSON.
	settingAnonymous = "security.anonymous"
)
