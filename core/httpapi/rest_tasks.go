package httpapi

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/repomgr/repomgr/api"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/store"
	"github.com/repomgr/repomgr/core/task"
)

// taskRuns is how many runs of a task are listed.
const taskRuns = 100

// onFailure is the condition of notifications where none is given.
const onFailure = "FAILURE"

// GetTasks is the generated operation.
func (s *server) GetTasks(ctx context.Context, r api.GetTasksRequestObject) (api.GetTasksResponseObject, error) {
	jobs, err := s.Tasks.List(ctx, value(r.Params.Type))
	if err != nil {
		return nil, err
	}
	answer := api.GetTasks200JSONResponse{Items: make([]api.TaskXO, len(jobs))}
	for i, job := range jobs {
		answer.Items[i] = showTask(job)
	}
	return answer, nil
}

// GetTaskById is the generated operation.
//
//revive:disable-next-line:var-naming the generated interface names it
func (s *server) GetTaskById(ctx context.Context, r api.GetTaskByIdRequestObject) (api.GetTaskByIdResponseObject, error) {
	job, err := s.task(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return api.GetTaskById200JSONResponse(showTask(job)), nil
}

// CreateTask is the generated operation.
func (s *server) CreateTask(ctx context.Context, r api.CreateTaskRequestObject) (api.CreateTaskResponseObject, error) {
	b := r.Body
	d, err := definition(api.UpdateTaskXO{
		Type: &b.Type, Name: &b.Name, Enabled: b.Enabled, AlertEmail: b.AlertEmail, NotificationCondition: b.NotificationCondition,
		Frequency: &b.Frequency, Properties: b.Properties,
	})
	if err != nil {
		return nil, err
	}
	job, err := s.Tasks.Create(ctx, d)
	if err != nil {
		return nil, err
	}
	return api.CreateTask201JSONResponse(showTask(job)), nil
}

// UpdateTask is the generated operation.
func (s *server) UpdateTask(ctx context.Context, r api.UpdateTaskRequestObject) (api.UpdateTaskResponseObject, error) {
	job, err := s.task(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	d, err := definition(*r.Body)
	if err != nil {
		return nil, err
	}
	return api.UpdateTask204Response{}, s.Tasks.Update(ctx, job.ID, d)
}

// DeleteTaskById is the generated operation.
//
//revive:disable-next-line:var-naming the generated interface names it
func (s *server) DeleteTaskById(ctx context.Context, r api.DeleteTaskByIdRequestObject) (api.DeleteTaskByIdResponseObject, error) {
	job, err := s.task(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	if err := s.Tasks.Delete(ctx, job.ID); err != nil {
		return nil, refused(err)
	}
	return api.DeleteTaskById204Response{}, nil
}

// RunTask is the generated operation.
func (s *server) RunTask(ctx context.Context, r api.RunTaskRequestObject) (api.RunTaskResponseObject, error) {
	job, err := s.task(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	if !job.Enabled {
		return nil, sentence{http.StatusMethodNotAllowed, "Task is disabled"}
	}
	return api.RunTask204Response{}, s.Tasks.Start(ctx, job.ID)
}

// StopTask is the generated operation.
func (s *server) StopTask(ctx context.Context, r api.StopTaskRequestObject) (api.StopTaskResponseObject, error) {
	job, err := s.task(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return api.StopTask204Response{}, s.Tasks.Stop(ctx, job.ID)
}

// GetTaskRuns is the generated operation.
func (s *server) GetTaskRuns(ctx context.Context, r api.GetTaskRunsRequestObject) (api.GetTaskRunsResponseObject, error) {
	job, err := s.task(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	runs, err := s.Tasks.History(ctx, job.ID, taskRuns)
	if err != nil {
		return nil, err
	}
	answer := make(api.GetTaskRuns200JSONResponse, len(runs))
	for i, run := range runs {
		answer[i] = api.TaskRunXO{
			State: api.TaskRunXOState(run.State), Done: run.Done, Total: run.Total, Message: run.Message, Result: run.Result, Node: run.Node,
			Queued: run.QueuedAt.UTC(), Started: at(run.StartedAt), Finished: at(run.FinishedAt),
		}
	}
	return answer, nil
}

// GetTaskTemplates is the generated operation.
func (s *server) GetTaskTemplates(context.Context, api.GetTaskTemplatesRequestObject) (api.GetTaskTemplatesResponseObject, error) {
	answer := api.GetTaskTemplates200JSONResponse{}
	for _, t := range s.Tasks.Templates() {
		answer = append(answer, showTemplate(t))
	}
	return answer, nil
}

// GetTaskTemplate is the generated operation.
func (s *server) GetTaskTemplate(_ context.Context, r api.GetTaskTemplateRequestObject) (api.GetTaskTemplateResponseObject, error) {
	for _, t := range s.Tasks.Templates() {
		if t.ID == r.TypeId {
			return api.GetTaskTemplate200JSONResponse(showTemplate(t)), nil
		}
	}
	return nil, errs.New(errs.NotFound, "There is no type %q of tasks", r.TypeId)
}

// task finds a task by what the path says.
func (s *server) task(ctx context.Context, id string) (task.Job, error) {
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return task.Job{}, errs.New(errs.NotFound, "Task not found")
	}
	return s.Tasks.Get(ctx, n)
}

// definition reads what a client says of a task.
func definition(b api.UpdateTaskXO) (task.Definition, error) {
	d := task.Definition{
		Type: value(b.Type), Name: value(b.Name), Enabled: b.Enabled, AlertEmail: value(b.AlertEmail),
		NotificationCondition: strings.ToUpper(cmp.Or(value(b.NotificationCondition), onFailure)), Properties: task.Properties{},
	}
	if c := d.NotificationCondition; c != onFailure && c != "SUCCESS_FAILURE" {
		return d, errs.Field("notificationCondition", "must be FAILURE or SUCCESS_FAILURE")
	}
	if f := b.Frequency; f != nil {
		d.Frequency = task.Frequency{Schedule: f.Schedule, TimeZoneOffset: value(f.TimeZoneOffset), CronExpression: value(f.CronExpression)}
		if f.RecurringDays != nil {
			d.Frequency.RecurringDays = *f.RecurringDays
		}
		if f.StartDate != nil {
			d.Frequency.StartDate = startDate(*f.StartDate)
		}
	}
	if b.Properties == nil {
		return d, nil
	}
	for id, v := range *b.Properties {
		text, err := property(v)
		if err != nil {
			return d, errs.Field("properties."+id, "%s", err)
		}
		d.Properties[id] = text
	}
	return d, nil
}

// startDate is a time in seconds or in milliseconds since 1970: what would be after the year 5000 in seconds is in milliseconds.
func startDate(n int64) time.Time {
	if n < 100_000_000_000 {
		return time.Unix(n, 0)
	}
	return time.UnixMilli(n)
}

// property is a property's value as a string; the items of an array become lines.
func property(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case bool, json.Number:
		return fmt.Sprint(v), nil
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	case []any:
		lines := make([]string, len(v))
		for i, item := range v {
			line, ok := item.(string)
			if !ok {
				return "", fmt.Errorf("the items must be strings")
			}
			lines[i] = line
		}
		return strings.Join(lines, "\n"), nil
	}
	return "", fmt.Errorf("must be a string, a number, a boolean or an array of strings")
}

func showTask(job task.Job) api.TaskXO {
	d := job.Definition
	shown := api.TaskXO{
		Id: strconv.FormatInt(job.ID, 10), Name: job.Name, Type: job.Type, TypeName: job.TypeName, CurrentState: currentState(job.Current),
		NextRun: at(job.NextRun), Enabled: job.Enabled, BuiltIn: job.Own, Schedule: d.Frequency.Schedule, Frequency: showFrequency(d.Frequency),
		Properties: d.Properties, AlertEmail: set(d.AlertEmail), NotificationCondition: cmp.Or(d.NotificationCondition, onFailure),
	}
	if !job.Enabled {
		shown.NextRun = nil
	}
	if shown.Properties == nil {
		shown.Properties = map[string]string{}
	}
	if last := job.Last; last != nil {
		shown.LastRun, shown.LastRunResult, shown.Message = at(last.StartedAt), lastResult(*last), set(lastMessage(*last))
	}
	return shown
}

// currentState is Nexus's word for where a task stands, and how far it is.
func currentState(run *task.Run) string {
	switch {
	case run == nil:
		return "WAITING"
	case run.State == store.RunQueued:
		return "QUEUED"
	case run.Message != "":
		return "RUNNING: " + run.Message
	case run.Total > 0:
		return fmt.Sprintf("RUNNING: %d of %d", run.Done, run.Total)
	}
	return "RUNNING"
}

// lastResult is Nexus's word for how a run ended.
func lastResult(run task.Run) *string {
	if run.Interrupted() {
		return set("INTERRUPTED")
	}
	return set(map[store.RunState]string{store.RunOK: "OK", store.RunFailed: "FAILED", store.RunCancelled: "CANCELED"}[run.State])
}

// lastMessage is what came of a run; of one that went well the last word on its progress says no more than its result.
func lastMessage(run task.Run) string {
	if run.State == store.RunOK || run.Message == "" {
		return run.Result
	}
	if run.Result == "" {
		return run.Message
	}
	return run.Result + "; " + run.Message
}

func showFrequency(f task.Frequency) api.FrequencyXO {
	shown := api.FrequencyXO{Schedule: f.Schedule, TimeZoneOffset: set(f.TimeZoneOffset), CronExpression: set(f.CronExpression)}
	if !f.StartDate.IsZero() {
		ms := f.StartDate.UnixMilli()
		shown.StartDate = &ms
	}
	if len(f.RecurringDays) > 0 {
		shown.RecurringDays = &f.RecurringDays
	}
	return shown
}

func showTemplate(t task.Template) api.TaskTypeXO {
	shown := api.TaskTypeXO{
		Type: t.ID, Name: t.Name, Help: t.Help, Enabled: true, NotificationCondition: onFailure,
		Frequency: api.FrequencyXO{Schedule: task.Manual}, Properties: map[string]string{}, Fields: []api.TaskFieldXO{},
	}
	for _, p := range t.Properties {
		shown.Properties[p.ID] = p.Default
		shown.Fields = append(shown.Fields, api.TaskFieldXO{
			Id: p.ID, Name: p.Name, Help: p.Help, Kind: api.TaskFieldXOKind(p.Kind), Required: p.Required, Default: p.Default,
		})
	}
	return shown
}
