package rubysteps_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/templates"
)

// body runs a step whose handler calls the method of Suite::Bodies of this name.
func (a *activeRecord) body(t *testing.T, name, more string) *orchestration.StepDetail {
	t.Helper()
	a.bodies++ // a name of its own for each template
	template, err := templates.Parse(fmt.Appendf(nil, `name: body_%d
step_templates:
  - {name: only, handler_class: "Suite::Body", backoff: {curve: none, base_seconds: 0}%s}
`, a.bodies, more), "body.yaml")
	require.NoError(t, err)
	return a.task(t, template, map[string]any{"body": name})
}

const oneAttempt = ", default_retry_limit: 1"

func (a *activeRecord) completes(t *testing.T, name, more, results string) {
	t.Helper()
	s := a.body(t, name, more)
	require.Equal(t, orchestration.StepComplete, s.State, "%+v", s.Last().Err)
	if results != "" {
		require.JSONEq(t, results, string(s.Results()))
	}
	requireAllGivenBack(t, a.pool, "the step holds a connection")
}

func (a *activeRecord) fails(t *testing.T, name, more string, attempts int) *orchestration.StepError {
	t.Helper()
	s := a.body(t, name, more)
	require.Equal(t, orchestration.StepInError, s.State)
	require.Equal(t, attempts, s.Attempts)
	requireAllGivenBack(t, a.pool, "the step holds a connection")
	return s.Last().Err
}

// told returns what the models' callbacks have reported since the last call.
func (a *activeRecord) told(t *testing.T) []string {
	t.Helper()
	var told []string
	require.NoError(t, json.Unmarshal(a.call(t, "Suite.told"), &told))
	return told
}

func (a *activeRecord) column(t *testing.T, sql string) []string {
	t.Helper()
	rows, err := a.pool.Query(t.Context(), sql)
	require.NoError(t, err)
	var values []string
	for rows.Next() {
		var v string
		require.NoError(t, rows.Scan(&v))
		values = append(values, v)
	}
	require.NoError(t, rows.Err())
	return values
}

func (a *activeRecord) orders(t *testing.T) []string {
	return a.column(t, "select number from orders order by number")
}
func (a *activeRecord) journal(t *testing.T) []string {
	return a.column(t, "select entry from journal order by id")
}

// What a step does through ActiveRecord commits, or is rolled back, with the step.
func TestActiveRecordSteps(t *testing.T) {
	a := newActiveRecord(t)
	run := func(name string, f func(t *testing.T)) {
		t.Run(name, func(t *testing.T) {
			_, err := a.pool.Exec(t.Context(), "truncate journal, lines, orders, profiles, accounts")
			require.NoError(t, err)
			a.told(t)
			f(t)
		})
	}

	run("CallbacksComeOnceAndAfterTheCommit", func(t *testing.T) {
		a.completes(t, "saves_again_and_again", oneAttempt, `{"told":[]}`)
		require.Equal(t, []string{"created 1"}, a.told(t))
		a.completes(t, "updates", oneAttempt, "")
		require.Equal(t, []string{"updated 1"}, a.told(t))
		a.completes(t, "destroys", oneAttempt, "")
		require.Equal(t, []string{"destroyed 1"}, a.told(t))
		require.Empty(t, a.orders(t))
	})
	run("TheReaperOutlivesTheStepThatHasStartedIt", func(t *testing.T) {
		a.completes(t, "starts_a_reaper", oneAttempt, "")
		s := a.body(t, "reaps", oneAttempt)
		require.Equal(t, orchestration.StepComplete, s.State, "%+v", s.Last().Err)
		require.NotContains(t, string(s.Results()), "Error")
		require.Contains(t, string(s.Results()), `"dead":0`)
	})
	run("CallbacksOfAStepThatFails", func(t *testing.T) {
		require.Equal(t, "ArgumentError", a.fails(t, "raises", oneAttempt, 1).Class)
		require.Equal(t, []string{"rolled back 1"}, a.told(t))
		require.Empty(t, a.orders(t))
	})
	run("AnUpdateThatWasUndoneIsMadeAgain", func(t *testing.T) {
		a.completes(t, "undoes_an_update", oneAttempt, `{"placed_on":"2026-01-01","told":["rolled back u"]}`)
		require.Equal(t, []string{"created u"}, a.told(t))
	})
	run("SavepointsOfTheNativeDatabase", func(t *testing.T) {
		a.completes(t, "inside_the_native_transaction", oneAttempt, `{"told":["rolled back gone"]}`)
		require.Equal(t, []string{"created kept"}, a.told(t))
		require.Equal(t, []string{"kept"}, a.orders(t))
	})
	run("TwoInstancesOfARow", func(t *testing.T) {
		a.completes(t, "two_instances", oneAttempt, "")
		require.Equal(t, []string{"created 1"}, a.told(t))
	})
	run("TwoConnections", func(t *testing.T) {
		a.completes(t, "two_connections", oneAttempt, "")
		require.Equal(t, []string{"created 1"}, a.told(t))
	})
	run("BlocksThatWaitForAllTransactions", func(t *testing.T) {
		for range 8 { // on every thread of the host
			a.completes(t, "waits_for_all_transactions", oneAttempt, `{"told":["rolled back 2"]}`)
			require.ElementsMatch(t, []string{
				"first", "of models", "created 1", "after a record", "in a transaction", "of models in a transaction",
			}, a.told(t))
			_, err := a.pool.Exec(t.Context(), "truncate orders, lines")
			require.NoError(t, err)
		}
		a.fails(t, "waits_and_fails", oneAttempt, 1)
		require.Equal(t, []string{"rolled back 1"}, a.told(t))
	})
	run("CallbacksWorkOutsideTheStep", func(t *testing.T) {
		a.completes(t, "works_after_the_commit", oneAttempt, "")
		require.Equal(t, []string{"in step: false, order is there: true"}, a.journal(t))
	})
	run("CallbacksFailNothing", func(t *testing.T) {
		a.completes(t, "raises_after_the_commit", oneAttempt, "")
		require.Equal(t, []string{"raises"}, a.orders(t))
		a.completes(t, "counts", oneAttempt, `0`)
	})
	run("HooksOfGems", func(t *testing.T) {
		a.completes(t, "uses_the_hooks_of_gems", oneAttempt, `{"open":true,"told":["before"]}`)
		require.Equal(t, []string{"committed"}, a.told(t))
	})
	run("ASwallowedFailureFailsTheStepWithItsReason", func(t *testing.T) {
		e := a.fails(t, "swallows_a_failure", oneAttempt, 1)
		require.Contains(t, e.Message, "division by zero")
		require.Empty(t, a.orders(t))
	})
	run("AViolationInASaveLeavesTheStepUsable", func(t *testing.T) {
		a.completes(t, "rescues_a_violation", oneAttempt, `{"cause":"PG::UniqueViolation","orders":["1","2"]}`)
		require.Equal(t, []string{"1", "2"}, a.orders(t))
	})
	run("ADeadlockIsTriedAgain", func(t *testing.T) {
		a.completes(t, "deadlocks_once", "", `{"attempts":2}`)
		require.Equal(t, []string{"d"}, a.orders(t))
		require.Equal(t, []string{"rolled back d", "created d"}, a.told(t))
	})
	run("ASwallowedDeadlockFailsTheStep", func(t *testing.T) {
		e := a.fails(t, "swallows_a_deadlock", oneAttempt, 1)
		require.Contains(t, e.Message, "as if")
		require.False(t, e.Permanent)
		require.Empty(t, a.orders(t))
	})
	run("AMigrationIsAPermanentError", func(t *testing.T) {
		e := a.fails(t, "migrates", "", 1)
		require.Equal(t, "Tasker::ActiveRecord::SchemaChangeError", e.Class)
		require.Equal(t, "SCHEMA_CHANGE_IN_STEP", e.ErrorCode)
		require.True(t, e.Permanent)
	})
	run("IsolationOfTheTemplate", func(t *testing.T) {
		a.completes(t, "isolation", oneAttempt+", isolation: serializable", `["serializable","serializable"]`)
		a.completes(t, "isolation", oneAttempt, `["read committed","read committed"]`)
	})
	run("WithoutTheStepsTransaction", func(t *testing.T) {
		a.fails(t, "commits_by_itself", oneAttempt+", transaction: none", 1)
		require.Equal(t, []string{"own"}, a.orders(t))
		require.Equal(t, []string{`["created own"]`}, a.journal(t))
	})
	run("TheStepsTimeout", func(t *testing.T) {
		began := time.Now()
		e := a.fails(t, "sleeps", ", default_retry_limit: 1, timeout_seconds: 0.5", 1)
		require.Equal(t, "Tasker::StepTimeout", e.Class)
		require.Less(t, time.Since(began), time.Minute)
		require.Empty(t, a.journal(t))
		for range 8 { // on every thread of the host
			a.completes(t, "counts", oneAttempt, `0`)
		}
	})
	run("ALostConnection", func(t *testing.T) {
		a.completes(t, "loses_its_connection", "", `["attempt 2"]`)
		require.Equal(t, []string{"attempt 2"}, a.journal(t))
	})
	run("ATableThatChanges", func(t *testing.T) {
		for range 8 {
			a.completes(t, "reads_prepared", oneAttempt, "")
		}
		_, err := a.pool.Exec(t.Context(), "alter table journal add extra int")
		require.NoError(t, err)
		for range 8 {
			s := a.body(t, "reads_prepared", "")
			require.Equal(t, orchestration.StepComplete, s.State, "%+v", s.Last().Err)
			require.LessOrEqual(t, s.Attempts, 2, "an outdated plan costs one attempt")
		}
		a.pool.Reset() // a connection that no step has had meanwhile keeps its plan
	})
	run("TheQueryCacheEndsWithTheStep", func(t *testing.T) {
		for range 8 {
			a.completes(t, "turns_the_query_cache_on", oneAttempt, `0`)
		}
		_, err := a.pool.Exec(t.Context(), "insert into journal (entry) values ('new')")
		require.NoError(t, err)
		for range 8 {
			a.completes(t, "counts", oneAttempt, `1`)
		}
		_, err = a.pool.Exec(t.Context(), "insert into journal (entry) values ('newer')")
		require.NoError(t, err)
		for range 8 {
			a.completes(t, "counts_after_another_thread", oneAttempt, `2`)
		}
	})
	run("ARollbackInAnotherThread", func(t *testing.T) { // its savepoint is over, and hinders nobody
		a.completes(t, "counts_after_a_rollback_in_another_thread", oneAttempt, `0`)
	})
	run("AThreadThatOutlivesItsStep", func(t *testing.T) {
		a.completes(t, "outlives_the_step", oneAttempt, "")
		a.completes(t, "saves_again_and_again", oneAttempt, "") // its callbacks wake the thread
		require.Empty(t, a.journal(t))
	})
	run("ATransactionThatIsLeftOpen", func(t *testing.T) {
		a.completes(t, "leaves_a_transaction_open", oneAttempt, "")
		require.Equal(t, []string{"kept"}, a.journal(t))
		for range 8 {
			a.completes(t, "writes_an_entry", oneAttempt, "")
		}
		require.Len(t, a.journal(t), 9)
	})
	run("NothingIsLeft", func(t *testing.T) {
		for range 100 {
			a.completes(t, "writes_an_entry", oneAttempt, "")
		}
		var last struct{ Connections int }
		require.NoError(t, json.Unmarshal(a.body(t, "writes_an_entry", oneAttempt).Results(), &last))
		require.LessOrEqual(t, last.Connections, 32, "ActiveRecord's pool grows with the steps")
		require.Len(t, a.journal(t), 101)
	})
}
