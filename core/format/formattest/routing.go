package formattest

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/repomgr/repomgr/core/format"
	"github.com/repomgr/repomgr/core/repository"
)

const denied = "Routing rules block the requested item from this repository"

// routed: what a routing rule denies is not read by way of a proxy or group, whether or not it is kept, and upstream isn't asked for it.
func routed(t *testing.T, f format.Format, suite Suite) {
	hosted, stored := filled(t, f, suite)
	var asked atomic.Int64
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		hosted.handler.ServeHTTP(w, r)
	}))
	t.Cleanup(upstream.Close)
	s := newServer(t, f)
	rules := func() *repository.RoutingRules { return s.manager.RoutingRules() }
	say := func(mode string, paths ...string) {
		t.Helper()
		r := repository.RoutingRule{Name: "rule", Mode: mode}
		for _, path := range paths {
			r.Matchers = append(r.Matchers, regexp.QuoteMeta(path))
		}
		save := rules().Update
		if _, err := rules().Get(t.Context(), r.Name); err != nil {
			save = rules().Create
		}
		if err := save(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	// want checks how each of the stored is answered.
	want := func(when string, status int, only ...Stored) {
		t.Helper()
		for _, a := range only {
			for _, method := range []string{"GET", "HEAD"} {
				r := s.Do(Admin, method, a.Path, nil)
				if r.Status != status || method == "GET" && status == http.StatusForbidden && !strings.Contains(string(r.Body), denied) {
					t.Errorf("%s: %s %s: %d %.200s, want %d", when, method, a.Path, r.Status, r.Body, status)
				}
			}
		}
	}
	quiet := func(when string) {
		t.Helper()
		if n := asked.Swap(0); n != 0 {
			t.Errorf("%s: upstream was asked %d times", when, n)
		}
	}
	far := proxyOf(upstream, suite)
	far.RoutingRule = "rule"
	one, others := stored[0], stored[1:]
	say(repository.RuleBlock, one.Path)
	s.Create(far)
	want("blocked", 403, one)
	quiet("blocked")
	want("not blocked", 200, others...)
	say(repository.RuleAllow, one.Path)
	asked.Store(0)
	want("kept, and not allowed", 403, others...)
	quiet("not allowed")
	want("allowed", 200, one)
	s.Restart()
	want("after a restart", 403, others...)
	want("after a restart", 200, one)
	s.Configure(func(c *repository.Config) { c.RoutingRule = "" })
	want("without a rule", 200, stored...)

	// A group, nested: a member's rule passes it over, one of a group between all that is in that, the group's own denies.
	s = newServer(t, f)
	say(repository.RuleBlock, one.Path)
	far.Name = "far"
	s.Create(far)
	plain := far
	plain.Name, plain.RoutingRule = "plain", ""
	s.Create(plain)
	settings := suite.Settings
	group := func(name, rule string, members ...string) repository.Config {
		return repository.Config{Name: name, Type: repository.Group, Settings: settings, RoutingRule: rule, Group: &repository.GroupConfig{MemberNames: members}}
	}
	s.Create(group("ruled", "rule", "plain"))
	s.Create(group(repositoryName, "", "far", "ruled"))
	asked.Store(0)
	want("blocked in all members", 404, one)
	quiet("blocked in all members")
	want("not blocked in members", 200, others...)
	s.Configure(func(c *repository.Config) { c.Group.MemberNames = []string{"far", "plain"} })
	want("a member passed over", 200, one)
	s.Configure(func(c *repository.Config) { c.RoutingRule = "rule" })
	asked.Store(0)
	want("blocked by the group", 403, one)
	quiet("blocked by the group")
	want("not blocked by the group", 200, others...)
}
