package rubysteps_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

func TestAFailedStatementFailsTheStepUnderItsOwnName(t *testing.T) {
	d := newDatabase(t)
	for name, rest := range map[string]string{
		"Swallowed": "begin; " + twice + "; rescue => e; end; { fine: true }",
		"AndMore":   "begin; " + twice + "; rescue => e; end; Tasker.db.exec('SELECT 1')",
		"Raised":    twice,
	} {
		s := d.step(t, "Fails"+name, rest, "")
		require.Equal(t, orchestration.StepInError, s.State, name)
		e := s.Last().Err
		require.Equal(t, "Tasker::SQLError::UniqueViolation", e.Class, name)
		require.Equal(t, "23505", e.ErrorCode)
		require.Contains(t, e.Message, `duplicate key value violates unique constraint "ledger_entry_key"`)
		require.NotContains(t, e.Message, "current transaction is aborted")
		require.False(t, e.Permanent)
	}
	require.Empty(t, d.entries(t))
}

// A handler that goes on after an error of SQL fails with that error, at its own line.
func TestARescuedErrorOfSQLHasItsPlace(t *testing.T) {
	d := newDatabase(t)
	prepare := `require "tasker/sequel"` + "\n"
	for name, body := range map[string]string{
		"Returns":       "begin\nTasker.db.exec('select 1/0')\nrescue StandardError; end\n{ ok: 1 }",
		"AsksMore":      "begin\nTasker.db.exec('select 1/0')\nrescue StandardError; end\nTasker.db.exec('SELECT 1')",
		"AsksMoreTwice": "begin\nTasker.db.exec('select 1/0')\nrescue StandardError; end\nbegin; Tasker.db.exec('SELECT 1'); rescue StandardError; end\nTasker.db.first('SELECT 1')",
		"Sequel":        "begin\nTasker.sequel.run('select 1/0')\nrescue StandardError; end\nTasker.sequel.get(1)",
		"SequelReturns": "begin\nTasker.sequel.run('select 1/0')\nrescue StandardError; end\n{ ok: 1 }",
	} {
		t.Run(name, func(t *testing.T) {
			s := d.step(t, "Rescues"+name, prepare+body, "")
			require.Equal(t, orchestration.StepInError, s.State)
			e := s.Last().Err
			require.Contains(t, e.Message, "division by zero")
			require.Contains(t, e.Message, "The handler rescued this error, or an ensure ran on")
			require.Contains(t, e.Message, "use a savepoint: Tasker.db.transaction")
			require.Regexp(t, `Rescues`+name+`\.rb:5:in .*process`, strings.Join(e.Backtrace, "\n"))
			require.NotRegexp(t, `Rescues`+name+`\.rb:[^5]:in .*process`, strings.Join(e.Backtrace, "\n"))
		})
	}
	s := d.step(t, "RaisesOnly", "Tasker.db.exec('select 1/0')", "")
	require.NotContains(t, s.Last().Err.Message, "rescued")
}

const twice = `Tasker.db.exec("INSERT INTO ledger (entry) VALUES ('a'), ('a')")`

func TestASavepointLeavesTheStepUsable(t *testing.T) {
	d := newDatabase(t)
	s := d.step(t, "Savepoints", `
		db = Tasker.db
		seen = []
		db.exec("INSERT INTO ledger (entry) VALUES ('1')")
		begin
			db.transaction { db.exec("INSERT INTO ledger (entry) VALUES ('2')"); `+twice+` }
		rescue Tasker::SQLError::UniqueViolation => e
			seen << e.constraint_name
		end
		db.transaction { db.transaction { db.exec("INSERT INTO ledger (entry) VALUES ('3')") }; raise Tasker::DB::Rollback }
		seen << db.transaction { db.exec("INSERT INTO ledger (entry) VALUES ('4')"); :four }
		catch(:out) { db.transaction { db.exec("INSERT INTO ledger (entry) VALUES ('5')"); throw :out } }
		# With SAVEPOINT as text, too.
		db.exec("SAVEPOINT a; INSERT INTO ledger (entry) VALUES ('6')")
		begin; `+twice+`; rescue; end
		db.exec("ROLLBACK TO a")
		db.exec("INSERT INTO ledger (entry) VALUES ('7')")
		seen << db.in_transaction?
		seen`, "")
	require.Equal(t, orchestration.StepComplete, s.State, s.Last().Err)
	require.JSONEq(t, `["ledger_entry_key","four",true]`, string(s.Results()))
	require.Equal(t, []string{"1", "4", "5", "7"}, d.entries(t))
}
