package repository

import (
	"fmt"
	"testing"
)

func TestContentRange(t *testing.T) {
	tests := []struct {
		value string
		want  string
	}{
		{"bytes 0-0/1", "0 0 1 true"},
		{"BYTES 5-9/100", "5 9 100 true"},
		{"bytes 5-9/*", "5 9 -1 true"},
		{"", "0 0 0 false"},
		{"bytes */100", "0 0 100 false"},
		{"bytes 5-4/100", "5 4 100 false"},
		{"bytes 5-100/100", "5 100 100 false"},
		{"bytes 5-9/-1", "5 9 -1 false"},
		{"items 5-9/100", "5 9 100 false"},
		{"bytes=5-9/100", "0 0 0 false"},
		{"bytes 5-9", "5 9 0 false"},
	}
	for _, tt := range tests {
		t.Run(tt.value, func(t *testing.T) {
			first, last, total, ok := contentRange(tt.value)
			if got := fmt.Sprint(first, last, total, ok); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

func FuzzContentRange(f *testing.F) {
	for _, s := range []string{"bytes 0-0/1", "bytes 5-9/*", "bytes */100", "bytes 0-9223372036854775807/*", "bytes --1/+1", "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		first, last, total, ok := contentRange(value)
		if ok && (first < 0 || last < first || total != -1 && total <= last) {
			t.Errorf("%q is %d to %d of %d", value, first, last, total)
		}
	})
}
