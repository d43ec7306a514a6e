package remote

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/repomgr/repomgr/core/errs"
)

func TestAlong(t *testing.T) {
	self := LoopName("one")
	for _, test := range []struct {
		name   string
		values []string
		sent   string
		depth  int
		looped bool
	}{
		{name: "from a client", sent: self},
		{name: "by another", values: []string{"repomgr-2"}, sent: "repomgr-2, " + self, depth: 1},
		{name: "by a CDN", values: []string{"cdn; loops=1"}, sent: "cdn; loops=1, " + self},
		{name: "in two fields", values: []string{"cdn", "repomgr-2;x=1, repomgr-3"}, sent: "cdn, repomgr-2;x=1, repomgr-3, " + self, depth: 2},
		{name: "back", values: []string{"repomgr-2", self}, depth: 2, looped: true},
		{name: "back, in other words", values: []string{strings.ToUpper(self) + " ; x=1,cdn"}, depth: 1, looped: true},
		{name: "too long", values: []string{strings.Repeat("x", maxLoop+1)}, depth: 1, looped: true},
		{name: "as long as may be", values: []string{strings.Repeat("x", maxLoop)}, sent: strings.Repeat("x", maxLoop) + ", " + self},
	} {
		t.Run(test.name, func(t *testing.T) {
			var mu sync.Mutex
			var got []string
			asked := 0
			u := server(t, func(_ http.ResponseWriter, r *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				got, asked = r.Header.Values("CDN-Loop"), asked+1
			})
			c := newClient(t, u.URL, noRetries(), Options{Loop: self})
			ctx := Along(t.Context(), http.Header{"Cdn-Loop": test.values}, self)
			if Depth(ctx) != test.depth || Looped(ctx) != test.looped {
				t.Errorf("depth %d, looped %t", Depth(ctx), Looped(ctx))
			}
			res, err := c.Do(ctx, Request{Header: http.Header{"CDN-Loop": {"x"}}})
			if test.looped {
				if !errs.Is(err, errs.NotFound) || asked != 0 || c.State().Status != Ready {
					t.Errorf("error %v, asked %d times, %+v", err, asked, c.State())
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			mu.Lock()
			defer mu.Unlock()
			if len(got) != 1 || got[0] != test.sent {
				t.Errorf("CDN-Loop %q", got)
			}
		})
	}
}

func FuzzAlong(f *testing.F) {
	self := LoopName("one")
	for _, seed := range []string{"", "cdn; loops=1", self, "repomgr-2, " + self + ";x", ",;,"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		c := parseLoop(value, self)
		if c.closed && c.depth == 0 {
			t.Errorf("%q: it is back, and was nowhere", value)
		}
		if next := parseLoop(c.value+", "+self, self); !next.closed {
			t.Errorf("%q: what this server has sent is not known", value)
		}
	})
}
