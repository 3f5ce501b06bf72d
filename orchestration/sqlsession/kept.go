package sqlsession

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5/pgconn"
)

// A handler may change settings in its step's transaction. The engine records the
// step's outcome in the same transaction, and must not run under the handler's
// role or time limit. So the settings below are read before the handler's first
// statement that may change one, and put back before the engine's statements. A
// step that changes no setting does neither.

// engines are the settings that can make the engine's statements fail, or do
// something else. The session's user comes before the role, which belongs to it.
var engines = []string{
	"session_authorization", "role", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout",
	"transaction_timeout", "search_path", "row_security", "session_replication_role", "synchronous_commit",
	"client_encoding", "standard_conforming_strings", "max_stack_depth", "exit_on_error",
}

var timeoutAt = slices.Index(engines, "statement_timeout")

// keepSQL reads the engine's settings. A server that does not know one answers NULL.
var keepSQL = func() string {
	calls := make([]string, len(engines))
	for i, name := range engines {
		calls[i] = "pg_catalog.current_setting('" + name + "', true)"
	}
	return "select " + strings.Join(calls, ", ")
}()

// errReadOnly is the error of a step that cannot record its success.
func errReadOnly(err error) *Error {
	return &Error{
		SQLState: stateReadOnly, Rule: true, Err: err,
		Message: "the handler made the step's transaction read only, and its success is recorded in that transaction",
		Hint:    "leave out SET TRANSACTION READ ONLY, or say `transaction: none` in the template",
	}
}

// committing is the error of a commit. PostgreSQL does not let a read-only
// transaction become writable again after its first query. Where the whole server
// is read only, the step could not have been claimed.
func (s *Session) committing(err error) error {
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == stateReadOnly {
		err = errReadOnly(err)
	}
	return errors.Wrap(err, "committing the step's transaction")
}

// putBackSQL sets a setting only if it has changed: for some the engine's user may
// have no permission, and then the handler had none either.
const putBackSQL = `case when pg_catalog.current_setting('%[1]s') operator(pg_catalog.<>) $%[2]d::pg_catalog.text
	then pg_catalog.set_config('%[1]s', $%[2]d::pg_catalog.text, true) end`

// mustKeep reports whether the settings are to be read before a statement with
// these parts and settings.
func (s *Session) mustKeep(parts []part, settings *Settings) bool {
	return s.step && s.kept == nil && (slices.ContainsFunc(parts, touches) || settings.touchEngines())
}

func touches(p part) bool { return p.touches }

// touchEngines reports whether one of the engine's settings is among them.
// ActiveRecord's adapter always sets standard_conforming_strings, to on.
func (s *Settings) touchEngines() bool {
	return s != nil && slices.ContainsFunc(s.Set, func(n Setting) bool {
		name := strings.ToLower(n.Name)
		return slices.Contains(engines, name) && name != "standard_conforming_strings" || !bareName.MatchString(name)
	})
}

// bareName is a name that needs no knowledge of SET: "time zone", "session
// authorization" and quoted names are others.
var bareName = regexp.MustCompile(`^[a-z_][a-z0-9_.]*$`)

// keep stores the answer to keepSQL.
func (s *Session) keep(row [][]byte) {
	s.kept = make([][]byte, len(row))
	for i, value := range row {
		s.kept[i] = slices.Clone(value) // NULL stays nil
	}
}

// putBack puts the engine's settings back, until the transaction ends. Before that
// it has deferred constraints and triggers checked: they are the handler's, and
// need its search_path.
func (s *Session) putBack(ctx context.Context) error {
	if s.kept == nil {
		return nil
	}
	var calls []string
	var values [][]byte
	for i, name := range engines {
		if s.kept[i] != nil {
			values = append(values, s.kept[i])
			calls = append(calls, fmt.Sprintf(putBackSQL, name, len(values)))
		}
	}
	var batch pgconn.Batch
	// The time limit comes first, alone, and without a query: it may be a millisecond.
	batch.ExecParams("set local statement_timeout = '"+string(s.kept[timeoutAt])+"'", nil, nil, nil, nil)
	batch.ExecParams("set constraints all immediate", nil, nil, nil, nil)
	batch.ExecParams("select "+strings.Join(calls, ", "), values, nil, nil, nil)
	return s.conn.pg().ExecBatch(ctx, &batch).Close()
}
