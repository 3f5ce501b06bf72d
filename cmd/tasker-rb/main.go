// Command tasker-rb runs Ruby step handlers without Rails. Every step runs in a
// real CRuby inside this process, and its SQL commits together with its result.
package main

import (
	"context"
	"os"

	"github.com/cockroachdb/errors"
)

// The exit codes, the same for every command.
const (
	exitOK          = 0
	exitTaskFailed  = 1 // the task ended in error, or a check found something
	exitBadInput    = 2
	exitUndecided   = 3 // soak has no verdict
	exitMemory      = 4 // the worker was above --max-rss, and wants to be started again
	exitInterrupted = 130
)

func main() { os.Exit(execute(os.Args[1:])) }

func execute(args []string) int {
	ctx, stop := untilSignal(context.Background())
	defer stop()
	root := newRoot()
	root.SetArgs(args)
	out := newOutput(root)
	addCompletionCommand(root)
	cmd, err := root.ExecuteContextC(ctx)
	err = out.outcome(err)
	var failed *exitError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &failed):
		return failed.code
	}
	code := exitBadInput
	if ctx.Err() != nil {
		err, code = interruption(err), exitInterrupted
	}
	if document := watchOutput(cmd, args); document != nil {
		document.fail(err)
	}
	printError(os.Stderr, err)
	return code
}

// interruption is the error to print after ^C. It says what remains of the task.
func interruption(err error) error {
	said := errors.New("interrupted")
	var run *interruptedRun
	if errors.As(err, &run) {
		return errors.WithHintf(said, "Task %d keeps the steps it has done; the interrupted attempt does not count. "+
			"`tasker-rb run --task %[1]d%s` runs the rest here, a `tasker-rb worker%s` does so in the background, and "+
			"`tasker-rb tasks cancel %[1]d` ends it.", run.task, run.code.run, run.code.worker)
	}
	return said
}

// interruptedRun is the error of an interrupted task that is still in the
// database.
type interruptedRun struct {
	task int64
	code codeFlags
}

func (r *interruptedRun) Error() string { return "interrupted" }

// exitError ends the command with a code. All messages are already printed.
type exitError struct{ code int }

func (f *exitError) Error() string { return "" }
