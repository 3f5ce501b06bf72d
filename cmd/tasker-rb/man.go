package main

import (
	"fmt"
	"os"

	"github.com/cockroachdb/errors"
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func newMan() *cobra.Command {
	return &cobra.Command{
		Use: "man DIR", Short: "Write the man pages into a folder", Args: exactly("DIR"),
		Long: "Write a man page for each command into a folder, which is made if it is not there.",
		Example: `  tasker-rb man ~/.local/share/man/man1
  man tasker-rb-run`,
		RunE: func(cmd *cobra.Command, args []string) error {
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
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "wrote the man pages of all commands into %s\n", dir)
			return err
		},
	}
}
