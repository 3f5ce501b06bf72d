package main

import (
	"io"
	"os"
	"sync"

	"github.com/cockroachdb/errors"
	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"
)

// output is standard output. It keeps the first error, so that no command ends well whose
// output is lost.
type output struct {
	to io.Writer

	mu  sync.Mutex
	err error
}

// newOutput has the command, and those below it, write to standard output through an output.
// A terminal stays as it is: displays look for it.
func newOutput(root *cobra.Command) *output {
	o := &output{to: os.Stdout}
	if !isatty.IsTerminal(os.Stdout.Fd()) {
		root.SetOut(o)
	}
	return o
}

func (o *output) Write(p []byte) (int, error) {
	n, err := o.to.Write(p)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil {
		o.err = err
	}
	return n, err
}

// outcome is the error of a command, which is another one if its output is lost. An error of
// the command's own stays.
func (o *output) outcome(err error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	var failed *exitError
	found := errors.As(err, &failed) && failed.code == exitTaskFailed // what it has found is lost
	if o.err == nil || err != nil && !found && !errors.Is(err, o.err) {
		return err
	}
	return errors.WithHint(errors.Newf("standard output cannot be written: %v", lastCause(o.err)),
		"Send the output to another place. What the command has done remains.")
}

// forChild is the writer as a child process takes it best: as a file.
func forChild(w io.Writer) io.Writer {
	if o, is := w.(*output); is {
		return o.to
	}
	return w
}
