package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"os/exec"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// riverQueue has a River job for each step. A step's SQL, the end of its job and the jobs
// of the next level are one transaction.
type riverQueue struct{}

func (riverQueue) Name() string           { return "River (Go)" }
func (riverQueue) Missing() []requirement { return nil }
func (riverQueue) Runs(s Shape) bool      { return s.Beside.empty() }

func (riverQueue) Prepare(ctx context.Context, conn *pgx.Conn, w Work) error {
	if err := makeJobTables(ctx, conn); err != nil {
		return err
	}
	pool, err := openPool(ctx, w)
	if err != nil {
		return err
	}
	defer pool.Close()
	driver := riverpgxv5.New(pool)
	migrator, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return errors.WithStack(err)
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return errors.WithStack(err)
	}
	client, err := river.NewClient(driver, &river.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return errors.WithStack(err)
	}
	var jobs []river.InsertManyParams
	for task := range int64(w.Tasks) {
		jobs = append(jobs, riverLevel(w, task+1, 0, w.taskContext())...)
	}
	const most = 1000 // in one statement
	for len(jobs) > 0 {
		n := min(most, len(jobs))
		if _, err := client.InsertMany(ctx, jobs[:n]); err != nil {
			return errors.WithStack(err)
		}
		jobs = jobs[n:]
	}
	return nil
}

func (riverQueue) Command(ctx context.Context, w Work) *exec.Cmd {
	return childCommand(ctx, "river", w)
}

func (riverQueue) Verify(ctx context.Context, conn *pgx.Conn, w Work) error {
	return errors.CombineErrors(verifyJobTables(ctx, conn, w),
		expect(ctx, conn, w.steps(), "jobs completed", "select count(*) from river_job where state = 'completed'"))
}

// riverStep is the job for a step.
type riverStep struct {
	Task    int64           `json:"task"`
	Level   int             `json:"level"`
	Step    int             `json:"step"`
	Context json.RawMessage `json:"context"`
}

func (riverStep) Kind() string { return "step" }

// riverLevel returns the jobs for a level of a task.
func riverLevel(w Work, task int64, level int, input string) []river.InsertManyParams {
	first := Shape{Levels: w.Levels[:level]}.Steps()
	jobs := make([]river.InsertManyParams, w.Levels[level])
	for i := range jobs {
		jobs[i].Args = riverStep{task, level, first + i, json.RawMessage(input)}
	}
	return jobs
}

type riverWorker struct {
	river.WorkerDefaults[riverStep]
	work  Work
	pool  *pgxpool.Pool
	ended atomic.Int64
	done  chan struct{} // is closed when all tasks are done
}

// runRiver is the program.
func runRiver(ctx context.Context, w Work, say func(string)) error {
	pool, err := openPool(ctx, w)
	if err != nil {
		return err
	}
	defer pool.Close()
	worker := &riverWorker{work: w, pool: pool, done: make(chan struct{})}
	workers := river.NewWorkers()
	river.AddWorker(workers, worker)
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		Queues:        map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 100}},
		Workers:       workers,
		FetchCooldown: time.Millisecond, // the shortest; by default a fetch waits 100 ms after the one before
		Logger:        slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return errors.WithStack(err)
	}
	if err := pool.Ping(ctx); err != nil {
		return errors.WithStack(err)
	}
	say("working")
	if err := client.Start(context.WithoutCancel(ctx)); err != nil {
		return errors.WithStack(err)
	}
	select {
	case <-worker.done:
		say("done")
	case <-ctx.Done():
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return errors.WithStack(client.Stop(stopping))
}

func (r *riverWorker) Work(ctx context.Context, job *river.Job[riverStep]) error {
	time.Sleep(r.work.wait())
	if r.work.ContextBytes > 0 {
		var input map[string]string
		if err := json.Unmarshal(job.Args.Context, &input); err != nil {
			return errors.WithStack(err)
		}
	}
	last := false
	err := pgx.BeginFunc(ctx, r.pool, func(tx pgx.Tx) (err error) {
		last, err = r.step(ctx, tx, job)
		return err
	})
	if err == nil && last && r.ended.Add(1) == int64(r.work.Tasks) {
		close(r.done)
	}
	return err
}

// step does everything in the step's transaction. It says whether the task has ended.
func (r *riverWorker) step(ctx context.Context, tx pgx.Tx, job *river.Job[riverStep]) (bool, error) {
	args := job.Args
	if r.work.SQL {
		if _, err := tx.Exec(ctx, updateSQL, account(args.Task, args.Step)); err != nil {
			return false, errors.WithStack(err)
		}
	}
	if _, err := river.JobCompleteTx[*riverpgxv5.Driver](ctx, tx, job); err != nil {
		return false, errors.WithStack(err)
	}
	if width := r.work.Levels[args.Level]; width > 1 {
		var ended int
		if err := tx.QueryRow(ctx, joinSQL, args.Task, args.Level).Scan(&ended); err != nil || ended < width {
			return false, errors.WithStack(err)
		}
	}
	if args.Level+1 < len(r.work.Levels) {
		client := river.ClientFromContext[pgx.Tx](ctx)
		_, err := client.InsertManyTx(ctx, tx, riverLevel(r.work, args.Task, args.Level+1, string(args.Context)))
		return false, errors.WithStack(err)
	}
	_, err := tx.Exec(ctx, "insert into job_tasks values ($1)", args.Task)
	return true, errors.WithStack(err)
}
