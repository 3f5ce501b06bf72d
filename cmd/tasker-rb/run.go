package main

import (
	"context"
	"encoding/json"
	"log/slog"

	"github.com/cockroachdb/errors"
	"github.com/spf13/cobra"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/orchestration/rubysteps"
	"github.com/tasker-rb/tasker-rb/rubyhost"
	"github.com/tasker-rb/tasker-rb/templates"
)

type runCommand struct {
	handlers handlerFlags
	context  string
	env      string
	output   string
	migrate  bool
	scratch  bool
}

func newRun() *cobra.Command {
	r := &runCommand{}
	cmd := &cobra.Command{
		Use:   "run TEMPLATE",
		Short: "Run one task to its end",
		Long: `Run one task to its end, retries included, and show the progress of its steps.

The exit code is 0 when the task is complete, 1 when it ended in error, and 2
when the input was wrong. With exit code 2 nothing was written, unless the error
says so.`,
		Example: `  tasker-rb run order.yaml --context '{"order_id": 42}'
  tasker-rb run order.yaml --context @order.json --handlers app/handlers
  jq .order cart.json | tasker-rb run order.yaml --context - --output json`,
		Args: exactly("TEMPLATE"),
		RunE: func(cmd *cobra.Command, args []string) error { return r.run(cmd, args[0]) },
	}
	r.handlers.add(cmd)
	cmd.Flags().StringVar(&r.context, "context", "{}", "the task's context: `JSON`, @FILE, or - for standard input")
	cmd.Flags().StringVar(&r.env, "env", "", "apply the template's environment `NAME`")
	cmd.Flags().StringVar(&r.output, "output", "text", "print as `FORMAT`: text or json")
	cmd.Flags().BoolVar(&r.migrate, "migrate", false, "bring the tables of DATABASE_URL up to date first")
	cmd.Flags().BoolVar(&r.scratch, "scratch", false, "without DATABASE_URL: use a database that is deleted afterwards")
	return cmd
}

// run makes every check that needs no database, and then opens the database.
func (r *runCommand) run(cmd *cobra.Command, file string) (err error) {
	ctx := cmd.Context()
	if err := oneOf("output", r.output, "text", "json"); err != nil {
		return err
	}
	template, err := loadTemplate(file, r.env)
	if err != nil {
		return err
	}
	input, err := taskContext(template, r.context, cmd.InOrStdin())
	if err != nil {
		return err
	}
	show := newDisplay(r.output, template, cmd.OutOrStdout(), cmd.ErrOrStderr())
	db := &lazyPool{ephemeral: r.scratch, migrate: r.migrate, size: int32(r.handlers.threads) + 4}
	defer func() { err = errors.CombineErrors(err, db.close()) }()
	host, err := r.handlers.boot(ctx, file, db, slog.New(show.logHandler()))
	if err != nil {
		return err
	}
	defer func() { err = errors.CombineErrors(err, host.Close()) }()
	if err := resolveHandlers(ctx, host, template); err != nil {
		return err
	}
	return r.execute(ctx, host, db, template, input, show)
}

func (r *runCommand) execute(ctx context.Context, host *rubyhost.Host, db *lazyPool, t *templates.Template, input json.RawMessage, show display) (err error) {
	pool, err := db.open(ctx)
	if err != nil {
		return err
	}
	engine, err := db.db.newEngine(ctx, pool, orchestration.Config{
		Handlers: rubysteps.New(host), MaxParallelSteps: r.handlers.threads, OnEvent: show.event,
		Logger: slog.New(show.logHandler()),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.CombineErrors(err, engine.Close()) }()
	submitted, err := engine.Submit(ctx, orchestration.Submission{Template: t, Context: input, SourceSystem: "tasker-rb run"})
	if errors.Is(err, orchestration.ErrTemplateChanged) && db.db.local != nil {
		return errors.WithHint(err, "While you work on it, `--scratch` runs it in an empty database of its own.")
	}
	if err != nil {
		return err
	}
	show.begin()
	there, stop := untilDatabaseGone(ctx, pool)
	defer stop()
	_, runErr := engine.Run(there, submitted.TaskID)
	if err := show.end(); err != nil {
		return notShown(submitted.TaskID, err)
	}
	if errors.Is(context.Cause(there), orchestration.ErrDatabaseGone) {
		db.unreachable = true
		return errors.WithHintf(errors.Newf("%s does not answer any more; task %d is in it, with the steps it has done", db.place(), submitted.TaskID),
			"When that server is back, a `tasker-rb worker` runs the rest; `tasker-rb tasks cancel %d` ends it.", submitted.TaskID)
	}
	if ctx.Err() != nil && !db.discarded() {
		return &interruptedRun{submitted.TaskID}
	}
	if runErr != nil {
		return runErr
	}
	detail, err := engine.Task(ctx, submitted.TaskID)
	if err != nil {
		return err
	}
	if err := show.result(detail); err != nil {
		return notShown(submitted.TaskID, err)
	}
	if detail.State != orchestration.TaskComplete {
		return &exitError{exitTaskFailed}
	}
	return nil
}

// notShown is the error of a task that was run but whose result could not be
// printed.
func notShown(task int64, err error) error {
	return errors.WithHintf(errors.Newf("task %d was run, but its result could not be written: %v", task, lastCause(err)),
		"`tasker-rb tasks show %d` shows it.", task)
}
