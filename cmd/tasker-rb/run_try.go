package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/cockroachdb/errors"
	"github.com/spf13/cobra"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/templates"
)

// try repeats the step of --only, and prints what it did.
func (r *runCommand) try(cmd *cobra.Command, h *handlersReady, x *orchestration.Export) (err error) {
	ctx := cmd.Context()
	engine, err := r.engine(ctx, h)
	if err != nil {
		return err
	}
	defer func() { err = errors.CombineErrors(err, engine.Close()) }()
	result, err := engine.Try(ctx, orchestration.TryOptions{Export: x, Step: r.only})
	if err != nil {
		return err
	}
	step := x.Task.Template.Step(r.only)
	if r.output == "json" {
		err = printTryJSON(cmd.OutOrStdout(), x, step, result)
	} else {
		err = printTry(cmd.OutOrStdout(), x, step, result)
	}
	if err == nil && result.Err != nil {
		err = &exitError{exitTaskFailed}
	}
	return err
}

func printTry(w io.Writer, x *orchestration.Export, step *templates.Step, r *orchestration.TryResult) error {
	var b strings.Builder
	state := green.Render("complete")
	if r.Err != nil {
		state = red.Render("error")
	}
	fmt.Fprintf(&b, "\n%s  %s in %s  (attempt %d of task %d, %s)\n", bold.Render(step.Name), state, shortDuration(r.Duration),
		r.Attempt, x.Task.TaskID, x.Task.Template.ID())
	if r.Err != nil {
		printFailure(&b, r.Err)
	} else {
		b.WriteString(indent(r.Results) + "\n")
	}
	b.WriteString("\n" + compared(r))
	if step.Transaction == templates.TransactionNone {
		b.WriteString("its template says `transaction: none`; here all its SQL ran in one transaction\n")
	}
	b.WriteString("rolled back: nothing of this run is in the database\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// compared says how the outcome compares with the recorded one.
func compared(r *orchestration.TryResult) string {
	switch {
	case r.Recorded == nil:
		return "no outcome was recorded\n"
	case len(r.Differences) > 0:
		lines := fmt.Sprintf("not as recorded in attempt %d:\n", r.Recorded.Number)
		for _, d := range r.Differences {
			lines += "  " + strings.ReplaceAll(printable(d), "\n", "\n  ") + "\n"
		}
		return lines
	case r.Err != nil:
		return fmt.Sprintf("the same error as recorded in attempt %d\n", r.Recorded.Number)
	default:
		return fmt.Sprintf("the same results as recorded in attempt %d\n", r.Recorded.Number)
	}
}

// tryJSON is the document of --only with --output json. docs/cli.md describes it.
type tryJSON struct {
	TaskID      int64           `json:"task_id"`
	Step        string          `json:"step"`
	Status      string          `json:"status"`
	Attempt     int             `json:"attempt"`
	Results     json.RawMessage `json:"results"`
	Error       *errorJSON      `json:"error"`
	Recorded    *recordedJSON   `json:"recorded"`
	AsRecorded  bool            `json:"as_recorded"`
	Differences []string        `json:"differences"`
	Redacted    []string        `json:"redacted"`
}

type recordedJSON struct {
	Attempt int             `json:"attempt"`
	Results json.RawMessage `json:"results"`
	Error   *errorJSON      `json:"error"`
}

func printTryJSON(w io.Writer, x *orchestration.Export, step *templates.Step, r *orchestration.TryResult) error {
	document := tryJSON{
		TaskID: x.Task.TaskID, Step: step.Name, Status: string(orchestration.StepComplete), Attempt: r.Attempt, Results: r.Results,
		Error: errorAsJSON(r.Err, step.Retryable), AsRecorded: r.Recorded != nil && len(r.Differences) == 0,
		Differences: append([]string{}, r.Differences...), Redacted: append([]string{}, x.Redacted...),
	}
	if r.Err != nil {
		document.Status = string(orchestration.StepInError)
	}
	if a := r.Recorded; a != nil {
		document.Recorded = &recordedJSON{Attempt: a.Number, Results: a.Results, Error: errorAsJSON(a.Err, step.Retryable)}
	}
	return errors.Wrap(printIndentedJSON(w, document), "writing the result")
}
