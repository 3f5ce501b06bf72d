package rubysteps_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

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

func TestAThreadThatOutlivesItsStepHasNoTransaction(t *testing.T) {
	d := newDatabase(t)
	s := d.step(t, "LeavesThread", `
		$left = Queue.new; $go = Queue.new
		Tasker.db.exec("INSERT INTO ledger (entry) VALUES ('own')")
		Tasker.keep_thread { Thread.new { $go.pop; $left << (begin; Tasker.db.exec("INSERT INTO ledger (entry) VALUES ('late')"); "ran"; rescue => e; e.message; end) } }
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
