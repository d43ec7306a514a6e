package remote

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	firstPause = 250 * time.Millisecond
	// maxPause is the longest time between two tries of one request, and the longest Retry-After that is waited for: somebody waits
	// for the answer.
	maxPause = 5 * time.Second
)

// pauseBefore is how long to wait before try number n, counted from 1 for the first repetition: twice as long each time, from a
// half to all of it at random, and as long as the upstream asks.
func pauseBefore(n int, asked time.Duration) time.Duration {
	d := maxPause
	if n < 6 {
		d = min(firstPause<<(n-1), maxPause)
	}
	return max(d-rand.N(d/2), asked)
}

// sleep waits, or returns why ctx ended.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// idempotent tells whether a request may be sent again when nobody knows what became of it (RFC 9110 section 9.2.2). PUT and DELETE
// would be, but others may write the same between two tries.
func idempotent(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

// retryAfter reads a Retry-After (RFC 9110 section 10.2.3): seconds, or a date. A number beyond any sensible delay is read as the
// seconds since 1970 that some registries send. Zero is none, and what is past or no such value.
func retryAfter(value string, now time.Time) time.Duration {
	const longest = 10 * 365 * 24 * time.Hour
	value = strings.TrimSpace(value)
	// What is beyond an int64 comes as the one next to it.
	if seconds, err := strconv.ParseInt(value, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		switch {
		case seconds <= 0:
			return 0
		case seconds <= int64(longest/time.Second):
			return time.Duration(seconds) * time.Second
		case seconds > 1<<40:
			return longest
		}
		return min(max(time.Unix(seconds, 0).Sub(now), 0), longest)
	}
	date, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(date.Sub(now), 0), longest)
}
