package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/spf13/cobra"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/templates"
)

// devRole says what a run of the command dev does: go on with a task, or begin a new one
// after it. The number is 0 for the first run.
type devRole struct {
	task int64
	anew bool
}

// devRoleVariable tells a process its role. reportFD is a pipe to the command: the run
// writes the number of its task there.
const (
	devRoleVariable = "TASKER_RB_DEV_ROLE"
	reportFD        = 4
)

// heldByDev is how long workers leave a task alone that a save has interrupted. The next
// run goes on with it well within that time.
const heldByDev = 15 * time.Second

func (r devRole) String() string {
	if r.anew {
		return fmt.Sprintf("anew:%d", r.task)
	}
	return fmt.Sprintf("on:%d", r.task)
}

// takeDevRole reads the role of this process. No process that a handler starts inherits it.
func takeDevRole() (r devRole, is bool) {
	kind, number, found := strings.Cut(os.Getenv(devRoleVariable), ":")
	_ = os.Unsetenv(devRoleVariable) // the name is valid
	task, err := strconv.ParseInt(number, 10, 64)
	if !found || err != nil {
		return r, false
	}
	endWithParent()
	syscall.CloseOnExec(reportFD)
	return devRole{task: task, anew: kind == "anew"}, true
}

// runHere is one run. After ^C, or a change, it says nothing: the command knows.
func (d *devCommand) runHere(cmd *cobra.Command, file string, role devRole) error {
	err := d.runOnce(cmd, file, role)
	if cmd.Context().Err() != nil {
		return &exitError{exitInterrupted}
	}
	return err
}

func (d *devCommand) runOnce(cmd *cobra.Command, file string, role devRole) error {
	r := &d.run
	template, err := loadTemplate(cmd.Context(), file, r.env)
	if err != nil {
		return err
	}
	printWarnings(cmd.ErrOrStderr(), template)
	if err := r.results.check(template); err != nil {
		return err
	}
	input, err := taskContext(cmd.Context(), template, r.context, nil)
	if err != nil {
		return err
	}
	pool := r.newPool()
	pool.openAhead(cmd.Context()) // while Ruby boots: the command has opened the database before
	return r.withHandlers(cmd, pool, file, template, func(h *handlersReady) error {
		if err := resolveHandlers(cmd.Context(), h.host, template); err != nil {
			return err
		}
		engine, err := r.engine(cmd.Context(), h)
		if err != nil {
			return err
		}
		run := &devRun{handlersReady: h, engine: engine, said: cmd.ErrOrStderr(), noRetry: d.noRetry}
		return errors.CombineErrors(run.do(cmd.Context(), template, input, role), engine.Close())
	})
}

// devRun is a run with its engine.
type devRun struct {
	*handlersReady
	engine  *orchestration.Engine
	said    io.Writer
	noRetry bool
}

func (r *devRun) do(ctx context.Context, t *templates.Template, input json.RawMessage, role devRole) error {
	last, err := r.last(ctx, role)
	if err != nil {
		return err
	}
	if last != nil && !role.anew && goesOn(last, t, input) {
		if err := r.engine.RetryHere(ctx, last.TaskID, byDev("dev: a file was saved")); err != nil {
			return err
		}
		r.report(last.TaskID)
		fmt.Fprintf(r.said, "going on with task %d%s\n", last.TaskID, from(last))
		r.setApart()
		r.resume(last)
		return r.follow(ctx, r.engine, last.TaskID)
	}
	if last != nil && !last.State.Final() { // nobody would run it any more
		err := r.engine.CancelTask(ctx, last.TaskID, byDev("dev has begun another task"))
		if err != nil && !errors.Is(err, orchestration.ErrRefused) {
			return err
		}
	}
	made, err := r.engine.Submit(ctx, orchestration.Submission{
		Template: t, Context: input, SourceSystem: "tasker-rb dev", Held: true, ReplaceTemplate: true, SingleAttempt: r.noRetry,
	})
	if err != nil {
		return err
	}
	r.report(made.TaskID)
	r.sayChanges(last, made.Replaced, t)
	return r.follow(ctx, r.engine, made.TaskID)
}

// last is the task of the run before this one. It may be gone.
func (r *devRun) last(ctx context.Context, role devRole) (*orchestration.TaskDetail, error) {
	if role.task == 0 {
		return nil, nil
	}
	task, err := r.engine.Task(ctx, role.task)
	if errors.Is(err, orchestration.ErrTaskNotFound) {
		return nil, nil
	}
	return task, err
}

// goesOn reports whether a task that has not succeeded is still the one to run.
func goesOn(last *orchestration.TaskDetail, t *templates.Template, input json.RawMessage) bool {
	return (last.State == orchestration.TaskInError || !last.State.Final()) &&
		last.Template != nil && last.Template.Digest() == t.Digest() && sameJSON(last.Context, input)
}

func sameJSON(a, b json.RawMessage) bool {
	var x, y bytes.Buffer
	return json.Compact(&x, a) == nil && json.Compact(&y, b) == nil && bytes.Equal(x.Bytes(), y.Bytes())
}

func byDev(reason string) orchestration.By {
	by := operatorFlags{reason: reason}
	return by.by()
}

// from names the steps with which the task goes on.
func from(t *orchestration.TaskDetail) string {
	var names []string
	for i := range t.Steps {
		if s := t.Steps[i].State; s == orchestration.StepInError || s == orchestration.StepWaitingForRetry {
			names = append(names, t.Steps[i].Name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return " from " + strings.Join(names, ", ")
}

// sayChanges says what has changed in the template since the run before, or else since it
// was stored.
func (r *devRun) sayChanges(last *orchestration.TaskDetail, replaced, t *templates.Template) {
	before := replaced
	if last != nil && last.Template != nil {
		before = last.Template
	}
	if before == nil {
		return
	}
	changes := templates.Changes(before, t)
	for _, change := range changes {
		fmt.Fprintf(r.said, "  %s\n", printable(change))
	}
	if len(changes) > 0 {
		r.setApart()
	}
}

// setApart ends what is said above the picture of a task, on a terminal.
func (r *devRun) setApart() {
	if _, live := r.show.(*liveDisplay); live {
		fmt.Fprintln(r.said)
	}
}

// report tells the command the number of the task.
func (r *devRun) report(task int64) {
	pipe := os.NewFile(reportFD, "the command")
	_, _ = fmt.Fprintln(pipe, task) // the command may have been killed
	_ = pipe.Close()
}
