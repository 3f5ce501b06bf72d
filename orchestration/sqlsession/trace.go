package sqlsession

import (
	"encoding/hex"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Traced is a statement that has been run.
type Traced struct {
	SQL    string
	Params []string // as SQL literals: 'text', NULL, and '\x…' for binary values
	Took   time.Duration
	Rows   int64 // returned, or affected
	Tag    string
	Err    error
}

// Trace has f called after each statement of Exec and CopyIn. f must not use the session.
// It must come before the first statement. The calls of a handler in Go are traced by pgx.
func (s *Session) Trace(f func(Traced)) { s.trace = f }

// traced describes the statement, which began at a time and has been run.
func (st *Statement) traced(began time.Time, result *Result, err error) Traced {
	t := Traced{SQL: st.SQL, Params: make([]string, len(st.Params)), Took: time.Since(began), Err: err}
	for i, p := range st.Params {
		switch {
		case p == nil:
			t.Params[i] = "NULL"
		case i < len(st.Formats) && st.Formats[i] == 1:
			t.Params[i] = `'\x` + hex.EncodeToString(p) + "'"
		default:
			t.Params[i] = "'" + strings.ReplaceAll(string(p), "'", "''") + "'"
		}
	}
	if result != nil {
		t.Tag, t.Rows = result.Tag, pgconn.NewCommandTag(result.Tag).RowsAffected()
		if len(result.Fields) > 0 {
			t.Rows = int64(result.Rows)
		}
	}
	return t
}
