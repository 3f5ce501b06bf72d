package main

import (
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/cockroachdb/errors"
	"github.com/spf13/cobra"

	"github.com/tasker-rb/tasker-rb/docs"
	"github.com/tasker-rb/tasker-rb/internal/nearest"
)

// guide is a page of docs/.
type guide struct {
	Name  string `json:"name"`
	Title string `json:"title"`
	Text  string `json:"text,omitempty"`
}

func newDocs() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "docs [GUIDE]", Short: "Print a guide, or the list of them",
		Long: `Print a guide as Markdown, as it is in the folder docs of the source. Without GUIDE,
print the list of them. The guides are those of this version.`,
		Example: `  tasker-rb docs
  tasker-rb docs templates | less
  tasker-rb docs troubleshooting | grep -A8 UndefinedTable`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return exactly("GUIDE")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf("output", output, "text", "json"); err != nil {
				return err
			}
			all, err := guides()
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return printGuides(cmd.OutOrStdout(), all, output)
			}
			g, err := findGuide(all, args[0])
			if err != nil {
				return err
			}
			if output == "json" {
				return printJSON(cmd.OutOrStdout(), g)
			}
			_, err = io.WriteString(cmd.OutOrStdout(), g.Text)
			return err
		},
		ValidArgsFunction: onlyFirst(func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			all, _ := guides() // without the guides there is nothing to offer
			var names []string
			for _, g := range all {
				names = append(names, cobra.CompletionWithDesc(g.Name, g.Title))
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		}),
	}
	cmd.Flags().StringVar(&output, "output", "text", "print as `FORMAT`: text or json")
	return cmd
}

// guides are all guides, in the order of their names.
func guides() ([]guide, error) {
	files, err := fs.ReadDir(docs.Pages, ".")
	if err != nil {
		return nil, err
	}
	all := make([]guide, len(files))
	for i, f := range files {
		text, err := docs.Pages.ReadFile(f.Name())
		if err != nil {
			return nil, err
		}
		title, _, _ := strings.Cut(string(text), "\n")
		all[i] = guide{Name: strings.TrimSuffix(f.Name(), ".md"), Title: strings.TrimPrefix(title, "# "), Text: string(text)}
	}
	return all, nil
}

// findGuide takes a name also as other guides and messages write it: docs/templates.md.
func findGuide(all []guide, name string) (guide, error) {
	name = strings.TrimSuffix(path.Base(name), ".md")
	names := make([]string, len(all))
	for i, g := range all {
		if g.Name == name {
			return g, nil
		}
		names[i] = g.Name
	}
	hint := "`tasker-rb docs` lists the guides."
	if near := nearest.Names(name, names); len(near) > 0 {
		hint = fmt.Sprintf("Did you mean %s? %s", strings.Join(near, " or "), hint)
	}
	return guide{}, errors.WithHint(errors.Newf("there is no guide %q", name), hint)
}

func printGuides(out io.Writer, all []guide, output string) error {
	if output == "json" {
		for i := range all {
			all[i].Text = ""
		}
		return printJSON(out, all)
	}
	for _, g := range all {
		if _, err := fmt.Fprintf(out, "%-20s  %s\n", g.Name, g.Title); err != nil {
			return err
		}
	}
	return nil
}
