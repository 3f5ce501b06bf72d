package orchestration

import (
	"context"

	"github.com/cockroachdb/errors"
)

// claim takes the steps for this engine and counts the attempt, in one
// statement: only those are taken that are as they were when they were
// loaded. It returns the ones it got, and postpones those that found no slot of
// their concurrency key.
func (e *Engine) claim(ctx context.Context, t *taskRun, wanted []*stepRun) ([]*stepRun, int64, error) {
	claimant, err := e.session.claimant(ctx)
	if err != nil {
		return nil, 0, err
	}
	now := e.now()
	request := &statement{ctx: ctx, claims: make([]claimRow, len(wanted))}
	byID := make(map[int64]*stepRun, len(wanted))
	for i, s := range wanted {
		s.resume()
		request.claims[i] = claimRow{
			step: s.id, claimant: claimant, number: int32(s.number), at: now,
			key: s.template.ConcurrencyKey, capacity: int32(s.template.ConcurrencyLimit),
		}
		byID[s.id] = s
	}
	if err := e.group.commit(request); err != nil {
		return nil, 0, errors.Wrap(err, "claiming steps")
	}
	for id, waiting := range request.waiting {
		byID[id].postpone(now.Add(slotWait(waiting)))
	}
	got := make([]*stepRun, 0, len(request.taken))
	for _, id := range request.taken {
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
		request := &statement{ctx: ctx, outcome: &outcomeRow{
			step: s.id, claimant: s.claimedBy, number: int32(s.number), to: string(to), kind: "lost",
			failed: errorText(lost), class: classOf(lost), started: s.lastAttempted, at: now, due: &now,
			reason: "the claim died with its session",
		}}
		if err := e.group.commit(request); err != nil {
			return errors.Wrapf(err, "taking step %q of task %d over", s.template.Name, t.id)
		}
		if request.recorded {
			e.slotFreed(ctx, s)
			e.cfg.Logger.Warn("took a step over", "task", t.id, "step", s.template.Name, "attempt", s.attempts, "to", to)
		}
	}
	return nil
}
