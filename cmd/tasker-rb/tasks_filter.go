package main

import (
	"time"

	"github.com/cockroachdb/errors"
	"github.com/spf13/cobra"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// filterFlags are the flags that select tasks.
type filterFlags struct {
	namespace, name, version, errorClass string
	states, tags                         []string
	newer, older, running                timeSpan
	limit                                int
	below                                int64
	unlimited                            bool // --limit may be left out
}

func (f *filterFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.namespace, "namespace", "", "only tasks of namespace `NAME`")
	flags.StringVar(&f.name, "name", "", "only tasks named `NAME`")
	flags.StringVar(&f.version, "version", "", "only tasks of `VERSION`")
	flags.StringVar(&f.errorClass, "error-class", "", "only tasks with a step that last failed with `CLASS`")
	flags.StringArrayVar(&f.tags, "tag", nil, "only tasks with `TAG`, may be repeated")
	flags.Var(&f.newer, "newer-than", "only tasks submitted within `TIME`, such as 24h or 7d")
	flags.Var(&f.older, "older-than", "only tasks submitted longer than `TIME` ago, such as 1h or 7d")
}

// addLimit adds --limit. If it is 0 by default, it is not needed, and may be of any size.
func (f *filterFlags) addLimit(cmd *cobra.Command, fallback int, usage string) {
	cmd.Flags().IntVar(&f.limit, "limit", fallback, usage)
	f.unlimited = fallback == 0
}

func (f *filterFlags) addStates(cmd *cobra.Command, usage string) {
	cmd.Flags().StringArrayVar(&f.states, "state", nil, usage)
}

// addRunning adds --running-longer-than.
func (f *filterFlags) addRunning(cmd *cobra.Command) {
	cmd.Flags().Var(&f.running, "running-longer-than", "only tasks in progress that were begun longer than `TIME` ago, such as 10m")
}

// narrowingFlags are the names of the flags that narrow the selection.
var narrowingFlags = []string{"namespace", "name", "version", "error-class", "tag", "newer-than", "older-than", "state", "running-longer-than"}

// narrows reports whether a flag narrows the selection.
func (f *filterFlags) narrows(cmd *cobra.Command) bool {
	for _, name := range narrowingFlags {
		if flag := cmd.Flags().Lookup(name); flag != nil && flag.Changed {
			return true
		}
	}
	return false
}

func (f *filterFlags) filter(cmd *cobra.Command) (orchestration.Filter, error) {
	switch {
	case cmd.Flags().Changed("below") && f.below < 1:
		return orchestration.Filter{}, errors.WithHint(errors.Newf("--below cannot be %d", f.below), "Give the number of a task, as the last line of a list has it.")
	case f.unlimited && f.limit < 0:
		return orchestration.Filter{}, errors.WithHint(errors.Newf("--limit cannot be %d", f.limit), "Give a number of 1 or more.")
	case !f.unlimited && (f.limit < 1 || f.limit > 1000):
		return orchestration.Filter{}, errors.WithHint(errors.Newf("--limit cannot be %d", f.limit), "Give a number from 1 to 1000.")
	}
	for _, name := range []string{"newer-than", "older-than", "running-longer-than"} {
		if err := refuseZero(cmd, name); err != nil {
			return orchestration.Filter{}, err
		}
	}
	out := orchestration.Filter{
		Namespace: f.namespace, Name: f.name, Version: f.version, ErrorClass: f.errorClass, Tags: f.tags, Limit: f.limit, Below: f.below,
	}
	for _, s := range f.states {
		out.States = append(out.States, orchestration.TaskState(s))
	}
	if f.newer > 0 {
		out.CreatedAfter = time.Now().Add(-time.Duration(f.newer))
	}
	if f.older > 0 {
		out.CreatedBefore = time.Now().Add(-time.Duration(f.older))
	}
	if f.running > 0 {
		out.BegunBefore = time.Now().Add(-time.Duration(f.running))
	}
	return out, nil
}
