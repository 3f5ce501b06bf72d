package rubysteps_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/orchestration/orchestrationtest"
	"github.com/tasker-rb/tasker-rb/orchestration/rubysteps"
	"github.com/tasker-rb/tasker-rb/templates"
)

// A handler in Ruby meets the faults that Go tests ask for: its SQL is committed once.
func TestRubyHandlersMeetFaults(t *testing.T) {
	_, err := host.Eval(t.Context(), `
		class FaultyLedger < Tasker::StepHandler::Base
			def process(_task, _sequence, step)
				Tasker.db.exec("insert into ledger (attempt) values ($1)", [step.attempts])
				{ attempt: step.attempts }
			end
		end
		nil`, "faulty_ledger.rb")
	require.NoError(t, err)
	template, err := templates.Parse([]byte("name: faulty\nstep_templates: [{name: a, handler_class: FaultyLedger, default_retry_limit: 2}]"), "faulty.yaml")
	require.NoError(t, err)
	for name, c := range map[string]struct {
		fault   func(*orchestrationtest.Env)
		attempt int
	}{
		"crash before":                     {func(e *orchestrationtest.Env) { e.Crash("a", orchestrationtest.Before) }, 2},
		"crash during":                     {func(e *orchestrationtest.Env) { e.Crash("a", orchestrationtest.During) }, 2},
		"crash after":                      {func(e *orchestrationtest.Env) { e.Crash("a", orchestrationtest.After) }, 1},
		"connection lost at the statement": {func(e *orchestrationtest.Env) { e.LoseConnection("a", orchestrationtest.Before) }, 2},
		"connection lost at the commit":    {func(e *orchestrationtest.Env) { e.LoseConnection("a", orchestrationtest.During) }, 2},
		"answer to the commit lost":        {func(e *orchestrationtest.Env) { e.LoseConnection("a", orchestrationtest.After) }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			env := orchestrationtest.New(t, orchestration.Config{Handlers: rubysteps.New(host)},
				func(ctx context.Context, conn *pgx.Conn) error {
					_, err := conn.Exec(ctx, "create table ledger (attempt int)")
					return err
				})
			sql, err := rubysteps.ServeSQL(t.Context(), host, env.Pool(), slog.New(slog.DiscardHandler))
			require.NoError(t, err)
			t.Cleanup(func() { sql.Close(context.Background()) })
			c.fault(env)
			task := env.Run(t, template, nil)
			orchestrationtest.RequireComplete(t, task)
			var rows, attempt int
			require.NoError(t, env.Pool().QueryRow(t.Context(), "select count(*), max(attempt) from ledger").Scan(&rows, &attempt))
			require.Equal(t, 1, rows)
			require.Equal(t, c.attempt, attempt)
			require.Equal(t, c.attempt, orchestrationtest.ResultOf[struct{ Attempt int }](t, task, "a").Attempt)
		})
	}
}
