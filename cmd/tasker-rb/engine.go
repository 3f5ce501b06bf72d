package main

import (
	"context"
	"log/slog"

	"github.com/cockroachdb/errors"
	"github.com/spf13/cobra"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// noHandlers serves commands that change tasks but run none.
type noHandlers struct{}

func (noHandlers) ResolveHandler(_ context.Context, class string) (orchestration.StepHandler, error) {
	return nil, errors.Newf("this command runs no handlers, but it was told to run %s", class)
}

// withEngine opens the database and an engine that runs no tasks, and passes the
// engine to f.
func withEngine(cmd *cobra.Command, f func(*orchestration.Engine) error) (err error) {
	ctx := cmd.Context()
	db, err := openDatabase(ctx, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.CombineErrors(err, db.close()) }()
	pool, err := db.pool(ctx, 4, false)
	if err != nil {
		return err
	}
	defer pool.Close()
	engine, err := db.newEngine(ctx, pool, orchestration.Config{Handlers: noHandlers{}, Logger: slog.New(newStepLog(cmd.ErrOrStderr()))})
	if err != nil {
		return err
	}
	defer func() { err = errors.CombineErrors(err, engine.Close()) }()
	return f(engine)
}
