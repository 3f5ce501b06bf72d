package orchestration

import (
	"context"
	"slices"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
)

// succession is what travels with the success of a step, in its commit: the claims of
// the steps that can run next, or the end of the task. So the next steps need no commit
// of their own before they start.
//
// It is planned before the commit. The steps are promised meanwhile: nobody else in this
// engine claims them. Their claims are compare-and-swaps like all others.
type succession struct {
	last   bool // every other step is done, so the success ends the task
	steps  []*stepRun
	claims claimRequest // of the steps; its answer says which were claimed
}

func (f *succession) claimant() int64 { return f.claims.rows[0].claimant }

// requested returns the claims to ask for; nil if there are none.
func (f *succession) requested() *claimRequest {
	if f == nil || len(f.steps) == 0 {
		return nil
	}
	return &f.claims
}

// succeed plans the succession of a running step that has succeeded with so many bytes of
// results. Attempts call it from their goroutines.
func (l *taskLoop) succeed(ctx context.Context, s *stepRun, claimant int64, results int) *succession {
	t := l.task
	t.mu.Lock()
	defer t.mu.Unlock()
	t.agenda.finish(s)
	s.returned = results
	f := &succession{last: t.agenda.unfinished == 1}
	if f.last || t.closed || t.state != TaskInProgress || t.number != claimant || ctx.Err() != nil || l.isStopping() {
		return f
	}
	now := l.engine.now()
	for _, i := range t.agenda.next(s, t.steps, now, l.parallel()) {
		next := t.steps[i]
		if !l.engine.admitSuccessor(s, next, len(f.steps) == 0) {
			continue
		}
		if !l.takeRoomNow(next) {
			l.engine.leaveAdmission(next)
			continue
		}
		t.agenda.promise(i)
		l.engine.watchers.beginAttempt(next.id, claimant)
		f.steps = append(f.steps, next)
		f.claims.rows = append(f.claims.rows, claimRow{
			step: next.id, claimant: claimant, attemptNumber: int32(next.attemptNumber), at: now,
			awaited: t.agenda.awaited(s, next, t.steps),
		})
	}
	return f
}

// claimedStep is a step whose claim came with a success. It counts as running.
type claimedStep struct {
	*stepRun
	claimant int64
	at       time.Time
}

// settle takes note of a succession: its steps are claimed, or not promised any more.
// The claimed ones start when the loop has heard of all their parents.
func (l *taskLoop) settle(f *succession) {
	if f.requested() == nil {
		return
	}
	claimant := f.claimant()
	l.change(func() {
		for i, s := range f.steps {
			l.task.agenda.settle(s.index)
			if !slices.Contains(f.claims.claimed, s.id) {
				l.giveRoomBack(s)
				l.engine.watchers.endAttempt(s.id, claimant)
				l.engine.leaveAdmission(s)
				continue
			}
			row := &f.claims.rows[i]
			l.noteClaim(s, row)
			l.claimed = append(l.claimed, claimedStep{s, claimant, row.at})
			l.task.agenda.running++
		}
	})
	if f.claims.dead {
		l.engine.session.doubt(claimant)
	}
}

// startClaimed starts the steps whose claim came with a success. If no more steps may
// start, it releases them.
func (l *taskLoop) startClaimed(ctx context.Context, starting bool) {
	l.claimed = slices.DeleteFunc(l.claimed, func(c claimedStep) bool {
		ours := c.state == StepInProgress && c.claimedBy == c.claimant && c.lastAttempted.Equal(c.at)
		if ours && starting && l.task.agenda.missing[c.index] > 0 {
			return false // the results of its other parents are on their way
		}
		if ours && starting {
			l.start(ctx, c.stepRun)
			return true
		}
		l.change(func() {
			l.task.agenda.running--
			l.giveRoomBack(c.stepRun)
		})
		l.engine.leaveAdmission(c.stepRun)
		if ours {
			l.releaseClaimed(ctx, c)
		} else { // a refresh has found that the claim is gone
			l.engine.watchers.endAttempt(c.id, c.claimant)
		}
		return true
	})
}

// releaseClaimed undoes a claim whose attempt has not begun.
func (l *taskLoop) releaseClaimed(ctx context.Context, c claimedStep) {
	ctx, cancel := outliving(ctx, l.engine.stopTimeout)
	defer cancel()
	err := l.engine.release(ctx, c.stepRun, c.claimant)
	l.engine.watchers.endAttempt(c.id, c.claimant)
	switch {
	case errors.Is(err, errClaimLost):
		l.stale = true
	case err != nil:
		l.failure = errors.CombineErrors(l.failure, err)
	default:
		l.change(func() { l.noteRelease(c.stepRun) })
	}
}

// claimedSQL returns the steps ($1) that an engine ($2) has claimed at that time ($3).
const claimedSQL = `
	select step_id from tasker.steps
	where step_id = any($1) and claimed_by = $2 and last_attempted_at = $3 and state = 'in_progress'`

// recall asks which claims of a request were made, by a commit whose answer was lost.
func (e *Engine) recall(ctx context.Context, claims *claimRequest) error {
	if claims == nil {
		return nil
	}
	ids := make([]int64, len(claims.rows))
	for i, row := range claims.rows {
		ids[i] = row.step
	}
	return e.group.exec(ctx, func(rows pgx.Rows) (err error) {
		claims.claimed, err = pgx.CollectRows(rows, pgx.RowTo[int64])
		return err
	}, claimedSQL, ids, claims.rows[0].claimant, claims.rows[0].at)
}

// finish takes note that a running step has succeeded, and that this is being committed.
func (a *agenda) finish(s *stepRun) {
	a.finishing[s.index] = true
	a.finishes++
	for _, c := range s.children {
		a.soon[c]++
	}
}

// finished undoes finish: the commit has ended.
func (a *agenda) finished(s *stepRun) {
	if !a.finishing[s.index] {
		return
	}
	a.finishing[s.index] = false
	a.finishes--
	for _, c := range s.children {
		a.soon[c]--
	}
}

func (a *agenda) promise(i int) {
	a.promised[i] = true
	a.promises++
}

func (a *agenda) settle(i int) {
	a.promised[i] = false
	a.promises--
}

// room is how many more steps may be claimed by themselves, if so many may run.
func (a *agenda) room(parallel int) int { return parallel - a.running - max(0, a.promises-a.finishes) }

// next returns the steps that may be claimed with the success of s: first those that wait
// for room, and then those that only waited for s, or for others whose success is being
// committed too. It leaves out steps that need a permit.
func (a *agenda) next(s *stepRun, steps []*stepRun, now time.Time, parallel int) (next []int) {
	// The slot of each step that finishes is free for a promised one.
	room := min(parallel-a.running+a.finishes-a.promises, maxNext)
	take := func(i int) {
		n := steps[i]
		if room > 0 && !a.promised[i] && n.template.ConcurrencyKey == "" && !n.dueAt.After(now) {
			next = append(next, i)
			room--
		}
	}
	for _, i := range a.open {
		if room <= 0 {
			return next
		}
		take(i)
	}
	for _, c := range s.children {
		if room <= 0 {
			return next
		}
		if a.missing[c] == a.soon[c] && steps[c].mayBegin() {
			take(c)
		}
	}
	return next
}

// awaited returns the steps that must be done before next is claimed with the success of
// s: s itself, and those parents of next whose success is being committed elsewhere.
func (a *agenda) awaited(s, next *stepRun, steps []*stepRun) []int64 {
	ids := []int64{s.id}
	if a.soon[next.index] < 2 {
		return ids
	}
	for _, p := range next.parents {
		if a.finishing[p] && p != s.index {
			ids = append(ids, steps[p].id)
		}
	}
	return ids
}
