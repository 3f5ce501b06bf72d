package orchestration

import "slices"

// TaskState is the state of a task.
type TaskState string

// StepState is the state of a step.
type StepState string

// The states of a task.
const (
	TaskPending          TaskState = "pending"
	TaskInProgress       TaskState = "in_progress"
	TaskComplete         TaskState = "complete"
	TaskInError          TaskState = "error"
	TaskCancelled        TaskState = "cancelled"
	TaskResolvedManually TaskState = "resolved_manually"
)

// The states of a step.
const (
	StepPending          StepState = "pending"
	StepInProgress       StepState = "in_progress"
	StepWaitingForRetry  StepState = "waiting_for_retry"
	StepComplete         StepState = "complete"
	StepInError          StepState = "error"
	StepCancelled        StepState = "cancelled"
	StepResolvedManually StepState = "resolved_manually"
)

// TaskTransitions has the states that a task may change to, by its present state.
// docs/engine.md shows the table.
//
// The statements that may make several changes take the allowed ones from this table
// and the next: claims, outcomes and releases of steps, endTaskSQL, and an operator's
// changes. The others make one change each, and their text names its states: leaseSQL,
// beginTaskSQL, successInTxSQL, successEndsTask, and the part of outcomeSQL about the
// task.
var TaskTransitions = map[TaskState][]TaskState{
	TaskPending:          {TaskInProgress, TaskCancelled},
	TaskInProgress:       {TaskComplete, TaskInError, TaskCancelled},
	TaskInError:          {TaskInProgress, TaskCancelled, TaskResolvedManually},
	TaskComplete:         {},
	TaskCancelled:        {},
	TaskResolvedManually: {},
}

// StepTransitions is the same for steps.
var StepTransitions = map[StepState][]StepState{
	StepPending:          {StepInProgress, StepCancelled, StepResolvedManually},
	StepInProgress:       {StepComplete, StepWaitingForRetry, StepInError, StepPending, StepCancelled},
	StepWaitingForRetry:  {StepInProgress, StepPending, StepCancelled, StepResolvedManually},
	StepInError:          {StepPending, StepCancelled, StepResolvedManually},
	StepComplete:         {},
	StepCancelled:        {},
	StepResolvedManually: {},
}

// Final reports whether a task in this state does not run again by itself.
func (s TaskState) Final() bool { return s != TaskPending && s != TaskInProgress }

// Done reports whether the steps that depend on a step in this state may run.
func (s StepState) Done() bool { return s == StepComplete || s == StepResolvedManually }

// sources returns the states that may change to the given one, for any($1) in SQL.
func sources[S ~string](table map[S][]S, to S) []string {
	var from []string
	for s, targets := range table {
		if slices.Contains(targets, to) {
			from = append(from, string(s))
		}
	}
	slices.Sort(from)
	return from
}
