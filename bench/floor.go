package main

import (
	"context"
	"encoding/json"
	"os/exec"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"
)

// floor is the least that any program has to write to keep the tasks in PostgreSQL. A
// lease is one row for twenty tasks, a step is one row, and no row is ever changed. A
// step with SQL is a transaction of its own, in one round trip. Steps without SQL
// share the transaction of their lease and level.
type floor struct{}

func (floor) Name() string           { return "floor (pgx)" }
func (floor) Missing() []requirement { return nil }
func (floor) Runs(s Shape) bool      { return s.Beside.empty() }

func (floor) Prepare(ctx context.Context, conn *pgx.Conn, w Work) error {
	return makeLogTables(ctx, conn, w)
}

func (floor) Command(ctx context.Context, w Work) *exec.Cmd { return childCommand(ctx, "floor", w) }

func (floor) Verify(ctx context.Context, conn *pgx.Conn, w Work) error {
	return verifyLogTables(ctx, conn, w)
}

// makeLogTables makes the tables of the floor and of the loop in Ruby, with the tasks.
func makeLogTables(ctx context.Context, conn *pgx.Conn, w Work) error {
	for _, statement := range []string{
		"create table log_tasks (id bigint primary key, context json not null)",
		"create sequence log_batches",
		"create table log_leases (batch bigint primary key, at timestamptz not null default now())",
		`create table log_steps (task bigint not null, step int not null, results json not null, at timestamptz not null default now(),
			primary key (task, step))`,
	} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return errors.WithStack(err)
		}
	}
	_, err := conn.Exec(ctx, "insert into log_tasks select id, $2::json from generate_series(1, $1::int) id", w.Tasks, w.taskContext())
	if err == nil {
		_, err = conn.Exec(ctx, "vacuum analyze log_tasks")
	}
	return errors.WithStack(err)
}

func verifyLogTables(ctx context.Context, conn *pgx.Conn, w Work) error {
	return expect(ctx, conn, w.steps(), "rows of steps", "select count(*) from log_steps")
}

// runFloor is the program of the floor.
func runFloor(ctx context.Context, w Work, say func(string)) error {
	pool, err := openPool(ctx, w)
	if err != nil {
		return err
	}
	defer pool.Close()
	connections := make([]*pgxpool.Conn, poolConnections)
	for i := range connections {
		if connections[i], err = pool.Acquire(ctx); err != nil {
			return errors.WithStack(err)
		}
		defer connections[i].Release()
	}
	say("working")
	workers, ctx := errgroup.WithContext(ctx)
	for _, conn := range connections {
		workers.Go(func() error { return floorWorker(ctx, conn.Conn(), w) })
	}
	if err := workers.Wait(); err != nil {
		return err
	}
	say("done")
	return nil
}

// floorWorker takes leases until there is no task left.
func floorWorker(ctx context.Context, conn *pgx.Conn, w Work) error {
	for {
		var batch int64
		if err := conn.QueryRow(ctx, "insert into log_leases values (nextval('log_batches')) returning batch").Scan(&batch); err != nil {
			return errors.WithStack(err)
		}
		rows, err := conn.Query(ctx, "select id, context::text from log_tasks where id between $1 and $2", (batch-1)*int64(w.Lease)+1, batch*int64(w.Lease))
		if err != nil {
			return errors.WithStack(err)
		}
		tasks, err := pgx.CollectRows(rows, pgx.RowToStructByPos[floorTask])
		if err != nil || len(tasks) == 0 {
			return errors.WithStack(err)
		}
		if w.SQL {
			for _, t := range tasks {
				if err := t.stepByStep(ctx, conn, w); err != nil {
					return err
				}
			}
		} else if err := levelByLevel(ctx, conn, w, tasks); err != nil {
			return err
		}
	}
}

type floorTask struct {
	ID      int64
	Context string
}

const floorStepSQL = "insert into log_steps (task, step, results) values ($1, $2, $3)"

// stepByStep runs a task whose steps have SQL.
func (t floorTask) stepByStep(ctx context.Context, conn *pgx.Conn, w Work) error {
	for step := range (Shape{Levels: w.Levels}).Steps() {
		var batch pgx.Batch // one implicit transaction, one round trip
		batch.Queue(updateSQL, account(t.ID, step))
		batch.Queue(floorStepSQL, t.ID, step, stepResults)
		if err := conn.SendBatch(ctx, &batch).Close(); err != nil {
			return errors.WithStack(err)
		}
	}
	return nil
}

// levelByLevel runs the tasks of a lease side by side.
func levelByLevel(ctx context.Context, conn *pgx.Conn, w Work, tasks []floorTask) error {
	step := 0
	for _, width := range w.Levels {
		var ids []int64
		var steps []int
		for _, t := range tasks {
			for i := range width {
				if err := t.read(w); err != nil {
					return err
				}
				ids, steps = append(ids, t.ID), append(steps, step+i)
			}
		}
		time.Sleep(w.wait()) // all steps of the level wait at the same time
		_, err := conn.Exec(ctx, "insert into log_steps (task, step, results) select *, $3::json from unnest($1::bigint[], $2::int[])", ids, steps, stepResults)
		if err != nil {
			return errors.WithStack(err)
		}
		step += width
	}
	return nil
}

// read parses the context as a step does.
func (t floorTask) read(w Work) error {
	if w.ContextBytes == 0 {
		return nil
	}
	var input map[string]string
	return errors.WithStack(json.Unmarshal([]byte(t.Context), &input))
}
