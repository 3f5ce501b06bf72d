package orchestration

import (
	"encoding/json"
	"time"

	"github.com/tasker-rb/tasker-rb/orchestration/sqlsession"
	"github.com/tasker-rb/tasker-rb/templates"
)

// taskHead and stepHead are what handlers see of a task and a step; the shapes
// are in docs/engine.md.
type taskHead struct {
	TaskID       int64     `json:"task_id"`
	Name         string    `json:"name"`
	Namespace    string    `json:"namespace_name"`
	Version      string    `json:"version"`
	Status       TaskState `json:"status"`
	Tags         []string  `json:"tags"`
	Initiator    string    `json:"initiator,omitempty"`
	SourceSystem string    `json:"source_system,omitempty"`
	Reason       string    `json:"reason,omitempty"`
	CreatedAt    time.Time `json:"created_at"`
}

type stepHead struct {
	StepID          int64      `json:"workflow_step_id"`
	TaskID          int64      `json:"task_id"`
	Name            string     `json:"name"`
	Description     string     `json:"description,omitempty"`
	DependentSystem string     `json:"dependent_system,omitempty"`
	Status          StepState  `json:"status"`
	Attempts        int        `json:"attempts"`
	RetryLimit      int        `json:"retry_limit"`
	Retryable       bool       `json:"retryable"`
	Processed       bool       `json:"processed"`
	InProcess       bool       `json:"in_process"`
	Inputs          *struct{}  `json:"inputs"`
	LastAttemptedAt *time.Time `json:"last_attempted_at"`
	BackoffRequest  *float64   `json:"backoff_request_seconds"`
	Parents         []string   `json:"parents"`
	Children        []string   `json:"children"`
	HandlerClass    string     `json:"handler_class"`
}

func (t *taskRun) taskHeadJSON() json.RawMessage {
	if t.headJSON == nil {
		t.head.TaskID, t.head.Name, t.head.Namespace = t.id, t.template.Name, t.template.Namespace
		t.head.Version, t.head.Status = t.template.Version, t.state
		t.headJSON = mustMarshal(t.head)
	}
	return t.headJSON
}

func (s *stepRun) headJSON(taskID int64) json.RawMessage {
	if s.head == nil {
		h := stepHead{
			StepID: s.id, TaskID: taskID, Name: s.template.Name, Description: s.template.Description,
			DependentSystem: s.template.DependentSystem, Status: s.state, Attempts: s.attempts, RetryLimit: s.limit,
			Retryable: s.retries, Processed: s.state.Done(), InProcess: s.state == StepInProgress,
			BackoffRequest: s.asked, Parents: list(s.template.Parents), Children: list(s.template.Children),
			HandlerClass: s.template.HandlerClass,
		}
		if !s.lastAttempted.IsZero() {
			h.LastAttemptedAt = &s.lastAttempted
		}
		s.head = mustMarshal(h)
	}
	return s.head
}

// stepHeads is the array of all heads; only those that changed are made anew.
func (t *taskRun) stepHeads() json.RawMessage {
	if t.heads == nil {
		b := []byte{'['}
		for i, s := range t.steps {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, s.headJSON(t.id)...)
		}
		t.heads = append(b, ']')
	}
	return t.heads
}

// changed forgets what was made of the step.
func (t *taskRun) changed(s *stepRun) { s.head, t.heads = nil, nil }

func list(names []string) []string {
	if names == nil {
		return []string{}
	}
	return names
}

// mustMarshal is for structs of plain fields, which always marshal.
func mustMarshal(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// execution makes what the handler of s is given.
func (e *Engine) execution(t *taskRun, s *stepRun) *StepExecution {
	x := &StepExecution{
		TaskID: t.id, StepID: s.id, Namespace: t.template.Namespace, TaskName: t.template.Name,
		StepName: s.template.Name, Class: s.template.HandlerClass, Attempt: s.attempts,
		Context: t.context, Config: s.template.HandlerConfig,
		TaskHead: t.taskHeadJSON(), StepHead: s.headJSON(t.id), StepHeads: t.stepHeads(),
		session: e.sessionFor(s.template),
	}
	for _, a := range t.template.Ancestors(s.template.Name) {
		if r := t.steps[a.Index].results; r != nil {
			x.Results = append(x.Results, StepResult{Step: a.Name, JSON: r})
		}
	}
	return x
}

func (e *Engine) sessionFor(step *templates.Step) *sqlsession.Session {
	if step.Transaction == templates.TransactionNone {
		return sqlsession.Plain(e.pool)
	}
	return sqlsession.ForStep(e.pool, string(step.Isolation))
}
