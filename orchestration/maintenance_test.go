package orchestration_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// A worker's session is killed. Within seconds another worker takes its tasks over, and
// the late results of the first change nothing.
func TestTasksOfAWorkerWithoutSessionAreTakenOver(t *testing.T) {
	t.Parallel()
	begun, finish := make(chan struct{}, 8), make(chan struct{})
	first := engine(t, funcs{"A": func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
		begun <- struct{}{}
		<-finish
		return json.RawMessage(`"late"`), nil
	}}, func(c *orchestration.Config) { c.MaxParallelSteps = 1 })
	id := first.submit(t, template(t, "a:", ""), "{}")
	stop := first.work(t, orchestration.WorkerConfig{Poll: time.Hour, MaxTasks: 1})
	<-begun
	_, err := first.pool.Exec(t.Context(), `select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and classid = 1952543595
		and database = (select oid from pg_database where datname = current_database())`)
	require.NoError(t, err)
	second := engineOn(t, first.pool, funcs{"A": value(`"second"`)})
	second.work(t, orchestration.WorkerConfig{Poll: 50 * time.Millisecond})
	second.waitForTasks(t, orchestration.TaskComplete, 1)
	close(finish)
	stop()
	d, err := second.Task(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, `"second"`, string(step(t, d, "a").Results()))
	require.Equal(t, []string{"lost", "complete"}, []string{step(t, d, "a").History[0].Outcome, step(t, d, "a").History[1].Outcome})
}

// An engine that lost its session has lost its claims. Another engine takes the step
// over, and the late result changes nothing.
func TestLostClaimIsTakenOver(t *testing.T) {
	t.Parallel()
	begun, finish := make(chan struct{}, 1), make(chan struct{})
	slow := func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		tx, err := x.Tx(ctx)
		if err != nil {
			return nil, err
		}
		if _, err := tx.Exec(ctx, "insert into ledger values ('first')"); err != nil {
			return nil, err
		}
		begun <- struct{}{}
		<-finish
		return json.RawMessage(`"late"`), nil
	}
	first := engine(t, funcs{"A": slow})
	_, err := first.pool.Exec(t.Context(), "create table ledger (who text)")
	require.NoError(t, err)
	id := first.submit(t, template(t, "a:\nb: a", ""), "{}")
	ended := make(chan orchestration.Outcome, 1)
	go func() {
		out, err := first.Run(t.Context(), id)
		if err != nil {
			t.Error(err)
		}
		ended <- out
	}()
	<-begun
	_, err = first.pool.Exec(t.Context(), `select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and classid = 1952543595
		and database = (select oid from pg_database where datname = current_database())`)
	require.NoError(t, err)
	second := engineOn(t, first.pool, funcs{"A": func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		tx, err := x.Tx(ctx)
		if err != nil {
			return nil, err
		}
		_, err = tx.Exec(ctx, "insert into ledger values ('second')")
		return json.RawMessage(`"second"`), err
	}})
	out, err := second.Run(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, orchestration.TaskComplete, out.State)
	close(finish)
	require.Equal(t, orchestration.TaskComplete, (<-ended).State)
	d, err := second.Task(t.Context(), id)
	require.NoError(t, err)
	a := step(t, d, "a")
	require.Equal(t, `"second"`, string(a.Results()))
	require.Equal(t, 2, a.Attempts)
	require.Equal(t, "lost", a.History[0].Outcome)
	var who []string
	require.NoError(t, first.pool.QueryRow(t.Context(), "select array_agg(who) from ledger").Scan(&who))
	require.Equal(t, []string{"second"}, who)
}
