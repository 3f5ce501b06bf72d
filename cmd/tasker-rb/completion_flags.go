package main

import (
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/templates"
)

// completeFlags tells the shell which words each flag takes.
func completeFlags(cmd *cobra.Command) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if words := wordsOf(cmd, f); words != nil {
			_ = cmd.RegisterFlagCompletionFunc(f.Name, words) // it fails for a flag that is not there
		}
	})
}

// wordsOf is nil for a flag that takes a file. The names of values are those of the usage.
func wordsOf(cmd *cobra.Command, f *pflag.Flag) cobra.CompletionFunc {
	value, _ := pflag.UnquoteUsage(f)
	switch {
	case f.Name == "output" && cmd.CommandPath() == "tasker-rb templates show":
		return fixed("text", "ascii", "mermaid", "json")
	case value == "FORMAT":
		return fixed("text", "json")
	case f.Name == "spec":
		return fixed(rspec.name, minitest.name)
	case value == "STATE":
		return fixed(statesFor(cmd)...)
	case f.Name == "step":
		return steps
	case f.Name == "task":
		return tasksIn(orchestration.TaskInError, orchestration.TaskInProgress, orchestration.TaskPending) // those that can go on
	case value == "STEP":
		return stepsInFile
	case value == "DIR", strings.HasSuffix(value, "FOLDER"):
		return folders
	case value == "FILE", value == "FEATURE", f.Name == "templates":
		return nil
	default:
		return cobra.NoFileCompletions
	}
}

// statesFor are the states by which the command chooses tasks.
func statesFor(cmd *cobra.Command) []string {
	var out []string
	for _, s := range statsStates {
		over := s.Final() && s != orchestration.TaskInError
		switch {
		case cmd.Name() == "cancel" && over, cmd.Name() == "prune" && !over:
		default:
			out = append(out, string(s))
		}
	}
	return out
}

// stepsInFile are the steps of the template that is the first argument, or of the task in
// the file of --from. A pipe stays unread: what it says is for the command, and the shell would
// wait for it.
func stepsInFile(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	var words []string
	if from := cmd.Flags().Lookup("from"); from != nil && from.Changed {
		words = stepsInExport(from.Value.String())
	} else if len(args) > 0 && !isSpecial(args[0]) {
		if t, err := templates.Load(args[0]); err == nil {
			for _, s := range t.Steps {
				words = append(words, s.Name)
			}
		}
	}
	return words, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}

func stepsInExport(file string) (names []string) {
	if isSpecial(file) {
		return nil
	}
	document, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	x, err := orchestration.DecodeExport(document)
	if err != nil {
		return nil
	}
	for i := range x.Task.Steps {
		names = append(names, x.Task.Steps[i].Name)
	}
	return names
}
