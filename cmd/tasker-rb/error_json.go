package main

import (
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/cockroachdb/errors"
	"github.com/spf13/cobra"

	"github.com/tasker-rb/tasker-rb/rubyhost"
	"github.com/tasker-rb/tasker-rb/templates"
)

// errorDocument is what --output json prints on standard output when a command fails. The
// text goes to standard error as well.
type errorDocument struct {
	Error  string       `json:"error"`
	Hint   string       `json:"hint"`
	Errors []placedJSON `json:"errors"` // each, if there are several or if a file is wrong
}

// placedJSON is one error. File is empty, and Line and Column are 0, if it has no place.
type placedJSON struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
	Hint    string `json:"hint"`
}

// documentOf describes an error as printError does.
func documentOf(err error) errorDocument {
	var problems *templates.Problems
	var violations *badContext
	var ruby *rubyhost.Error
	switch {
	case errors.As(err, &problems):
		d := errorDocument{Errors: []placedJSON{}}
		for _, p := range problems.List {
			if !p.Warning {
				d.Errors = append(d.Errors, placedJSON{p.File, p.Line, p.Column, p.Message, problemHint(p)})
			}
		}
		first := problems.List[max(slices.IndexFunc(problems.List, func(p templates.Problem) bool { return !p.Warning }), 0)]
		d.Error, d.Hint = first.String(), problemHint(first)
		return d
	case errors.As(err, &violations):
		return violations.document()
	case errors.As(err, &ruby):
		d := errorDocument{Error: plain(ruby.Message), Hint: errors.FlattenHints(err), Errors: []placedJSON{}}
		if m := inHandlerFile.FindStringSubmatch(ruby.Message); m != nil && ruby.IsA("Tasker::HandlerError") {
			line, _ := strconv.Atoi(m[2]) // digits
			d.Errors = append(d.Errors, placedJSON{File: m[1], Line: line, Message: m[3], Hint: d.Hint})
		}
		return d
	default:
		hint, shown := explained(err)
		return errorDocument{Error: plain(shown.Error()), Hint: strings.ReplaceAll(hint, "\n--\n", " "), Errors: []placedJSON{}}
	}
}

// inHandlerFile matches what is said of a file of Ruby.
var inHandlerFile = regexp.MustCompile(`(?s)\A(/[^\n]*?\.rb):(\d+): (.*)\z`)

// jsonOutput is the standard output of a command with --output json.
type jsonOutput struct {
	out   io.Writer
	begun bool     // something was written
	apart *os.File // standard output, where descriptor 1 is not (see documentApart)
}

func (j *jsonOutput) Write(p []byte) (int, error) {
	j.begun = j.begun || len(p) > 0
	n, err := j.out.Write(p)
	if j.apart != nil && errors.Is(err, syscall.EPIPE) {
		j.backForGood()
		return j.out.Write(p[n:])
	}
	return n, err
}

// fail prints the error as JSON, unless the command has begun a document of its own.
func (j *jsonOutput) fail(err error) {
	if j.begun {
		return
	}
	_ = printJSON(j.out, documentOf(err)) // there is nowhere else to say it
}

// watchOutput returns the standard output of the command if it is to be JSON, otherwise
// nil.
func watchOutput(cmd *cobra.Command, args []string) *jsonOutput {
	if out, ok := cmd.OutOrStdout().(*jsonOutput); ok {
		return out
	}
	if wantsJSON(cmd, args) {
		return &jsonOutput{out: cmd.OutOrStdout()}
	}
	return nil
}

// wantsJSON also looks at the arguments: an error may come before the flags are read.
func wantsJSON(cmd *cobra.Command, args []string) bool {
	flag := cmd.Flags().Lookup("output")
	if flag == nil && !cmd.HasSubCommands() {
		return false // a command that there is not would have had it
	}
	if flag != nil && flag.Changed {
		return flag.Value.String() == "json"
	}
	end := slices.Index(args, "--")
	if end < 0 {
		end = len(args)
	}
	at := slices.Index(args[:end], "--output")
	return slices.Contains(args[:end], "--output=json") || at >= 0 && at+1 < end && args[at+1] == "json"
}
