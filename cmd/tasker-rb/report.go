package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/cockroachdb/errors"
	"github.com/spf13/cobra"

	"github.com/tasker-rb/tasker-rb/rubyhost"
	"github.com/tasker-rb/tasker-rb/templates"
)

// printError prints one line of cause and one of remedy. Errors that are lists
// print their list.
func printError(w io.Writer, err error) {
	var problems *templates.Problems
	var violations *templates.ContextError
	var ruby *rubyhost.Error
	switch {
	case errors.As(err, &problems):
		for _, p := range problems.List {
			printCause(w, p.Position().String()+": "+p.Message, p.Hint)
		}
	case errors.As(err, &violations):
		fmt.Fprintf(w, "error: the context does not fit the template %s\n", violations.Template)
		for _, v := range violations.Violations {
			fmt.Fprintf(w, "  %s\n", v)
		}
		fmt.Fprintln(w, "hint: the template's schema: says what a context must be")
	case errors.As(err, &ruby):
		printCause(w, ruby.Message, errors.FlattenHints(err))
	default:
		printCause(w, err.Error(), errors.FlattenHints(err))
	}
}

func printCause(w io.Writer, cause, remedy string) {
	fmt.Fprintf(w, "error: %s\n", strings.TrimSpace(cause))
	if remedy != "" {
		fmt.Fprintf(w, "hint: %s\n", strings.ReplaceAll(strings.TrimSpace(remedy), "\n--\n", "\n      "))
	}
}

// usage makes cobra's complaints about the command line ours.
func usage(cmd *cobra.Command, err error) error {
	return errors.WithHintf(err, "`%s --help` shows how it is used.", cmd.CommandPath())
}
