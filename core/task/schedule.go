package task

import (
	"fmt"
	"strings"
	"time"

	"github.com/adhocore/gronx"
)

// Manual is the schedule of what runs on request only.
const Manual = "manual"

// next returns when a schedule is due after now; zero when it never is.
func next(schedule string, now time.Time) (time.Time, error) {
	if schedule == Manual {
		return time.Time{}, nil
	}
	if interval, ok := strings.CutPrefix(schedule, "@every "); ok {
		d, err := time.ParseDuration(interval)
		if err != nil || d <= 0 {
			return time.Time{}, fmt.Errorf("schedule %q: no duration above zero", schedule)
		}
		return now.Add(d), nil
	}
	if once, ok := strings.CutPrefix(schedule, wordOnce); ok {
		at, err := time.Parse(time.RFC3339, once)
		if err != nil || !at.After(now) {
			at = time.Time{}
		}
		return at, err
	}
	cron, now, err := limits(schedule, now)
	if err != nil {
		return time.Time{}, fmt.Errorf("schedule %q: %w", schedule, err)
	}
	if !gronx.IsValid(cron) {
		return time.Time{}, fmt.Errorf("schedule %q: no cron expression", schedule)
	}
	t, err := gronx.NextTickAfter(cron, now, false)
	if err != nil {
		return time.Time{}, nil //nolint:nilerr // valid, and never again: a year that is over
	}
	return t, nil
}

// limits takes the words off that may be before a cron expression, and makes now the time that it counts from.
func limits(schedule string, now time.Time) (cron string, from time.Time, err error) {
	cron = schedule
	if rest, ok := strings.CutPrefix(cron, wordFrom); ok {
		word, rest, _ := strings.Cut(rest, " ")
		start, err := time.Parse(time.RFC3339, word)
		if err != nil {
			return "", now, err
		}
		if cron = rest; start.After(now) {
			now = start.Add(-time.Second).In(now.Location()) // it may be due at the start itself
		}
	}
	if rest, ok := strings.CutPrefix(cron, wordZone); ok {
		word, rest, _ := strings.Cut(rest, " ")
		zone, err := zoneOf(word)
		if err != nil {
			return "", now, err
		}
		cron, now = rest, now.In(zone)
	}
	return cron, now, nil
}
