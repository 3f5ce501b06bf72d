package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cockroachdb/errors"
	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	"github.com/tasker-rb/tasker-rb/templates"
)

func newTemplates() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "templates",
		Short: "Check and draw task templates",
		Args:  subcommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newTemplatesLint(), newTemplatesShow())
	return cmd
}

func newTemplatesLint() *cobra.Command {
	var handlers handlerFlags
	var output string
	cmd := &cobra.Command{
		Use:   "lint PATH...",
		Short: "Check templates: files, or folders of them",
		Long: `Check templates and print every problem with its place and a hint. With
--handlers or --require, also check that every handler class is there.

The exit code is 0 when all is well, 1 when there are problems.`,
		Example: `  tasker-rb templates lint config/tasker
  tasker-rb templates lint order.yaml --handlers app/handlers`,
		Args: atLeastOne("PATH"),
		RunE: func(cmd *cobra.Command, args []string) error { return lint(cmd, args, &handlers, output) },
	}
	handlers.add(cmd)
	cmd.Flags().StringVar(&output, "output", "text", "print as `FORMAT`: text or json")
	return cmd
}

func lint(cmd *cobra.Command, paths []string, handlers *handlerFlags, output string) error {
	if err := oneOf("output", output, "text", "json"); err != nil {
		return err
	}
	files, err := templateFiles(paths)
	if err != nil {
		return err
	}
	sound, found, err := loadEach(files)
	if err != nil {
		return err
	}
	if len(handlers.dirs)+len(handlers.requires) > 0 {
		missing, err := lintHandlers(cmd, sound, handlers)
		if err != nil {
			return err
		}
		found = append(found, missing...)
	}
	return reportLint(cmd, files, found, output)
}

// loadEach loads templates, and gathers the problems of those that are none.
func loadEach(files []string) (sound []*templates.Template, found []templates.Problem, err error) {
	for _, file := range files {
		t, err := templates.Load(file)
		var problems *templates.Problems
		switch {
		case errors.As(err, &problems):
			found = append(found, problems.List...)
		case err != nil:
			return nil, nil, err
		default:
			sound = append(sound, t)
		}
	}
	return sound, found, nil
}

// loadAll loads the templates of files and folders, all of which must be sound.
func loadAll(paths []string) ([]*templates.Template, error) {
	files, err := templateFiles(paths)
	if err != nil {
		return nil, err
	}
	sound, found, err := loadEach(files)
	if err == nil && len(found) > 0 {
		err = &templates.Problems{List: found}
	}
	return sound, err
}

func lintHandlers(cmd *cobra.Command, list []*templates.Template, handlers *handlerFlags) (found []templates.Problem, err error) {
	db := &lazyPool{size: 4}
	defer func() { err = errors.CombineErrors(err, db.close()) }()
	host, err := handlers.boot(cmd.Context(), "", db, slog.New(newLineLog(cmd.ErrOrStderr())))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.CombineErrors(err, host.Close()) }()
	var problems *templates.Problems
	if err := resolveAll(cmd.Context(), host, list...); errors.As(err, &problems) {
		found = problems.List
	} else if err != nil {
		return nil, err
	}
	return found, nil
}

func reportLint(cmd *cobra.Command, files []string, found []templates.Problem, output string) error {
	if output == "json" {
		type problem struct {
			File    string `json:"file"`
			Line    int    `json:"line"`
			Column  int    `json:"column"`
			Message string `json:"message"`
			Hint    string `json:"hint"`
		}
		list := make([]problem, len(found))
		for i, p := range found {
			list[i] = problem{p.File, p.Line, p.Column, p.Message, p.Hint}
		}
		if err := json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]any{"files": files, "problems": list}); err != nil {
			return err
		}
	} else {
		for _, p := range found {
			printProblem(cmd.OutOrStdout(), p)
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s, %s\n", plural(len(files), "template"), plural(len(found), "problem"))
	}
	if len(found) > 0 {
		return &failure{exitTaskFailed}
	}
	return nil
}

// templateFiles are the files named, and the YAML files of the folders named.
func templateFiles(paths []string) ([]string, error) {
	var files []string
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil || !info.IsDir() {
			files = append(files, path) // loading it says what is wrong
			continue
		}
		before := len(files)
		err = filepath.WalkDir(path, func(file string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && (strings.HasSuffix(file, ".yaml") || strings.HasSuffix(file, ".yml")) {
				files = append(files, file)
			}
			return err
		})
		if err != nil {
			return nil, errors.Wrapf(err, "reading %s", path)
		}
		if len(files) == before {
			return nil, errors.WithHint(errors.Newf("there is no template below %s", path), "Templates end in .yaml or .yml.")
		}
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}

func newTemplatesShow() *cobra.Command {
	var format, env string
	cmd := &cobra.Command{
		Use:   "show TEMPLATE",
		Short: "Draw a template's steps and what depends on what",
		Example: `  tasker-rb templates show order.yaml
  tasker-rb templates show order.yaml --format mermaid > order.mmd`,
		Args: exactly("TEMPLATE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf("format", format, "text", "ascii", "mermaid", "json"); err != nil {
				return err
			}
			t, err := loadTemplate(args[0], env)
			if err != nil {
				return err
			}
			var text string
			switch format {
			case "text":
				text = t.Text()
				if file, ok := cmd.OutOrStdout().(*os.File); ok && isatty.IsTerminal(file.Fd()) && !utf8Terminal() {
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
	cmd.Flags().StringVar(&format, "format", "text", "print as `FORMAT`: text, ascii, mermaid or json")
	cmd.Flags().StringVar(&env, "env", "", "`NAME` of the template's environment whose changes apply")
	return cmd
}

func utf8Terminal() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := os.Getenv(name); v != "" {
			v = strings.ToUpper(v)
			return strings.Contains(v, "UTF-8") || strings.Contains(v, "UTF8")
		}
	}
	return false
}
