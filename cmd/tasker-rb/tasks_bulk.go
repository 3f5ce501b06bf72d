package main

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/cockroachdb/errors"
	"github.com/spf13/cobra"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// taskChange is a command that changes one task, one step of it, or all tasks that the
// filters select.
type taskChange struct {
	words taskChangeWords
	one   func(context.Context, *orchestration.Engine, int64, orchestration.By) error
	many  func(context.Context, *orchestration.Engine, orchestration.Filter, orchestration.BulkOptions) (orchestration.BulkDone, error)
	// step changes a step. The second result says what was done, after "task 1: ".
	step func(cmd *cobra.Command, e *orchestration.Engine, id int64, step string, by orchestration.By) error
	// ofStep are the flags that need --step.
	ofStep []string

	by     operatorFlags
	filter filterFlags
	name   string // of the step
	output string
	dryRun bool
}

// taskChangeWords are the words of a command.
type taskChangeWords struct {
	verb   string // "retry"
	doing  string // "retrying"
	all    string // "every failed task"
	done   string // "is to be retried"
	past   string // "retried", also the key of the JSON
	ofStep string // "is to be retried"
}

// command adds what all three commands have in common.
func (c *taskChange) command(cmd *cobra.Command) *cobra.Command {
	cmd.Use = c.words.verb + " [TASK]"
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return exactly("TASK")(cmd, args)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return c.runMany(cmd)
		}
		return c.runOne(cmd, args[0])
	}
	c.by.add(cmd)
	c.filter.add(cmd)
	c.filter.addLimit(cmd, 0, "with filters: at most `N` tasks, the newest; 0 means all")
	cmd.Flags().StringVar(&c.name, "step", "", "only the step `NAME`")
	cmd.Flags().BoolVar(&c.dryRun, "dry-run", false, "with filters: print which tasks, and change nothing")
	cmd.Flags().StringVar(&c.output, "output", "text", "print as `FORMAT`: text or json")
	return cmd
}

func (c *taskChange) runOne(cmd *cobra.Command, arg string) error {
	id, err := taskID(arg)
	if err != nil {
		return err
	}
	for _, name := range append([]string{"dry-run", "limit"}, narrowingFlags...) {
		if cmd.Flags().Changed(name) {
			return errors.WithHintf(errors.Newf("--%s is for %s many tasks", name, c.words.doing), "Leave out the task number or --%s.", name)
		}
	}
	if err := oneOf("output", c.output, "text", "json"); err != nil {
		return err
	}
	if err := c.requireStep(cmd); err != nil {
		return err
	}
	return withEngine(cmd, func(e *orchestration.Engine) error {
		err := c.change(cmd, e, id)
		switch {
		case c.output == "json" && err == nil:
			return c.encodeOne(cmd.OutOrStdout(), id)
		case c.name != "":
			return printDone(cmd, err, "task %d: step %s %s", id, c.name, c.words.ofStep)
		default:
			return printDone(cmd, err, "task %d %s", id, c.words.done)
		}
	})
}

func (c *taskChange) change(cmd *cobra.Command, e *orchestration.Engine, id int64) error {
	if c.name != "" {
		return c.step(cmd, e, id, c.name, c.by.by())
	}
	return c.one(cmd.Context(), e, id, c.by.by())
}

// encodeOne prints what was done to one task, and to which step of it.
func (c *taskChange) encodeOne(out io.Writer, id int64) error {
	done := map[string]any{"task_id": id, "step": nil, c.words.past: true}
	if c.name != "" {
		done["step"] = c.name
	}
	return printJSON(out, done)
}

// requireStep refuses flags that need --step.
func (c *taskChange) requireStep(cmd *cobra.Command) error {
	for _, name := range c.ofStep {
		if c.name == "" && cmd.Flags().Changed(name) {
			return errors.WithHint(errors.Newf("--%s needs a step", name), "Name it with --step.")
		}
	}
	return nil
}

func (c *taskChange) runMany(cmd *cobra.Command) error {
	if err := oneOf("output", c.output, "text", "json"); err != nil {
		return err
	}
	if c.name != "" {
		return errors.WithHint(errors.New("--step needs a task number"), "Name the task.")
	}
	if err := c.requireStep(cmd); err != nil {
		return err
	}
	if !c.filter.narrows(cmd) {
		return errors.WithHint(errors.Newf("%s %s needs a filter", c.words.doing, c.words.all), "Give a task, or --namespace, --name, --error-class, --newer-than and the like.")
	}
	f, err := c.filter.filter(cmd)
	if err != nil {
		return err
	}
	return withEngine(cmd, func(e *orchestration.Engine) error {
		printed := c.printer(cmd.OutOrStdout())
		done, err := c.many(cmd.Context(), e, f, orchestration.BulkOptions{By: c.by.by(), DryRun: c.dryRun, Each: printed.task})
		if err != nil && done.Selected == 0 && cmd.Context().Err() == nil {
			return err // nothing was begun
		}
		return errors.CombineErrors(err, printed.end(done, err != nil))
	})
}

// changePrinter prints tasks as they are changed.
type changePrinter interface {
	task(orchestration.Changed)
	// end says how many there were. With stopped there may be more.
	end(done orchestration.BulkDone, stopped bool) error
}

func (c *taskChange) printer(out io.Writer) changePrinter {
	if c.output == "json" {
		return &changeJSON{change: c, out: out}
	}
	return &changeLines{change: c, out: out}
}

type changeLines struct {
	change *taskChange
	out    io.Writer
	err    error
}

func (p *changeLines) task(t orchestration.Changed) {
	words := p.change.words
	what := words.done
	switch {
	case t.Err != nil:
		what = "is not " + words.past + ", " + printable(t.Err.Error())
	case p.change.dryRun:
		what = "would be " + words.past
	}
	about := fmt.Sprintf("%s/%s %s", t.Namespace, t.Name, t.Version)
	if problem := problemText(t.TaskSummary); problem != "" {
		about += ", " + problem
	}
	if _, err := fmt.Fprintf(p.out, "task %d %s (%s)\n", t.TaskID, what, about); err != nil {
		p.err = err
	}
}

func (p *changeLines) end(done orchestration.BulkDone, stopped bool) error {
	total := plural(done.Selected, "task")
	if !p.change.dryRun && done.Changed < done.Selected {
		total = fmt.Sprintf("%d of %s", done.Changed, total)
	}
	switch limit := p.change.filter.limit; {
	case stopped:
		total += "; stopped, there may be more"
	case limit > 0 && done.Selected == limit:
		total += fmt.Sprintf("; there may be more than --limit %d", limit)
	}
	_, err := fmt.Fprintln(p.out, total)
	return errors.CombineErrors(p.err, err)
}

// changeJSON prints one list, also if it is stopped.
type changeJSON struct {
	change *taskChange
	out    io.Writer
	begun  bool
	err    error
}

func (p *changeJSON) task(t orchestration.Changed) {
	refused := []byte("null")
	document, err := asJSON(summaryOf(t.TaskSummary))
	if err == nil && t.Err != nil {
		refused, err = asJSON(t.Err.Error())
	}
	document = fmt.Appendf(bytes.TrimSuffix(document, []byte("}")), ",%q:%t,\"refused\":%s}", p.change.words.past, !p.change.dryRun && t.Err == nil, refused)
	separator := ","
	if !p.begun {
		separator = "["
	}
	p.begun = true
	_, written := fmt.Fprintf(p.out, "%s%s", separator, document)
	p.err = errors.CombineErrors(p.err, errors.CombineErrors(err, written))
}

func (p *changeJSON) end(orchestration.BulkDone, bool) error {
	end := "]\n"
	if !p.begun {
		end = "[]\n"
	}
	_, err := io.WriteString(p.out, end)
	return errors.CombineErrors(p.err, err)
}
