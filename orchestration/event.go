package orchestration

import (
	"encoding/json"
	"time"

	"github.com/tasker-rb/tasker-rb/orchestration/sqlsession"
)

// EventKind says what happened.
type EventKind string

// The kinds of events, in the order in which a step goes through them.
const (
	EventTaskStarted   EventKind = "task_started"
	EventStepStarted   EventKind = "step_started"
	EventStepCompleted EventKind = "step_completed"
	EventStepRetrying  EventKind = "step_retrying"  // the attempt failed; the next one is at NextAttempt
	EventStepFailed    EventKind = "step_failed"    // the step failed and has no more attempts
	EventStepReleased  EventKind = "step_released"  // the attempt was interrupted, or did not begin, and does not count
	EventStepCancelled EventKind = "step_cancelled" // a person ended the step
	EventTaskWaiting   EventKind = "task_waiting"   // no step can run before NextAttempt
	EventTaskEnded     EventKind = "task_ended"
)

// Event is something that happened to a task. The database has it when OnEvent is
// called.
type Event struct {
	Kind       EventKind
	At         time.Time
	TaskID     int64
	Namespace  string // of the task
	TaskName   string
	TaskState  TaskState
	Step       string // empty for events of the task
	Class      string // of the step's handler, as the template names it
	Attempt    int    // counts every start since the operator's last retry
	Earlier    int    // the attempts before that retry
	RetryLimit int    // bounds Attempt - Losses; 0 allows one attempt, as 1 does
	// Losses are the attempts that were lost and do not count towards RetryLimit: their
	// process died, or their claim was lost. Attempt counts them.
	Losses int
	// Lost is whether this attempt is one of Losses. It is of EventStepRetrying and
	// EventStepFailed.
	Lost        bool
	Duration    time.Duration   // of the attempt; 0 if it did not begin
	Results     json.RawMessage // of EventStepCompleted
	Err         *StepError      // of EventStepRetrying and EventStepFailed
	NextAttempt time.Time       // of EventStepRetrying and EventTaskWaiting

	task *taskRun
	step *stepRun
}

// TracedStatement is a statement of a handler, for Config.OnStatement.
type TracedStatement = sqlsession.Traced

// tell completes an event and hands it to OnEvent. s is nil for events of the task.
func (e *Engine) tell(t *taskRun, s *stepRun, event Event) {
	event.At, event.TaskID, event.TaskState = e.now(), t.id, t.state
	event.task, event.step = t, s
	event.Namespace, event.TaskName = t.template.Namespace, t.template.Name
	if s != nil {
		event.Step, event.Class = s.template.Name, s.template.HandlerClass
		event.Attempt, event.RetryLimit, event.Losses = s.attempts, s.limit, s.losses
		event.Earlier = s.attemptNumber - s.attempts
	}
	e.cfg.OnEvent(event)
}
