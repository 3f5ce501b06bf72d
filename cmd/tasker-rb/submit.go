package main

import (
	"fmt"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/spf13/cobra"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

type submitCommand struct {
	context  string
	env      string
	output   string
	count    int
	key      string
	once     bool
	priority int16
	tags     []string
	reason   string
	who      string
	source   string
	runAt    string
}

func newSubmit() *cobra.Command {
	s := &submitCommand{}
	cmd := &cobra.Command{
		Use:   "submit TEMPLATE",
		Short: "Submit a task for the workers",
		Long: `Submit a task and return at once; a worker runs it.

The context is checked against the template's schema. Handlers are not loaded;
the worker loads them.`,
		Example: `  tasker-rb submit order.yaml --context @order.json
  tasker-rb submit order.yaml --context @order.json --key order-42
  tasker-rb submit order.yaml --context '{"order_id": 1}' --count 1000`,
		Args: exactly("TEMPLATE"),
		RunE: func(cmd *cobra.Command, args []string) error { return s.run(cmd, args[0]) },
	}
	f := cmd.Flags()
	f.StringVar(&s.context, "context", "{}", "the task's context: `JSON`, @FILE, or - for standard input")
	f.StringVar(&s.env, "env", "", "apply the template's environment `NAME`")
	f.IntVar(&s.count, "count", 1, "submit `N` tasks")
	f.StringVar(&s.key, "key", "", "identity `KEY`: a second submission with the same key returns the first task")
	f.BoolVar(&s.once, "once", false, "identity by content: the same name, version and context are one task")
	f.Int16Var(&s.priority, "priority", 0, "priority `N`, higher first")
	f.StringArrayVar(&s.tags, "tag", nil, "`TAG` to find it by, may be repeated")
	f.StringVar(&s.reason, "reason", "", "reason `TEXT`, kept with the task")
	f.StringVar(&s.who, "initiator", "", "`NAME` of the submitter, kept with the task")
	f.StringVar(&s.source, "source", "tasker-rb submit", "`NAME` of the system it comes from, kept with the task")
	f.StringVar(&s.runAt, "run-at", "", "not before `TIME`: a moment such as 2026-01-31T08:00:00Z, or a time from now such as 2h")
	f.StringVar(&s.output, "output", "text", "print as `FORMAT`: text or json")
	return cmd
}

func (s *submitCommand) run(cmd *cobra.Command, file string) error {
	if s.count < 1 {
		return errors.WithHint(errors.Newf("--count cannot be %d", s.count), "Give a number of 1 or more.")
	}
	if s.key != "" && s.once {
		return errors.WithHint(errors.New("--key cannot be given with --once: each says by itself what makes two tasks the same"), "Leave one of them out.")
	}
	if s.count > 1 && (s.key != "" || s.once) {
		return errors.WithHint(errors.New("--count with --key or --once would submit one task only"), "Leave one of them out.")
	}
	if err := oneOf("output", s.output, "text", "json"); err != nil {
		return err
	}
	var runAt time.Time
	if s.runAt != "" {
		var err error
		if runAt, err = parseMoment("run-at", s.runAt, time.Now()); err != nil {
			return err
		}
	}
	template, err := loadTemplate(cmd.Context(), file, s.env)
	if err != nil {
		return err
	}
	input, err := taskContext(cmd.Context(), template, s.context, cmd.InOrStdin())
	if err != nil {
		return err
	}
	return withEngine(cmd, func(e *orchestration.Engine) error {
		list := make([]orchestration.Submission, s.count)
		for i := range list {
			list[i] = orchestration.Submission{
				Template: template, Context: input, IdentityKey: s.key, IdentityByContent: s.once, Priority: s.priority,
				Tags: s.tags, Reason: s.reason, Initiator: s.who, SourceSystem: s.source, RunAt: runAt,
			}
		}
		done, err := e.SubmitMany(cmd.Context(), list)
		if err != nil {
			return whileEditing(err, file)
		}
		if err := s.print(cmd, done, runAt); err != nil {
			return notNamed(done, err)
		}
		return nil
	})
}

func (s *submitCommand) print(cmd *cobra.Command, done []orchestration.Submitted, runAt time.Time) error {
	out := cmd.OutOrStdout()
	when := ""
	if !runAt.IsZero() {
		when = ", to run at " + runAt.Local().Format(time.DateTime)
	}
	if s.output == "json" {
		type submitted struct {
			TaskID  int64 `json:"task_id"`
			Existed bool  `json:"existed"`
		}
		list := make([]submitted, len(done))
		for i, d := range done {
			list[i] = submitted{d.TaskID, d.Existed}
		}
		return printJSON(out, list)
	}
	first, last := done[0], done[len(done)-1]
	var err error
	switch {
	case len(done) > 1:
		_, err = fmt.Fprintf(out, "%d tasks submitted, %d to %d%s\n", len(done), first.TaskID, last.TaskID, when)
	case first.Existed:
		_, err = fmt.Fprintf(out, "already there: task %d\n", first.TaskID)
	default:
		_, err = fmt.Fprintf(out, "task %d submitted%s\n", first.TaskID, when)
	}
	return err
}

// notNamed is the error of tasks that are submitted but whose numbers could not be printed.
func notNamed(done []orchestration.Submitted, err error) error {
	first, last := done[0], done[len(done)-1]
	switch {
	case len(done) > 1:
		return errors.WithHint(errors.Newf("tasks %d to %d were submitted, but their numbers could not be written: %v", first.TaskID, last.TaskID, lastCause(err)),
			"`tasker-rb tasks list` shows them.")
	case first.Existed:
		err = errors.Newf("task %d is already there, but its number could not be written: %v", first.TaskID, lastCause(err))
	default:
		err = errors.Newf("task %d was submitted, but its number could not be written: %v", first.TaskID, lastCause(err))
	}
	return errors.WithHintf(err, "`tasker-rb tasks show %d` shows it.", first.TaskID)
}
