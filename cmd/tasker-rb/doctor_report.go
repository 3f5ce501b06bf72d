package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/tasker-rb/tasker-rb/templates"
)

// surveyProblem is what is wrong at one place. The line is 0 when none is known.
type surveyProblem struct {
	File     string `json:"file"`
	Line     int    `json:"line"`
	Severity string `json:"severity"` // severityError or severityWarning
	Message  string `json:"message"`
	Hint     string `json:"hint"`
}

const (
	severityError   = "error"
	severityWarning = "warning"
)

// surveyReport is the answer of doctor to code.
type surveyReport struct {
	Problems  []surveyProblem `json:"problems"`
	Handlers  int             `json:"handlers"`
	Templates int             `json:"templates"`
	Errors    int             `json:"errors"`
	Warnings  int             `json:"warnings"`

	shown *strings.Replacer // replaces the real paths of folders by those that the user wrote
}

func (r *surveyReport) addTemplate(p templates.Problem) {
	severity := severityError
	if p.Warning {
		severity = severityWarning
	}
	r.add(surveyProblem{File: p.File, Line: p.Line, Severity: severity, Message: p.Message, Hint: problemHint(p)})
}

func (r *surveyReport) add(p surveyProblem) {
	for _, text := range []*string{&p.File, &p.Message, &p.Hint} {
		*text = r.shown.Replace(*text)
	}
	r.Problems = append(r.Problems, p)
	if p.Severity == severityError {
		r.Errors++
	} else {
		r.Warnings++
	}
}

func (r *surveyReport) print(w io.Writer, format string) error {
	slices.SortStableFunc(r.Problems, func(a, b surveyProblem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	if format == "json" {
		if r.Problems == nil {
			r.Problems = []surveyProblem{}
		}
		return printJSON(w, r)
	}
	var out strings.Builder
	for i, p := range r.Problems {
		if i > 0 && p.File != r.Problems[i-1].File {
			out.WriteByte('\n')
		}
		place := inOneLine(p.File)
		if p.Line > 0 {
			place = fmt.Sprintf("%s:%d", place, p.Line)
		}
		fmt.Fprintf(&out, "%s: %s: %s\n", place, p.Severity, inOneLine(p.Message))
		if p.Hint != "" {
			fmt.Fprintf(&out, "    %s\n", inOneLine(p.Hint))
		}
	}
	if len(r.Problems) > 0 {
		out.WriteByte('\n')
	}
	out.WriteString(r.summary() + "\n")
	_, err := io.WriteString(w, out.String())
	return err
}

// inOneLine makes text safe for a terminal, in one line.
func inOneLine(text string) string {
	return strings.NewReplacer("\n", `\n`, "\t", " ").Replace(printable(text))
}

func (r *surveyReport) summary() string {
	what := plural(r.Handlers, "handler")
	if r.Templates > 0 {
		what += ", " + plural(r.Templates, "template")
	}
	return what + ": " + plural(r.Errors, "error") + ", " + plural(r.Warnings, "warning")
}
