package main

import (
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/spf13/cobra"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/templates"
)

// resultFlags say what run prints of a task that has ended.
type resultFlags struct {
	quiet bool
	steps []string
}

func (f *resultFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&f.quiet, "quiet", "q", false, "print no progress and no results, only what failed and a last line")
	cmd.Flags().StringArrayVar(&f.steps, "show", nil, "of all results, print only those of `STEP`; may be repeated")
}

// needText refuses the flags for a document, which is always whole.
func (f *resultFlags) needText(cmd *cobra.Command, output string) error {
	for _, name := range []string{"quiet", "show"} {
		if output == "json" && cmd.Flags().Changed(name) {
			return errors.WithHintf(errors.Newf("--%s is for text, and --output json prints the whole task", name), "Leave one of them out.")
		}
	}
	return nil
}

// check fails if a step of --show is not in the template.
func (f *resultFlags) check(t *templates.Template) error {
	for _, name := range f.steps {
		if t.Step(name) != nil {
			continue
		}
		names := make([]string, len(t.Steps))
		for i, s := range t.Steps {
			names[i] = s.Name
		}
		return errors.WithHintf(errors.Newf("--show %s: the template has no such step", name), "Its steps are %s.", strings.Join(names, ", "))
	}
	return nil
}

// resultOptions say what printResult prints.
type resultOptions struct {
	quiet bool
	steps []string // if there are any: only their results
	kept  bool     // after a failure: other commands find the task, and are named
	flags string   // those of handlerFlags.repeated
	time  *runTime
}

// runTime is when a run has begun, if the task was there before. Otherwise it is zero.
type runTime struct{ resumed time.Time }

// of returns the time of this run. A new task has that in the database; the age of an older
// one says nothing about the run.
func (r *runTime) of(t *orchestration.TaskDetail) time.Duration {
	if r.resumed.IsZero() {
		return t.EndedAt.Sub(t.CreatedAt)
	}
	return time.Since(r.resumed)
}

func (f *resultFlags) of(kept bool, flags string) resultOptions {
	return resultOptions{quiet: f.quiet, steps: f.steps, kept: kept, flags: flags, time: &runTime{}}
}

func (o resultOptions) shows(step string) bool {
	if len(o.steps) > 0 {
		return slices.Contains(o.steps, step)
	}
	return !o.quiet
}
