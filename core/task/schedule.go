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
	if !gronx.IsValid(schedule) {
		return time.Time{}, fmt.Errorf("schedule %q: no cron expression", schedule)
	}
	t, err := gronx.NextTickAfter(schedule, now, false)
	if err != nil {
		return time.Time{}, nil //nolint:nilerr // valid, and never again: a year that is over
	}
	return t, nil
}
