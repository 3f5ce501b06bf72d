package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/spf13/cobra"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/orchestration/rubysteps"
)

type workerCommand struct {
	handlers  handlerFlags
	tasks     int
	drain     timeSpan
	keep      timeSpan
	quiet     bool
	templates []string
}

func newWorker() *cobra.Command {
	w := &workerCommand{}
	cmd := &cobra.Command{
		Use:   "worker",
		Short: "Run tasks until told to stop",
		Long: `Run tasks that are due, many at a time, until SIGTERM or ^C. Then the worker
takes no more tasks and lets running steps finish, for --drain at most. Steps
that still run after that are interrupted, and their attempts do not count. The
exit code is 0.

Any number of workers can share a database. When one dies, the others take over
its tasks.

Each task carries its template, so the worker needs no template files. With
--templates it refuses to start if a handler class of these templates is missing.`,
		Example: `  tasker-rb worker --handlers app/handlers
  DATABASE_URL=postgres://app@db/orders tasker-rb worker --handlers app/handlers --threads 16`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return w.run(cmd) },
	}
	w.handlers.add(cmd)
	cmd.Flags().StringArrayVar(&w.templates, "templates", nil, "check first that the handlers of the templates in `PATH` exist, may be repeated")
	cmd.Flags().IntVar(&w.tasks, "tasks", orchestration.DefaultMaxTasks, "hold `N` tasks at a time")
	w.drain = timeSpan(30 * time.Second)
	cmd.Flags().Var(&w.drain, "drain", "`TIME` that running steps may still take when the worker is told to stop")
	cmd.Flags().Var(&w.keep, "keep", "delete tasks `TIME` after their end, such as 90d, but not those in error; 0 keeps what no template limits")
	cmd.Flags().BoolVar(&w.quiet, "quiet", false, "print nothing about steps that succeed")
	return cmd
}

func (w *workerCommand) run(cmd *cobra.Command) (err error) {
	ctx := cmd.Context()
	if len(w.handlers.dirs)+len(w.handlers.requires) == 0 {
		return errors.WithHint(errors.New("a worker needs handlers"), "Say where they are with --handlers DIR or --require FILE.")
	}
	if w.tasks < 1 {
		return errors.WithHint(errors.Newf("--tasks %d", w.tasks), "Give a number of 1 or more.")
	}
	list, err := loadAll(w.templates)
	if err != nil {
		return err
	}
	lines := newStepLog(cmd.OutOrStdout())
	lines.sink.tasks = true
	db := &lazyPool{size: int32(w.handlers.threads) + 8}
	defer func() { err = errors.CombineErrors(err, db.close()) }()
	host, err := w.handlers.boot(ctx, "", db, slog.New(lines))
	if err != nil {
		return err
	}
	defer func() { err = errors.CombineErrors(err, host.Close()) }()
	if err := resolveHandlers(ctx, host, list...); err != nil {
		return err
	}
	pool, err := db.open(ctx)
	if err != nil {
		return err
	}
	engine, err := db.db.newEngine(ctx, pool, orchestration.Config{
		Handlers: rubysteps.New(host), MaxParallelSteps: w.handlers.threads, OnEvent: w.printEvents(lines),
		Logger: slog.New(newEngineLog(lines)),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.CombineErrors(err, engine.Close()) }()
	lines.print("working on " + db.place() + "; ^C or SIGTERM ends it")
	said := make(chan struct{})
	unsaid := context.AfterFunc(ctx, func() {
		lines.print(w.stopping())
		close(said)
	})
	drain := time.Duration(w.drain)
	if drain == 0 {
		drain = -1 // at once
	}
	if err := engine.Work(ctx, orchestration.WorkerConfig{MaxTasks: w.tasks, Drain: drain, Keep: time.Duration(w.keep)}); err != nil {
		unsaid()
		return err
	}
	<-said
	lines.print("stopped")
	return nil
}

// stopping is the message of a worker that was told to stop.
func (w *workerCommand) stopping() string {
	if w.drain <= 0 {
		return "stopping; running steps are interrupted"
	}
	return fmt.Sprintf("stopping; running steps have %v to finish (--drain), a second ^C ends them now", time.Duration(w.drain))
}

// printEvents returns a function that prints one line for each event.
func (w *workerCommand) printEvents(lines *stepLog) func(orchestration.Event) {
	return func(e orchestration.Event) {
		switch e.Kind {
		case orchestration.EventStepRetrying, orchestration.EventStepFailed, orchestration.EventStepReleased, orchestration.EventStepCancelled:
		case orchestration.EventStepCompleted, orchestration.EventTaskEnded:
			if w.quiet && e.Err == nil && (e.Kind == orchestration.EventStepCompleted || e.TaskState == orchestration.TaskComplete) {
				return
			}
		default:
			return
		}
		where := ""
		if e.Step != "" {
			where = fmt.Sprintf("task %d ", e.TaskID)
		}
		lines.print(e.At.Local().Format("15:04:05.000") + " " + where + eventLine(e, 0))
	}
}
