package rubysteps_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

func TestNoTextEndsAStepsTransaction(t *testing.T) {
	d := newDatabase(t)
	for name, text := range map[string]string{
		"Commit": "COMMIT", "Rollback": "rollback", "Begin": "BEGIN", "Start": "start transaction", "End": "/* x */ end",
		"Abort": "ABORT", "Chain": "COMMIT AND CHAIN", "Prepared": "PREPARE TRANSACTION 'x'",
		"Hidden": "SELECT 1; COMMIT", "Listen": "LISTEN x",
	} {
		for way, call := range map[string]string{
			"Db": "Tasker.db.exec(text)", "Connection": "Tasker::Postgres.connect.exec(text)",
			"Params": "Tasker::Postgres.connect.exec_params(text, [])",
		} {
			s := d.step(t, "Ends"+name+way, `Tasker.db.exec("INSERT INTO ledger (entry) VALUES ('`+name+way+`')"); text = "`+text+`"; `+call, "")
			require.Equal(t, orchestration.StepInError, s.State, "%s by %s", text, way)
			e := s.Last().Err
			require.Equal(t, "Tasker::SQLError::TransactionControl", e.Class, text)
			require.True(t, e.Permanent)
			require.Contains(t, e.Message, "is not possible inside a step")
			require.Contains(t, e.Message, "HINT:")
			require.NotEmpty(t, e.Backtrace)
		}
	}
	require.Empty(t, d.entries(t))
	// Nothing was sent, so a handler that knows better may go on.
	s := d.step(t, "Rescues", `
		Tasker.db.exec("INSERT INTO ledger (entry) VALUES ('kept')")
		begin; Tasker.db.exec("COMMIT"); rescue Tasker::SQLError::TransactionControl => e; { state: e.sqlstate }; end`, "")
	require.Equal(t, orchestration.StepComplete, s.State)
	require.JSONEq(t, `{"state":"2D000"}`, string(s.Results()))
	require.Equal(t, []string{"kept"}, d.entries(t))
}

// A procedure may commit only outside a transaction block: PostgreSQL sees to it.
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
		# By hand as well.
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

func TestThreadsOfAHandlerShareItsTransaction(t *testing.T) {
	d := newDatabase(t)
	s := d.step(t, "Shares", `
		work = ->(i) { Tasker.db.exec("INSERT INTO ledger (entry) VALUES ($1)", [i.to_s]); Tasker.db.first("SELECT pg_current_xact_id()::text AS x")["x"] }
		ids = [Thread.new { work[1] }.value, Thread.start(2, &work).value, Fiber.new { work[3] }.resume, Enumerator.new { |y| y << work[4] }.next]
		ids += 8.times.map { |i| Thread.new { work[10 + i] } }.map(&:value)
		ids.uniq.size`, "")
	require.Equal(t, orchestration.StepComplete, s.State, s.Last().Err)
	require.Equal(t, "1", string(s.Results()))
	require.Len(t, d.entries(t), 12)

	s = d.step(t, "Intrudes", `
		Tasker.db.transaction do
			Thread.new { Tasker.db.exec("SELECT 1") }.value
		end`, "")
	require.Equal(t, "Tasker::SQLError::TransactionControl", s.Last().Err.Class)
	require.Contains(t, s.Last().Err.Message, "another thread of this step is inside a savepoint")
}

func TestAThreadLeftBehindHasNoTransaction(t *testing.T) {
	d := newDatabase(t)
	s := d.step(t, "LeavesThread", `
		$left = Queue.new; $go = Queue.new
		Tasker.db.exec("INSERT INTO ledger (entry) VALUES ('own')")
		Thread.new { $go.pop; $left << (begin; Tasker.db.exec("INSERT INTO ledger (entry) VALUES ('late')"); "ran"; rescue => e; e.message; end) }
		nil`, "")
	require.Equal(t, orchestration.StepComplete, s.State)
	// It must not get into the transaction of another step on the same thread.
	s = d.step(t, "ComesAfter", `
		Tasker.db.exec("INSERT INTO ledger (entry) VALUES ('other')")
		$go << 1
		$left.pop`, "")
	require.Contains(t, string(s.Results()), "the step has ended, and its transaction with it")
	require.Equal(t, []string{"own", "other"}, d.entries(t))
}

func TestAStatementStillRunningWhenTheStepEndsIsCancelled(t *testing.T) {
	d := newDatabase(t)
	// The advisory lock is held by the test: the thread's statement waits for
	// it, and the handler knows that it does.
	holder, err := d.pool.Acquire(t.Context())
	require.NoError(t, err)
	defer holder.Release()
	_, err = holder.Exec(t.Context(), "select pg_advisory_lock(99)")
	require.NoError(t, err)
	_, err = host.Eval(t.Context(), `$waits = Queue.new; nil`, "waits.rb")
	require.NoError(t, err)
	go func() {
		for waiting := 0; waiting == 0; {
			if d.pool.QueryRow(t.Context(), `select count(*) from pg_locks where locktype = 'advisory' and not granted
				and database = (select oid from pg_database where datname = current_database())`).Scan(&waiting) != nil {
				return
			}
		}
		_, _ = host.Eval(t.Context(), `$waits << 1; nil`, "waits.rb")
	}()
	s := d.step(t, "LeavesQuery", `
		Tasker.db.exec("INSERT INTO ledger (entry) VALUES ('gone')")
		Thread.new { Tasker.db.exec("SELECT pg_advisory_xact_lock(99)") }.report_on_exception = false
		$waits.pop
		{ left: true }`, "")
	require.Equal(t, orchestration.StepInError, s.State)
	require.Equal(t, "Tasker::SQLError::QueryCanceled", s.Last().Err.Class)
	require.Contains(t, s.Last().Err.Message, "the handler had returned")
	require.Empty(t, d.entries(t))
	_, err = holder.Exec(t.Context(), "select pg_advisory_unlock(99)")
	require.NoError(t, err)
}

func TestATimeoutCancelsTheStatement(t *testing.T) {
	d := newDatabase(t)
	s := d.step(t, "Sleeps", `
		Tasker.db.exec("INSERT INTO ledger (entry) VALUES ('gone')")
		Tasker.db.exec("SELECT pg_sleep(60)")`, ", timeout_seconds: 0.3")
	require.Equal(t, "Tasker::StepTimeout", s.Last().Err.Class)
	require.Empty(t, d.entries(t))
	require.Zero(t, d.sleeping(t))
}

// Ruby's own Timeout gives up a statement; the transaction is lost with it.
func TestRubysTimeoutCancelsTheStatement(t *testing.T) {
	d := newDatabase(t)
	s := d.step(t, "GivesUp", `
		require "timeout"
		begin
			Timeout.timeout(0.1) { Tasker.db.exec("SELECT pg_sleep(60)") }
		rescue Timeout::Error
			Tasker.db.exec("SELECT 1")
		end`, "")
	require.Equal(t, "Tasker::SQLError::QueryCanceled", s.Last().Err.Class)
	require.Zero(t, d.sleeping(t))
	s = d.step(t, "GivesUpInSavepoint", `
		require "timeout"
		begin
			Tasker.db.transaction { Timeout.timeout(0.1) { Tasker.db.exec("SELECT pg_sleep(60)") } }
		rescue Timeout::Error
			Tasker.db.first("SELECT 1 AS one")
		end`, "")
	require.JSONEq(t, `{"one":1}`, string(s.Results()), s.Last().Err)
}

func (d *database) sleeping(t *testing.T) (n int) {
	t.Helper()
	require.NoError(t, d.pool.QueryRow(t.Context(), `select count(*) from pg_stat_activity
		where datname = current_database() and state = 'active' and query like '%pg_sleep%' and pid <> pg_backend_pid()`).Scan(&n))
	return n
}

func TestALostConnectionIsRetryable(t *testing.T) {
	d := newDatabase(t)
	s := d.step(t, "Loses", `
		Tasker.db.exec("INSERT INTO ledger (entry) VALUES ('" + step.attempts.to_s + "')")
		Tasker.db.exec("SELECT pg_terminate_backend(pg_backend_pid())") if step.attempts == 1
		nil`, ", default_retry_limit: 2, backoff: {curve: none, base_seconds: 0}")
	require.Equal(t, orchestration.StepComplete, s.State)
	require.Equal(t, "Tasker::SQLError::ConnectionLost", s.History[0].Err.Class)
	require.Equal(t, []string{"2"}, d.entries(t))
}

// What the pool holds may have died while nobody looked.
func TestADeadConnectionOfThePoolIsReplaced(t *testing.T) {
	d := newDatabase(t)
	_, err := d.pool.Exec(t.Context(), `select pg_terminate_backend(pid) from pg_stat_activity
		where datname = current_database() and pid <> pg_backend_pid() and query not like 'listen%'`)
	require.NoError(t, err)
	s := d.step(t, "MeetsTheDead", `Tasker.db.first("SELECT 1 AS one")`, "")
	require.Equal(t, orchestration.StepComplete, s.State, s.Last().Err)
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

func TestSettingsEndWithTheStep(t *testing.T) {
	d := newDatabase(t)
	for i := range 4 {
		s := d.step(t, "Sets", `
			before = Tasker.db.first("SHOW work_mem")["work_mem"]
			Tasker.db.exec("SET work_mem = '1MB'")
			Tasker.db.exec("CREATE TEMPORARY TABLE mine (a int)")
			Tasker.db.exec("SELECT pg_advisory_lock(7)")
			[before, Tasker.db.first("SHOW work_mem")["work_mem"]]`, "")
		require.JSONEq(t, `["4MB","1MB"]`, string(s.Results()), "%d: %v", i, s.Last().Err)
	}
	var locks int
	require.NoError(t, d.pool.QueryRow(t.Context(), `select count(*) from pg_locks where locktype = 'advisory' and objid = 7
		and database = (select oid from pg_database where datname = current_database())`).Scan(&locks))
	require.Zero(t, locks)
}
