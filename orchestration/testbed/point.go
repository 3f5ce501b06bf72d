package testbed

import "github.com/cockroachdb/errors"

// Point is a moment of a run at which its engine is dropped.
type Point struct {
	Step    string
	Attempt int    // counted from 1
	At      Moment // "begin", AtStatement or AtCommit
	Number  int    // of the statement, counted from 1
	Side    Side
}

// AtBegin is the moment before the handler's code, in a [Point].
const AtBegin Moment = "begin"

// fault returns the crash at the point.
func (p Point) fault() (Fault, error) {
	f := Fault{Step: p.Step, Kind: Crash, At: p.At, Number: p.Number, Side: p.Side}
	if p.At == AtBegin {
		f.At = Before
	} else if p.At != AtStatement && p.At != AtCommit {
		return f, errors.Newf("testbed: a run cannot crash at %q", p.At)
	}
	if p.Attempt < 1 {
		return f, errors.Newf("testbed: the point of a crash has the attempt %d", p.Attempt)
	}
	return f.normal(), f.check()
}
