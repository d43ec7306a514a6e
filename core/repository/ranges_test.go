package repository

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/repomgr/repomgr/core/errs"
)

func TestRanged(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"none", "", ""},
		{"first bytes", "bytes=0-4", "bytes=0-4"},
		{"to the end", "bytes=5-", "bytes=5-"},
		{"last bytes", "bytes=-5", "bytes=-5"},
		{"beyond the end", "bytes=5-100", "bytes=5-100"},
		{"beyond any size", "bytes=5-99999999999999999999", "bytes=5-9223372036854775807"},
		{"more than any size", "bytes=-99999999999999999999", "bytes=-9223372036854775807"},
		{"one of two", "bytes=20-30,1-99999999999999999999", "bytes=20-30, 1-9223372036854775807"},
		{"other unit", "lines=1-2", ""},
		{"starts at the end", "bytes=10-", "416"},
		{"starts beyond any size", "bytes=99999999999999999999-", "416"},
		{"no bytes", "bytes=-0", "416"},
		{"negative", "bytes=-99999999999999999999-1", "416"},
		{"backwards", "bytes=5-4", "416"},
		{"letters", "bytes=a-b", "416"},
		{"no dash", "bytes=5", "416"},
		{"unit in capitals", "Bytes=0-4", "bytes=0-4"},
		{"unit in capitals, beyond the end", "BYTES=10-", "416"},
		{"empty elements", "bytes=,0-1,,3-4", "bytes=0-1, 3-4"},
		{"nothing", "bytes=", "416"},
		{"one right, one wrong", "bytes=0-1,x", "416"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			if tt.in != "" {
				r.Header.Set("Range", tt.in)
			}
			h := http.Header{}
			out, err := ranged(h, r, 10)
			if tt.want == "416" {
				if !errs.Is(err, errs.RangeNotSatisfiable) || h.Get("Content-Range") != "bytes */10" {
					t.Errorf("%v, Content-Range %q", err, h.Get("Content-Range"))
				}
				return
			}
			if err != nil || out.Header.Get("Range") != tt.want {
				t.Errorf("%q, %v, want %q", out.Header.Get("Range"), err, tt.want)
			}
		})
	}
}

// A Range that depends on a condition is left to net/http, but for what it would answer without saying how much there is.
func TestRanged_Condition(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"first bytes", "bytes=0-4", "bytes=0-4"},
		{"unit in capitals", "Bytes=0-4", "bytes=0-4"},
		{"beyond the end", "bytes=10-", "bytes=10-"},
		{"letters", "bytes=a-b", ""},
		{"one right, one wrong", "bytes=0-1,x", ""},
		{"nothing", "bytes=", ""},
		{"other unit", "lines=1-2", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header.Set("Range", tt.in)
			r.Header.Set("If-Range", `"x"`)
			if out, err := ranged(http.Header{}, r, 10); err != nil || out.Header.Get("Range") != tt.want {
				t.Errorf("%q, %v, want %q", out.Header.Get("Range"), err, tt.want)
			}
		})
	}
}
