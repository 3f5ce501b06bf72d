package main

import (
	"context"
	"log/slog"
	"os"
	"slices"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/tasker-rb/tasker-rb/internal/soak"
	"github.com/tasker-rb/tasker-rb/internal/soak/runner"
	"github.com/tasker-rb/tasker-rb/rubyhost"
)

// runHere is the process that runs the tasks. Its orders say what to load.
func (s *soakCommand) runHere(cmd *cobra.Command) error {
	_ = os.Unsetenv(soakRoleVariable) // the name is valid; no child of a handler is a runner
	syscall.CloseOnExec(soakOrders)
	syscall.CloseOnExec(soakAnswers)
	orders, answers := os.NewFile(soakOrders, "orders"), os.NewFile(soakAnswers, "answers")
	// What handlers log is written as usual, and then dropped: a run has a million lines of it.
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	return runner.Serve(cmd.Context(), orders, answers, runner.Options{
		Version: version().String(), Logger: log, Resolve: resolveHandlers,
		Boot: func(spec *soak.Spec) (*rubyhost.Host, error) {
			f := flagsOf(spec)
			return f.start(log)
		},
		Load: func(ctx context.Context, host *rubyhost.Host, spec *soak.Spec) error {
			f := flagsOf(spec)
			return f.load(ctx, host, spec.Handlers)
		},
	})
}

func flagsOf(spec *soak.Spec) *handlerFlags {
	folders := slices.DeleteFunc(slices.Clone(spec.LoadPath), func(dir string) bool { return !isFolder(dir) }) // an older commit may lack one
	return &handlerFlags{
		requires: spec.Requires, loadPath: folders, gemfile: spec.Gemfile, threads: spec.Threads, yjit: spec.YJIT, yjitMemory: spec.YJITMemory,
	}
}
