package raw

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/repomgr/repomgr/core/format/formattest"
)

// TestContract runs the suite that every format passes.
func TestContract(t *testing.T) {
	files := []formattest.Stored{
		{Path: "/hello.txt", Body: []byte("hello"), ContentType: "text/plain", Deletable: true},
		{Path: "/dir/empty.json", Body: []byte{}, ContentType: "application/json", Deletable: true},
		{Path: "/dir/sub/large", Body: []byte(strings.Repeat("\x00123456789", 50_000)), ContentType: "application/octet-stream", Deletable: true},
		{Path: "/ä ö+ü/日本#%2F;=&.html", Body: []byte("<html></html>"), ContentType: "text/html", Deletable: true},
		{Path: "/noextension", Body: []byte("%PDF-1.7 and so on"), ContentType: "application/pdf", Deletable: true},
	}
	formattest.Run(t, New(), formattest.Suite{
		Settings: json.RawMessage(`{"contentDisposition": "inline"}`),
		Fill: func(s *formattest.Server, user string) ([]formattest.Stored, *formattest.Response) {
			for _, f := range files {
				// What programs declare without being asked is not believed.
				if r := s.Do(user, "PUT", f.Path, f.Body, "Content-Type", "application/x-www-form-urlencoded"); r.Status != http.StatusCreated {
					return nil, r
				}
			}
			return files, nil
		},
		Absent: []string{"/", "/dir", "/dir/", "/dir/empty", "/hello.txt/", "/Hello.txt", "/hello.txt/x", "/ä ö ü/x"},
		Hostile: []string{"/../x", "/a/../b", "//x", "/a//b", "/a/.", "/./a", "/..", "/a/..", "/\x00", "/a\\b", "/..\\x", "/a\nb", "/\x7f", "/\xff",
			"/dir/..\x00/x", "/" + strings.Repeat("a", maxPath), "/" + strings.Repeat("a/", maxPath), "/hello.txt\r\nX: y"},
	})
}
