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
	place := make(map[int64]int, len(wanted)) // of each step in wanted and in the rows
	for i, s := range wanted {
		request.rows[i] = claimRow{
			step: s.id, claimant: claimant, attemptNumber: int32(s.attemptNumber), at: now,
			key: s.template.ConcurrencyKey, capacity: int32(s.template.ConcurrencyLimit),
		}
		place[s.id] = i
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
		wanted[place[id]].waitForPermit(now.Add(permitWait(waiting)))
	}
	claimed = make([]*stepRun, 0, len(request.claimed))
	for _, id := range request.claimed {
		s := wanted[place[id]]
		l.noteClaim(s, &request.rows[place[id]])
		claimed = append(claimed, s)
	}
	return claimed, nil
}

// noteClaim takes note of a claim that was made. If a refresh has read the step since then,
// it knows more: the step may be claimed, or cancelled already.
func (l *taskLoop) noteClaim(s *stepRun, row *claimRow) {
	if s.attemptNumber != int(row.attemptNumber) || l.task.number != row.claimant {
		return
	}
	s.state, s.claimedBy, s.claimAlive = StepInProgress, row.claimant, true
	s.attemptNumber++
	s.attempts++
	s.lastAttempted = row.at
	l.task.noteChange(s)
}
