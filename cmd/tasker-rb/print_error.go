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
		err = reconnectError(connecting)
	}
	hint = errors.FlattenHints(err)
	var pg *pgconn.PgError
	switch {
	case hint != "" || !errors.As(err, &pg):
	case tablesGone(pg):
		return "`tasker-rb migrate up` makes them.", errors.Newf("the tables of tasker-rb are gone from the database: %s", pg.Message)
	default:
		hint = sqlHint(pg)
	}
	return hint, err
}

// tablesGone reports whether a statement did not find the schema tasker or a table of it. The
// engine's own statements name the schema.
func tablesGone(pg *pgconn.PgError) bool {
	return pg.Code == "42P01" && strings.Contains(pg.Message, `"tasker.`) || pg.Code == "3F000" && strings.Contains(pg.Message, `"tasker"`)
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
		return "Correct that place; `tasker-rb docs templates` says what every key takes."
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

// printAs prints text that may be anyone's, such as what a handler file raises.
func printAs(w io.Writer, what, cause, remedy string) {
	fmt.Fprintf(w, "%s: %s\n", what, strings.ReplaceAll(ellipsis(printable(plain(cause))), "\n", "\n  "))
	if remedy != "" {
		fmt.Fprintf(w, "hint: %s\n", ellipsis(printable(hintLine(remedy))))
	}
}

// hintLine writes several hints, as an error has them, one after the other.
func hintLine(hints string) string {
	return strings.ReplaceAll(strings.TrimSpace(hints), "\n--\n", " ")
}
