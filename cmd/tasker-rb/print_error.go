package main

import (
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tasker-rb/tasker-rb/rubyhost"
	"github.com/tasker-rb/tasker-rb/templates"
)

// printError prints one line for the cause and one for the remedy. An error that
// is a list prints these lines for each element.
func printError(w io.Writer, err error) {
	var problems *templates.Problems
	var violations *badContext
	var ruby *rubyhost.Error
	switch {
	case errors.As(err, &problems):
		for _, p := range problems.List {
			printProblem(w, p)
		}
	case errors.As(err, &violations):
		violations.print(w)
	case errors.As(err, &ruby):
		printCause(w, ruby.Message, errors.FlattenHints(err))
	default:
		hint, err := explained(err)
		printCause(w, err.Error(), hint)
	}
}

// explained returns the remedy of an error, and the error as it is to be shown.
func explained(err error) (hint string, shown error) {
	var connecting *pgconn.ConnectError // from a pool or a session that opens a connection
	if errors.As(err, &connecting) {
		err = connectError(variableOf(connecting.Config), connecting.Config, connecting)
	}
	hint = errors.FlattenHints(err)
	var pg *pgconn.PgError
	if hint == "" && errors.As(err, &pg) {
		hint = sqlHint(pg)
	}
	return hint, err
}

func printProblem(w io.Writer, p templates.Problem) {
	if p.Warning {
		printAs(w, "warning", p.String(), p.Hint)
		return
	}
	printCause(w, p.String(), problemHint(p))
}

// problemHint returns what to do about a problem. A warning may need nothing.
func problemHint(p templates.Problem) string {
	if p.Hint == "" && !p.Warning {
		return "Correct that place; docs/templates.md says what every key takes."
	}
	return p.Hint
}

// printWarnings prints what a valid template says in vain.
func printWarnings(w io.Writer, t *templates.Template) {
	for _, p := range t.Warnings {
		printProblem(w, p)
	}
}

// packagePrefix matches the package name at the beginning of an error. Users do
// not need it.
var packagePrefix = regexp.MustCompile(`^(localpg|rubyhost|orchestration|templates): `)

func plain(cause string) string { return packagePrefix.ReplaceAllString(strings.TrimSpace(cause), "") }

func printCause(w io.Writer, cause, remedy string) { printAs(w, "error", cause, remedy) }

func printAs(w io.Writer, what, cause, remedy string) {
	fmt.Fprintf(w, "%s: %s\n", what, strings.ReplaceAll(plain(cause), "\n", "\n  "))
	if remedy != "" {
		fmt.Fprintf(w, "hint: %s\n", strings.ReplaceAll(strings.TrimSpace(remedy), "\n--\n", " "))
	}
}
