package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/orchestration/localpg"
)

// completionTime bounds how long the shell waits for words out of the database.
const completionTime = 2 * time.Second

// addCompletions tells the shell which words each argument and flag takes. The names of
// arguments are those of the Use lines.
func addCompletions(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		addCompletions(sub)
	}
	completeFlags(cmd)
	_, args, _ := strings.Cut(cmd.Use, " ")
	first := strings.Trim(strings.SplitN(args, " ", 2)[0], "[].")
	switch first {
	case "TASK":
		cmd.ValidArgsFunction = onlyFirst(tasksIn())
	case "TEMPLATE", "PATH", "TEMPLATE|FOLDER":
		cmd.ValidArgsFunction = files("yaml", "yml")
		if cmd.Name() == "test" {
			cmd.ValidArgsFunction = files("rb")
		}
	case "", "NAME":
		cmd.ValidArgsFunction = cobra.NoFileCompletions
	}
}

func fixed(words ...string) cobra.CompletionFunc {
	return cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)
}

// addCompletionCommand adds the library's command completion, but a shell that there is not is
// an error. To be called when the output of root is known: the command keeps it.
func addCompletionCommand(root *cobra.Command) {
	root.InitDefaultCompletionCmd("completion")
	if cmd, _, err := root.Find([]string{"completion"}); err == nil && cmd != root {
		cmd.Args, cmd.RunE = subcommand, func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		for _, shell := range cmd.Commands() {
			shell.Args = exactly()
		}
	}
}

// files are those with these extensions, and folders.
func files(extensions ...string) cobra.CompletionFunc {
	return cobra.FixedCompletions(extensions, cobra.ShellCompDirectiveFilterFileExt)
}

func folders(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveFilterDirs
}

// onlyFirst completes the first argument.
func onlyFirst(f cobra.CompletionFunc) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return f(cmd, args, begun)
	}
}

// tasksIn are the newest tasks in these states, or in any, with their names and states.
func tasksIn(states ...orchestration.TaskState) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		var words []string
		fromDatabase(cmd.Context(), func(ctx context.Context, conn *pgx.Conn) error {
			list, err := orchestration.ListTasks(ctx, conn, orchestration.Filter{States: states})
			for _, t := range list {
				words = append(words, fmt.Sprintf("%d\t%s/%s %s, %s", t.TaskID, t.Namespace, t.Name, t.Version, t.State))
			}
			return err
		})
		return words, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	}
}

// steps are the steps of the task that is the first argument.
func steps(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	var words []string
	if len(args) == 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	id, err := taskID(args[0])
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	fromDatabase(cmd.Context(), func(ctx context.Context, conn *pgx.Conn) error {
		task, err := orchestration.ReadTask(ctx, conn, id)
		if err != nil {
			return err
		}
		for i := range task.Steps {
			words = append(words, fmt.Sprintf("%s\t%s", task.Steps[i].Name, task.Steps[i].State))
		}
		return nil
	})
	return words, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}

// fromDatabase asks the database, and forgets every error: a shell has no place for it. It
// makes no private database.
func fromDatabase(ctx context.Context, ask func(context.Context, *pgx.Conn) error) {
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, completionTime)
	defer cancel()
	if os.Getenv(databaseURL) == "" {
		dir, err := localpg.DefaultDir()
		if err != nil {
			return
		}
		if _, err := os.Stat(filepath.Join(dir, "data", "PG_VERSION")); err != nil {
			return
		}
	}
	db, err := openDatabase(ctx, false)
	if err != nil {
		return
	}
	defer func() { _ = db.close() }()
	conn, err := db.dial(ctx)
	if err != nil {
		return
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	_ = ask(ctx, conn)
}
