package remote

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Availability is what is known of an upstream, in the words of Nexus's repository list.
type Availability string

// The availabilities.
const (
	Ready           Availability = "Ready to Connect"
	Available       Availability = "Remote Available"
	Unavailable     Availability = "Remote Unavailable" // failed last time, and is asked again all the same
	AutoBlocked     Availability = "Remote Auto Blocked and Unavailable"
	ManuallyBlocked Availability = "Remote Manually Blocked"
)

// State is what is known of an upstream. Times are zero for never.
type State struct {
	Status Availability
	// Reason is why it is not available; empty if it is.
	Reason string
	// BlockedUntil is when the next request is let through as a probe. It stays in the past until one is made.
	BlockedUntil time.Time
	// NotBefore is until when the upstream asked to be left alone.
	NotBefore time.Time
	// LastError is the last failure of any kind, also of a host that the upstream redirected to.
	LastError   string
	LastErrorAt time.Time
	// LastSuccess is when the upstream last answered with a status below 500.
	LastSuccess time.Time
	// RateLimit is nil if the upstream never sent one.
	RateLimit *RateLimit
}

// RateLimit is what Docker Hub says about the pulls that are left, as it says it: "100;w=21600" is 100 in 21600 seconds.
type RateLimit struct {
	Limit, Remaining string
	// Source is the address or account that the limit is for.
	Source string
	Seen   time.Time
}

// The block after the first failure, unless that took long; each that follows it doubles the time up to the last.
const (
	firstBlock = 10 * time.Second
	lastBlock  = 10 * time.Minute
	// maxHold is how long a Retry-After is believed. Then one request finds out.
	maxHold = time.Hour
)

// health is the state of an upstream, and decides whether it is asked.
type health struct {
	host   string
	manual bool
	auto   bool
	now    func() time.Time
	log    *slog.Logger
	// lost is why the upstream's credentials are not known; it is not asked without.
	lost error

	mu      sync.Mutex
	state   State  // without Status and Reason
	streak  int    // failures since the last success; blocked or unavailable if not zero
	held    Error  // what the upstream asked to be left alone with, until NotBefore
	probing bool   // one request is under way to find out whether the block may end
	reason  string // of streak
	// fault is what the last request failed by that does not block: that it has no access, for example. It is empty after a success.
	fault string
}

// outcome is what one request shows about the upstream itself: its last answer or failure there, as opposed to those of hosts that
// it redirects to and of token servers.
type outcome struct {
	answered bool
	err      *Error
	hold     *Error // by its RetryAfter it asked to be left alone
	fault    *Error // nothing could be had of it, for a reason that does not block
	ended    bool   // the caller left, so that it shows nothing
	took     time.Duration
}

// admit decides about a request to the upstream. A probe must be settled before another is let through.
func (h *health) admit() (probe bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	switch {
	case h.manual:
		return false, h.blocked()
	case h.lost != nil:
		return false, h.locked()
	case h.state.NotBefore.After(now):
		return false, &Error{
			Kind: h.held.Kind, Host: h.held.Host, Status: h.held.Status, RetryAfter: h.state.NotBefore.Sub(now),
			Err: errors.New("asked to be left alone until " + clock(h.state.NotBefore)),
		}
	case h.state.BlockedUntil.IsZero():
		return false, nil
	case h.state.BlockedUntil.After(now), h.probing:
		return false, &Error{
			Kind: Blocked, Host: h.host, RetryAfter: max(h.state.BlockedUntil.Sub(now), time.Second),
			Err: fmt.Errorf("not asked until %s, after: %s", clock(h.state.BlockedUntil), h.reason),
		}
	}
	h.probing = true
	return true, nil
}

// admitOther decides about a request to another host, of which the upstream's failures say nothing.
func (h *health) admitOther() error {
	switch {
	case h.manual:
		return h.blocked()
	case h.lost != nil:
		return h.locked()
	}
	return nil
}

// locked is the error for an upstream whose credentials are not known.
func (h *health) locked() *Error { return &Error{Kind: Unauthorized, Host: h.host, Err: h.lost} }

func (h *health) blocked() *Error {
	return &Error{Kind: Blocked, Host: h.host, Err: errors.New("an administrator has blocked it")}
}

func clock(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// settle takes in what a request has shown.
func (h *health) settle(ctx context.Context, probe bool, o outcome) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if probe {
		h.probing = false
	}
	if o.ended {
		return
	}
	if o.hold != nil && o.hold.RetryAfter > 0 {
		h.held, h.state.NotBefore = *o.hold, h.now().Add(min(o.hold.RetryAfter, maxHold))
	}
	if h.fault = ""; o.fault != nil {
		h.fault = o.fault.Error()
	}
	switch {
	case o.err != nil:
		h.fail(ctx, probe, o.err, o.took)
	case o.answered:
		if !h.state.BlockedUntil.IsZero() {
			h.log.LogAttrs(ctx, slog.LevelInfo, "upstream available again", slog.String("host", h.host))
		}
		h.streak, h.reason, h.state.BlockedUntil = 0, "", time.Time{}
		h.state.LastSuccess = h.now()
	}
}

// fail blocks the upstream if that is wanted. Of requests that fail together only the first does, and while it is blocked only the
// probe makes it longer. took is the request's time.
func (h *health) fail(ctx context.Context, probe bool, err *Error, took time.Duration) {
	h.reason = err.Error()
	if !h.auto {
		h.streak++
		if err.RetryAfter > maxPause {
			h.held, h.state.NotBefore = *err, h.now().Add(min(err.RetryAfter, maxHold))
		}
		return
	}
	if !probe && !h.state.BlockedUntil.IsZero() {
		return
	}
	h.streak++
	first := firstBlock
	if err.Kind == Timeout {
		first = max(first, took*10/3) // at the least three times as long, as blockTime takes some away
	}
	until := h.now().Add(max(blockTime(first, h.streak), min(err.RetryAfter, maxHold)))
	h.state.BlockedUntil = until
	h.log.LogAttrs(ctx, slog.LevelWarn, "upstream blocked", slog.String("host", h.host), slog.Time("until", until), slog.Any("err", err))
}

// told is an error of a request with the time after which the upstream is asked again: callers would come too early, or too late, with what
// it said itself.
func (h *health) told(err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	until := h.state.BlockedUntil
	if h.state.NotBefore.After(until) {
		until = h.state.NotBefore
	}
	after := max(min(e.RetryAfter, maxHold), until.Sub(h.now()))
	if after == e.RetryAfter {
		return err
	}
	known := *e // others may have the same
	known.RetryAfter = after
	return &known
}

// blockTime is how long the upstream is left alone after failing so many times in a row, if it was for first after the first time. Up to a tenth is taken away at random, so
// that many proxies of one host don't ask all at once.
func blockTime(first time.Duration, streak int) time.Duration {
	d := lastBlock
	if streak < 8 {
		d = min(min(first, lastBlock)<<(streak-1), lastBlock)
	}
	return d - rand.N(d/10)
}

// note remembers an error for State and returns it.
func (h *health) note(err *Error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.state.LastError, h.state.LastErrorAt = err.Error(), h.now()
	return err
}

// limits remembers the rate limit of an answer.
func (h *health) limits(header http.Header) {
	limit := RateLimit{
		Limit: brief(header.Get("RateLimit-Limit")), Remaining: brief(header.Get("RateLimit-Remaining")),
		Source: brief(header.Get("Docker-RateLimit-Source")),
	}
	if limit == (RateLimit{}) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	limit.Seen = h.now()
	h.state.RateLimit = &limit
}

// brief is the beginning of what an upstream says.
func brief(s string) string {
	const most = 100
	return strings.ToValidUTF8(s[:min(len(s), most)], "")
}

func (h *health) snapshot() State {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.state
	if s.RateLimit != nil {
		limit := *s.RateLimit
		s.RateLimit = &limit
	}
	if !s.NotBefore.After(h.now()) {
		s.NotBefore = time.Time{}
	}
	switch {
	case h.manual:
		s.Status, s.Reason = ManuallyBlocked, h.blocked().Err.Error()
	case h.lost != nil:
		s.Status, s.Reason = Unavailable, h.locked().Error()
	case h.streak > 0 && h.auto:
		s.Status, s.Reason = AutoBlocked, h.reason
	case h.streak > 0:
		s.Status, s.Reason = Unavailable, h.reason
	case h.fault != "":
		s.Status, s.Reason = Unavailable, h.fault
	case s.LastSuccess.IsZero():
		s.Status = Ready
	default:
		s.Status = Available
	}
	return s
}
