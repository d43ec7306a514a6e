package repository

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/store"
)

// conditions are those of a request that writes (RFC 9110 section 13.1). The zero value has none.
type conditions struct {
	// match and noneMatch are the values of If-Match and If-None-Match.
	match, noneMatch []string
	// unmodified is that of If-Unmodified-Since; zero without one, or beside an If-Match.
	unmodified time.Time
	// lost is an asset whose bytes are lost, so that it counts as absent though this very request mends it.
	lost content.Asset
}

// conditionsOf reads the conditions from the headers. A date that is none is no condition (section 13.1.4).
func conditionsOf(h http.Header) conditions {
	c := conditions{match: h["If-Match"], noneMatch: h["If-None-Match"]}
	if c.match == nil {
		c.unmodified, _ = http.ParseTime(h.Get("If-Unmodified-Since"))
	}
	return c
}

func (c conditions) none() bool {
	return c.match == nil && c.noneMatch == nil && c.unmodified.IsZero()
}

// before looks at the asset at path before anything is changed, for the check that comes later in the same transaction.
func (c conditions) before(tx *store.Tx, repository int64, path string) (conditions, error) {
	if c.none() {
		return c, nil
	}
	a, err := tx.Asset(repository, path)
	if err == nil && a.Blob.Suspect {
		c.lost = a
	}
	if errs.Is(err, errs.NotFound) {
		err = nil
	}
	return c, err
}

// check evaluates the conditions in the order of RFC 9110 section 13.2.2 on what is at the path now, nil for nothing.
func (c conditions) check(a *content.Asset) error {
	if a != nil && (a.Blob.Suspect || a.ID == c.lost.ID && a.UpdatedAt.Equal(c.lost.UpdatedAt)) {
		a = nil
	}
	switch {
	case c.match != nil && (a == nil || !listed(c.match, etag(*a))):
		return errs.New(errs.PreconditionFailed, "If-Match: this is not what is stored")
	case !c.unmodified.IsZero() && a != nil && a.UpdatedAt.Truncate(time.Second).After(c.unmodified):
		return errs.New(errs.PreconditionFailed, "If-Unmodified-Since: it was modified since")
	case c.noneMatch != nil && a != nil && listed(weak(c.noneMatch), etag(*a)):
		return errs.New(errs.PreconditionFailed, "If-None-Match: it is stored already")
	}
	return nil
}

// listed tells whether a header's lists have the tag, or the asterisk that stands for any.
func listed(lists []string, tag string) bool {
	for _, list := range lists {
		for one := range strings.SplitSeq(list, ",") {
			if one = strings.TrimSpace(one); one == tag || one == "*" {
				return true
			}
		}
	}
	return false
}

// weak takes the mark of weak tags away: If-None-Match compares without it (section 8.8.3.2).
func weak(lists []string) []string {
	plain := make([]string, len(lists))
	for i, list := range lists {
		plain[i] = strings.ReplaceAll(list, `W/"`, `"`)
	}
	return plain
}

// present is what check takes for an asset that is there.
func present(a content.Asset) *content.Asset { return &a }

// expectations reads what an upload's headers demand, and refuses at once, before the body is read, what can't succeed.
// The conditions are checked again where nobody can come between.
func (x *exchange) expectations(r *http.Request) error {
	if r.Header.Get("Content-Range") != "" {
		// RFC 9110 section 14.5: a part must not be taken for the whole.
		return errs.New(errs.Invalid, "Content-Range: a part of a file can't be stored")
	}
	sums, err := checksums(r.Header)
	if err != nil {
		return err
	}
	x.route.Checksums = append(x.route.Checksums, sums...)
	x.conditions = conditionsOf(r.Header)
	return x.precheck(r.Context())
}

func (x *exchange) precheck(ctx context.Context) error {
	if x.conditions.none() {
		return nil
	}
	a, err := x.Asset(ctx, x.route.Path)
	if errs.Is(err, errs.NotFound) {
		return x.conditions.check(nil)
	}
	if err != nil {
		return err
	}
	return x.conditions.check(&a)
}
