package sqlsession

import "strings"

// afterLoss answers a statement of a plain session whose connection was lost in a
// transaction. On another connection it would commit by itself, without what came
// before it. So it fails as the lost statement did, until the transaction is ended: by
// ROLLBACK, which succeeds, or by COMMIT, which fails.
func (s *Session) afterLoss(parts []part, st *Statement) (*Result, error) {
	failure := s.gone.again()
	if len(parts) != 1 || strings.Contains(strings.ToUpper(st.SQL), "CHAIN") {
		return nil, failure
	}
	switch parts[0].kind {
	case rollsBack:
		s.gone = nil
		return &Result{Tag: "ROLLBACK", Status: idle, Ended: s.ended(0, false)}, nil
	case commits:
		s.gone = nil
		s.ended(0, false)
	}
	return nil, failure
}
