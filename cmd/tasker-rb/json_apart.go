package main

import (
	"io"
	"os"

	"github.com/cockroachdb/errors"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// documentApart leaves standard output to the document alone, if the command prints one. To
// be called before Ruby boots: Ruby's STDOUT, and the children that Ruby code starts, write
// to descriptor 1, which is a copy of standard error from then on.
func documentApart(cmd *cobra.Command) error {
	out, is := cmd.OutOrStdout().(*jsonOutput)
	if !is || out.apart != nil || *out.target() != os.Stdout {
		return nil
	}
	fd, err := unix.FcntlInt(uintptr(unix.Stdout), unix.F_DUPFD_CLOEXEC, unix.Stderr+1)
	if err != nil {
		return errors.WithHint(errors.Wrap(err, "keeping standard output for the document"), "Allow the command some open files more: `ulimit -n` says how many.")
	}
	if err := nothingToStandardOutput(); err != nil {
		return err
	}
	out.apart = os.NewFile(uintptr(fd), "/dev/stdout")
	*out.target() = out.apart
	return nil
}

// nothingToStandardOutput has what C libraries write to descriptor 1 go to standard error,
// and whatever else knows only that number.
func nothingToStandardOutput() error {
	return errors.Wrap(unix.Dup3(unix.Stderr, unix.Stdout, 0), "putting standard error in the place of standard output")
}

// target is where the document is written at last.
func (j *jsonOutput) target() *io.Writer {
	if o, is := j.out.(*output); is {
		return &o.to
	}
	return &j.out
}

// standardOutput is that of a process that prints documents in the place of this one.
func standardOutput(cmd *cobra.Command) *os.File {
	if out, is := cmd.OutOrStdout().(*jsonOutput); is && out.apart != nil {
		return out.apart
	}
	return os.Stdout
}

// backForGood gives the document descriptor 1 again, where nobody reads it any more. Go
// ends a process by SIGPIPE only for a write to standard output, as every command ends.
func (j *jsonOutput) backForGood() {
	if unix.Dup3(int(j.apart.Fd()), unix.Stdout, 0) == nil {
		*j.target(), j.apart = os.Stdout, nil
	}
}
