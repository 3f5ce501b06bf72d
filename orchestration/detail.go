package orchestration

import (
	"context"
	"encoding/json"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"

	"github.com/tasker-rb/tasker-rb/templates"
)

// TaskDetail is a task with its steps, attempts and transitions.
type TaskDetail struct {
	TaskID       int64
	Namespace    string
	Name         string
	Version      string
	State        TaskState
	Context      json.RawMessage
	Initiator    string
	SourceSystem string
	Reason       string
	Tags         []string
	Priority     int16
	RunAt        time.Time
	CreatedAt    time.Time
	EndedAt      time.Time    // zero until it has ended
	WaitsFor     *Unserved    // as in [TaskSummary]
	Steps        []StepDetail // in topological order
	Transitions  []Transition // oldest first
	Annotations  []Annotation // oldest first
	// Template is the template that the task began with. It is nil if this program
	// cannot read it.
	Template *templates.Template
}

// StepDetail is a step of a TaskDetail.
type StepDetail struct {
	StepID      int64
	Name        string
	State       StepState
	Attempts    int // since the last retry by a person
	Earlier     int // the attempts before that retry; Attempt.Number counts them, too
	Losses      int // of these, the ones that were lost and do not count towards RetryLimit
	RetryLimit  int
	Retryable   bool
	NextAttempt time.Time // zero unless the step waits for a retry
	WaitsForKey string    // the concurrency key for whose permit it waits, or ""
	Parents     []string  // from the template; nil if this program cannot read it
	History     []Attempt
	Transitions []Transition
}

// Attempt is one recorded attempt of a step.
type Attempt struct {
	Number    int
	Outcome   string // complete, error, resolved_manually, lost or cancelled
	Results   json.RawMessage
	Err       *StepError
	StartedAt time.Time
	EndedAt   time.Time
}

// Transition is one change of state, as the audit has it.
type Transition struct {
	From    string // empty for the first transition
	To      string
	Attempt int // of a step; 0 for a task
	Reason  string
	Actor   string // a person or an engine; empty means the engine that had the claim
	At      time.Time
}

// Annotation is what a handler has written about a task, with Tasker::TaskAnnotation.
type Annotation struct {
	Type  string // the name of its type
	Value json.RawMessage
	At    time.Time
}

// Last returns the latest recorded attempt, or nil.
func (s *StepDetail) Last() *Attempt {
	if len(s.History) == 0 {
		return nil
	}
	return &s.History[len(s.History)-1]
}

// Results returns the results of a step that is done, or nil.
func (s *StepDetail) Results() json.RawMessage {
	if last := s.Last(); last != nil && s.State.Done() {
		return last.Results
	}
	return nil
}

// Task reads a task with all its steps, attempts and transitions, as they were at one
// moment. The error is [ErrTaskNotFound] if the task does not exist.
func (e *Engine) Task(ctx context.Context, id int64) (*TaskDetail, error) {
	return ReadTask(ctx, e.pool, id)
}

// Beginner is a pool or a connection.
type Beginner interface {
	BeginTx(ctx context.Context, o pgx.TxOptions) (pgx.Tx, error)
}

// ReadTask is [Engine.Task] without an engine.
func ReadTask(ctx context.Context, db Beginner, id int64) (*TaskDetail, error) {
	d := &TaskDetail{TaskID: id}
	err := pgx.BeginTxFunc(ctx, db, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		return d.read(ctx, tx)
	})
	return d, notFound(id, err)
}

// notFound is the error of reading a task. It may be nil.
func notFound(id int64, err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return errors.WithHint(errors.Wrapf(ErrTaskNotFound, "task %d", id), "`tasker-rb tasks list` shows the tasks of this database.")
	}
	return errors.Wrapf(err, "reading task %d", id)
}

// The statements of ReadTask. $1 is the task.
const (
	taskDetailSQL = `
	select namespace, name, version, state, context::text, coalesce(initiator, ''), coalesce(source_system, ''),
		coalesce(reason, ''), tags, priority, run_at, created_at, ended_at,
		(select m.document::text from tasker.templates m where m.digest = k.digest),
		exists (select from tasker.queue q where q.task_id = k.task_id and q.ready and q.held_by is null)
	from tasker.tasks k where task_id = $1`

	stepDetailsSQL = `
	select s.step_id, s.name, s.state, s.attempts - s.forgiven, s.forgiven, s.losses, s.retry_limit, s.retryable, s.next_attempt_at,
		coalesce((select h.key from tasker.slots h
			where h.step_id = s.step_id and h.claimant is null and s.state in ('pending', 'waiting_for_retry')), '')
	from tasker.steps s where s.task_id = $1 order by s.position`

	attemptsSQL = `
	select step_id, attempt, outcome, coalesce(results::text, ''), coalesce(error::text, ''), started_at, a.ended_at
	from tasker.attempts a join tasker.steps using (step_id) where task_id = $1 order by step_id, attempt`

	annotationsSQL = `
	select y.name, a.annotation::text, a.created_at
	from tasker.task_annotations a join tasker.annotation_types y using (annotation_type_id)
	where a.task_id = $1 order by a.task_annotation_id`

	taskHistorySQL = `
	select 0::bigint, coalesce(from_state, ''), to_state, 0, coalesce(reason, ''), at, coalesce(actor, '')
	from tasker.task_history where task_id = $1 order by change`

	stepHistorySQL = `
	select step_id, from_state, to_state, attempt, coalesce(reason, ''), at, coalesce(actor, '')
	from tasker.step_history where task_id = $1 order by step_id, change`
)

func (d *TaskDetail) read(ctx context.Context, tx pgx.Tx) error {
	byID := map[int64]int{}
	var ready bool
	var batch pgx.Batch
	batch.Queue(taskDetailSQL, d.TaskID).QueryRow(func(row pgx.Row) error {
		var text, document string
		var ended *time.Time
		err := row.Scan(&d.Namespace, &d.Name, &d.Version, &d.State, &text, &d.Initiator, &d.SourceSystem,
			&d.Reason, &d.Tags, &d.Priority, &d.RunAt, &d.CreatedAt, &ended, &document, &ready)
		if t, unreadable := templates.Decode([]byte(document)); unreadable == nil {
			d.Template = t
		}
		d.Context, d.EndedAt = json.RawMessage(text), orZero(ended)
		return err
	})
	batch.Queue(stepDetailsSQL, d.TaskID).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var s StepDetail
			var next *time.Time
			if err := rows.Scan(&s.StepID, &s.Name, &s.State, &s.Attempts, &s.Earlier, &s.Losses, &s.RetryLimit, &s.Retryable, &next, &s.WaitsForKey); err != nil {
				return err
			}
			s.NextAttempt = orZero(next)
			if d.Template != nil {
				if step := d.Template.Step(s.Name); step != nil {
					s.Parents = step.Parents
				}
			}
			byID[s.StepID] = len(d.Steps)
			d.Steps = append(d.Steps, s)
		}
		return rows.Err()
	})
	batch.Queue(attemptsSQL, d.TaskID).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var id int64
			var a Attempt
			var results, failure string
			var started *time.Time
			if err := rows.Scan(&id, &a.Number, &a.Outcome, &results, &failure, &started, &a.EndedAt); err != nil {
				return err
			}
			a.StartedAt = orZero(started)
			if results != "" {
				a.Results = json.RawMessage(results)
			}
			var err error
			if a.Err, err = decodeStepError(failure); err != nil {
				return err
			}
			s := &d.Steps[byID[id]]
			s.History = append(s.History, a)
		}
		return rows.Err()
	})
	batch.Queue(taskHistorySQL, d.TaskID).Query(func(rows pgx.Rows) error {
		return scanTransitions(rows, func(_ int64, w Transition) { d.Transitions = append(d.Transitions, w) })
	})
	batch.Queue(stepHistorySQL, d.TaskID).Query(func(rows pgx.Rows) error {
		return scanTransitions(rows, func(id int64, w Transition) {
			s := &d.Steps[byID[id]]
			s.Transitions = append(s.Transitions, w)
		})
	})
	batch.Queue(annotationsSQL, d.TaskID).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var a Annotation
			var value string
			if err := rows.Scan(&a.Type, &value, &a.At); err != nil {
				return err
			}
			a.Value = json.RawMessage(value)
			d.Annotations = append(d.Annotations, a)
		}
		return rows.Err()
	})
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil || !ready {
		return err
	}
	why, err := unserved(ctx, tx, []int64{d.TaskID})
	d.WaitsFor = why[d.TaskID]
	return err
}

func scanTransitions(rows pgx.Rows, add func(int64, Transition)) error {
	for rows.Next() {
		var id int64
		var w Transition
		if err := rows.Scan(&id, &w.From, &w.To, &w.Attempt, &w.Reason, &w.At, &w.Actor); err != nil {
			return err
		}
		add(id, w)
	}
	return rows.Err()
}

func decodeStepError(text string) (*StepError, error) {
	if text == "" {
		return nil, nil
	}
	var s storedError
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return nil, errors.Wrap(err, "decoding a stored error")
	}
	if s.RetryAfter != nil && s.StepError != nil {
		d := time.Duration(*s.RetryAfter * float64(time.Second))
		s.StepError.RetryAfter = &d
	}
	return s.StepError, nil
}

func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}
