package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/repomgr/repomgr/api"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/task"
)

// ownTasks are the server's own.
var ownTasks = []task.Recurring{{Schedule: "@daily", Type: task.Type{ID: "tidy", Name: "Tidy up", Run: func(context.Context, *task.Progress) (string, error) {
	return "tidied", nil
}}}}

// echoTask is a type of tasks that say a word, fail, or wait until they are stopped.
var echoTask = task.Template{
	ID: "echo", Name: "Echo", Help: "Says a word.",
	Properties: []task.Property{
		{ID: "word", Name: "Word", Kind: task.Text, Required: true}, {ID: "times", Name: "Times", Kind: task.Number}, {ID: "loud", Name: "Loud", Kind: task.Boolean, Default: "false"},
	},
	Check: func(_ context.Context, p task.Properties) error {
		if p["word"] == "bad" {
			return errs.Field("word", "is bad")
		}
		return nil
	},
	Run: func(ctx context.Context, p task.Properties, progress *task.Progress) (string, error) {
		switch p["word"] {
		case "wait":
			progress.Message("at it")
			<-ctx.Done()
			return "", ctx.Err()
		case "fail":
			return "half", errors.New("no luck")
		}
		return p["word"] + p["times"] + p["loud"], nil
	},
}

// echoBody is the body for a task that says a word.
func echoBody(word string) string {
	return fmt.Sprintf(`{"type":"echo","name":"say %[1]s","enabled":true,"frequency":{"schedule":"manual"},"properties":{"word":%[1]q}}`, word)
}

// create makes a task.
func (w *wired) createTask(t *testing.T, body string) (created api.TaskXO) {
	t.Helper()
	must(json.Unmarshal([]byte(w.want(t, 201, "", "POST", "/v1/tasks", body).body), &created))
	return created
}

// awaitTask waits until a task is as wanted.
func (w *wired) awaitTask(t *testing.T, id string, want func(api.TaskXO) bool) (got api.TaskXO) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		got = api.TaskXO{}
		must(json.Unmarshal([]byte(w.want(t, 200, "", "GET", "/v1/tasks/"+id, "").body), &got))
		if want(got) {
			return got
		}
	}
	t.Fatalf("after a long time: %+v", got)
	return got
}

func TestTasks(t *testing.T) {
	w := newWired(t)
	body := `{"type":"echo","name":"Say it","enabled":true,"alertEmail":"a@example.org","notificationCondition":"SUCCESS_FAILURE",` +
		`"frequency":{"schedule":"weekly","startDate":1788300000,"timeZoneOffset":"+01:00","recurringDays":[2,5]},"properties":{"word":"a","times":3,"loud":true,"unknown":null}}`
	w.want(t, 400, `[{"id":"properties.unknown","message":"tasks of type echo have no such property"}]`, "POST", "/v1/tasks", body)
	body = strings.Replace(body, `,"unknown":null`, "", 1)
	created := w.createTask(t, body)
	want := fmt.Sprintf(`{"alertEmail":"a@example.org","builtIn":false,"currentState":"WAITING","enabled":true,`+
		`"frequency":{"recurringDays":[2,5],"schedule":"weekly","startDate":1788300000000,"timeZoneOffset":"+01:00"},"id":%q,"lastRun":null,"lastRunResult":null,"message":null,`+
		`"name":"Say it","nextRun":%q,"notificationCondition":"SUCCESS_FAILURE","properties":{"loud":"true","times":"3","word":"a"},"schedule":"weekly","type":"echo","typeName":"Echo"}`,
		created.Id, created.NextRun.Format(time.RFC3339))
	w.want(t, 200, want, "GET", "/v1/tasks/"+created.Id, "")

	w.want(t, 204, "", "POST", "/v1/tasks/"+created.Id+"/run", "")
	if got := w.awaitTask(t, created.Id, func(x api.TaskXO) bool { return x.LastRun != nil }); value(got.LastRunResult) != "OK" || value(got.Message) != "a3true" {
		t.Errorf("after a run: %+v", got)
	}
	var runs []api.TaskRunXO
	must(json.Unmarshal([]byte(w.want(t, 200, "", "GET", "/api/v1/tasks/"+created.Id+"/runs", "").body), &runs))
	if len(runs) != 1 || runs[0].State != "ok" || runs[0].Result != "a3true" || runs[0].Finished == nil {
		t.Errorf("runs: %+v", runs)
	}

	var page api.PageTaskXO
	must(json.Unmarshal([]byte(w.want(t, 200, "", "GET", "/v1/tasks", "").body), &page))
	if len(page.Items) != 2 || page.Items[1].Type != "tidy" || !page.Items[1].BuiltIn || page.Items[1].Schedule != "cron" || page.Items[1].NextRun == nil {
		t.Errorf("tasks: %+v", page)
	}
	own := page.Items[1].Id
	w.want(t, 200, `{"continuationToken":null,"items":[]}`, "GET", "/v1/tasks?type=none", "")
	w.want(t, 400, `"Task is one of the server's own: it can't be deleted, but be disabled"`, "DELETE", "/v1/tasks/"+own, "")
	w.want(t, 204, "", "PUT", "/v1/tasks/"+own, `{"enabled":false}`)
	w.want(t, 405, `"Task is disabled"`, "POST", "/v1/tasks/"+own+"/run", "")
	if got := w.awaitTask(t, own, func(api.TaskXO) bool { return true }); got.Enabled || got.NextRun != nil {
		t.Errorf("disabled: %+v", got)
	}

	w.want(t, 204, "", "PUT", "/v1/tasks/"+created.Id, echoBody("fail"))
	w.want(t, 204, "", "POST", "/v1/tasks/"+created.Id+"/run", "")
	if got := w.awaitTask(t, created.Id, func(x api.TaskXO) bool { return value(x.LastRunResult) == "FAILED" }); value(got.Message) != "half; no luck" || got.NextRun != nil || got.Name != "say fail" {
		t.Errorf("failed: %+v", got)
	}
	w.want(t, 400, `[{"id":"type","message":"the type of a task can't be changed"}]`, "PUT", "/v1/tasks/"+created.Id, strings.Replace(echoBody("a"), `"echo"`, `"other"`, 1))
	w.restart(t)
	w.want(t, 204, "", "DELETE", "/v1/tasks/"+created.Id, "")
	w.want(t, 404, `"Task not found"`, "GET", "/v1/tasks/"+created.Id, "")
}

func TestStopTask(t *testing.T) {
	w := newWired(t)
	id := w.createTask(t, echoBody("wait")).Id
	w.want(t, 409, `"Task is not running"`, "POST", "/v1/tasks/"+id+"/stop", "")
	w.want(t, 204, "", "POST", "/v1/tasks/"+id+"/run", "")
	w.awaitTask(t, id, func(x api.TaskXO) bool { return x.CurrentState == "RUNNING: at it" })
	w.want(t, 409, `"Task is already running"`, "POST", "/v1/tasks/"+id+"/run", "")
	w.want(t, 204, "", "POST", "/v1/tasks/"+id+"/stop", "")
	w.awaitTask(t, id, func(x api.TaskXO) bool { return x.CurrentState == "WAITING" && value(x.LastRunResult) == "CANCELED" })
}

func TestTaskRefusals(t *testing.T) {
	w := newWired(t)
	with := func(old, new string) string { return strings.Replace(echoBody("a"), old, new, 1) }
	for _, test := range []struct {
		name, body, want string
	}{
		{"nothing", `{}`, `[{"id":"enabled","message":"must not be null"},{"id":"frequency","message":"must not be null"},{"id":"name","message":"must not be null"},{"id":"type","message":"must not be null"}]`},
		{"unknown type", with(`"type":"echo"`, `"type":"other"`), `[{"id":"type","message":"there is no type \"other\" of tasks that can be created"}]`},
		{"empty property", echoBody(" "), `[{"id":"properties.word","message":"must not be empty"}]`},
		{"the type's own check", echoBody("bad"), `[{"id":"properties.word","message":"is bad"}]`},
		{"an object", with(`"a"}`, `{}}`), `[{"id":"properties.word","message":"must be a string, a number, a boolean or an array of strings"}]`},
		{"schedule", with("manual", "yearly"), `[{"id":"frequency.schedule","message":"must be manual, once, hourly, daily, weekly, monthly or cron, not \"yearly\""}]`},
		{"cron", with(`"manual"`, `"cron","cronExpression":"5 0 1 * * ?"`), `[{"id":"frequency.cronExpression","message":"cron expression \"5 0 1 * * ?\": the seconds must be 0"}]`},
		{"once in the past", with(`"manual"`, `"once","startDate":1000000000`), `[{"id":"frequency.startDate","message":"is in the past: such a task would never run"}]`},
		{"condition", with(`"enabled"`, `"notificationCondition":"never","enabled"`), `[{"id":"notificationCondition","message":"must be FAILURE or SUCCESS_FAILURE"}]`},
	} {
		t.Run(test.name, func(t *testing.T) { w.want(t, 400, test.want, "POST", "/v1/tasks", test.body) })
	}
	for _, request := range []string{"GET /v1/tasks/7777", "GET /v1/tasks/x", "DELETE /v1/tasks/7777", "POST /v1/tasks/7777/run", "POST /v1/tasks/7777/stop"} {
		method, path, _ := strings.Cut(request, " ")
		w.want(t, 404, `"Task not found"`, method, path, "")
	}
	w.want(t, 404, "", "GET", "/api/v1/tasks/7777/runs", "")
	w.want(t, 404, `"Task not found"`, "PUT", "/v1/tasks/7777", `{"enabled":true}`)
	w.want(t, 404, `"There is no type \"tidy\" of tasks"`, "GET", "/v1/tasks/templates/tidy", "")
	for user, status := range map[string]int{powerless: 403, contributor: 403, anonymously: 401} {
		for _, request := range []string{"GET /v1/tasks", "POST /v1/tasks", "GET /v1/tasks/1", "PUT /v1/tasks/1", "DELETE /v1/tasks/1", "POST /v1/tasks/1/run", "POST /v1/tasks/1/stop", "GET /v1/tasks/templates", "GET /api/v1/tasks/1/runs"} {
			method, path, _ := strings.Cut(request, " ")
			if got := w.in(t).do(user, method, path, ""); got.StatusCode != status {
				t.Errorf("user %q, %s: %d", user, request, got.StatusCode)
			}
		}
	}
}

// A template that is filled in is a task.
func TestTaskTemplates(t *testing.T) {
	w := newWired(t)
	var all []api.TaskTypeXO
	must(json.Unmarshal([]byte(w.want(t, 200, "", "GET", "/v1/tasks/templates", "").body), &all))
	one := w.want(t, 200, "", "GET", "/v1/tasks/templates/echo", "").body
	if len(all) != 1 || all[0].Type != "echo" || len(all[0].Fields) != 3 || !all[0].Fields[0].Required || all[0].Properties["loud"] != "false" {
		t.Errorf("templates: %+v", all)
	}
	w.createTask(t, strings.Replace(one, `"word":""`, `"word":"a"`, 1))
	if got := w.in(t).do(admin, http.MethodPost, "/v1/tasks", one); got.StatusCode != 400 {
		t.Errorf("a template without a required property: %d", got.StatusCode)
	}
}
