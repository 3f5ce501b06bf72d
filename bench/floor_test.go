package bench_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
)

// floor measures PostgreSQL alone: it writes the rows that the engine writes for
// a diamond, with no engine, no JSON and no goroutine for each step around them.
// That is a lease for 20 tasks, then for each step the claim and the outcome
// (state, attempt, transition), with the application's UPDATE in the outcome's
// transaction.
func floor(b *testing.B, withSQL bool) {
	pool := newPool(b)
	e, _ := newEngine(b, pool, plain)
	_, err := e.SubmitMany(b.Context(), diamonds(b, b.N))
	require.NoError(b, err)
	b.ResetTimer()
	var workers sync.WaitGroup
	var failure atomic.Pointer[error]
	for range connections {
		workers.Go(func() {
			for {
				n, err := floorLease(b.Context(), pool, withSQL)
				if err != nil {
					failure.Store(&err)
				}
				if err != nil || n == 0 {
					return
				}
			}
		})
	}
	workers.Wait()
	if err := failure.Load(); err != nil {
		require.NoError(b, *err)
	}
	reportComplete(b, pool)
}

func floorLease(ctx context.Context, pool *pgxpool.Pool, withSQL bool) (int, error) {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return 0, err
	}
	defer conn.Release()
	rows, err := conn.Query(ctx, `
		with d as (
			select task_id from tasker.tasks where state = 'pending' and held_by is null and wake_at <= clock_timestamp()
			order by priority desc, wake_at limit 20 for no key update skip locked),
		u as (
			update tasker.tasks k set held_by = 1, state = 'in_progress' from d where k.task_id = d.task_id returning k.task_id),
		w as (
			insert into tasker.task_transitions (task_id, from_state, to_state, reason, at)
			select task_id, 'pending', 'in_progress', 'begun', now() from u)
		select task_id, array(select step_id from tasker.steps s where s.task_id = u.task_id order by position) from u`)
	if err != nil {
		return 0, err
	}
	type leased struct {
		ID    int64
		Steps []int64
	}
	tasks, err := pgx.CollectRows(rows, pgx.RowToStructByPos[leased])
	for _, t := range tasks {
		if err := floorTask(ctx, conn, t.ID, t.Steps, withSQL); err != nil {
			return 0, err
		}
	}
	return len(tasks), err
}

func floorTask(ctx context.Context, conn *pgxpool.Conn, task int64, steps []int64, withSQL bool) error {
	for i, step := range steps {
		var batch pgx.Batch // one implicit transaction, one round trip
		batch.Queue(`
			with u as (
				update tasker.steps set state = 'in_progress', attempts = attempts + 1, claimed_by = 1, last_attempted_at = now()
				where step_id = $1 returning step_id)
			insert into tasker.step_transitions (step_id, from_state, to_state, attempt, reason, at)
			select step_id, 'pending', 'in_progress', 1, 'claimed', now() from u`, step)
		if err := conn.SendBatch(ctx, &batch).Close(); err != nil {
			return err
		}
		batch = pgx.Batch{}
		if withSQL {
			batch.Queue(updateSQL, step%accounts)
		}
		batch.Queue(`
			with u as (
				update tasker.steps set state = 'complete', claimed_by = null, ended_at = now() where step_id = $1 returning step_id),
			a as (
				insert into tasker.attempts (step_id, attempt, outcome, results, started_at, ended_at)
				select step_id, 1, 'complete', $2::json, now(), now() from u)
			insert into tasker.step_transitions (step_id, from_state, to_state, attempt, reason, at)
			select step_id, 'in_progress', 'complete', 1, 'the handler returned', now() from u`, step, string(stepResults))
		if i == len(steps)-1 {
			batch.Queue(`
				with u as (update tasker.tasks set state = 'complete', ended_at = now(), held_by = null where task_id = $1 returning task_id)
				insert into tasker.task_transitions (task_id, from_state, to_state, reason, at)
				select task_id, 'in_progress', 'complete', 'every step is done', now() from u`, task)
		}
		if err := conn.SendBatch(ctx, &batch).Close(); err != nil {
			return err
		}
	}
	return nil
}
