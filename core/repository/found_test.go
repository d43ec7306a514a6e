package repository

import "testing"

// TestReadable: how many bytes of a fetch clients may have.
func TestReadable(t *testing.T) {
	tests := []struct {
		name         string
		size, length int64
		complete     bool
		want         int64
	}{
		{"nothing yet", 0, tail + 10, false, 0},
		{"nothing yet, length not known", 0, -1, false, 0},
		{"the beginning", 5, tail + 10, false, 5},
		{"the beginning, length not known", 5, -1, false, 0},
		{"up to the end", tail + 9, tail + 10, false, 10},
		{"more than the end, length not known", tail + 9, -1, false, 9},
		{"more than was said", tail + 99, tail + 10, false, 10},
		{"a short file", 9, 10, false, 0},
		{"an empty file", 0, 0, false, 0},
		{"complete", tail + 10, tail + 10, true, tail + 10},
		{"complete, length not known", 10, -1, true, 10},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := &fetch{size: tt.size, length: tt.length, complete: tt.complete}
			if got := f.readable(); got != tt.want {
				t.Errorf("%d bytes, want %d", got, tt.want)
			}
		})
	}
}
