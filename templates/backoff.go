package templates

import (
	"time"

	"github.com/tasker-rb/tasker-rb/templates/internal/tree"
)

// Curve says how the wait grows from one retry to the next.
type Curve string

// The values of Curve, with the wait before the retry that follows attempt n.
const (
	CurveNone        Curve = "none"        // no wait
	CurveLinear      Curve = "linear"      // Base * n
	CurveExponential Curve = "exponential" // Base * 2^(n-1)
)

// Backoff says how long a step waits before its next attempt.
type Backoff struct {
	Curve Curve
	// Base is the wait after the first attempt, Max the longest wait.
	Base, Max time.Duration
	// Min is the shortest wait, jitter included. It is one second. If the
	// template sets base_seconds or max_seconds, it is 0.
	Min time.Duration
	// Jitter is the share, from 0 to 1, by which a wait may be longer or
	// shorter: 0.1 means ±10 %.
	Jitter float64
}

// DefaultBackoff returns the Backoff of a step whose template sets none.
func DefaultBackoff() Backoff {
	return Backoff{
		Curve:  CurveExponential,
		Base:   time.Second,
		Max:    300 * time.Second,
		Min:    time.Second,
		Jitter: 0.1,
	}
}

// readBackoff reads the backoff mapping of a step.
func (b *builder) readBackoff(m *tree.Member) Backoff {
	backoff := DefaultBackoff()
	if m == nil || !b.object(*m) {
		return backoff
	}
	n := m.Value
	b.checkKeys(n, backoffKeys, "backoff")
	if v := n.Get("curve"); v != nil {
		backoff.Curve = oneOf(b, *v, backoff.Curve, CurveNone, CurveLinear, CurveExponential)
	}
	base, limit := n.Get("base_seconds"), n.Get("max_seconds")
	if base != nil {
		backoff.Base, backoff.Min = b.seconds(*base, 0, maxWait), 0
	}
	if limit != nil {
		backoff.Max, backoff.Min = b.seconds(*limit, 0, maxWait), 0
	}
	if backoff.Base > backoff.Max {
		switch {
		case limit != nil:
			b.problems.at(limit.Value, "Raise max_seconds or lower base_seconds.",
				"max_seconds (%s) is below base_seconds (%s)", backoff.Max, backoff.Base)
		default:
			b.problems.at(base.Value, "Set max_seconds as well.",
				"base_seconds (%s) is above max_seconds, which is %s by default", backoff.Base, backoff.Max)
		}
	}
	if v := n.Get("jitter"); v != nil {
		if number, ok := b.number(*v); ok {
			if number < 0 || number > 1 {
				b.problems.at(v.Value, "0.1 stands for ±10 %.", "jitter is %s; it must be from 0 to 1", v.Value.Source)
			} else {
				backoff.Jitter = number
			}
		}
	}
	return backoff
}
