package orchestration

import (
	"context"

	"github.com/cockroachdb/errors"
)

// takeOver records as lost the attempts whose engine is gone. The step may then be
// claimed again. Such an attempt counts: its handler may have done anything outside
// the database.
func (e *Engine) takeOver(ctx context.Context, t *taskRun) error {
	now := e.now()
	for _, s := range t.steps {
		if s.state != StepInProgress || s.claimAlive {
			continue
		}
		o := outcome{
			to: retryDecision(s.retries, false, s.attempts, s.limit), kind: "lost", reason: "the claim died with its session",
			started: s.lastAttempted, ended: now, due: now,
			err: &StepError{
				Class:   "Tasker::ClaimLost",
				Message: "the process that ran this attempt is gone; what it did outside the database may have happened",
			},
		}
		_, err := e.commitOutcome(ctx, s, s.claimedBy, o)
		switch {
		case errors.Is(err, errClaimLost): // another engine was faster
			continue
		case err != nil:
			return errors.Wrapf(err, "taking over step %q of task %d", s.template.Name, t.id)
		}
		e.permitFreed(ctx, s)
		e.cfg.Logger.Warn("took a step over", "task", t.id, "step", s.template.Name, "attempt", s.attempts, "to", o.to)
	}
	return nil
}
