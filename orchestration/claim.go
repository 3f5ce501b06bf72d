package orchestration

import (
	"context"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
)

// claim takes the steps for this engine and counts the attempt, in one
// statement: only those are taken that are as they were when they were
// loaded. It returns the ones it got.
func (e *Engine) claim(ctx context.Context, t *taskRun, wanted []*stepRun) ([]*stepRun, int64, error) {
	claimant, err := e.session.claimant(ctx)
	if err != nil {
		return nil, 0, err
	}
	now := e.now()
	ids, attempts := make([]int64, len(wanted)), make([]int32, len(wanted))
	byID := make(map[int64]*stepRun, len(wanted))
	for i, s := range wanted {
		ids[i], attempts[i] = s.id, int32(s.number)
		byID[s.id] = s
	}
	var taken []int64
	err = e.group.exec(ctx, func(rows pgx.Rows) (err error) {
		taken, err = pgx.CollectRows(rows, pgx.RowTo[int64])
		return err
	}, `
		with o as (
			select s.step_id, s.state from tasker.steps s
			join unnest($1::bigint[], $2::int[]) as w (step_id, attempts) using (step_id, attempts)
			join tasker.tasks k using (task_id)
			where s.state = any($3) and k.state = 'in_progress'
			order by s.step_id for no key update of s),
		u as (
			update tasker.steps s
			set state = 'in_progress', attempts = s.attempts + 1, claimed_by = $4, last_attempted_at = $5, next_attempt_at = null
			from o where s.step_id = o.step_id
			returning s.step_id, s.attempts, o.state as was),
		w as (
			insert into tasker.step_transitions (step_id, from_state, to_state, attempt, reason, at, actor)
			select step_id, was, 'in_progress', attempts, 'claimed', $5, 'engine ' || $4::bigint from u)
		select step_id from u`, ids, attempts, sources(StepTransitions, StepInProgress), claimant, now)
	if err != nil {
		return nil, 0, errors.Wrap(err, "claiming steps")
	}
	got := make([]*stepRun, 0, len(taken))
	for _, id := range taken {
		s := byID[id]
		s.state, s.claimedBy, s.claimAlive = StepInProgress, claimant, true
		s.number++
		s.attempts++
		s.lastAttempted = now
		t.changed(s)
		got = append(got, s)
	}
	return got, claimant, nil
}

// begin takes the task from pending to in_progress. False means that it is in
// another state by now.
func (e *Engine) begin(ctx context.Context, t *taskRun) (bool, error) {
	var begun int
	err := e.group.exec(ctx, rowCount(&begun), `
		with u as (
			update tasker.tasks k set state = 'in_progress' from (
				select task_id, state from tasker.tasks where task_id = $1 and state = 'pending' for no key update) o
			where k.task_id = o.task_id returning k.task_id, o.state as was)
		insert into tasker.task_transitions (task_id, from_state, to_state, reason, at)
		select task_id, was, 'in_progress', 'begun', $2 from u
		returning task_id`, t.id, e.now())
	if err != nil {
		return false, errors.Wrapf(err, "beginning task %d", t.id)
	}
	if begun == 1 {
		t.state = TaskInProgress
		t.headJSON = nil
	}
	return begun == 1, nil
}

// takeOver frees the steps whose claim died with its engine's session. The
// attempt is spent: nobody knows how far it got.
func (e *Engine) takeOver(ctx context.Context, t *taskRun) error {
	now := e.now()
	for _, s := range t.steps {
		if s.state != StepInProgress || s.claimAlive {
			continue
		}
		to := retryDecision(s.retries, false, s.attempts, s.limit)
		lost := &StepError{
			Class:   "Tasker::ClaimLost",
			Message: "the process that ran this attempt is gone; what it did outside the database may have happened",
		}
		var freed int
		err := e.group.exec(ctx, rowCount(&freed), outcomeSQL, s.id, s.claimedBy, s.number, string(to), "lost", nil, errorJSON(lost), s.lastAttempted, now, now, nil,
			"the claim died with its session", "", sources(StepTransitions, to), lost.Class)
		if err != nil {
			return errors.Wrapf(err, "taking step %q of task %d over", s.template.Name, t.id)
		}
		if freed > 0 {
			e.cfg.Logger.Warn("took a step over", "task", t.id, "step", s.template.Name, "attempt", s.attempts, "to", to)
		}
	}
	return nil
}

// due is when the step may be tried next, as SQL wants it.
func due(to StepState, at time.Time) *time.Time {
	if to != StepWaitingForRetry {
		return nil
	}
	return &at
}
