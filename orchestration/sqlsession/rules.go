package sqlsession

// admit refuses a statement that a handler may not run: one that would end the
// step's transaction, one that would get into another thread's savepoint, and
// any statement after a failed one. Outside steps everything is allowed.
func (s *Session) admit(parts []part, st *Statement) error {
	if !s.step {
		return nil
	}
	for i := range parts {
		switch p := &parts[i]; p.kind {
		case begins, commits, rollsBack:
			return refuse(p.verb)
		case listens:
			return refuseListen(p.verb)
		}
	}
	if n := len(s.savepoints); n > 0 && s.savepoints[n-1].owner != st.Owner {
		return errOtherThread
	}
	if s.failed != nil && (len(parts) == 0 || parts[0].kind != returns) {
		return s.failed.again()
	}
	if s.failed != nil && len(parts) > 1 && s.mustKeep(parts, nil) {
		return errSetAlone
	}
	return nil
}

// In a failed transaction the settings cannot be read before the text.
var errSetAlone = &Error{
	SQLState: stateActive, Rule: true,
	Message: "a text that begins with ROLLBACK TO SAVEPOINT cannot also change settings",
	Hint:    "send ROLLBACK TO SAVEPOINT by itself first",
}

// refuse is the error of BEGIN, COMMIT, ROLLBACK and their like in a step.
func refuse(verb string) *Error {
	state, instead := stateNotInStep, "raise an error to have it rolled back"
	if verb == "BEGIN" || verb == "START TRANSACTION" {
		state, instead = stateActive, "use a savepoint for a transaction inside it: transaction { } or SAVEPOINT"
	}
	return &Error{
		SQLState: state, Rule: true,
		Message: verb + " is not possible inside a step: its transaction is the engine's, and commits with the step's results",
		Hint:    instead + ", or say `transaction: none` in the template",
	}
}

func refuseListen(verb string) *Error {
	return &Error{
		SQLState: stateNotInStep, Rule: true,
		Message: verb + " is not possible inside a step: the next attempt has another connection",
		Hint:    "listen on a connection of your own; NOTIFY works, and is sent with the commit",
	}
}

var errOtherThread = &Error{
	SQLState: stateActive, Rule: true,
	Message: "another thread of this step is inside a savepoint; this statement would become part of it",
	Hint:    "run the statement when the other thread's transaction { } has ended",
}

// localised turns SET into SET LOCAL inside a step, so that the setting ends
// with the step's transaction.
func (s *Session) localised(parts []part, sql string) string {
	if !s.step {
		return sql
	}
	for i := len(parts) - 1; i >= 0; i-- {
		if p := &parts[i]; p.kind == sets {
			sql = sql[:p.at] + "set local " + sql[p.rest:]
		}
	}
	return sql
}

// savepoint is one that is open in the transaction.
type savepoint struct {
	name  string
	owner uint64 // the thread that set it
}

// innermost returns the index of the latest savepoint of that name, or -1.
func (s *Session) innermost(name string) int {
	for i := len(s.savepoints) - 1; i >= 0; i-- {
		if s.savepoints[i].name == name {
			return i
		}
	}
	return -1
}
