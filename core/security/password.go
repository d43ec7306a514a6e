package security

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// cost is what an argon2id hash costs: memory in KiB, passes, lanes.
type cost struct {
	memory, time uint32
	lanes        uint8
}

// standard is the least cost that OWASP's password storage cheat sheet asks for.
var standard = cost{memory: 19 * 1024, time: 2, lanes: 1}

// Bounds on the cost of a stored hash, so that a damaged row can't take all memory.
const (
	maxMemory = 1 << 20
	maxTime   = 64
)

const (
	saltSize = 16
	keySize  = 32
)

// hasher computes password hashes, at most so many at a time as its slots.
type hasher struct {
	slots chan struct{}
	// decoy is the hash of a password that nobody knows: checked for unknown users, so that they cost the same time.
	decoy string
}

// newHasher returns a hasher that computes at most two hashes at a time: 38 MiB.
func newHasher() *hasher {
	h := &hasher{slots: make(chan struct{}, 2)}
	h.decoy = encode(rand.Text())
	return h
}

// enter waits for a slot; leave must follow when it returns nil.
func (h *hasher) enter(ctx context.Context) error {
	select {
	case h.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the password check: %w", context.Cause(ctx))
	}
}

func (h *hasher) leave() { <-h.slots }

// hash returns the password's hash in PHC string form, with a new salt.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	if err := h.enter(ctx); err != nil {
		return "", err
	}
	defer h.leave()
	return encode(password), nil
}

func encode(password string) string {
	salt := make([]byte, saltSize)
	rand.Read(salt)
	key := argon2.IDKey([]byte(password), salt, standard.time, standard.memory, standard.lanes, keySize)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version,
		standard.memory, standard.time, standard.lanes, b64.EncodeToString(salt), b64.EncodeToString(key))
}

// matches tells whether the password is the one that was hashed; false for a string that isn't a hash.
func matches(hash, password string) bool {
	c, salt, key, err := decode(hash)
	if err != nil {
		return false
	}
	got := argon2.IDKey([]byte(password), salt, c.time, c.memory, c.lanes, uint32(len(key)))
	return subtle.ConstantTimeCompare(got, key) == 1
}

// decode reads a hash in PHC string form.
func decode(hash string) (c cost, salt, key []byte, err error) {
	fields := strings.Split(hash, "$")
	if len(fields) != 6 || fields[0] != "" || fields[1] != "argon2id" {
		return cost{}, nil, nil, fmt.Errorf("password hash: not argon2id")
	}
	var version int
	if _, err := fmt.Sscanf(fields[2], "v=%d", &version); err != nil || version != argon2.Version {
		return cost{}, nil, nil, fmt.Errorf("password hash: version %q", fields[2])
	}
	if _, err := fmt.Sscanf(fields[3], "m=%d,t=%d,p=%d", &c.memory, &c.time, &c.lanes); err != nil {
		return cost{}, nil, nil, fmt.Errorf("password hash: cost %q: %w", fields[3], err)
	}
	if c.memory > maxMemory || c.time == 0 || c.time > maxTime || c.lanes == 0 {
		return cost{}, nil, nil, fmt.Errorf("password hash: cost %q out of bounds", fields[3])
	}
	b64 := base64.RawStdEncoding.Strict()
	if salt, err = b64.DecodeString(fields[4]); err != nil {
		return cost{}, nil, nil, fmt.Errorf("password hash: salt: %w", err)
	}
	if key, err = b64.DecodeString(fields[5]); err != nil {
		return cost{}, nil, nil, fmt.Errorf("password hash: key: %w", err)
	}
	if len(key) < 16 {
		return cost{}, nil, nil, fmt.Errorf("password hash: key of %d bytes", len(key))
	}
	return c, salt, key, nil
}
