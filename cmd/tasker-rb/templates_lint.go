package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"

	"github.com/cockroachdb/errors"
	"github.com/spf13/cobra"

	"github.com/tasker-rb/tasker-rb/templates"
)

func newTemplatesLint() *cobra.Command {
	var handlers handlerFlags
	var output string
	cmd := &cobra.Command{
		Use:   "lint PATH...",
		Short: "Check templates: files, or folders of them",
		Long: `Check templates and print every problem with its place and a hint. With
--handlers or --require, also check that every handler class exists.

The exit code is 0 when all is well, 1 when there are problems. A warning is no
problem: it names what a template says and nothing reads.`,
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
	var warnings []templates.Problem
	for _, t := range sound {
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
	host, err := handlers.boot(cmd.Context(), "", db, slog.New(newStepLog(cmd.ErrOrStderr())))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.CombineErrors(err, host.Close()) }()
	absent, err := absentTaskHandlers(cmd.Context(), host, list)
	if err != nil {
		return nil, err
	}
	var problems *templates.Problems
	if err := resolveHandlers(cmd.Context(), host, list...); errors.As(err, &problems) {
		found = problems.List
	} else if err != nil {
		return nil, err
	}
	return append(found, absent...), nil
}

func reportLint(cmd *cobra.Command, files []string, found, warnings []templates.Problem, output string) error {
	if output == "json" {
		report := map[string]any{"files": files, "problems": lintList(found), "warnings": lintList(warnings)}
		if err := json.NewEncoder(cmd.OutOrStdout()).Encode(report); err != nil {
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
		list[i] = lintProblem{p.File, p.Line, p.Column, p.Message, p.Hint}
	}
	return list
}
