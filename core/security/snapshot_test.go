package security

import (
	"testing"

	"github.com/repomgr/repomgr/core/content"
)

// TestOneRepository: rights on one repository are rights on no other, whatever the question.
func TestOneRepository(t *testing.T) {
	roles := map[string][]Permission{"r": {
		mustParse(t, "nexus:repository-view:docker:team:browse,read"), mustParse(t, "nexus:repository-admin:docker:other:*"),
	}}
	s := &snapshot{users: map[string]*account{"u": newAccount(User{ID: "u", Status: Active, Roles: []string{"r", "gone"}}, roles)}}
	u := Principal{User: "u"}
	for _, test := range []struct {
		name, format, repo   string
		read, add, any, sees bool
	}{
		{"its own", "docker", "team", true, false, true, true},
		{"in another case", "docker", "Team", true, false, true, true},
		{"another", "docker", "other", false, false, true, false},
		{"another format", "raw", "team", false, false, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := s.allows(u, test.format, test.repo, content.Read, ""); got != test.read {
				t.Errorf("read = %v", got)
			}
			if got := s.allows(u, test.format, test.repo, content.Add, ""); got != test.add {
				t.Errorf("add = %v", got)
			}
			if got := s.allowsSomewhere(u, test.format, content.Browse); got != test.any {
				t.Errorf("browse somewhere = %v", got)
			}
			if s.allowsSomewhere(u, test.format, content.Add) {
				t.Error("add somewhere")
			}
			if got := s.sees(u, test.format, test.repo); got != test.sees {
				t.Errorf("sees = %v", got)
			}
		})
	}
}
