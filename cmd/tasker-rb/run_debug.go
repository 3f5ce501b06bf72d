package main

import (
	"context"
	"log/slog"
	"os"
	"strings"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/rubyhost"
)

// The most characters of a statement, and of one of its parameters, that --debug prints.
const (
	mostOfStatement = 2000
	mostOfParameter = 200
)

// printStatements returns a function that prints the statements of handlers.
func printStatements(log *slog.Logger) func(*orchestration.StepExecution, orchestration.TracedStatement) {
	return func(x *orchestration.StepExecution, s orchestration.TracedStatement) {
		log.Info(statementLine(s), "step", x.StepName)
	}
}

// statementLine describes a statement in one line.
func statementLine(s orchestration.TracedStatement) string {
	line := "sql " + shortDuration(s.Took) + ", "
	if s.Err != nil {
		line += "failed: " + shorten(oneLineOf(s.Err.Error()), mostInLine, " …")
	} else {
		line += plural(int(s.Rows), "row")
	}
	line += ": " + shorten(oneLineOf(s.SQL), mostOfStatement, " …")
	if len(s.Params) == 0 {
		return line
	}
	params := make([]string, len(s.Params))
	for i, p := range s.Params {
		params[i] = shorten(printable(strings.ReplaceAll(p, "\n", `\n`)), mostOfParameter, "…")
	}
	return line + "  [" + strings.Join(params, ", ") + "]"
}

func oneLineOf(text string) string { return printable(strings.Join(strings.Fields(text), " ")) }

// atTerminal reports whether a handler may have the terminal, for a debugger: with --only
// and --debug, if standard input and output are one.
func (r *runCommand) atTerminal(cmd *cobra.Command) bool {
	in, isIn := cmd.InOrStdin().(*os.File)
	out, isOut := cmd.OutOrStdout().(*os.File)
	return r.debug && r.only != "" && r.output == "text" && isIn && isOut && isatty.IsTerminal(in.Fd()) && isatty.IsTerminal(out.Fd())
}

// debuggingRuby prints what handlers publish, on the step's own output. A debugger traps
// signals at each prompt; the host warns of that each time.
const debuggingRuby = `
Tasker::Events.subscribe_to_own do |event|
  facts = event.to_h.reject { |key, _| key == :timestamp }.inspect
  puts "event #{event.name} #{facts.length > 500 ? facts[0, 500] + "…" : facts}"
end
Warning.singleton_class.prepend(Module.new do
  def warn(message, *rest, **options)
    super unless message.include?("/debug/") && message.include?("the signal belongs to the host")
  end
end)
nil`

func prepareDebugging(ctx context.Context, host *rubyhost.Host) error {
	_, err := host.Eval(ctx, debuggingRuby, "run --debug")
	return err
}
