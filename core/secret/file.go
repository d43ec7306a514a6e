package secret

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// FileName is the name of the key's file in the data directory.
const FileName = "secrets.key"

// maxFile is the most bytes that a key's file has.
const maxFile = 1 << 10

// Read reads a key's file: KeySize bytes in base64, on one line. A missing file is fs.ErrNotExist.
func Read(path string) (*Key, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("key of secrets: %w", err)
	}
	defer f.Close()
	text := make([]byte, maxFile)
	n, err := f.Read(text)
	if err != nil {
		return nil, fmt.Errorf("key of secrets %s: %w", path, err)
	}
	key, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(text[:n])))
	if err != nil || len(key) != KeySize {
		return nil, fmt.Errorf("key of secrets %s: it must be %d bytes in base64, as `head -c %d /dev/urandom | base64` makes them", path, KeySize, KeySize)
	}
	return NewKey(key)
}

// Create makes a new key and its file, which only its owner can read. Where there is a file already it is fs.ErrExist. Nobody else may do
// so at the same moment.
func Create(path string) (*Key, error) {
	if _, err := os.Lstat(path); err == nil {
		return nil, fmt.Errorf("key of secrets %s: %w", path, fs.ErrExist)
	}
	key := make([]byte, KeySize)
	rand.Read(key)
	// A file that is there is whole, whenever the power fails.
	f, err := os.CreateTemp(filepath.Dir(path), "."+FileName+"-*") // mode 0600
	if err != nil {
		return nil, fmt.Errorf("key of secrets: %w", err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if _, err := f.WriteString(base64.StdEncoding.EncodeToString(key) + "\n"); err != nil {
		return nil, fmt.Errorf("key of secrets: %w", err)
	}
	if err := f.Sync(); err != nil {
		return nil, fmt.Errorf("key of secrets: %w", err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return nil, fmt.Errorf("key of secrets: %w", err)
	}
	if dir, err := os.Open(filepath.Dir(path)); err == nil {
		_ = dir.Sync() // not all file systems can
		_ = dir.Close()
	}
	return NewKey(key)
}
