package main

import (
	"context"
	"fmt"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/spf13/cobra"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

type pruneCommand struct {
	older                    timeSpan
	states                   []string
	namespace, name, version string
	dryRun                   bool
	output                   string
}

func newTasksPrune() *cobra.Command {
	p := &pruneCommand{}
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Delete tasks that ended long ago",
		Long: `Delete tasks that ended longer than --older-than ago, with their steps, results
and history. Only complete, cancelled and resolved_manually tasks are deleted,
never tasks in error.

A template can keep its tasks longer. With keep: 90d in the template,
--older-than 30d deletes its tasks after 90 days. With keep: forever its tasks
are never deleted.

An identity key stays known: a submission with the key of a deleted task still
finds the number of that task, and writes nothing.

Tasks are deleted a few hundred at a time, with pauses. ^C ends the command
between two such batches.`,
		Example: `  tasker-rb tasks prune --older-than 30d --dry-run
  tasker-rb tasks prune --older-than 7d --state cancelled --namespace shop`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return p.run(cmd) },
	}
	flags := cmd.Flags()
	flags.Var(&p.older, "older-than", "only tasks that ended longer than `TIME` ago, such as 12h or 30d; required")
	flags.StringArrayVar(&p.states, "state", nil, "only tasks in `STATE`: complete, cancelled or resolved_manually, may be repeated")
	flags.StringVar(&p.namespace, "namespace", "", "only tasks of namespace `NAME`")
	flags.StringVar(&p.name, "name", "", "only tasks named `NAME`")
	flags.StringVar(&p.version, "version", "", "only tasks of `VERSION`")
	flags.BoolVar(&p.dryRun, "dry-run", false, "count the tasks, for some seconds at most, and delete nothing")
	flags.StringVar(&p.output, "output", "text", "print as `FORMAT`: text or json")
	return cmd
}

func (p *pruneCommand) run(cmd *cobra.Command) error {
	if err := oneOf("output", p.output, "text", "json"); err != nil {
		return err
	}
	if err := refuseZero(cmd, "older-than"); err != nil {
		return err
	}
	if p.older == 0 {
		return errors.WithHint(errors.New("--older-than is missing"), timeSpanHint)
	}
	o := orchestration.PruneOptions{OlderThan: time.Duration(p.older), Namespace: p.namespace, Name: p.name, Version: p.version, DryRun: p.dryRun}
	for _, s := range p.states {
		o.States = append(o.States, orchestration.TaskState(s))
	}
	return withEngine(cmd, func(e *orchestration.Engine) error {
		done, err := e.Prune(cmd.Context(), o)
		stopped := err != nil && cmd.Context().Err() != nil && errors.Is(err, context.Canceled)
		if err == nil || stopped || done.Tasks > 0 {
			if failed := p.print(cmd, done, err != nil); failed != nil {
				return failed
			}
		}
		return err
	})
}

func (p *pruneCommand) print(cmd *cobra.Command, done orchestration.Pruned, stopped bool) error {
	out := cmd.OutOrStdout()
	if p.output == "json" {
		return printJSON(out, struct {
			Tasks   int  `json:"tasks"`
			AtLeast bool `json:"at_least"`
			Stopped bool `json:"stopped"`
			DryRun  bool `json:"dry_run"`
		}{done.Tasks, done.AtLeast || stopped, stopped, p.dryRun})
	}
	text := plural(done.Tasks, "task")
	switch {
	case p.dryRun && (done.AtLeast || stopped):
		text = "at least " + text + " would be deleted"
	case p.dryRun:
		text += " would be deleted"
	case stopped:
		text += " deleted, and there may be more"
	default:
		text += " deleted"
	}
	_, err := fmt.Fprintln(out, text)
	return err
}
