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

// atTerminal reports whether a person is at the command: standard input and output are one
// terminal.
func atTerminal(cmd *cobra.Command) bool {
	in, isIn := cmd.InOrStdin().(*os.File)
	out, isOut := cmd.OutOrStdout().(*os.File)
	return isIn && isOut && isatty.IsTerminal(in.Fd()) && isatty.IsTerminal(out.Fd())
}

// debugs reports whether the handlers have the terminal, for a debugger.
func (r *runCommand) debugs(cmd *cobra.Command) bool {
	return r.debug && r.output == "text" && atTerminal(cmd)
}

// giveTerminal lets the handlers have the terminal: one at a time, because a person can
// talk with one only.
func (r *runCommand) giveTerminal(cmd *cobra.Command) {
	if r.debugs(cmd) {
		r.handlers.terminal, r.handlers.threads = true, 1
	}
}

// debuggingRuby prints what handlers publish themselves, on the step's own output. It also makes the
// method debugger known; the gem itself is loaded when a handler calls that.
const debuggingRuby = `
Tasker::Events.subscribe_to_own do |event|
  facts = event.to_h.reject { |key, _| key == :timestamp }.inspect
  puts "event #{event.name} #{facts.length > 500 ? facts[0, 500] + "…" : facts}"
end
begin
  require "debug/prelude"
rescue LoadError
  nil # the Gemfile has no debug
end
nil`

func prepareDebugging(ctx context.Context, host *rubyhost.Host) error {
	_, err := host.Eval(ctx, debuggingRuby, "run --debug")
	return err
}
