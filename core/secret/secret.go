// Package secret keeps secrets unreadable where they are stored, and unusable where they were not stored.
package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// KeySize is the size of a key in bytes.
const KeySize = 32

// prefix begins what Seal returns. The rest is the key's id, a colon, and nonce, ciphertext and tag in base64.
const prefix = "sealed:1:"

// Key seals secrets with AES-256-GCM (NIST SP 800-38D).
type Key struct {
	id   string
	aead cipher.AEAD
}

// NewKey makes a Key of KeySize bytes.
func NewKey(key []byte) (*Key, error) {
	if len(key) != KeySize {
		return nil, fmt.Errorf("a key has %d bytes, not %d", KeySize, len(key))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("repomgr: id of a key of secrets"))
	return &Key{id: hex.EncodeToString(mac.Sum(nil)[:8]), aead: aead}, nil
}

// ID names the key, and tells nothing about it.
func (k *Key) ID() string { return k.id }

// Seal encrypts a secret for a place, any name of where it is stored: nowhere else it can be opened. An empty secret stays empty.
func (k *Key) Seal(place, plain string) string {
	if plain == "" {
		return ""
	}
	nonce := make([]byte, k.aead.NonceSize())
	rand.Read(nonce)
	sealed := k.aead.Seal(nonce, nonce, []byte(plain), []byte(place))
	return prefix + k.id + ":" + base64.RawStdEncoding.EncodeToString(sealed)
}

// Sealed tells whether a stored value was sealed. Others were stored by a version that did not seal.
func Sealed(stored string) bool { return strings.HasPrefix(stored, prefix) }

// What is wrong with a sealed secret.
var (
	ErrKey    = errors.New("it was encrypted with another key")
	ErrBroken = errors.New("it was changed, or is not the one that was stored there")
)

// Open decrypts what Seal made for the same place. What is not sealed is returned as it is. The error is ErrKey or ErrBroken.
func (k *Key) Open(place, stored string) (string, error) {
	rest, ok := strings.CutPrefix(stored, prefix)
	if !ok {
		return stored, nil
	}
	id, text, ok := strings.Cut(rest, ":")
	if !ok {
		return "", ErrBroken
	}
	if id != k.id {
		return "", ErrKey
	}
	data, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil || len(data) < k.aead.NonceSize() {
		return "", ErrBroken
	}
	plain, err := k.aead.Open(nil, data[:k.aead.NonceSize()], data[k.aead.NonceSize():], []byte(place))
	if err != nil {
		return "", ErrBroken
	}
	return string(plain), nil
}
