package rubysteps_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

func TestAStatementStillRunningWhenTheStepEndsIsCancelled(t *testing.T) {
	// A thread of the handler's own is ended with the step; a kept one goes on.
	for name, c := range map[string]struct{ thread, message string }{
		"Own":  {"Thread.new { %s }", "the statement was cancelled"},
		"Kept": {"Tasker.keep_thread { Thread.new { %s } }", "the statement was cancelled: the handler had returned"},
	} {
		t.Run(name, func(t *testing.T) {
			leavesAStatementRunning(t, "LeavesQuery"+name, fmt.Sprintf(c.thread, `Tasker.db.exec("SELECT pg_advisory_xact_lock(99)")`), c.message)
		})
	}
}

func leavesAStatementRunning(t *testing.T, class, thread, message string) {
	t.Helper()
	d := newDatabase(t)
	// The test holds an advisory lock. The thread's statement waits for it, and the
	// handler returns once the statement waits.
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
	s := d.step(t, class, `
		Tasker.db.exec("INSERT INTO ledger (entry) VALUES ('gone')")
		thread = `+thread+`
		thread.report_on_exception = false
		$waits.pop
		{ left: true }`, "")
	require.Equal(t, orchestration.StepInError, s.State)
	require.Equal(t, "Tasker::SQLError::QueryCanceled", s.Last().Err.Class)
	require.Contains(t, s.Last().Err.Message, message)
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
	d.requireNoneSleeps(t)
}

// Ruby's own Timeout cancels the statement, and that fails the transaction. On a busy machine
// the time may be over before the statement begins; then there is a longer one.
func TestRubysTimeoutCancelsTheStatement(t *testing.T) {
	d := newDatabase(t)
	s := d.step(t, "TimesOut", `
		require "timeout"
		[1, 5, 25].each do |seconds|
			Timeout.timeout(seconds) { Tasker.db.exec("SELECT pg_sleep(60)") }
		rescue Timeout::Error
			Tasker.db.exec("SELECT 1")
		end`, "")
	require.Equal(t, "Tasker::SQLError::QueryCanceled", s.Last().Err.Class)
	d.requireNoneSleeps(t)
	s = d.step(t, "TimesOutInASavepoint", `
		require "timeout"
		begin
			Tasker.db.transaction { Timeout.timeout(1) { Tasker.db.exec("SELECT pg_sleep(60)") } }
		rescue Timeout::Error
			Tasker.db.first("SELECT 1 AS one")
		end`, "")
	require.JSONEq(t, `{"one":1}`, string(s.Results()), s.Last().Err)
}

// requireNoneSleeps requires that no statement runs pg_sleep any more. A connection that
// was closed ends its statement in a moment.
func (d *database) requireNoneSleeps(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		var sleeping int
		require.NoError(t, d.pool.QueryRow(t.Context(), `select count(*) from pg_stat_activity
			where datname = current_database() and state = 'active' and query like '%pg_sleep%' and pid <> pg_backend_pid()`).Scan(&sleeping))
		return sleeping == 0
	}, time.Minute, time.Millisecond)
}
