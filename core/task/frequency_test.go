package task

import (
	"strings"
	"testing"
	"time"

	"github.com/repomgr/repomgr/core/errs"
)

func TestFrequency(t *testing.T) {
	start := time.Date(2026, 5, 1, 22, 30, 0, 0, time.UTC)
	now := time.Date(2026, 6, 10, 12, 0, 0, 0, time.UTC) // a Wednesday
	for _, test := range []struct {
		name string
		f    Frequency
		// want are the next two times; empty for none.
		want, then string
	}{
		{"manual", Frequency{Schedule: Manual}, "", ""},
		{"once", Frequency{Schedule: Once, StartDate: now.Add(time.Hour)}, "2026-06-10T13:00:00Z", ""},
		{"once in the past", Frequency{Schedule: Once, StartDate: start}, "", ""},
		{"hourly", Frequency{Schedule: Hourly, StartDate: start}, "2026-06-10T12:30:00Z", "2026-06-10T13:30:00Z"},
		{"daily", Frequency{Schedule: Daily, StartDate: start, TimeZoneOffset: "Z"}, "2026-06-10T22:30:00Z", "2026-06-11T22:30:00Z"},
		{"daily elsewhere", Frequency{Schedule: Daily, StartDate: start, TimeZoneOffset: "+02:00"}, "2026-06-10T22:30:00Z", "2026-06-11T22:30:00Z"},
		{"daily from a day on", Frequency{Schedule: Daily, StartDate: start.AddDate(0, 2, 0), TimeZoneOffset: "-05:00"}, "2026-07-01T22:30:00Z", "2026-07-02T22:30:00Z"},
		{"weekly", Frequency{Schedule: Weekly, StartDate: start, TimeZoneOffset: "Z", RecurringDays: []int{1, 4}}, "2026-06-10T22:30:00Z", "2026-06-14T22:30:00Z"},
		{"weekly elsewhere", Frequency{Schedule: Weekly, StartDate: start, TimeZoneOffset: "+02:00", RecurringDays: []int{5}}, "2026-06-10T22:30:00Z", "2026-06-17T22:30:00Z"},
		{"monthly", Frequency{Schedule: Monthly, StartDate: start, TimeZoneOffset: "Z", RecurringDays: []int{1, 15}}, "2026-06-15T22:30:00Z", "2026-07-01T22:30:00Z"},
		{"the last day", Frequency{Schedule: Monthly, TimeZoneOffset: "Z", RecurringDays: []int{LastDay}}, "2026-06-30T00:00:00Z", "2026-07-31T00:00:00Z"},
		{"some days and the last", Frequency{Schedule: Monthly, TimeZoneOffset: "Z", RecurringDays: []int{LastDay, 29}}, "2026-06-29T00:00:00Z", "2026-06-30T00:00:00Z"},
		{"quartz", Frequency{Schedule: Cron, TimeZoneOffset: "Z", CronExpression: "0 15 3 ? * MON-FRI *"}, "2026-06-11T03:15:00Z", "2026-06-12T03:15:00Z"},
		{"quartz with numbers", Frequency{Schedule: Cron, TimeZoneOffset: "Z", CronExpression: "0 0 1 ? * 1,7"}, "2026-06-13T01:00:00Z", "2026-06-14T01:00:00Z"},
		{"quartz with steps", Frequency{Schedule: Cron, TimeZoneOffset: "Z", CronExpression: "0 0/20 * * * ?"}, "2026-06-10T12:20:00Z", "2026-06-10T12:40:00Z"},
		{"quartz, the last day", Frequency{Schedule: Cron, TimeZoneOffset: "Z", CronExpression: "0 0 0 L * ?"}, "2026-06-30T00:00:00Z", "2026-07-31T00:00:00Z"},
		{"cron", Frequency{Schedule: Cron, TimeZoneOffset: "Z", CronExpression: "5 4 * * 0"}, "2026-06-14T04:05:00Z", "2026-06-21T04:05:00Z"},
	} {
		schedule, err := test.f.schedule()
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		at := now
		for _, want := range []string{test.want, test.then} {
			if at, err = next(schedule, at); err != nil {
				t.Errorf("%s: %v", test.name, err)
			}
			if got := at.UTC().Format(time.RFC3339); got != want && !(want == "" && at.IsZero()) {
				t.Errorf("%s: %s is due at %s, not %s", test.name, schedule, got, want)
			}
			if at.IsZero() {
				break
			}
		}
	}
}

func TestFrequencyRefuses(t *testing.T) {
	for _, test := range []struct {
		name  string
		f     Frequency
		field string
	}{
		{"no schedule", Frequency{}, "schedule"},
		{"unknown schedule", Frequency{Schedule: "yearly"}, "schedule"},
		{"once without a date", Frequency{Schedule: Once}, "startDate"},
		{"weekly without days", Frequency{Schedule: Weekly}, "recurringDays"},
		{"no day of the week", Frequency{Schedule: Weekly, RecurringDays: []int{8}}, "recurringDays"},
		{"the last day of a week", Frequency{Schedule: Weekly, RecurringDays: []int{LastDay}}, "recurringDays"},
		{"no day of the month", Frequency{Schedule: Monthly, RecurringDays: []int{0}}, "recurringDays"},
		{"no zone", Frequency{Schedule: Daily, TimeZoneOffset: "Europe/Berlin"}, "timeZoneOffset"},
		{"no cron", Frequency{Schedule: Cron}, "cronExpression"},
		{"too few fields", Frequency{Schedule: Cron, CronExpression: "* * * *"}, "cronExpression"},
		{"seconds", Frequency{Schedule: Cron, CronExpression: "30 0 1 * * ?"}, "cronExpression"},
		{"a year", Frequency{Schedule: Cron, CronExpression: "0 0 1 * * ? 2030"}, "cronExpression"},
		{"both days", Frequency{Schedule: Cron, CronExpression: "0 0 1 1 * MON"}, "cronExpression"},
		{"the last friday", Frequency{Schedule: Cron, CronExpression: "0 0 1 ? * 6L"}, "cronExpression"},
		{"the third friday", Frequency{Schedule: Cron, CronExpression: "0 0 1 ? * 6#3"}, "cronExpression"},
		{"a working day", Frequency{Schedule: Cron, CronExpression: "0 0 1 15W * ?"}, "cronExpression"},
		{"day 0 of the week", Frequency{Schedule: Cron, CronExpression: "0 0 1 ? * 0"}, "cronExpression"},
		{"hour 25", Frequency{Schedule: Cron, CronExpression: "0 0 25 * * ?"}, "cronExpression"},
	} {
		_, err := test.f.schedule()
		if !errs.Is(err, errs.Invalid) || errs.As(err).Field != "frequency."+test.field {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// What is accepted is a schedule, whatever it was written as.
func FuzzQuartz(f *testing.F) {
	for _, s := range []string{"0 0 1 * * ?", "0 0/5 1-3 ? JAN,FEB 2-6 *", "*/5 * * * *", "0 0 0 L * ?", "0 0 0 ? * 1/2", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		cron, err := fromQuartz(s)
		if err != nil {
			if !errs.Is(err, errs.Invalid) {
				t.Fatalf("%q: %v", s, err)
			}
			return
		}
		if n := len(strings.Fields(cron)); n != 5 {
			t.Fatalf("%q became %q with %d fields", s, cron, n)
		}
		if _, err := next(cron, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)); err != nil {
			t.Fatalf("%q became %q: %v", s, cron, err)
		}
	})
}
