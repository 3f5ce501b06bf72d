// Command tasker-rb runs Ruby step handlers without Rails: every step in a
// real CRuby inside this process, its SQL committed together with its result.
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
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second ^C does not wait for a handler
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

// interruption says what is left after ^C.
func interruption(err error) error {
	said := errors.New("interrupted")
	var run *interruptedRun
	if errors.As(err, &run) {
		return errors.WithHintf(said, "Task %d stays as far as it came; the step that was running counts no attempt. "+
			"A `tasker-rb worker` runs the rest, `tasker-rb tasks cancel %d` ends it.", run.task, run.task)
	}
	return said
}

// interruptedRun is of a task that is still in a database.
type interruptedRun struct{ task int64 }

func (r *interruptedRun) Error() string { return "interrupted" }

// exitError ends the command with a code after everything has been said.
type exitError struct{ code int }

func (f *exitError) Error() string { return "" }
