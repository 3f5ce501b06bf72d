package main

import (
	"github.com/spf13/cobra"
)

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:     "tasker-rb",
		Short:   "Run Ruby step handlers without Rails",
		Version: version().String(),
		Long: `tasker-rb runs the step handlers of a task template in a real CRuby inside this
process. It keeps tasks, retries and results in PostgreSQL.

Without DATABASE_URL it uses a private PostgreSQL. It starts this server when it
is needed and stops it afterwards. If DATABASE_URL leads to a pooler in
transaction mode, TASKER_SESSION_URL is the engine's way to the server itself.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          subcommand,
		PersistentPreRun: func(cmd *cobra.Command, args []string) {
			if wantsJSON(cmd, args) {
				cmd.SetOut(&jsonOutput{out: cmd.OutOrStdout()})
			}
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(newNew(), newRun(), newDev(), newSubmit(), newWorker(), newWorkers(), newStats(), newConsole(), newRuby(), newTest(), newSoak(), newTasks(), newTemplates(), newDoctor(), newMigrate(), newDocs(), newVersion(), newMan())
	root.SetHelpCommand(newHelp())
	addCompletions(root)
	return root
}
