package rubysteps_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// Two steps lock two rows in opposite order. One of them is the deadlock's victim;
// it is tried again, and both complete.
func TestADeadlockIsRetried(t *testing.T) {
	d := newDatabase(t)
	_, err := d.pool.Exec(t.Context(), `insert into ledger (entry, amount) values ('x', 0), ('y', 0)`)
	require.NoError(t, err)
	task := d.run(t, "Deadlocks", `
		first, second = (step.name == "a") == (step.attempts == 1) ? %w[x y] : %w[y x] # again in the other's order
		add = ->(entry) { Tasker.db.exec("UPDATE ledger SET amount = amount + 1 WHERE entry = $1", [entry]) }
		add[first]
		if step.attempts == 1
			($meet ||= Queue.new) << 1
			Thread.pass until $meet.size >= 2
		end
		add[second]
		nil`, "  - {name: a, handler_class: Deadlocks, backoff: {curve: none, base_seconds: 0}}\n  - {name: b, handler_class: Deadlocks, backoff: {curve: none, base_seconds: 0}}\n")
	require.Equal(t, orchestration.TaskComplete, task.State)
	var victims []string
	for _, s := range task.Steps {
		for _, a := range s.History {
			if a.Err != nil {
				victims = append(victims, a.Err.Class)
			}
		}
	}
	require.Equal(t, []string{"Tasker::SQLError::DeadlockDetected"}, victims)
	var amounts []int
	require.NoError(t, d.pool.QueryRow(t.Context(), `select array_agg(amount::int) from ledger`).Scan(&amounts))
	require.Equal(t, []int{2, 2}, amounts)
}

func TestASerializationFailureIsRetried(t *testing.T) {
	d := newDatabase(t)
	_, err := d.pool.Exec(t.Context(), `insert into ledger (entry, amount) values ('x', 0)`)
	require.NoError(t, err)
	task := d.run(t, "Serializes", `
		n = Tasker.db.first("SELECT amount FROM ledger WHERE entry = 'x'")["amount"]
		if step.attempts == 1
			($both ||= Queue.new) << 1
			Thread.pass until $both.size >= 2
		end
		Tasker.db.exec("UPDATE ledger SET amount = $1 WHERE entry = 'x'", [n + 1])
		nil`, "  - {name: a, handler_class: Serializes, isolation: repeatable read, backoff: {curve: none, base_seconds: 0}}\n"+
		"  - {name: b, handler_class: Serializes, isolation: repeatable read, backoff: {curve: none, base_seconds: 0}}\n")
	require.Equal(t, orchestration.TaskComplete, task.State)
	var amount int
	require.NoError(t, d.pool.QueryRow(t.Context(), `select amount::int from ledger`).Scan(&amount))
	require.Equal(t, 2, amount)
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

// A connection may die while it is idle in the pool.
func TestADeadConnectionOfThePoolIsReplaced(t *testing.T) {
	d := newDatabase(t)
	_, err := d.pool.Exec(t.Context(), `select pg_terminate_backend(pid) from pg_stat_activity
		where datname = current_database() and pid <> pg_backend_pid() and query not like 'listen%'`)
	require.NoError(t, err)
	s := d.step(t, "FindsADeadConnection", `Tasker.db.first("SELECT 1 AS one")`, "")
	require.Equal(t, orchestration.StepComplete, s.State, s.Last().Err)
}
