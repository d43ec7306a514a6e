package remote

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"

	"github.com/repomgr/repomgr/core/errs"
)

// loopField names the servers that a request has come by, so that each knows what comes back to it (RFC 8586).
const loopField = "Cdn-Loop"

// loopPrefix begins the names of servers like this one in that field.
const loopPrefix = "repomgr-"

// maxLoop is the most bytes of the field. Who has come by more servers goes in a circle.
const maxLoop = 4 << 10

// LoopName is the name of an installation in CDN-Loop: that of all its servers, from which the id can't be found out.
func LoopName(installation string) string {
	sum := sha256.Sum256([]byte(installation))
	return loopPrefix + hex.EncodeToString(sum[:10])
}

// chain is what a context knows of the servers that a request has come by.
type chain struct {
	value  string // of CDN-Loop
	depth  int
	closed bool
}

type chainKey struct{}

// Along returns the context of a request with the header for the server of that name: requests to upstream under it say by which servers it came.
func Along(ctx context.Context, header http.Header, name string) context.Context {
	values := header.Values(loopField)
	if len(values) == 0 {
		return ctx
	}
	return context.WithValue(ctx, chainKey{}, parseLoop(strings.Join(values, ", "), name))
}

func parseLoop(value, name string) chain {
	if len(value) > maxLoop {
		return chain{depth: 1, closed: true}
	}
	c := chain{value: value}
	for info := range strings.SplitSeq(value, ",") {
		id, _, _ := strings.Cut(info, ";")
		id = strings.ToLower(strings.TrimSpace(id))
		if strings.HasPrefix(id, loopPrefix) {
			c.depth++
		}
		c.closed = c.closed || id == name
	}
	return c
}

func chainOf(ctx context.Context) chain {
	c, _ := ctx.Value(chainKey{}).(chain)
	return c
}

// Looped tells whether what is done is for a request that has come back to this server: no upstream is asked for it, and it must not wait
// for others who ask, as these may wait for it.
func Looped(ctx context.Context) bool { return chainOf(ctx).closed }

// Depth is how many servers like this one the request has come by for which something is done.
func Depth(ctx context.Context) int { return chainOf(ctx).depth }

// errLooped is the answer to what would go in a circle.
func errLooped() error {
	return errs.New(errs.NotFound, "it is not here, and this server has asked for it itself")
}

// sign names this server in the header of a request.
func (c *Client) sign(ctx context.Context, header http.Header) {
	switch came := chainOf(ctx).value; {
	case c.loop == "":
	case came == "":
		header.Set(loopField, c.loop)
	default:
		header.Set(loopField, came+", "+c.loop)
	}
}
