package sqlsession

import "context"

// rescuedHint is for an error that a handler met, and with which it did not end.
const rescuedHint = "The handler rescued this error, or an ensure ran on, but the step's transaction had failed with it. " +
	"For SQL that may fail, use a savepoint: Tasker.db.transaction { ... } (`tasker-rb docs transactions`)."

// RescuedHint returns what to do about an error after which the handler went on. It is empty
// if a savepoint would not have helped, or if the handler is in Go.
func (e *Error) RescuedHint() string {
	if e.Server == nil || e.Rule || len(e.Place) == 0 || ConnectionLost(e) {
		return ""
	}
	return rescuedHint
}

// NotePlace notes where in the handler's code the statement was that has just failed: the
// lines of a backtrace. The error has it from then on, if the transaction failed with it.
func (s *Session) NotePlace(ctx context.Context, lines []string) {
	if s.enter(ctx) != nil {
		return
	}
	defer s.leave()
	if s.failed != nil && s.failed.Unplaced {
		placed := *s.failed
		placed.Unplaced, placed.Place = false, lines
		s.failed = &placed
	}
}
