package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/cockroachdb/errors"
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func newMan() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "man DIR", Short: "Write the man pages into a folder", Args: exactly("DIR"),
		Long: "Write a man page for each command into a folder, which is made if it is not there.",
		Example: `  tasker-rb man ~/.local/share/man/man1
  man tasker-rb-run`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf("output", output, "text", "json"); err != nil {
				return err
			}
			dir := args[0]
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return errors.WithHint(err, "Name a folder that you can write.")
			}
			root := newRoot()
			root.DisableAutoGenTag = true // the same pages each time
			header := &doc.GenManHeader{Title: "TASKER-RB", Section: "1", Source: "tasker-rb " + version().Version, Manual: "tasker-rb"}
			if err := doc.GenManTree(root, header, dir); err != nil {
				return errors.WithHint(err, "Name a folder that you can write.")
			}
			if output == "json" {
				return printJSON(cmd.OutOrStdout(), map[string]any{"folder": dir, "files": pagesOf(root)})
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "wrote the man pages of all commands into %s\n", dir)
			return err
		},
	}
	cmd.Flags().StringVar(&output, "output", "text", "print as `FORMAT`: text or json")
	return cmd
}

// pagesOf are the names of the pages of a command and of those below it.
func pagesOf(cmd *cobra.Command) []string {
	pages := []string{strings.ReplaceAll(cmd.CommandPath(), " ", "-") + ".1"}
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() && !sub.IsAdditionalHelpTopicCommand() {
			pages = append(pages, pagesOf(sub)...)
		}
	}
	return pages
}
