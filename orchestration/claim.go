package orchestration

import (
	"context"

	"github.com/cockroachdb/errors"
)

// claim takes the steps for this engine and counts their attempts, in one statement.
// It takes a step only if the step has not changed since it was loaded. It returns
// the claimed steps, and postpones the steps that got no permit of their key.
//
// If the engine's number does not live, it claims nothing, and the engine gets another
// one.
func (l *taskLoop) claim(ctx context.Context, wanted []*stepRun, claimant int64) (claimed []*stepRun, err error) {
	now := l.engine.now()
	request := &claimRequest{requestBase: requestBase{ctx: ctx}, rows: make([]claimRow, len(wanted))}
	byID := make(map[int64]*stepRun, len(wanted))
	for i, s := range wanted {
		s.endPermitWait()
		request.rows[i] = claimRow{
			step: s.id, claimant: claimant, attemptNumber: int32(s.attemptNumber), at: now,
			key: s.template.ConcurrencyKey, capacity: int32(s.template.ConcurrencyLimit),
		}
		byID[s.id] = s
	}
	if err := l.engine.group.commit(request); err != nil {
		return nil, errors.Wrap(err, "claiming steps")
	}
	if request.dead {
		l.engine.session.doubt(claimant)
	}
	for id, waiting := range request.waiting {
		byID[id].waitForPermit(now.Add(permitWait(waiting)))
	}
	claimed = make([]*stepRun, 0, len(request.claimed))
	for _, id := range request.claimed {
		s := byID[id]
		s.state, s.claimedBy, s.claimAlive = StepInProgress, claimant, true
		s.attemptNumber++
		s.attempts++
		s.lastAttempted = now
		l.task.noteChange(s)
		claimed = append(claimed, s)
	}
	return claimed, nil
}
