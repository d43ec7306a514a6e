package task

import (
	"testing"
	"time"
)

func TestNext(t *testing.T) {
	now := time.Date(2026, 3, 31, 23, 59, 30, 0, time.UTC)
	for _, test := range []struct {
		name, schedule string
		want           time.Time
		wrong          bool
	}{
		{name: "on request", schedule: Manual},
		{name: "interval", schedule: "@every 10m", want: now.Add(10 * time.Minute)},
		{name: "each hour", schedule: "@hourly", want: time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)},
		{name: "at night", schedule: "30 2 * * *", want: time.Date(2026, 4, 1, 2, 30, 0, 0, time.UTC)},
		{name: "Sundays", schedule: "0 4 * * SUN", want: time.Date(2026, 4, 5, 4, 0, 0, 0, time.UTC)},
		{name: "a year that is over", schedule: "0 0 0 1 1 * 2020"},
		{name: "empty", schedule: "", wrong: true},
		{name: "not cron", schedule: "sometimes", wrong: true},
		{name: "no such minute", schedule: "61 * * * *", wrong: true},
		{name: "no interval", schedule: "@every", wrong: true},
		{name: "interval of nothing", schedule: "@every 0s", wrong: true},
		{name: "interval that is none", schedule: "@every now", wrong: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := next(test.schedule, now)
			if (err != nil) != test.wrong || !got.Equal(test.want) {
				t.Errorf("next = %v, %v, want %v", got, err, test.want)
			}
		})
	}
}
