package proxy

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/repomgr/repomgr/core/repository"
)

// token is one for the scopes, as a value of Authorization.
func (s *server) token(t *testing.T, scopes ...string) string {
	t.Helper()
	_, _, body := call(t, "GET", s.host+"/v2/token?"+url.Values{"scope": scopes}.Encode(), "", "")
	var answer struct{ Token string }
	if err := json.Unmarshal([]byte(body), &answer); err != nil || answer.Token == "" {
		t.Fatalf("token: %s", body)
	}
	return "Bearer " + answer.Token
}

// push uploads a blob in one request, and returns its digest.
func (s *server) push(t *testing.T, name, blob string) string {
	t.Helper()
	d := digest.FromString(blob).String()
	if status, _, body := call(t, "POST", s.host+"/v2/"+name+"/blobs/uploads/?digest="+d, "application/octet-stream", blob); status != http.StatusCreated {
		t.Fatal(status, body)
	}
	return d
}

// What counts are the rights on the group, which reach its members by way of it, and nothing else.
func TestGroupRights(t *testing.T) {
	s := newServer(t, true)
	// Anonymous callers may read nowhere: what they may, everybody may.
	for _, name := range []string{"first", "second", "outside"} {
		s.hosted(t, name, true)
	}
	s.create(t, repository.Config{Name: "all", Type: repository.Group, Group: &repository.GroupConfig{MemberNames: []string{"first", "second"}, WritableMember: "first"}}, true)
	inside, outside := s.push(t, "second/team/app", "inside"), s.push(t, "outside/team/app", "outside")
	for _, test := range []struct {
		name   string
		scopes []string
		query  string
		want   int
	}{
		{"another member's, by the group", []string{"repository:all/a:pull,push", "repository:all/team/app:pull"}, inside + "&from=all/team/app", 201},
		{"another member's, from anywhere", []string{"repository:all/b:pull,push", "repository:all/team/app:pull"}, inside, 201},
		{"another member's, by its own name", []string{"repository:all/c:pull,push", "repository:second/team/app:pull"}, inside + "&from=second/team/app", 201},
		{"without the right on its name", []string{"repository:all/d:pull,push"}, inside + "&from=all/team/app", 202},
		{"without the right on its name, from anywhere", []string{"repository:all/e:pull,push"}, inside, 202},
		{"with a right by the group only, by the member's name", []string{"repository:all/f:pull,push", "repository:all/team/app:pull"}, inside + "&from=second/team/app", 202},
		{"no member's", []string{"repository:all/g:pull,push", "repository:all/team/app:pull"}, outside + "&from=outside/team/app", 202},
		{"no member's, by the group", []string{"repository:all/h:pull,push", "repository:all/team/app:pull"}, outside + "&from=all/team/app", 202},
		{"no member's, from anywhere", []string{"repository:all/i:pull,push", "repository:all/team/app:pull"}, outside, 202},
		{"a right on the member only", []string{"repository:first/j:pull,push"}, inside, 401},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, target, _ := strings.Cut(test.scopes[0], "/")
			target, _, _ = strings.Cut(target, ":")
			r, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+s.host+"/v2/all/"+target+"/blobs/uploads/?mount="+test.query, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", s.token(t, test.scopes...))
			res, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if res.StatusCode != test.want {
				t.Errorf("status %d, want %d", res.StatusCode, test.want)
			}
		})
	}
	t.Run("a manifest that names what another member has", func(t *testing.T) {
		manifest := `{"schemaVersion":2,"mediaType":"` + typeManifest + `","config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"` + inside + `","size":6},"layers":[]}`
		for _, test := range []struct {
			name, blob string
			want       int
		}{{"all/team/app", inside, 201}, {"all/other/app", inside, 400}, {"all/team/app", outside, 400}, {"first/team/other", inside, 400}} {
			status, _, body := call(t, "PUT", s.host+"/v2/"+test.name+"/manifests/1", typeManifest, strings.ReplaceAll(manifest, inside, test.blob))
			if status != test.want {
				t.Errorf("%s in %s: %d %s", test.blob, test.name, status, body)
			}
		}
	})
}
