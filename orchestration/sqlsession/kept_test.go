package sqlsession_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/effort"
	"github.com/tasker-rb/tasker-rb/orchestration/sqlsession"
)

// settingsOf returns settings as a statement of the engine's sees them.
const settingsOf = `select array[current_setting('role'), current_setting('session_authorization'), current_setting('statement_timeout'),
	current_setting('lock_timeout'), current_setting('idle_in_transaction_session_timeout'), current_setting('search_path'),
	current_setting('row_security'), current_setting('session_replication_role'), current_setting('synchronous_commit'),
	current_setting('client_encoding'), current_setting('standard_conforming_strings')]`

// changes are texts that change a setting of the engine's. pg_monitor may not write. A
// time limit is long enough for the statement that takes it off, on a busy machine too.
var changes = []string{
	"set role pg_monitor",
	"set local role pg_monitor",
	"SET SESSION ROLE pg_monitor",
	"set session authorization pg_monitor",
	"set statement_timeout = 2000",
	"set lock_timeout = 50",
	"set idle_in_transaction_session_timeout = 60000",
	"set search_path = nowhere",
	"set row_security = off",
	"set session_replication_role = replica",
	"set synchronous_commit = off",
	"set client_encoding = latin1",
	"set standard_conforming_strings = off",
	"set session characteristics as transaction read only",
	"select set_config('role', 'pg_monitor', true)",
	"select set_config('role', 'pg_monitor', false)",
	"with a as (select set_config('role', 'pg_monitor', true)) select * from a",
	"update pg_settings set setting = 2000 where name = 'statement_timeout'",
	"do $$ begin set local role pg_monitor; end $$",
	"do $$ begin set role pg_monitor; end $$",
	"select 1; set role pg_monitor; select 2",
	"savepoint a; set role pg_monitor; release a",
	"set statement_timeout = 2000; set role pg_monitor; set search_path = nowhere",
}

// ways are the ways on which a handler's text gets to the server.
var ways = map[string]func(context.Context, *sqlsession.Session, string) error{
	"the first statement": func(ctx context.Context, s *sqlsession.Session, text string) error {
		_, err := s.Exec(ctx, &sqlsession.Statement{SQL: text})
		return err
	},
	"a later statement": func(ctx context.Context, s *sqlsession.Session, text string) error {
		if _, err := s.Exec(ctx, &sqlsession.Statement{SQL: "insert into public.ledger values (1)"}); err != nil {
			return err
		}
		_, err := s.Exec(ctx, &sqlsession.Statement{SQL: text})
		return err
	},
	"Tx.Exec": func(ctx context.Context, s *sqlsession.Session, text string) error {
		tx, err := s.Tx(ctx)
		if err == nil {
			_, err = tx.Exec(ctx, text)
		}
		return err
	},
	"Tx.Conn": func(ctx context.Context, s *sqlsession.Session, text string) error {
		tx, err := s.Tx(ctx)
		if err == nil {
			_, err = tx.Conn().Exec(ctx, text)
		}
		return err
	},
}

func look(t *testing.T, pool *pgxpool.Pool) (values []string) {
	t.Helper()
	require.NoError(t, pool.QueryRow(t.Context(), settingsOf).Scan(&values))
	return values
}

// oneConnection returns a pool of one connection, so that a test sees what a
// session left on it.
func oneConnection(t *testing.T) *pgxpool.Pool {
	t.Helper()
	config := ledger(t).Config()
	config.MaxConns = 1
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

// Whatever settings a handler leaves, the engine's statements run under the
// engine's, and so does whoever gets the connection next.
func TestEnginesSettings(t *testing.T) {
	t.Parallel()
	pool := oneConnection(t)
	want := look(t, pool)
	for way, send := range ways {
		for _, text := range changes {
			s := sqlsession.ForStep(pool, "")
			require.NoError(t, send(t.Context(), s, text), "%s: %s", way, text)
			_, failure := s.Finish()
			require.Nil(t, failure)
			var seen []string
			require.NoError(t, s.Commit(t.Context(), func(batch *pgx.Batch) {
				if strings.Contains(text, "statement_timeout") && (way == "a later statement" || effort.Thorough()) { // it takes its time
					batch.Queue("select pg_sleep(2.1)")
				}
				batch.Queue("insert into public.ledger values (100)")
				batch.Queue(settingsOf).QueryRow(func(row pgx.Row) error { return row.Scan(&seen) })
			}), "%s: %s", way, text)
			require.Equal(t, want, seen, "%s: %s", way, text)
			require.Equal(t, want, look(t, pool), "left on the connection: %s: %s", way, text)
			_, err := pool.Exec(t.Context(), "delete from ledger")
			require.NoError(t, err)
		}
	}
}

// The settings of a connection object end before the engine's statements, too.
func TestEnginesSettingsBehindAConnections(t *testing.T) {
	t.Parallel()
	pool := oneConnection(t)
	want := look(t, pool)
	s := sqlsession.ForStep(pool, "")
	settings := &sqlsession.Settings{Set: []sqlsession.Setting{{Name: "role", Text: "role to pg_monitor"}, {Name: "search_path", Text: "search_path to nowhere"}}}
	_, err := s.Exec(t.Context(), &sqlsession.Statement{SQL: "select 1", Settings: settings})
	require.NoError(t, err)
	s.Finish()
	var seen []string
	require.NoError(t, s.Commit(t.Context(), func(batch *pgx.Batch) {
		batch.Queue(settingsOf).QueryRow(func(row pgx.Row) error { return row.Scan(&seen) })
	}))
	require.Equal(t, want, seen)
	require.Equal(t, want, look(t, pool))
}

// A step's own time limit on the server is put back, not taken off.
func TestStepsTimeLimitIsPutBack(t *testing.T) {
	t.Parallel()
	pool := oneConnection(t)
	s := sqlsession.ForStep(pool, "")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Second)
	defer cancel()
	for _, text := range []string{"select 1", "set statement_timeout = 2000"} {
		_, err := s.Exec(ctx, &sqlsession.Statement{SQL: text})
		require.NoError(t, err)
	}
	s.Finish()
	var limit int
	require.NoError(t, s.Commit(t.Context(), func(batch *pgx.Batch) {
		batch.Queue("select setting::int from pg_settings where name = 'statement_timeout'").QueryRow(func(row pgx.Row) error { return row.Scan(&limit) })
	}))
	require.Greater(t, limit, 90_000)
}

// Deferred constraints are checked under the handler's search_path, and fail the
// commit.
func TestDeferredConstraintsUnderTheHandlersSettings(t *testing.T) {
	t.Parallel()
	pool := oneConnection(t)
	_, err := pool.Exec(t.Context(), `create schema own; create table own.seen (n int);
		create function own.saw() returns trigger language plpgsql as 'begin insert into seen values (new.n); return null; end';
		create constraint trigger saw after insert on ledger deferrable initially deferred for each row execute function own.saw();
		create table later (n int unique deferrable initially deferred)`)
	require.NoError(t, err)
	for _, texts := range [][]string{
		{"set search_path = own", "insert into public.ledger values (1)"},
		{"set search_path = own", "insert into public.later values (1), (1)"},
	} {
		s := sqlsession.ForStep(pool, "")
		for _, text := range texts {
			_, err := s.Exec(t.Context(), &sqlsession.Statement{SQL: text})
			require.NoError(t, err)
		}
		s.Finish()
		err = s.Commit(t.Context(), func(*pgx.Batch) {})
		if texts[1][len("insert into public."):][:5] == "later" {
			require.ErrorContains(t, err, "23505")
		} else {
			require.NoError(t, err)
		}
	}
	var n int
	require.NoError(t, pool.QueryRow(t.Context(), "select n from own.seen").Scan(&n))
	require.Equal(t, 1, n)
}

// PostgreSQL does not make a read-only transaction writable again, so the step
// fails for good and says why.
func TestReadOnlyTransaction(t *testing.T) {
	t.Parallel()
	pool := oneConnection(t)
	for _, text := range []string{"set transaction read only", "set transaction_read_only = on", "select set_config('transaction_read_only', 'on', true)"} {
		s := sqlsession.ForStep(pool, "")
		for _, text := range []string{"select 1", text} {
			_, err := s.Exec(t.Context(), &sqlsession.Statement{SQL: text})
			require.NoError(t, err)
		}
		s.Finish()
		err := s.Commit(t.Context(), record)
		var failure *sqlsession.Error
		require.ErrorAs(t, err, &failure, text)
		require.True(t, failure.Rule)
		require.Contains(t, failure.Message, "read only")
		require.Empty(t, written(t, pool))
	}
}

// A step may choose its isolation level in its first statement.
func TestIsolationInTheFirstStatement(t *testing.T) {
	t.Parallel()
	pool := oneConnection(t)
	s := sqlsession.ForStep(pool, "")
	_, err := s.Exec(t.Context(), &sqlsession.Statement{SQL: "set transaction isolation level serializable"})
	require.NoError(t, err)
	s.Finish()
	require.NoError(t, s.Commit(t.Context(), record))
	require.Equal(t, []int32{100}, written(t, pool))
}

// A step that changes no setting is sent nothing more than its statements.
func TestNoSettingCostsNothing(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"select 1", "insert into ledger values (1)", "update ledger set n = 2", "with a as (select 1) select * from a", "savepoint a",
		"set transaction isolation level serializable", "set constraints all deferred", "copy ledger from stdin", "lock table ledger",
		"select 'set role x'", "notify x",
	} {
		require.False(t, sqlsession.Touches(text), text)
	}
	for _, text := range append(changes, "call p()", "execute p", "reset role", "discard all", `"p"`, "frobnicate", "load 'x'") {
		require.True(t, sqlsession.Touches(text), text)
	}
}

// In a failed transaction the engine's settings can no longer be read.
func TestSettingBehindARollbackToASavepoint(t *testing.T) {
	t.Parallel()
	pool := oneConnection(t)
	s := sqlsession.ForStep(pool, "")
	exec := func(text string) error {
		_, err := s.Exec(t.Context(), &sqlsession.Statement{SQL: text})
		return err
	}
	require.NoError(t, exec("savepoint a"))
	require.Error(t, exec("select 1 / 0"))
	require.ErrorContains(t, exec("rollback to a; set role pg_monitor"), "cannot also change settings")
	require.NoError(t, exec("rollback to a"))
	require.NoError(t, exec("set role pg_monitor"))
	require.NoError(t, exec("rollback to a"))
	require.NoError(t, exec("set role pg_monitor"))
	_, failure := s.Finish()
	require.Nil(t, failure)
	require.NoError(t, s.Commit(t.Context(), record))
	require.Equal(t, []int32{100}, written(t, pool))
}
