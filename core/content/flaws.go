package content

import (
	"net/http"
	"strconv"
	"time"
)

// Flaws are what is wrong with a list or document that is served all the same.
type Flaws struct {
	// Stale is when the oldest of the stale copies in it was last seen to be what upstream has; zero where none is stale.
	Stale time.Time
	// Incomplete tells that there may be more: a server that has a part of it could not be asked, or has too much.
	Incomplete bool
}

// And are the flaws of what is made of two parts.
func (f Flaws) And(g Flaws) Flaws {
	if f.Stale.IsZero() || !g.Stale.IsZero() && g.Stale.Before(f.Stale) {
		f.Stale = g.Stale
	}
	f.Incomplete = f.Incomplete || g.Incomplete
	return f
}

// Mark tells the flaws in the header of an answer, by Age and Warning (RFC 7234 sections 5.1 and 5.5).
func (f Flaws) Mark(h http.Header) {
	if !f.Stale.IsZero() {
		h.Set("Age", strconv.Itoa(max(int(time.Since(f.Stale).Seconds()), 0)))
		h.Add("Warning", `110 - "Response is Stale"`)
	}
	if f.Incomplete {
		h.Add("Warning", `199 - "Response may be Incomplete"`)
	}
}
