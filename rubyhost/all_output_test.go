package rubyhost_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/rubyhost"
)

func init() {
	children["all output"] = func() {
		plain := slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}})
		h := mustBoot(rubyhost.Options{Threads: 2, AllOutput: true, Logger: slog.New(plain)})
		_, err := h.Eval(context.Background(), `
			STDOUT.puts "const"
			system("echo child")
			puts "variable"
			STDERR.print "no terminal: #{STDOUT.tty? || STDERR.isatty}"
			STDERR.flush
			system("printf half")
			nil`, "out.rb")
		must(err)
		fmt.Println("the call has returned")
		h.FlushOutput()
		fmt.Println("flushed")
		_, err = h.Eval(context.Background(), `system("printf 'another half'"); nil`, "out.rb")
		must(err)
		fmt.Println("closing")
		must(h.Close())
		h.FlushOutput()
	}
}

// What children print is logged where it belongs among the lines of their caller, and
// before the result. A line without its end comes at once when it is asked for, and at the
// end in any case.
func TestAllOutput(t *testing.T) {
	t.Parallel()
	out, err := inChild(t, "all output")
	require.NoError(t, err, out)
	require.Equal(t, `level=INFO msg=const
level=INFO msg=child from=stdout
level=INFO msg=variable
level=WARN msg="no terminal: false"
the call has returned
level=INFO msg=half from=stdout
flushed
closing
level=INFO msg="another half" from=stdout
`, out)
}

func TestOutputIsNotPassedAndCaught(t *testing.T) {
	_, err := rubyhost.Boot(rubyhost.Options{PassOutput: true, AllOutput: true})
	require.ErrorContains(t, err, "output is both passed and caught")
}

func init() {
	children["reopened output"] = func() {
		plain := slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}})
		h := mustBoot(rubyhost.Options{Threads: 2, AllOutput: true, Logger: slog.New(plain)})
		said, err := h.Eval(context.Background(), `
			file = ENV.fetch("CHILD_FILE")
			mine = STDOUT.dup
			STDOUT.reopen(file, "w")
			STDOUT.sync = true
			STDOUT.puts "constant"
			system("echo child; echo child >&2")
			IO.popen("cat", "w") { |io| io.puts "popen" }
			Process.wait fork { exec "echo fork" }
			puts "variable"
			STDOUT.reopen(mine)
			STDOUT.puts "constant again"
			system("echo child again")
			Process.wait fork { exec "echo fork again" }
			File.read(file)`, "out.rb")
		must(err)
		_, err = h.Eval(context.Background(), `
			Thread.new { STDOUT.print "the half line of a thread" }.join
			$stderr = STDERR
			warn "a warning"
			Ractor.new { Warning.warn("") }.take
			at_exit { STDOUT.print "the last half line" }
			nil`, "out.rb")
		must(err)
		must(h.Close())
		fmt.Println(string(said))
	}
}

// A constant that code reopens leads there, and so do children: methods that silence or
// catch all output rely on it. It is caught again when the code has put it back.
func TestReopenedOutputIsNotCaught(t *testing.T) {
	t.Parallel()
	out, err := inChild(t, "reopened output", "CHILD_FILE="+t.TempDir()+"/file")
	require.NoError(t, err, out)
	out = regexp.MustCompile(`(?m)^.*Ractor is experimental.*\n`).ReplaceAllString(out, "") // each version has its own words
	require.Equal(t, `level=WARN msg=child from=stderr
level=INFO msg=variable
level=INFO msg="constant again"
level=INFO msg="child again" from=stdout
level=INFO msg="fork again" from=stdout
level=INFO msg="the half line of a thread"
level=WARN msg="a warning"
level=INFO msg="the last half line"
"constant\nchild\npopen\nfork\n"
`, out)
}
