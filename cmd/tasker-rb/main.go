// Command tasker-rb runs Ruby step handlers without Rails. Every step runs in a
// real CRuby inside this process, and its SQL commits together with its result.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/cockroachdb/errors"
)

// The exit codes, the same for every command.
const (
	exitOK          = 0
	exitTaskFailed  = 1 // the task ended in error, or a check found something
	exitBadInput    = 2
	exitInterrupted = 130
)

func main() { os.Exit(execute(os.Args[1:])) }

func execute(args []string) int {
	ctx, stop := untilSignal()
	defer stop()
	root := newRoot()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var failed *exitError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &failed):
		return failed.code
	case ctx.Err() != nil:
		printError(os.Stderr, interruption(err))
		return exitInterrupted
	default:
		printError(os.Stderr, err)
		return exitBadInput
	}
}

// untilSignal returns a context that the first ^C or SIGTERM ends. The second ends the
// process at once.
func untilSignal() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		defer cancel()
		if again := afterFirst(ctx, signals); again != nil {
			_ = syscall.Kill(os.Getpid(), again.(syscall.Signal)) // both of them are known
		}
	}()
	return ctx, cancel
}

// afterFirst waits for the first signal, and gives the signals back what they do by
// default: from then on another one ends the process. It returns one that came before
// that, which would be lost.
func afterFirst(ctx context.Context, signals chan os.Signal) (again os.Signal) {
	select {
	case <-signals:
	case <-ctx.Done():
		signal.Stop(signals)
		return nil
	}
	signal.Stop(signals)
	select {
	case again = <-signals:
	default:
	}
	return again
}

// interruption is the error to print after ^C. It says what remains of the task.
func interruption(err error) error {
	said := errors.New("interrupted")
	var run *interruptedRun
	if errors.As(err, &run) {
		return errors.WithHintf(said, "Task %d keeps the steps it has done; the interrupted attempt does not count. "+
			"A `tasker-rb worker` runs the rest, `tasker-rb tasks cancel %d` ends it.", run.task, run.task)
	}
	return said
}

// interruptedRun is the error of an interrupted task that is still in the
// database.
type interruptedRun struct{ task int64 }

func (r *interruptedRun) Error() string { return "interrupted" }

// exitError ends the command with a code. All messages are already printed.
type exitError struct{ code int }

func (f *exitError) Error() string { return "" }
