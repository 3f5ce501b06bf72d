package orchestration

import (
	"encoding/json"
	"time"
)

// TaskFacts are a task and its steps when an event was told.
type TaskFacts struct {
	Version    string
	CreatedAt  time.Time
	Concurrent bool // whether independent steps may run at the same time
	// Head and Context are the documents that a handler gets.
	Head, Context json.RawMessage
	// Steps are all steps, in the template's order. They are only there for an event of the
	// task; an event of a step has Step.
	Steps []StepFacts
	Step  *StepFacts
}

// StepFacts are a step of [TaskFacts].
type StepFacts struct {
	ID          int64
	Name, Class string
	State       StepState
	Attempts    int // begun since the operator's last retry
	RetryLimit  int
	Retryable   bool
	Parents     []string
	Curve       string    // of its waits: none, linear or exponential
	StartedAt   time.Time // of the last attempt
	// Err is the failure of a step in error, if its last attempt was in this engine and
	// since the task was loaded.
	Err *StepError
}

// Facts returns more of the task than the event itself has. It is only to be called by
// OnEvent, before that returns. It is nil for the wait of a task that has not begun.
func (e *Event) Facts() *TaskFacts {
	t := e.task
	if t == nil {
		return nil
	}
	t.mu.Lock() // attempts plan what follows them
	defer t.mu.Unlock()
	f := &TaskFacts{Version: t.template.Version, CreatedAt: t.head.createdAt, Concurrent: t.template.Concurrent, Head: t.taskHeadJSON(), Context: t.context}
	if e.step != nil {
		step := e.step.facts()
		f.Step = &step
		return f
	}
	f.Steps = make([]StepFacts, len(t.steps))
	for i, s := range t.steps {
		f.Steps[i] = s.facts()
	}
	return f
}

func (s *stepRun) facts() StepFacts {
	return StepFacts{
		ID: s.id, Name: s.template.Name, Class: s.template.HandlerClass, State: s.state, Attempts: s.attempts, RetryLimit: s.limit,
		Retryable: s.retries, Parents: s.template.Parents, Curve: string(s.template.Backoff.Curve), StartedAt: s.lastAttempted, Err: s.failure,
	}
}
