package formattest

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// TestRest: after a body broke off, its rest is taken only from what is certain to be the same file, and until it is whole.
func TestRest(t *testing.T) {
	const size, cut = 1_000_000, 400_000
	content := bytes.Repeat([]byte("0123456789"), size/10)
	whole := fmt.Sprintf("bytes %d-%d/%d", cut, size-1, size)
	tests := []struct {
		name string
		// etag is that of the first answer, sized whether it tells its length.
		etag  string
		sized bool
		// rest is the header of the others; at most step bytes are sent at once, where it is not zero.
		rest []string
		step int
		ok   bool
	}{
		{"the same", `"e"`, true, []string{"ETag", `"e"`, "Content-Range", whole}, 0, true},
		{"the same, length not known", `"e"`, false, []string{"ETag", `"e"`, "Content-Range", whole}, 0, true},
		{"the total is not told again", `"e"`, true, []string{"ETag", `"e"`, "Content-Range", fmt.Sprintf("bytes %d-%d/*", cut, size-1)}, 0, true},
		{"the total is never told", `"e"`, false, []string{"ETag", `"e"`, "Content-Range", fmt.Sprintf("bytes %d-%d/*", cut, size-1)}, 0, false},
		{"another version", `"e"`, true, []string{"ETag", `"f"`, "Content-Range", whole}, 0, false},
		{"perhaps another version", `"e"`, true, []string{"ETag", `W/"e"`, "Content-Range", whole}, 0, false},
		{"no version", `"e"`, true, []string{"Content-Range", whole}, 0, false},
		{"of another length", `"e"`, true, []string{"ETag", `"e"`, "Content-Range", fmt.Sprintf("bytes %d-%d/5000000", cut, size-1)}, 0, false},
		{"from elsewhere", `"e"`, true, []string{"ETag", `"e"`, "Content-Range", fmt.Sprintf("bytes 0-%d/%d", size-1, size)}, 0, false},
		{"compressed", `"e"`, true, []string{"ETag", `"e"`, "Content-Range", whole, "Content-Encoding", "gzip"}, 0, false},
		{"weak", `W/"e"`, true, []string{"ETag", `W/"e"`, "Content-Range", whole}, 0, false},
		{"in two parts", `"e"`, true, []string{"ETag", `"e"`}, 300_000, true},
		{"in two parts, length not known", `"e"`, false, []string{"ETag", `"e"`}, 300_000, true},
		{"in many parts", `"e"`, true, []string{"ETag", `"e"`}, 100_000, false},
		{"in many parts, length not known", `"e"`, false, []string{"ETag", `"e"`}, 100_000, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			gone := false
			up := newScripted(t, func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				if gone {
					w.WriteHeader(http.StatusNotFound)
					return
				}
				from, ranged := strings.CutPrefix(r.Header.Get("Range"), "bytes=")
				if !ranged {
					w.Header().Set("ETag", tt.etag)
					if tt.sized {
						w.Header().Set("Content-Length", strconv.Itoa(size))
					}
					breakOff(w, content[:cut])
				}
				for i := 0; i+1 < len(tt.rest); i += 2 {
					w.Header().Set(tt.rest[i], tt.rest[i+1])
				}
				start, _ := strconv.Atoi(strings.TrimSuffix(from, "-"))
				end := size
				if tt.step > 0 {
					end = min(start+tt.step, size)
					w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", start, end-1, size))
				}
				w.WriteHeader(http.StatusPartialContent)
				_, _ = w.Write(content[start:end])
			})
			_, get := newProxy(t, up, nil)
			res, body, err := get("/f")
			if taken := err == nil && res.StatusCode == 200; taken != tt.ok || taken && !bytes.Equal(body, content) {
				t.Errorf("%d bytes, %v", len(body), err)
			}
			mu.Lock()
			gone = true
			mu.Unlock()
			if res, body, err = get("/f"); err != nil || tt.ok != (res.StatusCode == 200) || tt.ok && !bytes.Equal(body, content) {
				t.Errorf("stored: %d bytes, %v", len(body), err)
			}
		})
	}
}
