package sqlsession

// noteResult takes note of what the statement did to the transaction. It returns
// the hooks that the statement decided, and the error if the statement failed.
func (s *Session) noteResult(parts []part, st *Statement, result *Result, err error) ([]Ended, *Error) {
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
			failure.Unplaced = failure.Server != nil && len(s.savepoints) == 0
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
func (s *Session) noteEffect(p *part, st *Statement, tag string) []Ended {
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
		if !s.conn.listening {
			s.conn.forgetNotifications()
		}
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
