package rubysteps_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// adapter is one of the three adapters between a handler and the database: Tasker.db,
// Sequel or ActiveRecord. test/ruby/sql/adapters.rb has its Ruby half.
type adapter struct {
	*database
	name                                  string // of the module in adapters.rb
	unique, deadlock, serialization, lost string // classes of its errors
	steps                                 int
}

var adapters = []adapter{
	{
		name: "Native", unique: "Tasker::SQLError::UniqueViolation", deadlock: "Tasker::SQLError::DeadlockDetected",
		serialization: "Tasker::SQLError::SerializationFailure", lost: "Tasker::SQLError::ConnectionLost",
	},
	{
		name: "Sequel", unique: "Sequel::UniqueConstraintViolation", deadlock: "Sequel::SerializationFailure",
		serialization: "Sequel::SerializationFailure", lost: "Sequel::DatabaseDisconnectError",
	},
	{
		name: "Record", unique: "ActiveRecord::RecordNotUnique", deadlock: "ActiveRecord::Deadlocked",
		serialization: "ActiveRecord::SerializationFailure", // lost: Adapters::Record.lost
	},
}

// Every rule of docs/transactions.md holds through each of the three adapters.
func TestRulesThroughEachAdapter(t *testing.T) { rulesThroughEachAdapter(t, newDatabase) }

// They hold behind a pooler too, although the steps share its backends.
func TestRulesBehindAPooler(t *testing.T) { rulesThroughEachAdapter(t, newPooledDatabase) }

func rulesThroughEachAdapter(t *testing.T, open func(*testing.T) *database) {
	for _, a := range adapters {
		t.Run(a.name, func(t *testing.T) {
			a.database = open(t)
			file, err := filepath.Abs("../../test/ruby/sql/adapters.rb")
			require.NoError(t, err)
			require.NoError(t, host.Require(t.Context(), file), "the gems sequel, activerecord and pg are needed")
			a.eval(t, "Adapters.prepare")
			t.Cleanup(func() { a.eval(t, "Adapters.finish") })
			for _, rule := range []struct {
				name string
				test func(*testing.T, *adapter)
			}{
				{"TheOuterTransactionIsTheEngines", refusesToEndTheTransaction},
				{"ARefusedTextIsNoFailure", goesOnAfterARefusal},
				{"NoProcedureCommits", callsAProcedureThatCommits},
				{"AfterCommitRunsOnceAfterTheCommit", runsAfterTheCommit},
				{"AfterCommitNeverRunsAfterARollback", runsNothingAfterARollback},
				{"ADeadlockIsRetried", deadlocks},
				{"ASerializationFailureIsRetried", failsToSerialize},
				{"ALostConnectionIsRetried", losesItsConnection},
				{"AWrongNumberOfParametersIsNoLostConnection", passesTooFewParameters},
				{"ASavepointLeavesTheStepUsable", failsInASavepoint},
				{"AFailedStatementFailsTheStepUnderItsOwnName", failsOutside},
				{"ThreadsAndFibersShareTheTransaction", sharesTheTransaction},
				{"AThreadBesideASavepointIsRefused", intrudesIntoASavepoint},
				{"AThreadThatOutlivesItsStepHasNoTransaction", leavesAThread},
				{"AStatementStillRunningIsCancelled", leavesAStatement},
				{"TheStepsTimeoutIsTheStatements", sleepsPastTheTimeout},
				{"SettingsEndBeforeTheOutcome", changesSettings},
				{"AReadOnlyTransactionFailsForGood", readsOnly},
			} {
				t.Run(rule.name, func(t *testing.T) {
					a.eval(t, "$heard = []")
					_, err := a.pool.Exec(t.Context(), "truncate ledger")
					require.NoError(t, err)
					rule.test(t, &a)
					// The engine may be waking its workers at this moment.
					require.Eventually(t, func() bool { return a.pool.Stat().AcquiredConns() == 0 }, time.Minute, time.Millisecond,
						"a step holds a connection")
				})
			}
		})
	}
}

func (a *adapter) eval(t *testing.T, code string) string {
	t.Helper()
	out, err := host.Eval(context.WithoutCancel(t.Context()), code, "adapters.rb")
	require.NoError(t, err)
	return string(out)
}

// handler runs a step with this body. In the body, adapter is the adapter.
func (a *adapter) handler(t *testing.T, body, more string) *orchestration.StepDetail {
	t.Helper()
	a.steps++ // a name of its own for each template
	return a.step(t, fmt.Sprintf("Adapter%s%d", a.name, a.steps), "adapter = Adapters::"+a.name+"\n"+body, more)
}

// inError runs a step that must fail, and returns its error.
func (a *adapter) inError(t *testing.T, body, more string) *orchestration.StepError {
	t.Helper()
	s := a.handler(t, body, more)
	require.Equal(t, orchestration.StepInError, s.State)
	require.Empty(t, a.entries(t))
	return s.Last().Err
}

// completes runs a step that must return these results.
func (a *adapter) completes(t *testing.T, results, body, more string) *orchestration.StepDetail {
	t.Helper()
	s := a.handler(t, body, more)
	require.Equal(t, orchestration.StepComplete, s.State, "%+v", s.Last().Err)
	require.JSONEq(t, results, string(s.Results()))
	return s
}

const threeAttempts = ", default_retry_limit: 3, backoff: {curve: none, base_seconds: 0}"

func refusesToEndTheTransaction(t *testing.T, a *adapter) {
	for name, text := range map[string]string{
		"Begin": "BEGIN", "Start": "START TRANSACTION", "Commit": "commit", "End": "/* x */ END", "Rollback": "ROLLBACK",
		"Abort": "abort", "Chain": "COMMIT AND CHAIN", "Prepare": "PREPARE TRANSACTION 'x'", "Hidden": "SELECT 1; COMMIT",
	} {
		t.Run(name, func(t *testing.T) {
			s := a.handler(t, `adapter.insert("gone"); adapter.run("`+text+`")`, threeAttempts)
			e := s.Last().Err
			require.Equal(t, "Tasker::SQLError::TransactionControl", e.Class)
			require.Contains(t, e.Message, "is not possible inside a step")
			require.True(t, e.Permanent)
			require.Equal(t, 1, s.Attempts)
			require.Empty(t, a.entries(t))
		})
	}
}

func goesOnAfterARefusal(t *testing.T, a *adapter) {
	a.completes(t, `3`, `
		adapter.insert("kept")
		%w[COMMIT ROLLBACK BEGIN].count { |text| begin; adapter.run(text); rescue StandardError; true; end }`, "")
	require.Equal(t, []string{"kept"}, a.entries(t))
}

func callsAProcedureThatCommits(t *testing.T, a *adapter) {
	e := a.inError(t, `adapter.insert("gone"); adapter.run("DO $$ BEGIN COMMIT; END $$")`, "")
	require.Contains(t, e.Message, "invalid transaction termination")
}

const noted = `note = ->(what) { $heard << [what, adapter.value("SELECT count(*) FROM ledger"), Tasker.db.in_step?] };`

func runsAfterTheCommit(t *testing.T, a *adapter) {
	a.completes(t, `0`, noted+`
		adapter.insert_and_then("1") { note["outside"] }
		adapter.transaction { adapter.insert_and_then("2") { note["inside"] } }
		adapter.transaction { adapter.insert_and_then("3") { note["never"] }; adapter.undo }
		$heard.size`, "")
	require.JSONEq(t, `[["outside",2,false],["inside",2,false]]`, a.eval(t, "$heard"))
}

func runsNothingAfterARollback(t *testing.T, a *adapter) {
	s := a.handler(t, noted+`
		adapter.insert_and_then("1") { note[step.attempts] }
		raise "no" if step.attempts < 3
		adapter.insert("1") # fails the step, although the error is rescued
	rescue StandardError => e
		raise if e.message == "no"
		$heard << "rescued"`, threeAttempts)
	require.Equal(t, orchestration.StepInError, s.State)
	require.Equal(t, 3, s.Attempts)
	require.JSONEq(t, `["rescued"]`, a.eval(t, "$heard"))
	require.Empty(t, a.entries(t))
}

// pair runs two steps that meet in their first attempt, and returns the classes
// of their errors.
func (a *adapter) pair(t *testing.T, body, more string) (errors []string) {
	t.Helper()
	_, err := a.pool.Exec(t.Context(), `insert into ledger (entry, amount) values ('x', 0), ('y', 0)`)
	require.NoError(t, err)
	a.eval(t, "$met = Queue.new; nil")
	class := "Pair" + a.name + t.Name()[strings.LastIndex(t.Name(), "/")+1:]
	task := a.run(t, class, "adapter = Adapters::"+a.name+"\n"+
		`meet = -> { if step.attempts == 1; $met << 1; Thread.pass until $met.size >= 2; end };`+body,
		"  - {name: a, handler_class: "+class+threeAttempts+more+"}\n  - {name: b, handler_class: "+class+threeAttempts+more+"}\n")
	require.Equal(t, orchestration.TaskComplete, task.State)
	for _, s := range task.Steps {
		for _, attempt := range s.History {
			if attempt.Err != nil {
				require.False(t, attempt.Err.Permanent)
				errors = append(errors, attempt.Err.Class)
			}
		}
	}
	return errors
}

func (a *adapter) amounts(t *testing.T) (amounts []int) {
	t.Helper()
	require.NoError(t, a.pool.QueryRow(t.Context(), `select array_agg(amount::int order by entry) from ledger`).Scan(&amounts))
	return amounts
}

// The handler that is the deadlock's victim rescues its error. Its step is retried
// nevertheless.
func deadlocks(t *testing.T, a *adapter) {
	victims := a.pair(t, `
		one, other = (step.name == "a") == (step.attempts == 1) ? %w[x y] : %w[y x] # again in the other's order
		adapter.add(one)
		meet.call
		begin
			adapter.add(other)
		rescue StandardError
			nil
		end
		nil`, "")
	require.Equal(t, []string{adapters[0].deadlock}, victims)
	require.Equal(t, []int{2, 2}, a.amounts(t))
}

func failsToSerialize(t *testing.T, a *adapter) {
	victims := a.pair(t, `
		adapter.value("SELECT amount FROM ledger WHERE entry = 'x'")
		meet.call
		adapter.add("x")
		nil`, ", isolation: repeatable read")
	require.Equal(t, []string{a.serialization}, victims)
	require.Equal(t, []int{2, 0}, a.amounts(t))
}

func losesItsConnection(t *testing.T, a *adapter) {
	s := a.completes(t, `2`, `
		adapter.insert(step.attempts.to_s)
		adapter.run("SELECT pg_terminate_backend(pg_backend_pid())") if step.attempts == 1
		step.attempts`, threeAttempts)
	lost := a.lost
	if lost == "" {
		lost = strings.Trim(a.eval(t, "Adapters::"+a.name+".lost"), `"`)
	}
	require.Equal(t, lost, s.History[0].Err.Class)
	require.Equal(t, []string{"2"}, a.entries(t))
}

func passesTooFewParameters(t *testing.T, a *adapter) {
	s := a.handler(t, `adapter.bind("SELECT $1::int, $2::int", [1])`, threeAttempts)
	require.Equal(t, orchestration.StepInError, s.State)
	require.Equal(t, 1, s.Attempts)
	require.Contains(t, s.Last().Err.Message, "supplies 1 parameters, but prepared statement")
	require.NotContains(t, s.Last().Err.Class, "Connection")
}

func failsInASavepoint(t *testing.T, a *adapter) {
	a.completes(t, `"`+a.unique+`"`, `
		adapter.insert("1")
		failure = begin
			adapter.transaction { adapter.insert("2"); adapter.insert("a", "a") }
		rescue StandardError => e
			e.class.name
		end
		adapter.transaction { adapter.transaction { adapter.insert("3") }; adapter.undo }
		begin
			adapter.transaction { adapter.insert("4"); begin; adapter.transaction { adapter.insert("1") }; rescue StandardError; end; adapter.insert("5") }
		end
		adapter.run("SAVEPOINT by_hand")
		begin; adapter.run("SELECT 1 / 0"); rescue StandardError; end
		adapter.run("ROLLBACK TO SAVEPOINT by_hand")
		adapter.insert("6")
		failure`, "")
	require.Equal(t, []string{"1", "4", "5", "6"}, a.entries(t))
}

func failsOutside(t *testing.T, a *adapter) {
	for name, body := range map[string]string{
		"Raised":          `adapter.insert("a", "a")`,
		"Swallowed":       `begin; adapter.insert("a", "a"); rescue StandardError; end; { fine: true }`,
		"SwallowedByAll":  `begin; adapter.insert("a", "a"); rescue Exception; end; { fine: true }`,
		"AndMore":         `begin; adapter.insert("a", "a"); rescue StandardError; end; adapter.insert("b")`,
		"Ensure":          `begin; adapter.insert("a", "a"); ensure; adapter.value("SELECT 1"); end`,
		"EnsureSavepoint": `begin; adapter.insert("a", "a"); ensure; adapter.transaction { adapter.insert("b") }; end`,
		"AnotherError":    `begin; adapter.insert("a", "a"); rescue StandardError; end; begin; adapter.insert("b"); rescue StandardError; end; adapter.run("SELECT nothing FROM nowhere")`,
	} {
		t.Run(name, func(t *testing.T) {
			e := a.inError(t, `adapter.insert("gone")`+"\n"+body, "")
			require.Contains(t, []string{a.unique, adapters[0].unique}, e.Class)
			require.Contains(t, e.Message, `duplicate key value violates unique constraint "ledger_entry_key"`)
			require.NotContains(t, e.Message, "current transaction is aborted")
			require.False(t, e.Permanent)
		})
	}
}

func sharesTheTransaction(t *testing.T, a *adapter) {
	a.completes(t, `1`, `
		id = -> { adapter.value("SELECT pg_current_xact_id()::text") }
		work = ->(i) { adapter.insert(i.to_s); id.call }
		ids = [work[0], adapter.in_thread { work[1] }.value, Fiber.new { work[2] }.resume, Enumerator.new { |y| y << work[3] }.next]
		ids += Array.new(8) { |i| adapter.in_thread { work[10 + i] } }.map(&:value)
		ids.uniq.size`, "")
	require.Len(t, a.entries(t), 12)
	require.Equal(t, orchestration.StepInError, a.handler(t, `
		adapter.in_thread { adapter.insert("gone") }.value
		Fiber.new { adapter.insert("gone too") }.resume
		raise "no"`, ", timeout_seconds: 60").State)
	require.Len(t, a.entries(t), 12)
}

func intrudesIntoASavepoint(t *testing.T, a *adapter) {
	e := a.inError(t, `
		adapter.transaction do
			adapter.insert("gone")
			adapter.in_thread { Thread.current.report_on_exception = false; adapter.insert("intrudes") }.value
		end`, "")
	require.Contains(t, e.Message, "another thread of this step is inside a savepoint")
}

func leavesAThread(t *testing.T, a *adapter) {
	a.eval(t, "$left = Queue.new; $in = Queue.new; $go = Queue.new; nil")
	a.completes(t, `null`, `
		adapter.in_thread { $in << 1; $go.pop; $left << (begin; adapter.insert("late"); "ran"; rescue StandardError => e; e.message; end) }
		adapter.insert("own")
		$in.pop # with a connection of the library's
		nil`, "")
	s := a.handler(t, `adapter.insert("other"); $go << 1; $left.pop`, ", timeout_seconds: 60")
	require.Contains(t, string(s.Results()), "the step has ended, and its transaction with it")
	require.Equal(t, []string{"own", "other"}, a.entries(t))
}

// The test holds a lock. A thread of the handler runs a statement that waits for
// it, and then the handler returns.
func leavesAStatement(t *testing.T, a *adapter) {
	holder, err := a.pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = holder.Exec(t.Context(), "select pg_advisory_xact_lock(99)")
	require.NoError(t, err)
	a.eval(t, "$waits = Queue.new; nil")
	told := make(chan struct{})
	go func() {
		defer close(told)
		for waiting := 0; waiting == 0; {
			if a.pool.QueryRow(t.Context(), `select count(*) from pg_locks where locktype = 'advisory' and not granted
				and database = (select oid from pg_database where datname = current_database())`).Scan(&waiting) != nil {
				return
			}
		}
		_, _ = host.Eval(t.Context(), "$waits << 1; nil", "waits.rb")
	}()
	e := a.inError(t, `
		adapter.insert("gone")
		adapter.in_thread { Thread.current.report_on_exception = false; adapter.run("SELECT pg_advisory_xact_lock(99)") }
		$waits.pop
		{ left: true }`, "")
	<-told
	require.Contains(t, e.Message, "the handler had returned")
	require.NoError(t, holder.Rollback(t.Context()))
}

func sleepsPastTheTimeout(t *testing.T, a *adapter) {
	e := a.inError(t, `adapter.insert("gone"); adapter.run("SELECT pg_sleep(60)")`, ", timeout_seconds: 0.3")
	require.Equal(t, "Tasker::StepTimeout", e.Class)
	a.requireNoneSleeps(t)
	// The server has a limit of its own, for the case that the worker is gone.
	s := a.handler(t, `adapter.value("SELECT setting::int FROM pg_settings WHERE name = 'statement_timeout'")`, ", timeout_seconds: 40")
	require.Regexp(t, `^4\d{4}$`, string(s.Results()))
}

// A pooler that has lost its server says so with the SQLSTATE of a wrong number of parameters.
func TestAPoolersLostServerIsALostConnection(t *testing.T) {
	d := newDatabase(t)
	for body, class := range map[string]string{
		`raise Tasker::SQLError.from(FIELDS)`:                                      "Tasker::SQLError::ConnectionLost",
		`require "pg"; raise Tasker::Postgres::Failure.new(FIELDS).exception(nil)`: "PG::ConnectionBad",
	} {
		body = strings.ReplaceAll(body, "FIELDS", `{ "class" => "ConnectionLost", "state" => "08P01", "message" => "server conn crashed?" }`)
		s := d.step(t, "PoolerLost"+class[:2], body, ", default_retry_limit: 2, backoff: {curve: none}")
		require.Equal(t, class, s.Last().Err.Class)
		require.Equal(t, 2, s.Attempts)
	}
}
