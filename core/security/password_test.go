package security

import (
	"context"
	"strings"
	"testing"
)

func TestPassword(t *testing.T) {
	h := newHasher()
	hash, err := h.hash(t.Context(), "påss:wörd")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("hash = %q", hash)
	}
	if !matches(hash, "påss:wörd") {
		t.Error("the right password doesn't match")
	}
	for _, wrong := range []string{"", "påss:wörd ", "Påss:wörd"} {
		if matches(hash, wrong) {
			t.Errorf("%q matches", wrong)
		}
	}
	if again, _ := h.hash(t.Context(), "påss:wörd"); again == hash {
		t.Error("two hashes of a password are the same: no salt")
	}
}

func TestMatchesRefuses(t *testing.T) {
	good := encode("x")
	fields := strings.Split(good, "$")
	with := func(i int, s string) string {
		f := append([]string(nil), fields...)
		f[i] = s
		return strings.Join(f, "$")
	}
	for _, test := range []struct{ name, hash string }{
		{"empty", ""},
		{"plain", "x"},
		{"other algorithm", with(1, "argon2i")},
		{"other version", with(2, "v=16")},
		{"no passes", with(3, "m=19456,t=0,p=1")},
		{"no lanes", with(3, "m=19456,t=2,p=0")},
		{"all memory", with(3, "m=4294967295,t=2,p=1")},
		{"for ever", with(3, "m=19456,t=4294967295,p=1")},
		{"salt not base64", with(4, "!")},
		{"short key", with(5, "AAAA")},
		{"no key", with(5, "")},
		{"part missing", strings.Join(fields[:5], "$")},
	} {
		t.Run(test.name, func(t *testing.T) {
			if matches(test.hash, "x") {
				t.Errorf("%q matches", test.hash)
			}
		})
	}
}

// TestAtMostTwo: a third check waits, and gives up with its request.
func TestAtMostTwo(t *testing.T) {
	h := newHasher()
	for range 2 {
		if err := h.enter(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.enter(ctx); err == nil {
		t.Error("three checks at once")
	}
	h.leave()
	if err := h.enter(t.Context()); err != nil {
		t.Error(err)
	}
}

func FuzzDecodeHash(f *testing.F) {
	f.Add(encode("x"))
	f.Add("$argon2id$v=19$m=1,t=1,p=1$$AAAAAAAAAAAAAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, hash string) {
		c, _, key, err := decode(hash)
		if err == nil && (c.memory > maxMemory || c.time > maxTime || c.time == 0 || c.lanes == 0 || len(key) == 0) {
			t.Errorf("decode(%q) = %+v", hash, c)
		}
	})
}
