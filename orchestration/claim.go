package orchestration

import (
	"context"
	"time"

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
		request.rows[i] = claimRow{
			step: s.id, claimant: claimant, attemptNumber: int32(s.attemptNumber), at: now,
			key: s.template.ConcurrencyKey, capacity: int32(s.template.ConcurrencyLimit),
		}
		byID[s.id] = s
	}
	if err := l.engine.group.commit(request); err != nil {
		return nil, errors.Wrap(err, "claiming steps")
	}
	if request.again { // an earlier try may have made the claims, and its answer was lost
		if err := l.engine.recall(ctx, request); err != nil {
			return nil, errors.Wrap(err, "claiming steps")
		}
	}
	if request.dead {
		l.engine.session.doubt(claimant)
	}
	l.task.mu.Lock()
	defer l.task.mu.Unlock()
	for id, waiting := range request.waiting {
		byID[id].waitForPermit(now.Add(permitWait(waiting)))
	}
	claimed = make([]*stepRun, 0, len(request.claimed))
	for _, id := range request.claimed {
		l.noteClaim(byID[id], claimant, now)
		claimed = append(claimed, byID[id])
	}
	return claimed, nil
}

// noteClaim takes note that this engine has claimed the step at that time.
func (l *taskLoop) noteClaim(s *stepRun, claimant int64, at time.Time) {
	if s.state == StepInProgress && s.claimedBy == claimant && s.lastAttempted.Equal(at) {
		return // a refresh has read it
	}
	s.state, s.claimedBy, s.claimAlive = StepInProgress, claimant, true
	s.attemptNumber++
	s.attempts++
	s.lastAttempted = at
	l.task.noteChange(s)
}
