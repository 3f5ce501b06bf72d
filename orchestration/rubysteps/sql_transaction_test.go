package rubysteps_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

func TestSQLCommitsWithTheStep(t *testing.T) {
	d := newDatabase(t)
	s := d.step(t, "SQLCommits", `
		n = Tasker.db.exec("INSERT INTO ledger (entry, amount) VALUES ($1, $2)", ["kept", BigDecimal("1.50")]).affected
		{ inserted: n, row: Tasker.db.first("SELECT entry, amount, now() IS NOT NULL AS now, ARRAY[1,2] AS list FROM ledger"), in_step: Tasker.db.in_step? }`, "")
	require.Equal(t, orchestration.StepComplete, s.State, s.Last().Err)
	require.JSONEq(t, `{"inserted":1,"row":{"entry":"kept","amount":"1.5","now":true,"list":[1,2]},"in_step":true}`, string(s.Results()))
	require.Equal(t, []string{"kept"}, d.entries(t))
}

func TestSQLIsRolledBackWithTheStep(t *testing.T) {
	d := newDatabase(t)
	s := d.step(t, "SQLRaises", `
		Tasker.db.exec("INSERT INTO ledger (entry) VALUES ('gone')")
		raise "no"`, "")
	require.Equal(t, orchestration.StepInError, s.State)
	require.Empty(t, d.entries(t))
}

func TestNoTextEndsAStepsTransaction(t *testing.T) {
	d := newDatabase(t)
	for name, text := range map[string]string{
		"Commit": "COMMIT", "Rollback": "rollback", "Begin": "BEGIN", "Start": "start transaction", "End": "/* x */ end",
		"Abort": "ABORT", "Chain": "COMMIT AND CHAIN", "Prepared": "PREPARE TRANSACTION 'x'",
		"Hidden": "SELECT 1; COMMIT", "Listen": "LISTEN x",
	} {
		for method, call := range map[string]string{
			"Db": "Tasker.db.exec(text)", "Connection": "Tasker::Postgres.connect.exec(text)",
			"Params": "Tasker::Postgres.connect.exec_params(text, [])",
		} {
			s := d.step(t, "Ends"+name+method, `Tasker.db.exec("INSERT INTO ledger (entry) VALUES ('`+name+method+`')"); text = "`+text+`"; `+call, "")
			require.Equal(t, orchestration.StepInError, s.State, "%s by %s", text, method)
			e := s.Last().Err
			require.Equal(t, "Tasker::SQLError::TransactionControl", e.Class, text)
			require.True(t, e.Permanent)
			require.Contains(t, e.Message, "is not possible inside a step")
			require.Contains(t, e.Message, "HINT:")
			require.NotEmpty(t, e.Backtrace)
		}
	}
	require.Empty(t, d.entries(t))
	// Nothing was sent, so a handler may rescue the error and go on.
	s := d.step(t, "Rescues", `
		Tasker.db.exec("INSERT INTO ledger (entry) VALUES ('kept')")
		begin; Tasker.db.exec("COMMIT"); rescue Tasker::SQLError::TransactionControl => e; { state: e.sqlstate }; end`, "")
	require.Equal(t, orchestration.StepComplete, s.State)
	require.JSONEq(t, `{"state":"2D000"}`, string(s.Results()))
	require.Equal(t, []string{"kept"}, d.entries(t))
}

// PostgreSQL itself refuses a COMMIT in a procedure inside a transaction block.
func TestNoProcedureEndsAStepsTransaction(t *testing.T) {
	d := newDatabase(t)
	_, err := d.pool.Exec(t.Context(), `create procedure sly() language plpgsql as $$ begin insert into ledger (entry) values ('sly'); commit; end $$`)
	require.NoError(t, err)
	for name, text := range map[string]string{"Call": "CALL sly()", "Do": "DO $$ begin commit; end $$"} {
		s := d.step(t, "Procedure"+name, `Tasker.db.exec("`+text+`")`, "")
		require.Equal(t, "2D000", s.Last().Err.ErrorCode)
	}
	require.Empty(t, d.entries(t))
}

func TestTransactionModes(t *testing.T) {
	d := newDatabase(t)
	s := d.step(t, "None", `
		Tasker.db.exec("INSERT INTO ledger (entry) VALUES ('kept')")
		Tasker.db.transaction { Tasker.db.exec("INSERT INTO ledger (entry) VALUES ('kept too')") }
		raise "in step" if Tasker.db.in_step?
		raise "no"`, ", transaction: none")
	require.Equal(t, "no", s.Last().Err.Message)
	require.Equal(t, []string{"kept", "kept too"}, d.entries(t))

	s = d.step(t, "LeftOpen", `Tasker.db.exec("BEGIN"); Tasker.db.exec("INSERT INTO ledger (entry) VALUES ('gone')")`, ", transaction: none")
	require.Contains(t, s.Last().Err.Message, "returned while a transaction of its own was open")
	require.Equal(t, []string{"kept", "kept too"}, d.entries(t))

	for more, want := range map[string]string{
		"": "read committed", ", isolation: serializable": "serializable",
		", isolation: repeatable read, transaction: always": "repeatable read", ", transaction: always": "read committed",
	} {
		s := d.step(t, fmt.Sprintf("Isolated%d", len(more)), `Tasker.db.first("SHOW transaction_isolation").values.first`, more)
		require.Equal(t, `"`+want+`"`, string(s.Results()), more)
	}
}
