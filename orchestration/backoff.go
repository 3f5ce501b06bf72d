package orchestration

import (
	"math"
	"time"

	"github.com/tasker-rb/tasker-rb/templates"
)

// maxRetryAfter is the longest wait that a handler or a server may ask for, unless the
// step's own waits may be longer.
const maxRetryAfter = 300 * time.Second

// backoff returns the wait after a failed attempt (counted from 1). requested, if not
// nil, is the wait that the error asks for, and replaces the step's curve. random is in
// [0, 1).
func backoff(b templates.Backoff, attempt int, requested *time.Duration, random float64) time.Duration {
	if requested != nil {
		return min(max(*requested, 0), max(maxRetryAfter, b.Max))
	}
	var wait float64
	switch b.Curve {
	case templates.CurveNone:
		return 0
	case templates.CurveLinear:
		wait = float64(b.Base) * float64(attempt)
	default:
		wait = float64(b.Base) * math.Exp2(float64(attempt-1))
	}
	wait = min(wait, float64(b.Max))
	wait *= 1 + b.Jitter*(2*random-1)
	return max(time.Duration(min(wait, float64(b.Max))), b.Min)
}

// retryDecision returns the state of a step after a failed attempt.
func retryDecision(retryable, permanent bool, attempts, limit int) StepState {
	if permanent || !retryable || attempts >= limit {
		return StepInError
	}
	return StepWaitingForRetry
}
