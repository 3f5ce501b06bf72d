package main

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/spf13/cobra"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/orchestration/rubysteps"
)

type workerCommand struct {
	handlers  handlerFlags
	found     bool // the folder of the handlers, which nobody named
	tasks     int
	drain     timeSpan
	keep      timeSpan
	maxRSS    byteSize
	quiet     bool
	log       string
	templates []string

	namespaces, names, queues []string
}

func newWorker() *cobra.Command {
	w := &workerCommand{}
	cmd := &cobra.Command{
		Use:   "worker",
		Short: "Run tasks until told to stop",
		Long: `Run tasks that are due, many at a time, until SIGTERM or ^C. Then the worker
takes no more tasks and lets running steps finish, for --drain at most. Steps
that still run after that are interrupted, and their attempts do not count: other
workers run them at once. A second signal interrupts them earlier, and a third
ends the process at once. The exit code is 0, except after the third.

With --max-rss the worker drains in the same way when the process uses more
memory. Then the exit code is 4, and a supervisor should start it again.

The log goes to standard error. Each line has the time and the level, and as far
as they are known the task, the step, the attempt and the handler's class. An
error that comes again is printed once, and then once a minute with a count.

Any number of workers can share a database. When one dies, the others take over
its tasks. A worker takes a step when one of its Ruby threads is free for it.

The handlers are in ./handlers, unless --handlers or --require says where. Each
task carries its template, so the worker needs no template files. If it does not
have all handler classes of a task, it leaves the task to other workers.
It also takes only tasks that fit --namespace, --name and --queue, all of them.
With --templates it refuses to start if a handler class of these templates is
missing.`,
		Example: `  tasker-rb worker --handlers app/handlers
  DATABASE_URL=postgres://app@db/orders tasker-rb worker --handlers app/handlers --threads 16`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return w.logEnd(cmd, w.run(cmd)) },
	}
	w.handlers.add(cmd)
	cmd.Flags().Lookup("handlers").Usage = "`DIR` of handler files, may be repeated (default handlers/, if it is there and there is no --require)"
	cmd.Flags().StringArrayVar(&w.templates, "templates", nil, "check first that the handlers of the templates in `PATH` exist, may be repeated")
	cmd.Flags().IntVar(&w.tasks, "tasks", orchestration.DefaultMaxTasks, "hold `N` tasks at a time")
	cmd.Flags().StringArrayVar(&w.namespaces, "namespace", nil, "only take tasks of namespace `NAME`, may be repeated")
	cmd.Flags().StringArrayVar(&w.names, "name", nil, "only take tasks named `NAME`, may be repeated")
	cmd.Flags().StringArrayVar(&w.queues, "queue", nil, "only take tasks of queue `NAME`, may be repeated (templates say queue:, else it is default)")
	w.drain = timeSpan(30 * time.Second)
	cmd.Flags().Var(&w.drain, "drain", "`TIME` that running steps may still take when the worker is told to stop")
	cmd.Flags().Var(&w.keep, "keep", "delete tasks `TIME` after their end, such as 90d, but not those in error; 0 keeps all whose template has no keep:")
	cmd.Flags().Var(&w.maxRSS, "max-rss", "drain and end with code 4 when the process uses more than `SIZE` of memory, such as 512MB or 2GiB; 0 means no limit")
	cmd.Flags().BoolVar(&w.quiet, "quiet", false, "log nothing about steps that succeed")
	cmd.Flags().StringVar(&w.log, "log", "text", "log as `FORMAT`: text or json")
	return cmd
}

// logEnd logs what has ended the worker, if whoever reads its log expects JSON.
func (w *workerCommand) logEnd(cmd *cobra.Command, err error) error {
	var ended *exitError
	if err == nil || errors.As(err, &ended) {
		return err
	}
	if hint := errors.FlattenHints(err); withoutPrivate(hint) != hint {
		err = errors.WithHint(errors.New(err.Error()), withoutPrivate(hint))
	}
	if w.log != "json" {
		return err
	}
	code, message := exitBadInput, "the worker ended with an error"
	if cmd.Context().Err() != nil {
		code, message = exitInterrupted, "the worker was interrupted before it took tasks"
	}
	hint, explanation := explained(err)
	slog.New(newWorkerLog(cmd.ErrOrStderr(), w.log)).Error(message, "error", plain(explanation.Error()), "hint", hint)
	return &exitError{code}
}

// logStart says what the worker works on, and where its code is from if nobody has said that:
// it may have been started in a wrong folder.
func (w *workerCommand) logStart(log *slog.Logger, place string) {
	var from []any
	if here, err := os.Getwd(); err == nil && w.found {
		from = []any{"handlers", filepath.Join(here, w.handlers.dirs[0])}
	}
	log.Info("working on "+place+"; ^C or SIGTERM ends it", from...)
}

func (w *workerCommand) run(cmd *cobra.Command) (err error) {
	ctx := cmd.Context()
	if len(w.handlers.dirs)+len(w.handlers.requires) == 0 {
		if !isFolder("handlers") {
			return errors.WithHint(errors.New("a worker needs handlers, and there is no folder handlers here"), "Say where they are with --handlers DIR or --require FILE.")
		}
		w.handlers.dirs, w.found = []string{"handlers"}, true
	}
	if w.tasks < 1 {
		return errors.WithHint(errors.Newf("--tasks cannot be %d", w.tasks), "Give a number of 1 or more.")
	}
	if err := oneOf("log", w.log, "text", "json"); err != nil {
		return err
	}
	list, err := loadAll(ctx, w.templates)
	if err != nil {
		return err
	}
	lines := newProblemLog(newWorkerLog(cmd.ErrOrStderr(), w.log))
	defer lines.flushOften()()
	log := slog.New(lines)
	if err := nothingToStandardOutput(); err != nil {
		return err
	}
	w.handlers.allOutput = true
	db := &lazyPool{size: int32(w.handlers.threads) + 8}
	defer func() { err = errors.CombineErrors(err, db.close()) }()
	host, err := w.handlers.boot(ctx, "", db, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.CombineErrors(err, host.Close()) }()
	if err := resolveHandlers(ctx, host, list...); err != nil {
		return err
	}
	var told rubysteps.Events
	if err := told.Serve(ctx, host, log); err != nil {
		return err
	}
	memory, err := newWorkerMemory(host, w.maxRSS, log)
	if err != nil {
		return err
	}
	pool, err := db.open(ctx)
	if err != nil {
		return err
	}
	events := &eventLog{log: lines, quiet: w.quiet}
	engine, err := db.db.newEngine(ctx, pool, orchestration.Config{
		Handlers: rubysteps.New(host), MaxParallelSteps: w.handlers.threads, Logger: log,
		OnEvent: func(e orchestration.Event) {
			memory.count(e)
			events.print(e)
			told.OnEvent(e)
		},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.CombineErrors(err, engine.Close()) }()
	defer told.Flush(context.WithoutCancel(ctx))
	return w.work(ctx, engine, memory, db.place(), lines)
}

// work works until the first signal, or until the worker uses too much memory, and then
// drains.
func (w *workerCommand) work(ctx context.Context, engine *orchestration.Engine, memory *workerMemory, place string, lines *problemLog) error {
	log := slog.New(lines)
	config := orchestration.WorkerConfig{
		MaxTasks: w.tasks, Drain: time.Duration(w.drain), Namespaces: w.namespaces, Names: w.names, Queues: w.queues,
		Keep: time.Duration(w.keep),
	}
	working, stop := context.WithCancel(ctx)
	defer stop()
	over, told := make(chan struct{}), make(chan struct{})
	if config.Drain == 0 {
		config.Drain = -1 // at once, so a second signal has nothing to interrupt
		go func() {
			defer close(told)
			if begins(working, over) {
				log.Info("stopping; running steps are interrupted; " + nextSignal(ctx, "a second") + " ends the process at once")
			}
		}()
	} else {
		second, already := drains(ctx)
		interrupt := make(chan struct{})
		config.Drain, config.Interrupt = math.MaxInt64, interrupt // the log has the reason before its effects
		go func() {
			defer close(told)
			if w.tellOfDrain(ctx, working, second, over, already, log) {
				close(interrupt)
			}
		}()
	}
	w.logStart(log, place)
	unwatch := memory.start(engine, stop)
	err := engine.Work(working, config)
	unwatch()
	close(over)
	<-told
	if err != nil {
		return err
	}
	lines.flush(true)
	log.Info("stopped")
	if memory.exceeds.Load() && ctx.Err() == nil {
		return &exitError{exitMemory}
	}
	return nil
}

// nextSignal names the signal that has an effect next: the given one if a signal has begun
// the drain. If the memory has, one more is needed.
func nextSignal(ctx context.Context, one string) string {
	if ctx.Err() == nil {
		return "^C or SIGTERM, twice,"
	}
	return one + " ^C or SIGTERM"
}

// begins waits until the worker is told to stop. It reports false if the worker is over
// without that.
func begins(ctx context.Context, over <-chan struct{}) bool {
	select {
	case <-ctx.Done():
		return true
	case <-over:
		return ctx.Err() != nil
	}
}

// tellOfDrain says what each signal has done, and what the next one does. It returns whether
// running steps are to be interrupted: the time of the drain is over, or a second signal has
// come. The next one then ends the process.
func (w *workerCommand) tellOfDrain(ctx, working context.Context, second, over <-chan struct{}, already func(), log *slog.Logger) bool {
	if !begins(working, over) {
		return false
	}
	asked := ctx.Done()
	if ctx.Err() != nil { // then that has begun the drain
		asked = nil
	}
	log.Info(fmt.Sprintf("stopping; running steps have %v to finish (--drain); %s interrupts them", time.Duration(w.drain), nextSignal(ctx, "a second")))
	timer := time.NewTimer(time.Duration(w.drain))
	defer timer.Stop()
	said := ""
	for interrupted := false; !interrupted; {
		select {
		case <-over:
			return false
		case <-asked:
			asked = nil
			log.Info("a first ^C or SIGTERM has come as well; a second one interrupts running steps")
		case <-timer.C:
			already()
			said, interrupted = "the time of --drain is over; ", true
		case <-second:
			interrupted = true
		}
	}
	log.Info(said + "running steps are interrupted and given back; " + nextSignal(ctx, "another") + " ends the process at once")
	return true
}
