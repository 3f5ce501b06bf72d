package main

import "github.com/spf13/cobra"

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "tasker-rb",
		Short: "Run Ruby step handlers without Rails",
		Long: `tasker-rb runs the step handlers that a task template names in a real CRuby
inside this process, and keeps tasks, retries and results in PostgreSQL.

Without DATABASE_URL it keeps them in a private PostgreSQL of its own, which it
starts when needed and stops afterwards.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          subcommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(flagError)
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(newRun(), newSubmit(), newWorker(), newTasks(), newTemplates(), newDoctor(), newMigrate())
	return root
}
