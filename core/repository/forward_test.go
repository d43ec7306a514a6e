package repository

import "testing"

func TestEscapePath(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"plain", "/a-b_c.d~e/f", "/a-b_c.d~e/f"},
		{"plus is a space to some", "/a+b", "/a%2Bb"},
		{"parameters", "/a;b,c", "/a%3Bb%2Cc"},
		{"space, percent, question mark", "/a b%2F?", "/a%20b%252F%3F"},
		{"letters", "/ä", "/%C3%A4"},
		{"digests and scopes", "/@scope/sha256:ab", "/@scope/sha256:ab"},
		{"directory", "/d/", "/d/"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := escapePath(tt.in); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}
