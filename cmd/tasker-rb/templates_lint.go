package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"

	"github.com/cockroachdb/errors"
	"github.com/spf13/cobra"

	"github.com/tasker-rb/tasker-rb/rubyhost"
	"github.com/tasker-rb/tasker-rb/templates"
)

func newTemplatesLint() *cobra.Command {
	var handlers handlerFlags
	var output string
	cmd := &cobra.Command{
		Use:   "lint PATH...",
		Short: "Check templates: files, or folders of them",
		Long: `Check templates and print every problem with its place and a hint. With
--handlers or --require, also check that every handler class exists and that its
files can be loaded.

The exit code is 0 when all is well, 1 when there are problems. A warning names
a part of a template that nothing reads. It does not change the exit code.`,
		Example: `  tasker-rb templates lint config/tasker
  tasker-rb templates lint order.yaml --handlers app/handlers`,
		Args: atLeastOne("PATH"),
		RunE: func(cmd *cobra.Command, args []string) error { return lint(cmd, args, &handlers, output) },
	}
	handlers.add(cmd)
	cmd.Flags().Lookup("handlers").Usage = "`DIR` of handler files, may be repeated"
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
	l, err := loadEach(cmd.Context(), files)
	if err != nil {
		return err
	}
	found := l.found
	if len(handlers.dirs)+len(handlers.requires) > 0 {
		missing, err := lintHandlers(cmd, l.withHandlers(), handlers)
		if err != nil {
			return err
		}
		found = append(found, missing...)
	}
	var warnings []templates.Problem
	for _, t := range l.sound {
		warnings = append(warnings, t.Warnings...)
	}
	for _, p := range found {
		if p.Warning {
			warnings = append(warnings, p)
		}
	}
	found = slices.DeleteFunc(found, func(p templates.Problem) bool { return p.Warning })
	return reportLint(cmd, files, found, warnings, output)
}

func lintHandlers(cmd *cobra.Command, list []*templates.Template, handlers *handlerFlags) (found []templates.Problem, err error) {
	db := &lazyPool{size: 4}
	defer func() { err = errors.CombineErrors(err, db.close()) }()
	ctx := cmd.Context()
	dirs, err := handlers.folders("")
	if err != nil {
		return nil, err
	}
	withoutFolders := *handlers
	withoutFolders.dirs = nil
	host, err := withoutFolders.boot(ctx, "", db, slog.New(newStepLog(cmd.ErrOrStderr())))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.CombineErrors(err, host.Close()) }()
	broken, unloaded, err := lintFiles(ctx, host, handlers.dirs, dirs)
	if err != nil {
		return nil, err
	}
	absent, err := absentTaskHandlers(ctx, host, slices.DeleteFunc(slices.Clone(list), func(t *templates.Template) bool {
		return unloaded[t.TaskHandlerClass] != ""
	}))
	if err != nil {
		return nil, err
	}
	var problems *templates.Problems
	if err := resolveHandlers(ctx, host, list...); errors.As(err, &problems) {
		sayUnloaded(problems.List, list, unloaded)
		found = problems.List
	} else if err != nil {
		return nil, err
	}
	return slices.Concat(broken, found, absent), nil
}

// lintFiles loads the folders. It returns what is wrong with files that cannot be loaded, and
// the places of the constants that these define.
func lintFiles(ctx context.Context, host *rubyhost.Host, given, dirs []string) (found []templates.Problem, unloaded map[string]string, err error) {
	if len(dirs) == 0 {
		return nil, nil, nil
	}
	err = host.LoadDir(ctx, dirs...)
	var ruby *rubyhost.Error
	if !errors.As(err, &ruby) {
		return nil, nil, err
	}
	survey, err := surveyUnloaded(ctx, host, given, dirs)
	if err != nil {
		return nil, nil, err
	}
	if len(survey.Problems) == 0 { // the folder itself is wrong
		return nil, nil, ruby
	}
	return problemsOf(survey), survey.Unloaded, nil
}

// problemsOf returns what the survey found as problems of a template are.
func problemsOf(s surveyed) []templates.Problem {
	list := make([]templates.Problem, len(s.Problems))
	slices.SortStableFunc(s.Problems, func(a, b surveyProblem) int { return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line)) })
	for i, p := range s.Problems {
		list[i] = templates.Problem{File: p.File, Line: p.Line, Message: p.Message, Hint: p.Hint, Warning: p.Severity == severityWarning}
	}
	return list
}

func reportLint(cmd *cobra.Command, files []string, found, warnings []templates.Problem, output string) error {
	if output == "json" {
		report := map[string]any{"files": files, "problems": lintList(found), "warnings": lintList(warnings)}
		if err := printJSON(cmd.OutOrStdout(), report); err != nil {
			return err
		}
	} else {
		for _, p := range slices.Concat(found, warnings) {
			printProblem(cmd.OutOrStdout(), p)
		}
		text := plural(len(files), "template") + ", " + plural(len(found), "problem")
		if len(warnings) > 0 {
			text += ", " + plural(len(warnings), "warning")
		}
		fmt.Fprintln(cmd.OutOrStdout(), text)
	}
	if len(found) > 0 {
		return &exitError{exitTaskFailed}
	}
	return nil
}

type lintProblem struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
	Hint    string `json:"hint"`
}

func lintList(found []templates.Problem) []lintProblem {
	list := make([]lintProblem, len(found))
	for i, p := range found {
		list[i] = lintProblem{p.File, p.Line, p.Column, p.Message, problemHint(p)}
	}
	return list
}
