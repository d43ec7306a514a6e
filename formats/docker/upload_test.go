package docker

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
)

func TestParseContentRange(t *testing.T) {
	tests := []struct {
		name string
		in   []string
		want span
		ok   bool
	}{
		{"none", nil, span{}, true},
		{"first byte", []string{"0-0"}, span{0, 0, true}, true},
		{"a chunk", []string{"10-19"}, span{10, 19, true}, true},
		{"backwards is syntax", []string{"9-0"}, span{9, 0, true}, true},
		{"largest", []string{"0-4611686018427387903"}, span{0, 1<<62 - 1, true}, true},
		{"empty", []string{""}, span{}, false},
		{"RFC 9110", []string{"bytes 0-9/10"}, span{}, false},
		{"open", []string{"0-"}, span{}, false},
		{"suffix", []string{"-9"}, span{}, false},
		{"sign", []string{"+0-9"}, span{}, false},
		{"negative end", []string{"0--1"}, span{}, false},
		{"space", []string{"0- 9"}, span{}, false},
		{"too large", []string{"0-4611686018427387904"}, span{}, false},
		{"two", []string{"0-1", "2-3"}, span{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseContentRange(tt.in)
			if (err == nil) != tt.ok || got != tt.want {
				t.Fatalf("got %+v, %v", got, err)
			}
			if err != nil && errs.As(err).Code != codeUploadInvalid {
				t.Errorf("code %q", errs.As(err).Code)
			}
		})
	}
}

func TestSpanCheck(t *testing.T) {
	tests := []struct {
		name   string
		span   span
		have   int64
		length int64
		kind   errs.Kind
		code   string
	}{
		{"no range", span{}, 10, 5, 0, ""},
		{"fits", span{10, 14, true}, 10, 5, 0, ""},
		{"length unknown", span{10, 14, true}, 10, -1, 0, ""},
		{"gap", span{11, 15, true}, 10, 5, errs.RangeNotSatisfiable, codeUploadInvalid},
		{"again", span{0, 4, true}, 5, 5, errs.RangeNotSatisfiable, codeUploadInvalid},
		{"backwards", span{10, 9, true}, 10, 0, errs.RangeNotSatisfiable, codeUploadInvalid},
		{"length differs", span{10, 14, true}, 10, 4, errs.Invalid, codeSizeInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.span.check(tt.have, tt.length)
			if tt.code == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if e := errs.As(err); err == nil || e.Kind != tt.kind || e.Code != tt.code {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestChunk(t *testing.T) {
	failed := errors.New("store failed")
	cut := io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(io.ErrUnexpectedEOF))
	tests := []struct {
		name string
		r    io.Reader
		want int64
		// store is the error that the store ends with, when the body gives it none.
		store error
		got   string
		code  string
		same  error
	}{
		{"exact", strings.NewReader("abc"), 3, nil, "abc", "", nil},
		{"end with the last bytes", iotest.DataErrReader(strings.NewReader("abc")), 3, nil, "abc", "", nil},
		{"any length", strings.NewReader("abc"), -1, nil, "abc", "", nil},
		{"too short", strings.NewReader("abc"), 4, nil, "abc", codeSizeInvalid, nil},
		{"too long", strings.NewReader("abcd"), 3, nil, "abc", codeSizeInvalid, nil},
		{"connection lost", cut, -1, nil, "abc", codeSizeInvalid, nil},
		{"store's fault", strings.NewReader("abc"), 3, failed, "abc", "", failed},
		{"body limit", iotest.ErrReader(&http.MaxBytesError{Limit: 1}), -1, nil, "", "", &http.MaxBytesError{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := &chunk{r: tt.r, left: tt.want}
			got, err := io.ReadAll(c)
			if string(got) != tt.got {
				t.Errorf("read %q, want %q", got, tt.got)
			}
			if tt.store != nil {
				err = tt.store
			}
			err = c.verdict(err)
			switch {
			case tt.code != "":
				if e := errs.As(err); err == nil || e.Code != tt.code || e.Kind != errs.Invalid {
					t.Errorf("verdict %v", err)
				}
			case tt.same == nil && err != nil, tt.same != nil && err == nil:
				t.Errorf("verdict %v, want %v", err, tt.same)
			case errors.Is(tt.same, failed) && !errors.Is(err, failed):
				t.Errorf("verdict %v", err)
			}
		})
	}
}

func TestMountSource(t *testing.T) {
	d := digest.Digest(sha256)
	path := format.Entry{NamePrefix: "repo/"}
	tests := []struct {
		name  string
		entry format.Entry
		from  string
		want  format.Location
		ok    bool
	}{
		{"anywhere", format.Entry{}, "", format.Location{}, true},
		{"same repository", format.Entry{}, "a/b", format.Location{Path: "/v2/a/b/blobs/" + sha256}, true},
		{"by path", path, "other/a/b", format.Location{Repository: "other", Path: "/v2/a/b/blobs/" + sha256}, true},
		{"by path without image", path, "other", format.Location{}, false},
		{"bad name", format.Entry{}, "../x", format.Location{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := mountSource(tt.entry, tt.from, d)
			if got != tt.want || ok != tt.ok {
				t.Errorf("got %+v, %v", got, ok)
			}
		})
	}
}

func TestLocation(t *testing.T) {
	tests := []struct {
		name  string
		entry format.Entry
		want  string
	}{
		{"port", format.Entry{}, "/v2/a/blobs/uploads/id"},
		{"repository URL", format.Entry{Base: "/repository/r"}, "/repository/r/v2/a/blobs/uploads/id"},
		{"path", format.Entry{NamePrefix: "r/"}, "/v2/r/a/blobs/uploads/id"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := location(tt.entry, uploadPath("a", "id")); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func FuzzContentRange(f *testing.F) {
	for _, s := range []string{"0-0", "10-19", "bytes 0-1/2", "-1", "1-", "00-01", "0-9223372036854775807", "9223372036854775808-1"} {
		f.Add(s, int64(0), int64(10))
	}
	f.Fuzz(func(t *testing.T, s string, have, length int64) {
		got, err := parseContentRange([]string{s})
		if err != nil {
			return
		}
		if !got.set || got.first < 0 || got.last < 0 {
			t.Fatalf("%q: %+v", s, got)
		}
		if got.check(have, length) == nil && (got.first != have || length >= 0 && got.last-got.first != length-1 || got.size() < 1) {
			t.Errorf("%q at %d with %d bytes is taken for %+v", s, have, length, got)
		}
	})
}
