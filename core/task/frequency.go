package task

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/repomgr/repomgr/core/errs"
)

// Frequency is when a task runs, in the words of Nexus's REST API.
type Frequency struct {
	// Schedule is one of the constants below.
	Schedule string `json:"schedule"`
	// StartDate is the first time, and the time of the day; zero is at once, and at 00:00.
	StartDate time.Time `json:"startDate,omitzero"`
	// TimeZoneOffset is that of the times, for example "+01:00"; empty is the server's time zone.
	TimeZoneOffset string `json:"timeZoneOffset,omitempty"`
	// RecurringDays are days of the week, from Sunday = 1 to 7, or of the month, where LastDay is the last one.
	RecurringDays []int `json:"recurringDays,omitempty"`
	// CronExpression is for Cron: of Quartz, with seconds, or of cron, with five fields.
	CronExpression string `json:"cronExpression,omitempty"`
}

// The schedules, beside Manual.
const (
	Once    = "once"
	Hourly  = "hourly"
	Daily   = "daily"
	Weekly  = "weekly"
	Monthly = "monthly"
	Cron    = "cron"
)

// LastDay is the last day of a month.
const LastDay = 999

// The words before the cron expression of a schedule: a time before which it is not due, and the time zone.
const (
	wordOnce = "once "
	wordFrom = "from "
	wordZone = "zone "
)

// schedule is the frequency as the scheduler reads it.
func (f Frequency) schedule() (string, error) {
	zone, err := zoneOf(f.TimeZoneOffset)
	if err != nil {
		return "", errs.Field("frequency.timeZoneOffset", "must be of the form +01:00, not %.20q", f.TimeZoneOffset)
	}
	minute, hour := 0, 0
	if !f.StartDate.IsZero() {
		at := f.StartDate.In(zone)
		minute, hour = at.Minute(), at.Hour()
	}
	var cron string
	switch f.Schedule {
	case Manual:
		return Manual, nil
	case Once:
		if f.StartDate.IsZero() {
			return "", errs.Field("frequency.startDate", "must not be empty")
		}
		return wordOnce + f.StartDate.UTC().Format(time.RFC3339), nil
	case Hourly:
		cron = fmt.Sprintf("%d * * * *", minute)
	case Daily:
		cron = fmt.Sprintf("%d %d * * *", minute, hour)
	case Weekly:
		days, err := f.days(7, func(day int) string { return strconv.Itoa(day - 1) })
		if err != nil {
			return "", err
		}
		cron = fmt.Sprintf("%d %d * * %s", minute, hour, days)
	case Monthly:
		days, err := f.days(31, strconv.Itoa)
		if err != nil {
			return "", err
		}
		cron = fmt.Sprintf("%d %d %s * *", minute, hour, days)
	case Cron:
		if cron, err = fromQuartz(f.CronExpression); err != nil {
			return "", err
		}
	default:
		return "", errs.Field("frequency.schedule", "must be manual, once, hourly, daily, weekly, monthly or cron, not %.20q", f.Schedule)
	}
	if f.TimeZoneOffset != "" {
		cron = wordZone + f.TimeZoneOffset + " " + cron
	}
	if !f.StartDate.IsZero() {
		cron = wordFrom + f.StartDate.UTC().Format(time.RFC3339) + " " + cron
	}
	return cron, nil
}

// days are the recurring days as a field of a cron expression.
func (f Frequency) days(most int, write func(int) string) (string, error) {
	if len(f.RecurringDays) == 0 {
		return "", errs.Field("frequency.recurringDays", "must not be empty")
	}
	var days []string
	for _, day := range slices.Compact(slices.Sorted(slices.Values(f.RecurringDays))) {
		switch {
		case day >= 1 && day <= most:
			days = append(days, write(day))
		case day == LastDay && f.Schedule == Monthly:
			days = append(days, "L")
		default:
			return "", errs.Field("frequency.recurringDays", "there is no day %d: days are from 1 to %d", day, most)
		}
	}
	return strings.Join(days, ","), nil
}

// zoneOf is the time zone of an offset; the server's for none.
func zoneOf(offset string) (*time.Location, error) {
	if offset == "" {
		return time.Local, nil
	}
	t, err := time.Parse("Z07:00", offset)
	if err != nil {
		return nil, err
	}
	_, seconds := t.Zone()
	return time.FixedZone(offset, seconds), nil
}

// shown is the frequency of one of the server's own jobs.
func shown(schedule string) Frequency {
	if schedule == Manual {
		return Frequency{Schedule: Manual}
	}
	return Frequency{Schedule: Cron, CronExpression: schedule}
}

// fromQuartz makes a cron expression of one of Quartz (second, minute, hour, day of the month, month, day of the week, and maybe year), as far
// as cron can say the same. One of five fields is taken for cron's own.
func fromQuartz(s string) (string, error) {
	refuse := func(text string, args ...any) (string, error) {
		return "", errs.Field("frequency.cronExpression", "cron expression %.100q: %s", s, fmt.Sprintf(text, args...))
	}
	fields := strings.Fields(strings.ToUpper(s))
	if len(fields) == 5 {
		return checkCron(s, fields)
	}
	if len(fields) != 6 && len(fields) != 7 {
		return refuse("must have 6 or 7 fields (seconds first), or the 5 of cron")
	}
	switch {
	case fields[0] != "0":
		return refuse("the seconds must be 0")
	case len(fields) == 7 && fields[6] != "*":
		return refuse("the year must be * or left out")
	case !slices.Contains([]string{"?", "*"}, fields[3]) && !slices.Contains([]string{"?", "*"}, fields[5]):
		return refuse("the day of the month or that of the week must be ?")
	case strings.ContainsAny(fields[5], "L#"):
		return refuse("L and # are not supported in the day of the week")
	case strings.Contains(fields[3], "W"), strings.Contains(fields[3], "-L"), strings.Contains(fields[3], "L-"):
		return refuse("W and offsets from L are not supported in the day of the month")
	}
	weekdays, ok := weekdays(fields[5])
	if !ok {
		return refuse("%q is no day of the week: they are from 1 = SUN to 7 = SAT", fields[5])
	}
	fields[5] = weekdays
	for i, field := range fields {
		if field == "?" {
			fields[i] = "*"
		}
	}
	return checkCron(s, fields[1:6])
}

// checkCron joins the fields of a cron expression if they make one.
func checkCron(s string, fields []string) (string, error) {
	cron := strings.Join(fields, " ")
	if _, err := next(cron, time.Now()); err != nil {
		return "", errs.Field("frequency.cronExpression", "cron expression %.100q is not valid", s)
	}
	return cron, nil
}

// weekdays writes Quartz's days of the week, which begin with Sunday = 1, as cron's, which begin with 0.
func weekdays(field string) (string, bool) {
	items := strings.Split(field, ",")
	for i, item := range items {
		days, step, stepped := strings.Cut(item, "/")
		ends := strings.Split(days, "-")
		for j, end := range ends {
			n, err := strconv.Atoi(end)
			switch {
			case err == nil && (n < 1 || n > 7):
				return "", false
			case err == nil:
				ends[j] = strconv.Itoa(n - 1)
			}
		}
		items[i] = strings.Join(ends, "-")
		if stepped {
			items[i] += "/" + step
		}
	}
	return strings.Join(items, ","), true
}
