package main

import (
	"context"
	"log/slog"
	"time"

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
	from     string
	only     string
	task     int64
	debug    bool
	results  resultFlags
	inDev    bool // a run of the command dev
}

func newRun() *cobra.Command {
	r := &runCommand{}
	cmd := &cobra.Command{
		Use:   "run [TEMPLATE]",
		Short: "Run one task to its end",
		Long: `Run one task to its end, retries included, and show the progress of its steps.

With --from it repeats a recorded task, from its beginning and with its context;
tasks export writes the FILE. With --only it repeats one step of it, with what
the step was given. The step's SQL is rolled back then, and nothing is written.
The handlers are in handlers/ beside FILE, or else in ./handlers.

With --task it goes on with a task that is in the database. If the task ended in
error, its failed steps are retried, with all their attempts. The handlers are in
./handlers, unless you say where.

The exit code is 0 when the task is complete, 1 when it ended in error, and 2
when the input was wrong. With exit code 2 nothing was written, unless the error
says so.`,
		Example: `  tasker-rb run order.yaml --context '{"order_id": 42}'
  tasker-rb run order.yaml --context @order.json --handlers app/handlers
  jq .order cart.json | tasker-rb run order.yaml --context - --output json
  tasker-rb run order.yaml --quiet --show charge
  tasker-rb run --task 42 --handlers app/handlers
  tasker-rb run --from task.json --handlers app/handlers --only charge --debug`,
		Args: func(cmd *cobra.Command, args []string) error {
			if r.only != "" && r.from == "" {
				return usageError(cmd, "--only needs --from")
			}
			if r.from != "" || cmd.Flags().Changed("task") {
				return exactly()(cmd, args)
			}
			return exactly("TEMPLATE")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case cmd.Flags().Changed("task"):
				return r.runTask(cmd)
			case r.from != "":
				return r.runFrom(cmd)
			}
			return r.run(cmd, args[0])
		},
	}
	r.handlers.add(cmd)
	cmd.Flags().StringVar(&r.context, "context", "{}", "the task's context: `JSON`, @FILE, or - for standard input")
	cmd.Flags().StringVar(&r.env, "env", "", "apply the template's environment `NAME`")
	cmd.Flags().StringVar(&r.from, "from", "", "repeat the task in `FILE`, which tasks export wrote; - for standard input")
	cmd.Flags().StringVar(&r.only, "only", "", "with --from: repeat this `STEP`, and roll its SQL back")
	cmd.Flags().Int64Var(&r.task, "task", 0, "go on with task `NUMBER`, and retry its failed steps")
	r.results.add(cmd)
	cmd.Flags().BoolVar(&r.debug, "debug", false, "print the SQL of handlers and the events that they publish; on a terminal, a debugger can use it")
	cmd.Flags().StringVar(&r.output, "output", "text", "print as `FORMAT`: text or json")
	cmd.Flags().BoolVar(&r.migrate, "migrate", false, "bring the tables of DATABASE_URL up to date first")
	cmd.Flags().BoolVar(&r.scratch, "scratch", false, "without DATABASE_URL: use a database that is deleted afterwards")
	return cmd
}

// run makes every check that needs no database, and then opens the database.
func (r *runCommand) run(cmd *cobra.Command, file string) error {
	if err := r.checkFlags(cmd); err != nil {
		return err
	}
	template, err := loadTemplate(cmd.Context(), file, r.env)
	if err != nil {
		return err
	}
	printWarnings(cmd.ErrOrStderr(), template)
	if err := r.results.check(template); err != nil {
		return err
	}
	input, err := taskContext(cmd.Context(), template, r.context, cmd.InOrStdin())
	if err != nil {
		return err
	}
	return r.withHandlers(cmd, r.newPool(), file, template, func(h *handlersReady) error {
		if err := resolveHandlers(cmd.Context(), h.host, template); err != nil {
			return err
		}
		return whileEditing(r.execute(cmd.Context(), h, orchestration.Submission{Template: template, Context: input}), file)
	})
}

func (r *runCommand) checkFlags(cmd *cobra.Command) error {
	if r.only != "" && r.from == "" {
		return usageError(cmd, "--only needs --from")
	}
	if !cmd.Flags().Changed("task") { // which refuses --scratch in any case
		if err := checkScratch(r.scratch); err != nil {
			return err
		}
	}
	r.giveTerminal(cmd)
	if err := r.results.needText(cmd, r.output); err != nil {
		return err
	}
	return oneOf("output", r.output, "text", "json")
}

func (r *runCommand) newPool() *lazyPool {
	return &lazyPool{ephemeral: r.scratch, migrate: r.migrate, size: int32(r.handlers.threads) + 4}
}

// handlersReady is what a task or a step is run with.
type handlersReady struct {
	host    *rubyhost.Host
	db      *lazyPool
	show    display
	results resultOptions
	code    codeFlags
	events  rubysteps.Events
}

// withHandlers loads the handlers, which are beside the file by default, and calls do.
// It closes the pool.
func (r *runCommand) withHandlers(cmd *cobra.Command, db *lazyPool, file string, t *templates.Template, do func(*handlersReady) error) (err error) {
	ctx := cmd.Context()
	code := r.handlers.code(cmd, file)
	results := r.results.of(!r.scratch && !r.inDev, code.run)
	h := &handlersReady{
		results: results, code: code,
		show: newDisplay(displayOptions{output: r.output, lines: r.debug || r.only != "", quiet: r.results.quiet, results: results},
			t, cmd.OutOrStdout(), cmd.ErrOrStderr()),
		db: db,
	}
	defer func() { err = errors.CombineErrors(err, h.db.close()) }()
	_, r.handlers.allOutput = h.show.(*liveDisplay) // the next picture would erase what it does not know
	h.host, err = r.handlers.boot(ctx, file, h.db, h.log())
	if err != nil {
		return err
	}
	defer func() { err = errors.CombineErrors(err, h.host.Close()) }()
	if r.debug {
		if err := prepareDebugging(ctx, h.host); err != nil {
			return err
		}
	}
	if err := h.events.Serve(ctx, h.host, h.log()); err != nil {
		return err
	}
	return do(h)
}

func (h *handlersReady) log() *slog.Logger { return slog.New(h.show.logHandler()) }

// engine opens the database and an engine.
func (r *runCommand) engine(ctx context.Context, h *handlersReady) (*orchestration.Engine, error) {
	pool, err := h.db.open(ctx)
	if err != nil {
		return nil, err
	}
	cfg := orchestration.Config{
		Handlers: rubysteps.New(h.host), MaxParallelSteps: r.handlers.threads, Logger: slog.New(foregroundLog{newProblemLog(h.show.logHandler())}),
		OnEvent: func(e orchestration.Event) {
			h.show.event(e)
			h.events.OnEvent(e)
		},
		NoTimeouts: r.handlers.terminal,
	}
	if r.inDev {
		cfg.HoldAfterRun = heldByDev
	}
	if r.debug {
		cfg.OnStatement = printStatements(h.log())
	}
	return h.db.db.newEngine(ctx, pool, cfg)
}

func (r *runCommand) execute(ctx context.Context, h *handlersReady, s orchestration.Submission) (err error) {
	engine, err := r.engine(ctx, h)
	if err != nil {
		return err
	}
	defer func() { err = errors.CombineErrors(err, engine.Close()) }()
	s.SourceSystem, s.Held = "tasker-rb run", true
	submitted, err := engine.Submit(ctx, s)
	if err != nil {
		return err
	}
	return h.follow(ctx, engine, submitted.TaskID)
}

// whileEditing adds to the error of a changed template what its author may want.
func whileEditing(err error, file string) error {
	if !errors.Is(err, orchestration.ErrTemplateChanged) {
		return err
	}
	return errors.WithHintf(err, "While you work on it, `tasker-rb dev %s` replaces it, and runs it whenever you save.", file)
}

// resume says that the task was there before this run.
func (h *handlersReady) resume(t *orchestration.TaskDetail) {
	h.show.resume(t)
	h.results.time.resumed = time.Now()
}

// follow runs a task to its end, and shows how.
func (h *handlersReady) follow(ctx context.Context, engine *orchestration.Engine, task int64) error {
	db, show := h.db, h.show
	show.begin()
	there, stop := untilDatabaseGone(ctx, db.ready)
	defer stop()
	_, runErr := engine.Run(there, task)
	h.events.Flush(context.WithoutCancel(ctx))
	h.host.FlushOutput() // above the last picture
	if err := show.end(); err != nil {
		return notShown(task, err)
	}
	if errors.Is(context.Cause(there), orchestration.ErrDatabaseGone) {
		db.unreachable = true
		return db.gone(task, h.code)
	}
	if ctx.Err() != nil && !db.discarded() {
		return &interruptedRun{task, h.code}
	}
	if runErr != nil {
		return runErr
	}
	detail, err := engine.Task(ctx, task)
	if err != nil {
		return err
	}
	if err := show.result(detail); err != nil {
		return notShown(task, err)
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
