package content

import (
	"net/http"
	"slices"
	"testing"
	"time"
)

func TestFlaws(t *testing.T) {
	hour, day := time.Now().Add(-time.Hour), time.Now().Add(-24*time.Hour)
	const stale, incomplete = `110 - "Response is Stale"`, `199 - "Response may be Incomplete"`
	for _, tt := range []struct {
		name     string
		a, b     Flaws
		age      string
		warnings []string
	}{
		{"none", Flaws{}, Flaws{}, "", nil},
		{"one stale", Flaws{}, Flaws{Stale: hour}, "3600", []string{stale}},
		{"the other stale", Flaws{Stale: hour}, Flaws{}, "3600", []string{stale}},
		{"both stale", Flaws{Stale: hour}, Flaws{Stale: day}, "86400", []string{stale}},
		{"incomplete", Flaws{Incomplete: true}, Flaws{}, "", []string{incomplete}},
		{"all", Flaws{Stale: day}, Flaws{Stale: hour, Incomplete: true}, "86400", []string{stale, incomplete}},
		{"in the future", Flaws{Stale: time.Now().Add(time.Hour)}, Flaws{}, "0", []string{stale}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := http.Header{}
			tt.a.And(tt.b).Mark(h)
			if h.Get("Age") != tt.age || !slices.Equal(h.Values("Warning"), tt.warnings) {
				t.Errorf("%v", h)
			}
		})
	}
}
