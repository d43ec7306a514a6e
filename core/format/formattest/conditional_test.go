package formattest

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestConditionalWrites: RFC 9110 section 13.1, for any format whose routes are plain files.
func TestConditionalWrites(t *testing.T) {
	now := time.Now()
	later, earlier := now.Add(time.Hour).UTC().Format(http.TimeFormat), now.Add(-time.Hour).UTC().Format(http.TimeFormat)
	const other = `"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"`
	tests := []struct {
		name, method, path string
		header             []string // "ETAG" stands for that of /there
		want               int
	}{
		{"create", "PUT", "/new", []string{"If-None-Match", "*"}, 201},
		{"create what is there", "PUT", "/there", []string{"If-None-Match", "*"}, 412},
		{"replace what is another", "PUT", "/there", []string{"If-None-Match", other}, 201},
		{"replace what is the same", "PUT", "/there", []string{"If-None-Match", "ETAG"}, 412},
		{"weakly the same", "PUT", "/there", []string{"If-None-Match", "W/ETAG"}, 412},
		{"replace", "PUT", "/there", []string{"If-Match", "ETAG"}, 201},
		{"replace one of several", "PUT", "/there", []string{"If-Match", other + ", ETAG"}, 201},
		{"replace one of several headers", "PUT", "/there", []string{"If-Match", other, "If-Match", "ETAG"}, 201},
		{"replace any", "PUT", "/there", []string{"If-Match", "*"}, 201},
		{"replace another", "PUT", "/there", []string{"If-Match", other}, 412},
		{"weak tags are no match", "PUT", "/there", []string{"If-Match", "W/ETAG"}, 412},
		{"replace nothing", "PUT", "/new", []string{"If-Match", "*"}, 412},
		{"replace nothing by tag", "PUT", "/new", []string{"If-Match", "ETAG"}, 412},
		{"unmodified", "PUT", "/there", []string{"If-Unmodified-Since", later}, 201},
		{"modified", "PUT", "/there", []string{"If-Unmodified-Since", earlier}, 412},
		{"modified in spite of a match", "PUT", "/there", []string{"If-Match", "ETAG", "If-Unmodified-Since", earlier}, 201},
		{"no date", "PUT", "/there", []string{"If-Unmodified-Since", "x"}, 201},
		{"nothing is unmodified", "PUT", "/new", []string{"If-Unmodified-Since", earlier}, 201},
		{"If-Modified-Since is for reading", "PUT", "/there", []string{"If-Modified-Since", later}, 201},
		{"both hold", "PUT", "/there", []string{"If-Match", "ETAG", "If-None-Match", other}, 201},
		{"one holds", "PUT", "/there", []string{"If-Match", "ETAG", "If-None-Match", "*"}, 412},
		{"delete", "DELETE", "/there", []string{"If-Match", "ETAG"}, 204},
		{"delete another", "DELETE", "/there", []string{"If-Match", other}, 412},
		{"delete if nothing is there", "DELETE", "/there", []string{"If-None-Match", "*"}, 412},
		{"delete what is modified", "DELETE", "/there", []string{"If-Unmodified-Since", earlier}, 412},
		{"delete nothing", "DELETE", "/new", []string{"If-Match", "ETAG"}, 404},
	}
	s := NewServer(t, plain{}, nil)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			put := s.Do(Admin, "PUT", "/there", []byte("one"), "Content-Type", "text/plain")
			etag := put.Header.Get("Etag")
			if got := s.Do(Admin, "GET", "/there", nil).Header.Get("Etag"); put.Status != 201 || etag == "" || got != etag {
				t.Fatalf("the upload's answer is %d with ETag %q, that of GET has %q", put.Status, etag, got)
			}
			s.Do(Admin, "DELETE", "/new", nil)
			header := append([]string{"Content-Type", "text/plain"}, tt.header...)
			for i := range header {
				header[i] = replaceTag(header[i], etag)
			}
			if r := s.Do(Admin, tt.method, tt.path, []byte("two"), header...); r.Status != tt.want {
				t.Errorf("status is %d, want %d: %s", r.Status, tt.want, r.Body)
			}
			want := "one"
			if tt.want < 300 {
				want = map[string]string{"PUT": "two", "DELETE": "asset not found\n"}[tt.method]
			}
			if r := s.Do(Admin, "GET", "/there", nil); tt.path == "/there" && string(r.Body) != want {
				t.Errorf("afterwards there is %q, want %q", r.Body, want)
			}
		})
	}
}

func replaceTag(value, etag string) string {
	const word = "ETAG"
	for i := 0; i+len(word) <= len(value); i++ {
		if value[i:i+len(word)] == word {
			return value[:i] + etag + value[i+len(word):]
		}
	}
	return value
}

// TestConditionalRace: of writers who all ask for the same condition at the same time, one wins.
func TestConditionalRace(t *testing.T) {
	s := NewServer(t, plain{}, nil)
	s.Do(Admin, "GET", "/", nil) // the password's hash is computed once, and takes its time
	race := func(name string, header ...string) {
		var wins atomic.Int64
		var winner atomic.Value
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				body := fmt.Sprintf("%s %d", name, i)
				r := s.Do(Admin, "PUT", "/f", []byte(body), append([]string{"Content-Type", "text/plain"}, header...)...)
				switch r.Status {
				case http.StatusCreated:
					wins.Add(1)
					winner.Store(body)
				case http.StatusPreconditionFailed:
				default:
					t.Errorf("%s: %d %s", name, r.Status, r.Body)
				}
			})
		}
		wg.Wait()
		if r := s.Do(Admin, "GET", "/f", nil); wins.Load() != 1 || string(r.Body) != winner.Load() {
			t.Errorf("%s: %d have won, the last one with %q; there is %q", name, wins.Load(), winner.Load(), r.Body)
		}
	}
	for round := range 10 {
		race(fmt.Sprintf("create %d", round), "If-None-Match", "*")
		race(fmt.Sprintf("replace %d", round), "If-Match", s.Do(Admin, "GET", "/f", nil).Header.Get("Etag"))
		s.Do(Admin, "DELETE", "/f", nil)
	}
}

// TestConditionalMend: bytes that are lost are not there, so that whoever creates a file with the same ones mends it.
func TestConditionalMend(t *testing.T) {
	s := NewServer(t, plain{}, nil)
	create := func() int {
		return s.Do(Admin, "PUT", "/f", []byte("bytes"), "Content-Type", "text/plain", "If-None-Match", "*").Status
	}
	if got := create(); got != 201 {
		t.Fatal(got)
	}
	s.eachFile(removeFile)
	s.Restart()
	if r := s.Do(Admin, "GET", "/f", nil); r.Status != 404 {
		t.Fatalf("without its bytes: %d", r.Status)
	}
	if got := []int{create(), create()}; got[0] != 201 || got[1] != 412 {
		t.Errorf("created again: %v, want 201 and 412", got)
	}
}
