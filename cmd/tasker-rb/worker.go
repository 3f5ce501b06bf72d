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
	quiet     bool
	templates []string
}

func newWorker() *cobra.Command {
	w := &workerCommand{}
	cmd := &cobra.Command{
		Use:   "worker",
		Short: "Run tasks as they come, until told to stop",
		Long: `Run tasks that are due, many at a time, until SIGTERM or ^C. Then it takes no
more, lets running steps come to their end (for --drain at most, then they are
interrupted and their attempts do not count), and leaves with exit code 0.

Any number of workers share a database. When one dies, its tasks are taken over
by the others.

Tasks bring their templates with them. With --templates it refuses to begin when
a handler class of those templates is missing, before any task fails for that.`,
		Example: `  tasker-rb worker --handlers app/handlers
  DATABASE_URL=postgres://app@db/orders tasker-rb worker --handlers app/handlers --threads 16`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return w.run(cmd) },
	}
	w.handlers.add(cmd)
	cmd.Flags().StringArrayVar(&w.templates, "templates", nil, "check first that the handlers of the templates in `PATH` are there, may be repeated")
	cmd.Flags().IntVar(&w.tasks, "tasks", 32, "`N` tasks in hand at a time")
	w.drain = timeSpan(30 * time.Second)
	cmd.Flags().Var(&w.drain, "drain", "`TIME` that running steps may go on once it is told to stop")
	cmd.Flags().BoolVar(&w.quiet, "quiet", false, "say nothing of steps that go well")
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
	engine, err := orchestration.New(ctx, orchestration.Config{
		Pool: pool, Handlers: rubysteps.New(host), MaxParallelSteps: w.handlers.threads, OnEvent: w.printEvents(lines),
		Logger: slog.New(lines),
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
	if err := engine.Work(ctx, orchestration.WorkerConfig{MaxTasks: w.tasks, Drain: drain}); err != nil {
		unsaid()
		return err
	}
	<-said
	lines.print("stopped")
	return nil
}

// stopping says what a worker waits for that was told to stop.
func (w *workerCommand) stopping() string {
	if w.drain <= 0 {
		return "stopping; steps that run are interrupted"
	}
	return fmt.Sprintf("stopping; steps that run have %v to come to their end (--drain), a second ^C ends them now", time.Duration(w.drain))
}

// printEvents prints what happens, a line each.
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
