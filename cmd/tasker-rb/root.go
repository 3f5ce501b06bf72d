package main

import (
	"runtime/debug"

	"github.com/spf13/cobra"
)

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:     "tasker-rb",
		Short:   "Run Ruby step handlers without Rails",
		Version: version(),
		Long: `tasker-rb runs the step handlers that a task template names in a real CRuby
inside this process, and keeps tasks, retries and results in PostgreSQL.

Without DATABASE_URL it keeps them in a private PostgreSQL of its own, which it
starts when needed and stops afterwards.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          subcommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.SetFlagErrorFunc(flagError)
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(newRun(), newSubmit(), newWorker(), newRuby(), newTasks(), newTemplates(), newDoctor(), newMigrate())
	return root
}

// version is that of the module, with the commit where it is built from one.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}
