package rubysteps_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// way is one of the three from a handler to the database, under the names of
// test/ruby/sql/ways.rb, with its names of errors.
type way struct {
	*database
	name                                  string
	unique, deadlock, serialization, lost string
	steps                                 int
}

var ways = []way{
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
		serialization: "ActiveRecord::SerializationFailure", lost: "ActiveRecord::StatementInvalid",
	},
}

// Every rule of docs/transactions.md, through each of the three ways.
func TestRulesThroughEachWay(t *testing.T) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			w.database = newDatabase(t)
			file, err := filepath.Abs("../../test/ruby/sql/ways.rb")
			require.NoError(t, err)
			require.NoError(t, host.Require(t.Context(), file), "the gems sequel, activerecord and pg are needed")
			w.eval(t, "Ways.prepare")
			t.Cleanup(func() { w.eval(t, "Ways.finish") })
			for _, rule := range []struct {
				name string
				test func(*testing.T, *way)
			}{
				{"TheOuterTransactionIsTheEngines", endsNothing},
				{"ARefusedTextIsNoFailure", goesOnAfterARefusal},
				{"NoProcedureCommits", callsAProcedure},
				{"AfterCommitRunsOnceAfterTheCommit", runsAfterTheCommit},
				{"AfterCommitNeverRunsAfterARollback", runsNothingAfterARollback},
				{"ADeadlockIsRetried", deadlocks},
				{"ASerializationFailureIsRetried", serializes},
				{"ALostConnectionIsRetried", losesItsConnection},
				{"ASavepointLeavesTheStepUsable", failsInASavepoint},
				{"AFailedStatementFailsTheStepUnderItsOwnName", failsOutside},
				{"ThreadsAndFibersShareTheTransaction", shares},
				{"AThreadBesideASavepointIsRefused", intrudes},
				{"AThreadLeftBehindHasNoTransaction", leavesAThread},
				{"AStatementStillRunningIsCancelled", leavesAStatement},
				{"TheStepsTimeoutIsTheStatements", sleeps},
			} {
				t.Run(rule.name, func(t *testing.T) {
					w.eval(t, "$heard = []")
					_, err := w.pool.Exec(t.Context(), "truncate ledger")
					require.NoError(t, err)
					rule.test(t, &w)
					require.Zero(t, w.pool.Stat().AcquiredConns(), "a step holds a connection")
				})
			}
		})
	}
}

func (w *way) eval(t *testing.T, code string) string {
	t.Helper()
	out, err := host.Eval(context.WithoutCancel(t.Context()), code, "ways.rb")
	require.NoError(t, err)
	return string(out)
}

// handler runs a step with this body, in which way is the way.
func (w *way) handler(t *testing.T, body, more string) *orchestration.StepDetail {
	t.Helper()
	w.steps++ // a template's name stands for one text
	return w.step(t, fmt.Sprintf("Way%s%d", w.name, w.steps), "way = Ways::"+w.name+"\n"+body, more)
}

// inError runs a step that is to fail, and returns why it did.
func (w *way) inError(t *testing.T, body, more string) *orchestration.StepError {
	t.Helper()
	s := w.handler(t, body, more)
	require.Equal(t, orchestration.StepInError, s.State)
	require.Empty(t, w.entries(t))
	return s.Last().Err
}

// completes runs a step that is to return this.
func (w *way) completes(t *testing.T, results, body, more string) *orchestration.StepDetail {
	t.Helper()
	s := w.handler(t, body, more)
	require.Equal(t, orchestration.StepComplete, s.State, "%+v", s.Last().Err)
	require.JSONEq(t, results, string(s.Results()))
	return s
}

const again = ", default_retry_limit: 3, backoff: {curve: none, base_seconds: 0}"

func endsNothing(t *testing.T, w *way) {
	for name, text := range map[string]string{
		"Begin": "BEGIN", "Start": "START TRANSACTION", "Commit": "commit", "End": "/* x */ END", "Rollback": "ROLLBACK",
		"Abort": "abort", "Chain": "COMMIT AND CHAIN", "Prepare": "PREPARE TRANSACTION 'x'", "Hidden": "SELECT 1; COMMIT",
	} {
		t.Run(name, func(t *testing.T) {
			s := w.handler(t, `way.insert("gone"); way.run("`+text+`")`, again)
			e := s.Last().Err
			require.Equal(t, "Tasker::SQLError::TransactionControl", e.Class)
			require.Contains(t, e.Message, "is not possible inside a step")
			require.True(t, e.Permanent)
			require.Equal(t, 1, s.Attempts)
			require.Empty(t, w.entries(t))
		})
	}
}

func goesOnAfterARefusal(t *testing.T, w *way) {
	w.completes(t, `3`, `
		way.insert("kept")
		%w[COMMIT ROLLBACK BEGIN].count { |text| begin; way.run(text); rescue StandardError; true; end }`, "")
	require.Equal(t, []string{"kept"}, w.entries(t))
}

func callsAProcedure(t *testing.T, w *way) {
	e := w.inError(t, `way.insert("gone"); way.run("DO $$ BEGIN COMMIT; END $$")`, "")
	require.Contains(t, e.Message, "invalid transaction termination")
}

const noted = `note = ->(what) { $heard << [what, way.value("SELECT count(*) FROM ledger"), Tasker.db.in_step?] };`

func runsAfterTheCommit(t *testing.T, w *way) {
	w.completes(t, `0`, noted+`
		way.insert_and_then("1") { note["outside"] }
		way.transaction { way.insert_and_then("2") { note["inside"] } }
		way.transaction { way.insert_and_then("3") { note["never"] }; way.undo }
		$heard.size`, "")
	require.JSONEq(t, `[["outside",2,false],["inside",2,false]]`, w.eval(t, "$heard"))
}

func runsNothingAfterARollback(t *testing.T, w *way) {
	s := w.handler(t, noted+`
		way.insert_and_then("1") { note[step.attempts] }
		raise "no" if step.attempts < 3
		way.insert("1") # which fails the step, whatever becomes of it
	rescue StandardError => e
		raise if e.message == "no"
		$heard << "rescued"`, again)
	require.Equal(t, orchestration.StepInError, s.State)
	require.Equal(t, 3, s.Attempts)
	require.JSONEq(t, `["rescued"]`, w.eval(t, "$heard"))
	require.Empty(t, w.entries(t))
}

// pair runs two steps that meet in their first attempt, and returns the classes
// of their errors.
func (w *way) pair(t *testing.T, body, more string) (errors []string) {
	t.Helper()
	_, err := w.pool.Exec(t.Context(), `insert into ledger (entry, amount) values ('x', 0), ('y', 0)`)
	require.NoError(t, err)
	w.eval(t, "$met = Queue.new; nil")
	class := "Pair" + w.name + t.Name()[strings.LastIndex(t.Name(), "/")+1:]
	task := w.run(t, class, "way = Ways::"+w.name+"\n"+
		`meet = -> { if step.attempts == 1; $met << 1; Thread.pass until $met.size >= 2; end };`+body,
		"  - {name: a, handler_class: "+class+again+more+"}\n  - {name: b, handler_class: "+class+again+more+"}\n")
	require.Equal(t, orchestration.TaskComplete, task.State)
	for _, s := range task.Steps {
		for _, a := range s.History {
			if a.Err != nil {
				require.False(t, a.Err.Permanent)
				errors = append(errors, a.Err.Class)
			}
		}
	}
	return errors
}

func (w *way) amounts(t *testing.T) (amounts []int) {
	t.Helper()
	require.NoError(t, w.pool.QueryRow(t.Context(), `select array_agg(amount::int order by entry) from ledger`).Scan(&amounts))
	return amounts
}

// The victim swallows its error: it is tried again all the same.
func deadlocks(t *testing.T, w *way) {
	victims := w.pair(t, `
		one, other = step.name == "a" ? %w[x y] : %w[y x]
		way.add(one)
		meet.call
		begin
			way.add(other)
		rescue StandardError
			nil
		end
		nil`, "")
	require.Equal(t, []string{ways[0].deadlock}, victims)
	require.Equal(t, []int{2, 2}, w.amounts(t))
}

func serializes(t *testing.T, w *way) {
	victims := w.pair(t, `
		way.value("SELECT amount FROM ledger WHERE entry = 'x'")
		meet.call
		way.add("x")
		nil`, ", isolation: repeatable read")
	require.Equal(t, []string{w.serialization}, victims)
	require.Equal(t, []int{2, 0}, w.amounts(t))
}

func losesItsConnection(t *testing.T, w *way) {
	s := w.completes(t, `2`, `
		way.insert(step.attempts.to_s)
		way.run("SELECT pg_terminate_backend(pg_backend_pid())") if step.attempts == 1
		step.attempts`, again)
	require.Equal(t, w.lost, s.History[0].Err.Class)
	require.Equal(t, []string{"2"}, w.entries(t))
}

func failsInASavepoint(t *testing.T, w *way) {
	w.completes(t, `"`+w.unique+`"`, `
		way.insert("1")
		failure = begin
			way.transaction { way.insert("2"); way.insert("a", "a") }
		rescue StandardError => e
			e.class.name
		end
		way.transaction { way.transaction { way.insert("3") }; way.undo }
		begin
			way.transaction { way.insert("4"); begin; way.transaction { way.insert("1") }; rescue StandardError; end; way.insert("5") }
		end
		way.run("SAVEPOINT by_hand")
		begin; way.run("SELECT 1 / 0"); rescue StandardError; end
		way.run("ROLLBACK TO SAVEPOINT by_hand")
		way.insert("6")
		failure`, "")
	require.Equal(t, []string{"1", "4", "5", "6"}, w.entries(t))
}

func failsOutside(t *testing.T, w *way) {
	for name, body := range map[string]string{
		"Raised":          `way.insert("a", "a")`,
		"Swallowed":       `begin; way.insert("a", "a"); rescue StandardError; end; { fine: true }`,
		"SwallowedByAll":  `begin; way.insert("a", "a"); rescue Exception; end; { fine: true }`,
		"AndMore":         `begin; way.insert("a", "a"); rescue StandardError; end; way.insert("b")`,
		"Ensure":          `begin; way.insert("a", "a"); ensure; way.value("SELECT 1"); end`,
		"EnsureSavepoint": `begin; way.insert("a", "a"); ensure; way.transaction { way.insert("b") }; end`,
		"AnotherError":    `begin; way.insert("a", "a"); rescue StandardError; end; begin; way.insert("b"); rescue StandardError; end; way.run("SELECT nothing FROM nowhere")`,
	} {
		t.Run(name, func(t *testing.T) {
			e := w.inError(t, `way.insert("gone")`+"\n"+body, "")
			require.Contains(t, []string{w.unique, ways[0].unique}, e.Class)
			require.Contains(t, e.Message, `duplicate key value violates unique constraint "ledger_entry_key"`)
			require.NotContains(t, e.Message, "current transaction is aborted")
			require.False(t, e.Permanent)
		})
	}
}

func shares(t *testing.T, w *way) {
	w.completes(t, `1`, `
		id = -> { way.value("SELECT pg_current_xact_id()::text") }
		work = ->(i) { way.insert(i.to_s); id.call }
		ids = [work[0], way.in_thread { work[1] }.value, Fiber.new { work[2] }.resume, Enumerator.new { |y| y << work[3] }.next]
		ids += Array.new(8) { |i| way.in_thread { work[10 + i] } }.map(&:value)
		ids.uniq.size`, "")
	require.Len(t, w.entries(t), 12)
	require.Equal(t, orchestration.StepInError, w.handler(t, `
		way.in_thread { way.insert("gone") }.value
		Fiber.new { way.insert("gone too") }.resume
		raise "no"`, ", timeout_seconds: 60").State)
	require.Len(t, w.entries(t), 12)
}

func intrudes(t *testing.T, w *way) {
	e := w.inError(t, `
		way.transaction do
			way.insert("gone")
			way.in_thread { Thread.current.report_on_exception = false; way.insert("intrudes") }.value
		end`, "")
	require.Contains(t, e.Message, "another thread of this step is inside a savepoint")
}

func leavesAThread(t *testing.T, w *way) {
	w.eval(t, "$left = Queue.new; $in = Queue.new; $go = Queue.new; nil")
	w.completes(t, `null`, `
		way.in_thread { $in << 1; $go.pop; $left << (begin; way.insert("late"); "ran"; rescue StandardError => e; e.message; end) }
		way.insert("own")
		$in.pop # with a connection of the library's
		nil`, "")
	s := w.handler(t, `way.insert("other"); $go << 1; $left.pop`, ", timeout_seconds: 60")
	require.Contains(t, string(s.Results()), "the step has ended, and its transaction with it")
	require.Equal(t, []string{"own", "other"}, w.entries(t))
}

// The test holds a lock that a thread's statement waits for; the handler
// returns once it does.
func leavesAStatement(t *testing.T, w *way) {
	holder, err := w.pool.Acquire(t.Context())
	require.NoError(t, err)
	_, err = holder.Exec(t.Context(), "select pg_advisory_lock(99)")
	require.NoError(t, err)
	w.eval(t, "$waits = Queue.new; nil")
	told := make(chan struct{})
	go func() {
		defer close(told)
		for waiting := 0; waiting == 0; {
			if w.pool.QueryRow(t.Context(), `select count(*) from pg_locks where locktype = 'advisory' and not granted
				and database = (select oid from pg_database where datname = current_database())`).Scan(&waiting) != nil {
				return
			}
		}
		_, _ = host.Eval(t.Context(), "$waits << 1; nil", "waits.rb")
	}()
	e := w.inError(t, `
		way.insert("gone")
		way.in_thread { Thread.current.report_on_exception = false; way.run("SELECT pg_advisory_xact_lock(99)") }
		$waits.pop
		{ left: true }`, "")
	<-told
	require.Contains(t, e.Message, "the handler had returned")
	_, err = holder.Exec(t.Context(), "select pg_advisory_unlock(99)")
	require.NoError(t, err)
	holder.Release()
}

func sleeps(t *testing.T, w *way) {
	e := w.inError(t, `way.insert("gone"); way.run("SELECT pg_sleep(60)")`, ", timeout_seconds: 0.3")
	require.Equal(t, "Tasker::StepTimeout", e.Class)
	require.Zero(t, w.sleeping(t))
	// The server's own limit is there for when the worker is gone.
	s := w.handler(t, `way.value("SELECT setting::int FROM pg_settings WHERE name = 'statement_timeout'")`, ", timeout_seconds: 40")
	require.Regexp(t, `^4\d{4}$`, string(s.Results()))
}
