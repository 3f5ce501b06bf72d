package sqlsession

// admit refuses a statement that a handler may not run: one that would end the
// step's transaction, one that would get into another thread's savepoint, and
// any statement after a failed one. Outside steps everything is allowed.
func (s *Session) admit(parts []statement, st *Statement) error {
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
		Message: verb + " is not possible inside a step: the step's connection is another one in the next attempt",
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
func (s *Session) localised(parts []statement, sql string) string {
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

// noteResult takes note of what the statement did to the transaction. It returns
// the hooks that the statement decided, and the error if the statement failed.
func (s *Session) noteResult(parts []statement, st *Statement, result *Result, err error) ([]Ended, *Error) {
	closed := s.conn.pg().IsClosed()
	if err != nil {
		failure := describe(err, closed)
		switch failure.SQLState {
		case "0A000", "26000", "42P18":
			s.conn.stale = true // its prepared statements may be out of date
		}
		if failure.Server != nil && failure.Server.Routine == "RevalidateCachedQuery" {
			s.pool.Reset() // a table has changed, and other connections have prepared the same
		}
		if s.step && s.failed == nil && (closed || s.conn.status() != inTransaction) && !(closed && s.fresh()) {
			s.failed = failure
		}
		if !s.step && closed {
			return s.ended(0, false), failure
		}
		return nil, failure
	}
	s.begun = s.begun || s.step
	var ended []Ended
	for i := range parts {
		ended = append(ended, s.noteEffect(&parts[i], st, result.Tag)...)
	}
	if s.step && s.conn.status() == idle {
		// The text held a COMMIT that admit did not see. What it committed stays;
		// nothing more may be committed.
		s.failed = refuse("COMMIT")
		s.conn.spoiled = true
		return nil, s.failed
	}
	return ended, nil
}

// noteEffect notes what one statement of a text did: to the savepoints, to the
// schema, and to the connection. It returns the hooks that it decided.
func (s *Session) noteEffect(p *statement, st *Statement, tag string) []Ended {
	if p.changesSchema() {
		s.altered = true
		schemaVersion.Add(1)
	}
	switch p.kind {
	case saves:
		s.savepoints = append(s.savepoints, savepoint{name: p.name, owner: st.Owner})
	case releases:
		if i := s.innermost(p.name); i >= 0 {
			s.savepoints = s.savepoints[:i]
			for h := range s.hooks {
				s.hooks[h].depth = min(s.hooks[h].depth, i)
			}
		}
	case returns:
		s.failed = nil
		if s.altered {
			schemaVersion.Add(1)
		}
		if s.settings != nil { // which settings are in force now depends on where they were set
			s.settings = &Settings{Set: s.settings.Set}
		}
		if i := s.innermost(p.name); i >= 0 {
			s.savepoints = s.savepoints[:i+1]
			return s.ended(i+1, false)
		}
	case sets:
		s.conn.spoiled = s.conn.spoiled || !s.step
	case listens:
		// Inside a transaction, UNLISTEN may still be rolled back.
		s.conn.listening = !unlistensAll(st.SQL) || s.conn.status() != idle
	case resets, lingers:
		s.conn.spoiled = true
	case commits, rollsBack:
		s.savepoints = nil
		s.endSchemaChange()
		s.settings = s.lasting
		return s.ended(0, p.kind == commits && tag != "ROLLBACK") // COMMIT of a failed transaction answers ROLLBACK
	}
	return nil
}

// endSchemaChange must be called when a transaction has ended. If it changed the
// schema, the change is now committed or gone, and statements that were prepared
// in between are out of date.
func (s *Session) endSchemaChange() {
	if s.altered {
		s.altered = false
		schemaVersion.Add(1)
	}
}
