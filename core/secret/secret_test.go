package secret

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func key(t testing.TB, b byte) *Key {
	t.Helper()
	k, err := NewKey(bytes.Repeat([]byte{b}, KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestSeal(t *testing.T) {
	k := key(t, 1)
	for _, plain := range []string{"hush", "ü", strings.Repeat("x", 1<<16), prefix, prefix + "a:b"} {
		sealed := k.Seal("here", plain)
		if !Sealed(sealed) || strings.Contains(sealed[len(prefix):], plain) || sealed == k.Seal("here", plain) {
			t.Errorf("%.20q is sealed as %.60q, or always the same", plain, sealed)
		}
		if got, err := k.Open("here", sealed); got != plain || err != nil {
			t.Errorf("opened: %.20q, %v", got, err)
		}
	}
	if k.Seal("here", "") != "" {
		t.Error("no secret becomes one")
	}
}

func TestOpen(t *testing.T) {
	k := key(t, 1)
	sealed := k.Seal("here", "hush")
	head, tail := sealed[:len(sealed)-4], sealed[len(sealed)-4:]
	tests := []struct {
		name   string
		key    *Key
		place  string
		stored string
		plain  string
		err    error
	}{
		{"right", k, "here", sealed, "hush", nil},
		{"in clear", k, "here", "hush", "hush", nil},
		{"empty", k, "here", "", "", nil},
		{"elsewhere", k, "there", sealed, "", ErrBroken},
		{"another key", key(t, 2), "here", sealed, "", ErrKey},
		{"another key's with this one's id", k, "here", strings.Replace(key(t, 2).Seal("here", "hush"), key(t, 2).ID(), k.ID(), 1), "", ErrBroken},
		{"changed", k, "here", head + strings.Repeat("A", len(tail)), "", ErrBroken},
		{"shorter", k, "here", head, "", ErrBroken},
		{"too short", k, "here", prefix + k.ID() + ":AAAA", "", ErrBroken},
		{"not base64", k, "here", prefix + k.ID() + ":!", "", ErrBroken},
		{"no id", k, "here", prefix, "", ErrBroken},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := tt.key.Open(tt.place, tt.stored); got != tt.plain || !errors.Is(err, tt.err) {
				t.Errorf("got %q, %v; want %q, %v", got, err, tt.plain, tt.err)
			}
		})
	}
}

func FuzzOpen(f *testing.F) {
	k := key(f, 1)
	f.Add("here", "hush", 3)
	f.Add("", prefix+k.ID()+":AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 40)
	f.Fuzz(func(t *testing.T, place, text string, at int) {
		got, err := k.Open(place, text)
		switch {
		case Sealed(text) && err == nil:
			t.Errorf("%q was opened, and nobody has sealed it", text)
		case !Sealed(text) && (got != text || err != nil):
			t.Errorf("%q in clear: %q, %v", text, got, err)
		case err != nil && got != "":
			t.Errorf("%q with an error", got)
		}
		sealed := k.Seal(place, text)
		if got, err := k.Open(place, sealed); got != text || err != nil {
			t.Errorf("sealed and opened: %q, %v", got, err)
		}
		if text == "" || at < 0 {
			return
		}
		// One other bit anywhere behind the prefix makes it unreadable.
		changed := []byte(sealed)
		i := len(prefix) + at%(len(changed)-len(prefix))
		changed[i] ^= 1
		if got, err := k.Open(place, string(changed)); err == nil && !sameBits(sealed, string(changed)) {
			t.Errorf("changed at %d and opened: %q", i, got)
		}
	})
}

// sameBits tells whether two texts are of the same bytes: the last character of base64 has bits that don't count.
func sameBits(a, b string) bool {
	decode := func(s string) string {
		data, _ := base64.RawStdEncoding.DecodeString(s[strings.LastIndexByte(s, ':')+1:])
		return s[:strings.LastIndexByte(s, ':')+1] + string(data)
	}
	return decode(a) == decode(b)
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	if _, err := Read(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	made, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
		t.Errorf("it leaves %v", entries)
	}
	read, err := Read(path)
	if err != nil || read.ID() != made.ID() {
		t.Errorf("read: %v, %v", read, err)
	}
	if _, err := Create(path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second: %v", err)
	}
	other, err := Create(path + "2")
	if err != nil || other.ID() == made.ID() {
		t.Errorf("another: %v, %v", other, err)
	}
	for _, content := range []string{"", "x", "AAAA\n", strings.Repeat("A", 44), strings.Repeat("A", 2<<10)} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(path); err == nil || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.50q: %v", content, err)
		}
	}
	if _, err := Read(filepath.Dir(path)); err == nil {
		t.Error("a directory is read")
	}
}
