package task

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/store"
)

// Template is a kind of work of which administrators create tasks, each with its properties.
type Template struct {
	// ID and Name: as those of Type.
	ID, Name string
	// Help says in a sentence what such a task does.
	Help string
	// Properties are those that a task has.
	Properties []Property
	// Check says what is wrong with properties, which are complete and of their kinds. An *errs.Error names a property as its field.
	Check func(ctx context.Context, p Properties) error
	// Run does the work: as that of Type. A result beside an error is shown as well.
	Run func(ctx context.Context, p Properties, progress *Progress) (result string, err error)
}

// Property describes a property of a Template's tasks.
type Property struct {
	ID string
	// Name and Help are for people.
	Name, Help string
	Kind       Kind
	Required   bool
	// Default is the value where none is given; it is not one of a required property.
	Default string
}

// Kind is what a property's value is.
type Kind string

// The kinds of properties.
const (
	Text       Kind = "string"
	Lines      Kind = "text" // of several lines
	Number     Kind = "number"
	Boolean    Kind = "boolean"
	Repository Kind = "repository" // the name of one
)

// Properties are the values of a task's properties, by their ids.
type Properties map[string]string

// Bool is the value of a Boolean.
func (p Properties) Bool(id string) bool { return p[id] == "true" }

// Number is the value of a Number; zero where there is none.
func (p Properties) Number(id string) int {
	n, _ := strconv.Atoi(p[id]) // it was checked
	return n
}

// Definition is what an administrator says of a task.
type Definition struct {
	// Type is a Template's id. It never changes.
	Type       string
	Name       string
	Enabled    bool
	Frequency  Frequency
	Properties Properties
	// AlertEmail and NotificationCondition are kept for clients that send them.
	AlertEmail, NotificationCondition string
}

// settings are the parts of a definition that only need to be kept.
type settings struct {
	Frequency             Frequency `json:"frequency"`
	AlertEmail            string    `json:"alertEmail,omitempty"`
	NotificationCondition string    `json:"notificationCondition,omitempty"`
}

// maxName is the most bytes of a task's name.
const maxName = 200

// complete checks properties, and adds defaults.
func (t Template) complete(ctx context.Context, given Properties) (Properties, error) {
	p := maps.Clone(given)
	if p == nil {
		p = Properties{}
	}
	for id := range p {
		if !slices.ContainsFunc(t.Properties, func(d Property) bool { return d.ID == id }) {
			return nil, errs.Field("properties."+id, "tasks of type %s have no such property", t.ID)
		}
	}
	for _, d := range t.Properties {
		value, err := d.check(p[d.ID])
		if err != nil {
			return nil, err
		}
		p[d.ID] = value
	}
	if t.Check == nil {
		return p, nil
	}
	err := t.Check(ctx, p)
	if e := errs.As(err); err != nil && e.Field != "" {
		err = errs.Field("properties."+e.Field, "%s", e.Message)
	}
	return p, err
}

// check checks a value, and writes it as it is kept.
func (d Property) check(value string) (string, error) {
	if d.Kind != Lines {
		value = strings.TrimSpace(value)
	}
	if strings.TrimSpace(value) == "" {
		if d.Required {
			return "", errs.Field("properties."+d.ID, "must not be empty")
		}
		return d.Default, nil
	}
	switch d.Kind {
	case Boolean:
		b, err := strconv.ParseBool(strings.ToLower(value))
		if err != nil {
			return "", errs.Field("properties."+d.ID, "must be true or false")
		}
		return strconv.FormatBool(b), nil
	case Number:
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 {
			return "", errs.Field("properties."+d.ID, "must be a whole number, not below zero")
		}
		return strconv.Itoa(n), nil
	}
	return value, nil
}

// row is a definition as it is stored.
func (m *Manager) row(ctx context.Context, d Definition, now time.Time) (store.Job, error) {
	t, ok := m.templates[d.Type]
	if !ok {
		return store.Job{}, errs.Field("type", "there is no type %q of tasks that can be created", d.Type)
	}
	if d.Name = strings.TrimSpace(d.Name); d.Name == "" || len(d.Name) > maxName {
		return store.Job{}, errs.Field("name", "a task needs a name of at most %d bytes", maxName)
	}
	schedule, err := d.Frequency.schedule()
	if err != nil {
		return store.Job{}, err
	}
	at, err := next(schedule, now)
	if err != nil {
		return store.Job{}, errs.Wrap(errs.Invalid, err, "the frequency can't be understood")
	}
	properties, err := t.complete(ctx, d.Properties)
	if err != nil {
		return store.Job{}, err
	}
	kept, err := json.Marshal(properties)
	if err != nil {
		return store.Job{}, fmt.Errorf("properties of task %s: %w", d.Name, err)
	}
	s, err := json.Marshal(settings{d.Frequency, d.AlertEmail, d.NotificationCondition})
	if err != nil {
		return store.Job{}, fmt.Errorf("settings of task %s: %w", d.Name, err)
	}
	return store.Job{Type: d.Type, Name: d.Name, Properties: string(kept), Settings: string(s), Schedule: schedule, Enabled: d.Enabled, NextRun: at}, nil
}

// definition reads what row wrote.
func definition(row store.Job) (Definition, error) {
	d := Definition{Type: row.Type, Name: row.Name, Enabled: row.Enabled}
	if row.Own {
		d.Frequency = shown(row.Schedule)
		return d, nil
	}
	var s settings
	if err := json.Unmarshal([]byte(row.Settings), &s); err != nil {
		return d, fmt.Errorf("settings of task %d: %w", row.ID, err)
	}
	if err := json.Unmarshal([]byte(row.Properties), &d.Properties); err != nil {
		return d, fmt.Errorf("properties of task %d: %w", row.ID, err)
	}
	d.Frequency, d.AlertEmail, d.NotificationCondition = s.Frequency, s.AlertEmail, s.NotificationCondition
	return d, nil
}

// Templates are the types of tasks that can be created, in order of name.
func (m *Manager) Templates() []Template {
	return slices.SortedFunc(maps.Values(m.templates), func(a, b Template) int { return strings.Compare(a.Name, b.Name) })
}

// Create makes a task. Errors about the definition are Invalid and name the field.
func (m *Manager) Create(ctx context.Context, d Definition) (Job, error) {
	row, err := m.row(ctx, d, time.Now())
	if err != nil {
		return Job{}, err
	}
	if d.Frequency.Schedule == Once && row.NextRun.IsZero() {
		return Job{}, errs.Field("frequency.startDate", "is in the past: such a task would never run")
	}
	var id int64
	err = m.store.Update(ctx, func(tx *store.Tx) (err error) { id, err = tx.CreateJob(row); return err })
	if err != nil {
		return Job{}, fmt.Errorf("create task %s: %w", d.Name, err)
	}
	m.nudge()
	return m.Get(ctx, id)
}

// Update changes all of a created task but its type; of the server's own ones only whether they are enabled. A run that is under way goes
// on as it began.
func (m *Manager) Update(ctx context.Context, id int64, d Definition) error {
	job, err := m.Get(ctx, id)
	if err != nil {
		return err
	}
	if job.Own {
		return m.Enable(ctx, id, d.Enabled)
	}
	if d.Type != "" && d.Type != job.Type {
		return errs.Field("type", "the type of a task can't be changed")
	}
	d.Type = job.Type
	row, err := m.row(ctx, d, time.Now())
	if err != nil {
		return err
	}
	if row.ID = id; row.Schedule == job.Schedule {
		row.NextRun = job.NextRun
	}
	if err := m.store.Update(ctx, func(tx *store.Tx) error { return tx.UpdateJob(row) }); err != nil {
		return fmt.Errorf("update task %d: %w", id, err)
	}
	m.nudge()
	return nil
}

// Delete deletes a created task, and ends its run; a Conflict error for one of the server's own.
func (m *Manager) Delete(ctx context.Context, id int64) error {
	job, err := m.Get(ctx, id)
	if err != nil {
		return err
	}
	if job.Own {
		return errs.New(errs.Conflict, "Task is one of the server's own: it can't be deleted, but be disabled")
	}
	if err := m.store.Update(ctx, func(tx *store.Tx) error { return tx.DeleteJob(id) }); err != nil {
		return fmt.Errorf("delete task %d: %w", id, err)
	}
	if job.Current != nil {
		m.end(job.Current.ID, errStopped) // on another node it ends with its next beat
	}
	return nil
}
