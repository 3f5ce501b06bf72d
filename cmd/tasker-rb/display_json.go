package main

import (
	"encoding/json"
	"io"
	"log/slog"
	"time"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// jsonDisplay prints one document at the end. The output of handlers goes to
// standard error.
type jsonDisplay struct {
	out io.Writer
	log slog.Handler
}

func (d *jsonDisplay) resume(*orchestration.TaskDetail) {}
func (d *jsonDisplay) begin()                           {}
func (d *jsonDisplay) event(orchestration.Event)        {}
func (d *jsonDisplay) end() error                       { return nil }
func (d *jsonDisplay) logHandler() slog.Handler         { return d.log }

// taskJSON is the document of --output json. docs/cli.md describes it.
type taskJSON struct {
	TaskID    int64      `json:"task_id"`
	Namespace string     `json:"namespace"`
	Name      string     `json:"name"`
	Version   string     `json:"version"`
	Status    string     `json:"status"`
	Steps     []stepJSON `json:"steps"`

	WaitsFor    *unservedJSON    `json:"waits_for,omitempty"` // for tasks show
	Annotations []annotationJSON `json:"annotations,omitempty"`
}

type annotationJSON struct {
	Type       string          `json:"type"`
	Annotation json.RawMessage `json:"annotation"`
	CreatedAt  *moment         `json:"created_at"`
}

type stepJSON struct {
	Name        string          `json:"name"`
	Status      string          `json:"status"`
	Attempts    int             `json:"attempts"`
	Results     json.RawMessage `json:"results"`
	Error       *errorJSON      `json:"error"`
	StartedAt   *moment         `json:"started_at"`
	CompletedAt *moment         `json:"completed_at"`
}

// moment is a time in UTC. It is always written with six digits after the point,
// so the texts sort like the times.
type moment struct{ time.Time }

// momentOf returns nil for the zero time.
func momentOf(t time.Time) *moment {
	if t.IsZero() {
		return nil
	}
	return &moment{t}
}

func (m moment) MarshalJSON() ([]byte, error) {
	return []byte(m.UTC().Format(`"2006-01-02T15:04:05.000000Z"`)), nil
}

type errorJSON struct {
	Class     string   `json:"class"`
	Message   string   `json:"message"`
	Backtrace []string `json:"backtrace"`
	ErrorCode *string  `json:"error_code"`
	Retryable bool     `json:"retryable"`
}

func (d *jsonDisplay) result(t *orchestration.TaskDetail) error {
	return printIndentedJSON(d.out, taskAsJSON(t))
}

func taskAsJSON(t *orchestration.TaskDetail) taskJSON {
	document := taskJSON{
		TaskID: t.TaskID, Namespace: t.Namespace, Name: t.Name, Version: t.Version, Status: string(t.State),
		Steps: make([]stepJSON, len(t.Steps)), WaitsFor: unservedAsJSON(t.WaitsFor),
	}
	for i := range t.Steps {
		document.Steps[i] = stepAsJSON(&t.Steps[i])
	}
	for _, a := range t.Annotations {
		document.Annotations = append(document.Annotations, annotationJSON{a.Type, a.Value, momentOf(a.At)})
	}
	return document
}

// stepAsJSON describes a step by its last attempt: its times, and its error
// unless the step is done.
func stepAsJSON(s *orchestration.StepDetail) stepJSON {
	j := stepJSON{Name: s.Name, Status: string(s.State), Attempts: s.Attempts, Results: s.Results()}
	last := s.Last()
	if last == nil {
		return j
	}
	j.StartedAt = momentOf(last.StartedAt)
	if s.State.Done() {
		j.CompletedAt = momentOf(last.EndedAt)
	} else if last.Err != nil {
		j.Error = errorAsJSON(last.Err, s.Retryable)
	}
	return j
}

// errorAsJSON returns nil for no error.
func errorAsJSON(e *orchestration.StepError, retryable bool) *errorJSON {
	if e == nil {
		return nil
	}
	j := &errorJSON{Class: e.Class, Message: e.Message, Backtrace: e.Backtrace, Retryable: retryable && !e.Permanent}
	if j.Backtrace == nil {
		j.Backtrace = []string{}
	}
	if e.ErrorCode != "" {
		j.ErrorCode = &e.ErrorCode
	}
	return j
}
