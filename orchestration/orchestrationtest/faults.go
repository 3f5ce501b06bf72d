package orchestrationtest

import (
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration/testbed"
)

// Moment is when a fault meets an attempt.
type Moment int

const (
	// Before the handler's code begins. The attempt has been counted.
	Before Moment = iota + 1
	// During means after the handler's code, and before the commit: what the code did
	// outside the database has happened, and nothing is recorded.
	During
	// After the commit.
	After
)

// moments are the same in the testbed's words.
var moments = map[Moment]testbed.Moment{Before: testbed.Before, During: testbed.During, After: testbed.After}

// Fail fails so many attempts of the step with the error. Their handler is not called.
func (e *Env) Fail(step string, times int, err error) {
	e.t.Helper()
	if times > 0 {
		e.add(testbed.Fault{Step: step, Kind: testbed.Fail, Times: times, Err: err})
	}
}

// Crash drops the engine at an attempt of the step. Another engine takes the task over.
// The attempt is lost, unless the moment is After.
func (e *Env) Crash(step string, moment Moment) {
	e.t.Helper()
	e.add(testbed.Fault{Step: step, Kind: testbed.Crash, At: moments[moment]})
}

// LoseConnection ends the connection of the step's transaction at an attempt. The handler
// meets it at its first statement (Before), or the commit does (During). With After the
// server commits, and its answer is lost. The transaction has begun before the handler's
// code, whether that uses it or not; the template must not say `transaction: none`.
func (e *Env) LoseConnection(step string, moment Moment) {
	e.t.Helper()
	kind := testbed.Connection
	if moment == After {
		kind = testbed.CommitAnswer
	}
	e.add(testbed.Fault{Step: step, Kind: kind, At: moments[moment]})
}

func (e *Env) add(f testbed.Fault) {
	e.t.Helper()
	require.NoError(e.t, e.bed.Add(f))
}
