package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

func newTemplatesShow() *cobra.Command {
	var output, env string
	cmd := &cobra.Command{
		Use:   "show TEMPLATE",
		Short: "Draw a template's steps and their dependencies",
		Example: `  tasker-rb templates show order.yaml
  tasker-rb templates show order.yaml --output mermaid > order.mmd`,
		Args: exactly("TEMPLATE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf("output", output, "text", "ascii", "mermaid", "json"); err != nil {
				return err
			}
			t, err := loadTemplate(cmd.Context(), args[0], env)
			if err != nil {
				return err
			}
			var text string
			switch output {
			case "text":
				if text = t.Text(); !utf8Terminal() {
					text = t.TextASCII()
				}
			case "ascii":
				text = t.TextASCII()
			case "mermaid":
				text = t.Mermaid()
			case "json":
				text = string(t.Encode())
			}
			fmt.Fprintln(cmd.OutOrStdout(), strings.TrimRight(text, "\n"))
			return nil
		},
	}
	cmd.Flags().StringVar(&output, "output", "text", "print as `FORMAT`: text, ascii, mermaid or json")
	cmd.Flags().StringVar(&env, "env", "", "apply the template's environment `NAME`")
	return cmd
}
