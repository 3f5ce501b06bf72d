package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"os/exec"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/dbos-inc/dbos-transact-golang/dbos"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

// dbosTransact is DBOS Transact: a workflow for each task, and a step or a transaction
// for each step. Its queues are read every second, so the workflows are started in the
// measured process: writing down that they exist is part of the measured work.
type dbosTransact struct{}

func (dbosTransact) Name() string           { return "DBOS Transact (Go)" }
func (dbosTransact) Missing() []requirement { return nil }
func (dbosTransact) Runs(s Shape) bool      { return s.Beside.empty() }

func (dbosTransact) Prepare(context.Context, *pgx.Conn, Work) error { return nil }

func (dbosTransact) Command(ctx context.Context, w Work) *exec.Cmd {
	return childCommand(ctx, "dbos", w)
}

func (dbosTransact) Verify(ctx context.Context, conn *pgx.Conn, w Work) error {
	return errors.CombineErrors(
		expect(ctx, conn, w.Tasks, "workflows", "select count(*) from dbos.workflow_status where status = 'SUCCESS'"),
		expect(ctx, conn, w.steps(), "steps", "select count(*) from dbos.operation_outputs where error is null"))
}

// dbosWorkflows is how many workflows run at a time, as our engine holds tasks.
const dbosWorkflows = 100

// dbosInput is the input of a workflow.
type dbosInput struct {
	Task    int64  `json:"task"`
	Context string `json:"context"`
}

// runDBOS is the program.
func runDBOS(ctx context.Context, w Work, say func(string)) (err error) {
	pool, err := openPool(ctx, w)
	if err != nil {
		return err
	}
	defer pool.Close()
	d, err := dbos.NewContext(context.WithoutCancel(ctx), dbos.Config{
		AppName: "bench", SystemDBPool: pool, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return errors.WithStack(err)
	}
	// With the pool of its own tables, DBOS writes a step's row in the transaction of the
	// step.
	source, err := dbos.NewDataSource(d, pool)
	if err != nil {
		return errors.WithStack(err)
	}
	workflow := func(ctx dbos.Context, input dbosInput) (string, error) { return runWorkflow(ctx, source, w, input) }
	dbos.RegisterWorkflow(d, workflow, dbos.WithWorkflowName("measured"))
	if err := dbos.Launch(d); err != nil {
		return errors.WithStack(err)
	}
	defer func() { err = errors.CombineErrors(err, dbos.Shutdown(d, 10*time.Second)) }()
	input := w.taskContext()
	say("working")
	var next atomic.Int64
	var runners errgroup.Group
	for range dbosWorkflows {
		runners.Go(func() error {
			for {
				task := next.Add(1)
				if task > int64(w.Tasks) {
					return nil
				}
				handle, err := dbos.RunWorkflow(d, workflow, dbosInput{task, input})
				if err != nil {
					return errors.WithStack(err)
				}
				if _, err := handle.GetResult(); err != nil {
					return errors.WithStack(err)
				}
			}
		})
	}
	if err := runners.Wait(); err != nil {
		return err
	}
	say("done")
	return nil
}

// runWorkflow runs the steps of a task. Steps beside each other run at the same time
// unless they have SQL: DBOS has no such call for transactions.
func runWorkflow(ctx dbos.Context, source *dbos.DataSource, w Work, input dbosInput) (string, error) {
	first := 0
	for _, width := range w.Levels {
		if err := runLevel(ctx, source, w, input, first, width); err != nil {
			return "", err
		}
		first += width
	}
	return stepResults, nil
}

func runLevel(ctx dbos.Context, source *dbos.DataSource, w Work, input dbosInput, first, width int) error {
	if w.SQL {
		for i := range width {
			_, err := dbos.RunAsTransaction(ctx, source, func(ctx context.Context, tx dbos.Tx) (string, error) {
				_, err := tx.Exec(ctx, updateSQL, account(input.Task, first+i))
				return stepResults, err
			})
			if err != nil {
				return err
			}
		}
		return nil
	}
	step := func(context.Context) (string, error) {
		time.Sleep(w.wait())
		if w.ContextBytes == 0 {
			return stepResults, nil
		}
		var payload map[string]string
		return stepResults, json.Unmarshal([]byte(input.Context), &payload)
	}
	if width == 1 {
		_, err := dbos.RunAsStep(ctx, step)
		return err
	}
	var outcomes []<-chan dbos.StepOutcome[string]
	for range width {
		outcome, err := dbos.Go(ctx, step)
		if err != nil {
			return err
		}
		outcomes = append(outcomes, outcome)
	}
	for _, outcome := range outcomes {
		if o := <-outcome; o.Err != nil {
			return o.Err
		}
	}
	return nil
}
