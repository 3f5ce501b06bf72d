package rubysteps

import (
	"encoding/json"
	"time"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// The JSON of an event, as rubyhost/ruby/lib/tasker/events/from_engine.rb reads it.

type eventFacts struct {
	Kind   orchestration.EventKind `json:"kind"`
	At     *time.Time              `json:"at"`
	TaskID int64                   `json:"task_id"`
	State  orchestration.TaskState `json:"state"`

	Task       json.RawMessage `json:"task,omitempty"` // its head, as handlers get it
	Context    json.RawMessage `json:"context,omitempty"`
	Concurrent bool            `json:"concurrent,omitempty"`
	Total      int             `json:"total_steps,omitempty"`
	Complete   int             `json:"completed_steps"`
	InError    int             `json:"failed_steps"`
	Pending    int             `json:"pending_steps"`
	Failed     []stepFacts     `json:"failed,omitempty"`

	Step     *stepFacts  `json:"step,omitempty"`
	Duration float64     `json:"duration,omitempty"` // seconds
	Error    *errorFacts `json:"error,omitempty"`
	Backoff  string      `json:"backoff,omitempty"`
	Next     *time.Time  `json:"next,omitempty"`
}

type stepFacts struct {
	ID         int64       `json:"id"`
	Name       string      `json:"name"`
	Class      string      `json:"class"`
	Attempts   int         `json:"attempts"`
	RetryLimit int         `json:"retry_limit"`
	Retryable  bool        `json:"retryable"`
	Parents    []string    `json:"parents"`
	StartedAt  *time.Time  `json:"started_at"`
	Error      *errorFacts `json:"error,omitempty"`
}

type errorFacts struct {
	Class     string   `json:"class"`
	Message   string   `json:"message"`
	Backtrace []string `json:"backtrace"`
	Code      string   `json:"error_code,omitempty"`
	Permanent bool     `json:"permanent"`
}

// mostFailed is how many failed steps an event of a task describes.
const mostFailed = 100

// factsOf must be called before OnEvent returns.
func factsOf(e *orchestration.Event) *eventFacts {
	f := &eventFacts{
		Kind: e.Kind, At: orNull(e.At), TaskID: e.TaskID, State: e.TaskState, Duration: e.Duration.Seconds(), Error: errorOf(e.Err), Next: orNull(e.NextAttempt),
	}
	t := e.Facts()
	if t == nil {
		return f
	}
	f.Task = t.Head
	if t.Step != nil {
		step := stepOf(t.Step)
		step.Error = nil
		f.Step, f.Concurrent, f.Backoff = &step, t.Concurrent, t.Step.Curve
		return f
	}
	f.Context, f.Total = t.Context, len(t.Steps)
	for i := range t.Steps {
		switch s := &t.Steps[i]; {
		case s.State.Done():
			f.Complete++
		case s.State == orchestration.StepInError:
			if f.InError++; f.InError <= mostFailed {
				f.Failed = append(f.Failed, stepOf(s))
			}
		case s.State == orchestration.StepPending || s.State == orchestration.StepWaitingForRetry:
			f.Pending++
		}
	}
	return f
}

func stepOf(s *orchestration.StepFacts) stepFacts {
	return stepFacts{
		ID: s.ID, Name: s.Name, Class: s.Class, Attempts: s.Attempts, RetryLimit: s.RetryLimit, Retryable: s.Retryable,
		Parents: append([]string{}, s.Parents...), StartedAt: orNull(s.StartedAt), Error: errorOf(s.Err),
	}
}

func errorOf(e *orchestration.StepError) *errorFacts {
	if e == nil {
		return nil
	}
	return &errorFacts{Class: e.Class, Message: e.Message, Backtrace: e.Backtrace, Code: e.ErrorCode, Permanent: e.Permanent}
}

func orNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
