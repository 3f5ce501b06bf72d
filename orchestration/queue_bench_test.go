package orchestration_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgtest"
	"github.com/tasker-rb/tasker-rb/orchestration"
)

// The benchmarks of this file run b.N durable diamonds of four steps. Compare
// what one run prints, and nothing across runs:
//
//	go test -run xxx -bench Diamond -benchtime 2000x ./orchestration
//
// The tests' own server does not wait for the disk. TASKER_TEST_DATABASE_URL
// names one that does, and with it the figures are those of a real commit.
//
// floor is what PostgreSQL itself gives for the same writes, with nothing
// around them: no engine, no JSON, no goroutine for each step.
func BenchmarkDiamondSQL(b *testing.B) {
	b.Run("floor", func(b *testing.B) { floor(b, true) })
	b.Run("leases", func(b *testing.B) { byLeases(b, updating) })
	b.Run("river", func(b *testing.B) { byRiver(b, updating) })
}

func BenchmarkDiamondPlain(b *testing.B) {
	b.Run("floor", func(b *testing.B) { floor(b, false) })
	b.Run("leases", func(b *testing.B) { byLeases(b, plain) })
	b.Run("river", func(b *testing.B) { byRiver(b, plain) })
}

const benchConnections = 16

var benchResults = json.RawMessage(`{"ok": true, "amount": "12.50"}`)

func plain(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
	return benchResults, nil
}

// updating is a step with one UPDATE of the application's.
func updating(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
	tx, err := x.Tx(ctx)
	if err != nil {
		return nil, err
	}
	_, err = tx.Exec(ctx, updateSQL, x.StepID%accounts)
	return benchResults, err
}

const (
	accounts  = 1000
	updateSQL = "update accounts set n = n + 1 where id = $1"
)

func benchPool(b *testing.B) *pgxpool.Pool {
	b.Helper()
	cfg, err := pgxpool.ParseConfig(pgtest.URL(b, pgtest.WithTemplate(orchestration.Migrate)))
	require.NoError(b, err)
	cfg.MaxConns = benchConnections
	pool, err := pgxpool.NewWithConfig(b.Context(), cfg)
	require.NoError(b, err)
	b.Cleanup(pool.Close)
	_, err = pool.Exec(b.Context(), "create table accounts as select id, 0 as n from generate_series(0, 999) id")
	require.NoError(b, err)
	_, err = pool.Exec(b.Context(), "alter table accounts add primary key (id); alter table accounts set (fillfactor = 50)")
	require.NoError(b, err)
	return pool
}

// benchEngine also returns what is closed once b.N tasks have ended: to ask the
// server would be work for it that the floor does not have.
func benchEngine(b *testing.B, pool *pgxpool.Pool, h orchestration.StepHandlerFunc) (*orchestration.Engine, <-chan struct{}) {
	b.Helper()
	ended, all := atomic.Int64{}, make(chan struct{})
	e, err := orchestration.New(b.Context(), orchestration.Config{
		Pool: pool, Handlers: resolver{"A": h, "B": h, "C": h, "D": h}, Logger: slog.New(slog.DiscardHandler),
		OnEvent: func(event orchestration.Event) {
			if event.Kind == orchestration.EventTaskEnded && ended.Add(1) == int64(b.N) {
				close(all)
			}
		},
	})
	require.NoError(b, err)
	b.Cleanup(func() { _ = e.Close() })
	return e, all
}

// reportComplete stops the clock, and makes sure of what it measured.
func reportComplete(b *testing.B, pool *pgxpool.Pool) {
	b.Helper()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tasks/s")
	var n int
	require.NoError(b, pool.QueryRow(b.Context(), "select count(*) from tasker.tasks where state = 'complete'").Scan(&n))
	require.Equal(b, b.N, n)
}

// reportSubmitted is apart from the rest: it happens before the clock runs.
func reportSubmitted(b *testing.B, took time.Duration) {
	b.ReportMetric(float64(b.N)/took.Seconds(), "submitted/s")
}

func byLeases(b *testing.B, h orchestration.StepHandlerFunc) {
	pool := benchPool(b)
	e, all := benchEngine(b, pool, h)
	submitting := time.Now()
	_, err := e.SubmitMany(b.Context(), many(b.N, orchestration.Submission{Template: template(b, diamond, "")}))
	require.NoError(b, err)
	submitted := time.Since(submitting)
	defer reportSubmitted(b, submitted)
	ctx, stop := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	b.ResetTimer()
	go func() { ended <- e.Work(ctx, orchestration.WorkerConfig{}) }()
	<-all
	reportComplete(b, pool)
	stop()
	require.NoError(b, <-ended)
}

// ticket is a job of River's for one task.
type ticket struct {
	TaskID int64 `json:"task_id"`
}

func (ticket) Kind() string { return "tasker_task" }

type ticketWorker struct {
	river.WorkerDefaults[ticket]
	engine *orchestration.Engine
}

func (w *ticketWorker) Work(ctx context.Context, job *river.Job[ticket]) error {
	out, err := w.engine.Handle(ctx, job.Args.TaskID)
	if err == nil && !out.State.Final() {
		return river.JobSnooze(time.Until(out.Next))
	}
	return err
}

func byRiver(b *testing.B, h orchestration.StepHandlerFunc) {
	pool := benchPool(b)
	driver := riverpgxv5.New(pool)
	migrator, err := rivermigrate.New(driver, nil)
	require.NoError(b, err)
	_, err = migrator.Migrate(b.Context(), rivermigrate.DirectionUp, nil)
	require.NoError(b, err)
	e, all := benchEngine(b, pool, h)
	workers := river.NewWorkers()
	river.AddWorker(workers, &ticketWorker{engine: e})
	client, err := river.NewClient(driver, &river.Config{
		Queues:        map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 100}},
		Workers:       workers,
		FetchCooldown: time.Millisecond,
		Logger:        slog.New(slog.DiscardHandler),
	})
	require.NoError(b, err)
	submitting := time.Now()
	made, err := e.SubmitMany(b.Context(), many(b.N, orchestration.Submission{Template: template(b, diamond, "")}))
	require.NoError(b, err)
	jobs := make([]river.InsertManyParams, len(made))
	for i, m := range made {
		jobs[i].Args = ticket{m.TaskID}
	}
	_, err = client.InsertMany(b.Context(), jobs)
	require.NoError(b, err)
	submitted := time.Since(submitting)
	defer reportSubmitted(b, submitted)
	b.ResetTimer()
	require.NoError(b, client.Start(b.Context()))
	<-all
	reportComplete(b, pool)
	require.NoError(b, client.Stop(context.Background()))
}

// floor writes what the engine writes for a diamond: a lease for 20 tasks,
// then for each step the claim and the outcome (state, attempt, transition),
// with the application's UPDATE in the outcome's transaction.
func floor(b *testing.B, withSQL bool) {
	pool := benchPool(b)
	e, _ := benchEngine(b, pool, plain)
	_, err := e.SubmitMany(b.Context(), many(b.N, orchestration.Submission{Template: template(b, diamond, "")}))
	require.NoError(b, err)
	b.ResetTimer()
	var workers sync.WaitGroup
	var failure atomic.Pointer[error]
	for range benchConnections {
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
			select step_id, 'in_progress', 'complete', 1, 'the handler returned', now() from u`, step, string(benchResults))
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
