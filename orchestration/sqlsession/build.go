package sqlsession

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// backstop is how much longer than the step the server lets a statement run.
const backstop = 2 * time.Second

// idleBackstop is how much longer than a statement the transaction may be idle: the
// handler has its grace, and the engine records the outcome.
const idleBackstop = 30 * time.Second

const limitsSQL = `select pg_catalog.set_config('statement_timeout', '%d', true), pg_catalog.set_config('idle_in_transaction_session_timeout', '%d', true)`

// patientSQL lifts what the server's settings would end a transaction with, while it waits.
const patientSQL = `select pg_catalog.set_config(name, '0', true) from pg_catalog.pg_settings
	where name in ('idle_in_transaction_session_timeout', 'transaction_timeout') and setting <> '0'`

// before returns the statements that must be sent before this one: the
// beginning of the step's transaction, the question for the engine's settings,
// and the settings that are not in force yet.
func (s *Session) before(ctx context.Context, st *Statement, parts []part) []string {
	texts := s.beginning(ctx)
	if s.mustKeep(parts, st.Settings) && s.conn.status() != inError {
		texts = append(texts, keepSQL)
	}
	return s.settingsBefore(texts, st, parts)
}

// beginning returns the statements that begin a step's transaction; none if it
// has begun. They are sent along with the first statement.
func (s *Session) beginning(ctx context.Context) []string {
	if !s.step || s.begun {
		return nil
	}
	begin := "begin"
	if s.iso != "" {
		begin += " isolation level " + s.iso
	}
	statements := []string{begin}
	if deadline, ok := ctx.Deadline(); ok {
		// This process cancels the statement when ctx ends. The server's own
		// timeouts are for the case that this process is gone by then, or frozen.
		left := max(time.Until(deadline), 0) + backstop
		statements = append(statements, fmt.Sprintf(limitsSQL, left.Milliseconds(), (left+idleBackstop).Milliseconds()))
	}
	if s.patient {
		statements = append(statements, patientSQL)
	}
	return statements
}

// maxPreparedText is the longest text that is prepared, in bytes. It keeps texts
// of megabytes out of the server's memory.
const maxPreparedText = 16 << 10

// preparable reports whether a statement with this verb can be prepared.
func preparable(verb string) bool {
	switch verb {
	case "SELECT", "INSERT", "UPDATE", "DELETE", "WITH", "VALUES", "MERGE":
		return true
	}
	return false
}

// isPreparable reports whether a text is one statement that can be prepared.
func isPreparable(parts []part) bool {
	return len(parts) == 1 && preparable(parts[0].verb)
}

// prepare returns the prepared statement to send instead of the text; nil if the
// text itself is to be sent.
func (s *Session) prepare(st *Statement, parts []part, sql string) (*pgconn.StatementDescription, error) {
	// PostgreSQL looks for the tables when it prepares. If another search_path is
	// sent along with the statement, it would look in the wrong schemas.
	may := st.Settings == nil || st.Settings == s.settings || s.conn.byText[sql] != nil
	if may && isPreparable(parts) && len(sql) < maxPreparedText || st.JSON != nil {
		return s.conn.statementFor(context.Background(), sql, st.Types, st.JSON != nil)
	}
	return nil, nil
}

// asTyped returns the parameters, each in the form that fits its type: those of
// type json or jsonb in the form of forms.
func asTyped(params, forms [][]byte, types []uint32) [][]byte {
	chosen := slices.Clone(params)
	for i, form := range forms {
		if form != nil && i < len(types) && (types[i] == pgtype.JSONOID || types[i] == pgtype.JSONBOID) {
			chosen[i] = form
		}
	}
	return chosen
}
