package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"os/exec"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/templates"
)

// engine is our engine in a Go program, with handlers in Go.
type engine struct{}

func (engine) Name() string           { return "engine, Go handlers" }
func (engine) Missing() []requirement { return nil }
func (engine) Runs(s Shape) bool      { return s.Beside.empty() }

func (engine) Prepare(ctx context.Context, conn *pgx.Conn, w Work) (err error) {
	if err := orchestration.Migrate(ctx, conn); err != nil {
		return err
	}
	pool, err := openPool(ctx, w, orchestration.ConfigurePool)
	if err != nil {
		return err
	}
	defer pool.Close()
	e, err := newEngine(ctx, pool, w)
	if err != nil {
		return err
	}
	defer func() { err = errors.CombineErrors(err, e.Close()) }()
	template, err := templates.Parse([]byte(templateYAML(w)), "measured.yaml")
	if err != nil {
		return err
	}
	list := make([]orchestration.Submission, w.Tasks)
	for i := range list {
		list[i] = orchestration.Submission{Template: template, Context: json.RawMessage(w.taskContext())}
	}
	_, err = e.SubmitMany(ctx, list)
	return err
}

func (engine) Command(ctx context.Context, w Work) *exec.Cmd { return childCommand(ctx, "engine", w) }

func (engine) Working() string { return engineWorks }

func (engine) Done(ctx context.Context, conn *pgx.Conn) (bool, error) { return ourDone(ctx, conn, 0) }

func (engine) Verify(ctx context.Context, conn *pgx.Conn, w Work) error {
	return verifyOurs(ctx, conn, 0, w)
}

const engineWorks = "the engine works"

// poolConnections is how many connections the contenders in Go have.
const poolConnections = 16

// openPool opens a pool.
func openPool(ctx context.Context, w Work, configure ...func(*pgxpool.Config)) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(w.DatabaseURL)
	if err != nil {
		return nil, errors.WithStack(err)
	}
	for _, f := range configure {
		f(cfg)
	}
	cfg.MaxConns = poolConnections
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	return pool, errors.WithStack(err)
}

// runEngine is the program. Like tasker-rb it does not say when it is done.
func runEngine(ctx context.Context, w Work, _ func(string)) (err error) {
	pool, err := openPool(ctx, w, orchestration.ConfigurePool)
	if err != nil {
		return err
	}
	defer pool.Close()
	e, err := newEngine(ctx, pool, w)
	if err != nil {
		return err
	}
	defer func() { err = errors.CombineErrors(err, e.Close()) }()
	slog.Info(engineWorks)
	return e.Work(ctx, orchestration.WorkerConfig{})
}

// newEngine makes an engine whose handlers do what those in Ruby do.
func newEngine(ctx context.Context, pool *pgxpool.Pool, w Work) (*orchestration.Engine, error) {
	handlers := map[string]orchestration.StepHandler{}
	for class, handler := range map[string]orchestration.StepHandlerFunc{
		"Bench::Plain": handlePlain, "Bench::Update": handleUpdate, "Bench::Reading": handleReading,
		"Bench::Wait": func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
			time.Sleep(w.wait())
			return handlePlain(ctx, x)
		},
	} {
		handlers[class] = handler
	}
	return orchestration.New(ctx, orchestration.Config{Pool: pool, Handlers: orchestration.Handlers{ByClass: handlers}})
}

func handlePlain(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
	return json.RawMessage(stepResults), nil
}

func handleUpdate(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
	tx, err := x.Tx(ctx)
	if err != nil {
		return nil, err
	}
	_, err = tx.Exec(ctx, updateSQL, account(x.TaskID, int(x.StepID)))
	return json.RawMessage(stepResults), err
}

func handleReading(_ context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
	var input map[string]string
	err := json.Unmarshal(x.Context, &input)
	return json.RawMessage(stepResults), err
}
