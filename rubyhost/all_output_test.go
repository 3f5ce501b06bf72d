package rubyhost_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
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
