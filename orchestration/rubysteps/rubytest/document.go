package rubytest

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/orchestration/testbed"
	"github.com/tasker-rb/tasker-rb/templates"
)

// The JSON of a task, as Tasker::Testing::Task reads it. Times are ISO 8601.

type taskDocument struct {
	TaskID    int64             `json:"task_id"`
	Namespace string            `json:"namespace"`
	Name      string            `json:"name"`
	Version   string            `json:"version"`
	Status    string            `json:"status"`
	Context   json.RawMessage   `json:"context"`
	Steps     []stepDocument    `json:"steps"`
	Events    []eventDocument   `json:"events"`
	History   []historyDocument `json:"history"`
}

type stepDocument struct {
	Name         string              `json:"name"`
	HandlerClass string              `json:"handler_class"`
	Status       string              `json:"status"`
	Attempts     int                 `json:"attempts"` // all starts
	Losses       int                 `json:"losses"`
	Results      json.RawMessage     `json:"results"`
	DependsOn    []string            `json:"depends_on"`
	Error        *errorDocument      `json:"error"`
	Tries        []tryDocument       `json:"tries"`
	SQL          []statementDocument `json:"sql"`
	StartedAt    *time.Time          `json:"started_at"`
	CompletedAt  *time.Time          `json:"completed_at"`
}

type tryDocument struct {
	Number    int            `json:"number"`
	Outcome   string         `json:"outcome"`
	StartedAt *time.Time     `json:"started_at"`
	EndedAt   *time.Time     `json:"ended_at"`
	Error     *errorDocument `json:"error"`
}

type errorDocument struct {
	Class     string          `json:"class"`
	Ancestors []string        `json:"ancestors"`
	Message   string          `json:"message"`
	Backtrace []string        `json:"backtrace"`
	ErrorCode string          `json:"error_code,omitempty"`
	Retryable bool            `json:"retryable"`
	Context   json.RawMessage `json:"context,omitempty"`
	Cause     *errorDocument  `json:"cause,omitempty"`
}

type statementDocument struct {
	Attempt      int      `json:"attempt"`
	SQL          string   `json:"sql"`
	Params       []string `json:"params"`
	Rows         int64    `json:"rows"`
	Milliseconds float64  `json:"milliseconds"`
	Error        string   `json:"error,omitempty"`
}

type eventDocument struct {
	Kind    string    `json:"kind"`
	Step    string    `json:"step,omitempty"`
	Attempt int       `json:"attempt,omitempty"`
	At      time.Time `json:"at"`
}

type historyDocument struct {
	At      time.Time `json:"at"`
	What    string    `json:"what"` // task or step
	Step    string    `json:"step,omitempty"`
	Attempt int       `json:"attempt,omitempty"`
	From    string    `json:"from,omitempty"`
	To      string    `json:"to"`
	By      string    `json:"by,omitempty"`
	Reason  string    `json:"reason,omitempty"`
}

func (h *historyDocument) rank() int {
	switch {
	case h.What != "task":
		return 1
	case orchestration.TaskState(h.To).Final():
		return 2
	}
	return 0
}

// document describes the task of a run.
func document(run *testbed.Run, template *templates.Template) *taskDocument {
	t := run.Task
	d := &taskDocument{
		TaskID: t.TaskID, Namespace: t.Namespace, Name: t.Name, Version: t.Version, Status: string(t.State), Context: t.Context,
		Steps: make([]stepDocument, len(t.Steps)), Events: []eventDocument{}, History: []historyDocument{},
	}
	for i := range t.Steps {
		s := &t.Steps[i]
		d.Steps[i] = stepOf(s, template.Step(s.Name), run.Statements)
		d.History = appendHistory(d.History, "step", s.Name, s.Transitions)
	}
	d.History = appendHistory(d.History, "task", "", t.Transitions)
	// The clock of tests stands still, so much has one time: the task begins before its
	// steps, and ends after them.
	slices.SortStableFunc(d.History, func(a, b historyDocument) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.rank(), b.rank()))
	})
	for _, e := range run.Events {
		d.Events = append(d.Events, eventDocument{Kind: string(e.Kind), Step: e.Step, Attempt: e.Attempt, At: e.At})
	}
	return d
}

func stepOf(s *orchestration.StepDetail, template *templates.Step, statements map[string][]testbed.Statement) stepDocument {
	d := stepDocument{
		Name: s.Name, Status: string(s.State), Results: s.Results(), DependsOn: append([]string{}, s.Parents...),
		Tries: []tryDocument{}, SQL: []statementDocument{},
	}
	if template != nil {
		d.HandlerClass = template.HandlerClass
	}
	for i := range s.History {
		a := &s.History[i]
		d.Tries = append(d.Tries, tryDocument{
			Number: a.Number, Outcome: a.Outcome, StartedAt: orNull(a.StartedAt), EndedAt: orNull(a.EndedAt), Error: errorOf(a.Err),
		})
		d.Attempts = max(d.Attempts, a.Number)
		if a.Outcome == "lost" {
			d.Losses++
		}
	}
	if last := s.Last(); last != nil {
		d.StartedAt = orNull(s.History[0].StartedAt)
		if s.State.Done() {
			d.CompletedAt = orNull(last.EndedAt)
		} else {
			d.Error = errorOf(last.Err)
		}
	}
	for i := range statements[s.Name] {
		d.SQL = append(d.SQL, statementOf(&statements[s.Name][i]))
	}
	return d
}

func statementOf(st *testbed.Statement) statementDocument {
	d := statementDocument{
		Attempt: st.Attempt, SQL: st.SQL, Params: append([]string{}, st.Params...), Rows: st.Rows,
		Milliseconds: float64(st.Took.Microseconds()) / 1000,
	}
	if st.Err != nil {
		d.Error = st.Err.Error()
	}
	return d
}

func errorOf(e *orchestration.StepError) *errorDocument {
	if e == nil {
		return nil
	}
	return &errorDocument{
		Class: e.Class, Ancestors: append([]string{}, e.Ancestors...), Message: e.Message, Backtrace: append([]string{}, e.Backtrace...),
		ErrorCode: e.ErrorCode, Retryable: !e.Permanent, Context: e.Context, Cause: errorOf(e.Cause),
	}
}

func appendHistory(list []historyDocument, what, step string, transitions []orchestration.Transition) []historyDocument {
	for _, t := range transitions {
		list = append(list, historyDocument{
			At: t.At, What: what, Step: step, Attempt: t.Attempt, From: t.From, To: t.To, By: t.Actor, Reason: t.Reason,
		})
	}
	return list
}

func orNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
