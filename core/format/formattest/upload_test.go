package formattest

import (
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/core/format"
	"github.com/repomgr/repomgr/core/repository"
)

func removeFile(path string) error { return os.Remove(path) }

// typed is plain, but leaves it to the core to say what type bytes are of, has documents for directories, and clients who
// compare checksums.
type typed struct{ plain }

func (typed) Describe() format.Descriptor {
	return format.Descriptor{Name: "typed", Algorithms: []digest.Algorithm{format.MD5, format.SHA1}}
}

func (f typed) Resolve(r *http.Request, p string) (format.Route, error) {
	directory := len(p) > 1 && strings.HasSuffix(p, "/")
	route, err := f.plain.Resolve(r, strings.TrimSuffix(p, "/"))
	if p == "/" {
		route, err = f.plain.Resolve(r, "/root")
		route.Path = p
	}
	if directory {
		route.Path += "/"
	}
	route.Index = []string{"index.html", "index.htm"}
	return route, err
}

func (f typed) Ingest(ctx context.Context, in format.Incoming) ([]format.Record, error) {
	records, err := f.plain.Ingest(ctx, in)
	records[0].ContentType = ""
	return records, err
}

// TestChecksums: bytes are what the request's headers say they are, or nothing is stored.
func TestChecksums(t *testing.T) {
	const body = "the bytes"
	sum1, sum256, sum512, sum5 := sha1.Sum([]byte(body)), sha256.Sum256([]byte(body)), sha512.Sum512([]byte(body)), md5.Sum([]byte(body))
	b64 := base64.StdEncoding.EncodeToString
	wrong := sha256.Sum256(nil)
	tests := []struct {
		name   string
		header []string
		want   int
	}{
		{"md5", []string{"X-Checksum-Md5", hex.EncodeToString(sum5[:])}, 201},
		{"sha1", []string{"X-Checksum-Sha1", hex.EncodeToString(sum1[:])}, 201},
		{"sha256", []string{"X-Checksum-Sha256", hex.EncodeToString(sum256[:])}, 201},
		{"sha512", []string{"X-Checksum-Sha512", hex.EncodeToString(sum512[:])}, 201},
		{"capitals", []string{"X-Checksum-Sha1", strings.ToUpper(hex.EncodeToString(sum1[:]))}, 201},
		{"all", []string{"X-Checksum-Sha1", hex.EncodeToString(sum1[:]), "X-Checksum-Sha256", hex.EncodeToString(sum256[:])}, 201},
		{"one of two wrong", []string{"X-Checksum-Sha1", hex.EncodeToString(sum1[:]), "X-Checksum-Sha256", hex.EncodeToString(wrong[:])}, 400},
		{"wrong md5", []string{"X-Checksum-Md5", strings.Repeat("0", 32)}, 400},
		{"wrong sha1", []string{"X-Checksum-Sha1", strings.Repeat("0", 40)}, 400},
		{"wrong sha512", []string{"X-Checksum-Sha512", strings.Repeat("0", 128)}, 400},
		{"too short", []string{"X-Checksum-Sha256", hex.EncodeToString(sum1[:])}, 400},
		{"no hex", []string{"X-Checksum-Sha1", "x"}, 400},
		{"empty", []string{"X-Checksum-Sha1", ""}, 400},
		{"Content-MD5", []string{"Content-MD5", b64(sum5[:])}, 201},
		{"wrong Content-MD5", []string{"Content-MD5", b64(wrong[:16])}, 400},
		{"Digest", []string{"Digest", "SHA-256=" + b64(sum256[:]) + ",unixsum=1,sha=" + b64(sum1[:])}, 201},
		{"wrong Digest", []string{"Digest", "unixsum=1, SHA-256=" + b64(wrong[:])}, 400},
		{"Repr-Digest", []string{"Repr-Digest", "sha-512=:" + b64(sum512[:]) + ":, crc32c=:AAAA:"}, 201},
		{"wrong Repr-Digest", []string{"Repr-Digest", "sha-256=:" + b64(wrong[:]) + ":"}, 400},
		{"wrong Content-Digest", []string{"Content-Digest", "sha-256=:" + b64(wrong[:]) + ":"}, 400},
		{"malformed Repr-Digest", []string{"Repr-Digest", "sha-256=:?:"}, 400},
		{"a part", []string{"Content-Range", "bytes 0-8/100"}, 400},
	}
	s := NewServer(t, typed{}, nil)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if r := s.Do(Admin, "PUT", "/f.txt", []byte("before")); r.Status != 201 {
				t.Fatal(r.Status)
			}
			r := s.Do(Admin, "PUT", "/f.txt", []byte(body), tt.header...)
			if r.Status != tt.want {
				t.Errorf("status is %d, want %d: %s", r.Status, tt.want, r.Body)
			}
			want := "before"
			if tt.want == 201 {
				want = body
			}
			get := s.Do(Admin, "GET", "/f.txt", nil)
			if string(get.Body) != want {
				t.Errorf("afterwards there is %q, want %q", get.Body, want)
			}
			told := sha1.Sum(get.Body)
			if got := get.Header.Get("X-Checksum-Sha1"); got != hex.EncodeToString(told[:]) || get.Header.Get("X-Checksum-Md5") == "" || get.Header.Get("X-Checksum-Sha256") == "" {
				t.Errorf("told checksums: %v", get.Header)
			}
		})
	}
}

// TestContentTypes: by extension, else by the bytes; with strict validation the two agree.
func TestContentTypes(t *testing.T) {
	const png = "\x89PNG\x0D\x0A\x1A\x0A"
	tests := []struct {
		name, path, body string
		strict           bool
		want             string // empty for a refusal
	}{
		{"extension", "/a.css", "<html>", false, "text/css"},
		{"bytes", "/image", png, false, "image/png"},
		{"bytes, strictly", "/image", png, true, "image/png"},
		{"extension that is not known", "/a.x-y-z", "text", false, "text/plain"},
		{"nothing", "/empty", "", false, "text/plain"},
		{"both", "/a.png", png, true, "image/png"},
		{"disagreement", "/a.png", "<!DOCTYPE html>", false, "image/png"},
		{"disagreement, strictly", "/a.png", "<!DOCTYPE html>", true, ""},
	}
	s := NewServer(t, typed{}, nil)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s.Configure(func(c *repository.Config) { c.Storage.StrictContentTypeValidation = tt.strict })
			s.Do(Admin, "DELETE", tt.path, nil)
			put := s.Do(Admin, "PUT", tt.path, []byte(tt.body), "Content-Type", "application/x-www-form-urlencoded")
			get := s.Do(Admin, "GET", tt.path, nil)
			if tt.want == "" {
				const want = "Detected content type [text/html], but expected [image/png]: /a.png\n"
				if put.Status != 400 || string(put.Body) != want || get.Status != 404 {
					t.Errorf("PUT %d %q, GET %d; want a refusal with %q", put.Status, put.Body, get.Status, want)
				}
				return
			}
			if put.Status != 201 || get.Header.Get("Content-Type") != tt.want {
				t.Errorf("PUT %d, type %q; want %q", put.Status, get.Header.Get("Content-Type"), tt.want)
			}
		})
	}
}
