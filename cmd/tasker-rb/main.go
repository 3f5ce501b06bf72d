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
	var failed *failure
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &failed):
		return failed.code
	case ctx.Err() != nil:
		printError(os.Stderr, errors.WithHint(errors.New("interrupted"), "Steps that were complete stay so in the database; a step that was running counts no attempt."))
		return exitInterrupted
	default:
		printError(os.Stderr, err)
		return exitBadInput
	}
}

// failure ends the command with a code after everything has been said.
type failure struct{ code int }

func (f *failure) Error() string { return "" }
