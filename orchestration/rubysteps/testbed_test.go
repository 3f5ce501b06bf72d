package rubysteps_test

import (
	"bytes"
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgtest"
	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/orchestration/rubysteps"
	"github.com/tasker-rb/tasker-rb/orchestration/testbed"
	"github.com/tasker-rb/tasker-rb/templates"
)

// The statements of a handler in Ruby are the places of faults, as those of one in Go are,
// and a timeout is one for it, too. Whatever comes, the rows are there once.
func TestRubyHandlersMeetFaultsAtTheirStatements(t *testing.T) {
	_, err := host.Eval(t.Context(), `
		class CountedLedger < Tasker::StepHandler::Base
			def process(_task, _sequence, step)
				Tasker.db.exec("insert into ledger (attempt) values ($1)", [step.attempts])
				Tasker.db.exec("select 1 as one")
				Tasker.db.exec("insert into ledger (attempt) values ($1)", [step.attempts])
				{ attempt: step.attempts }
			end
		end
		nil`, "counted_ledger.rb")
	require.NoError(t, err)
	template, err := templates.Parse([]byte("name: counted\nstep_templates: [{name: a, handler_class: CountedLedger, default_retry_limit: 2, timeout_seconds: 7200}]"), "counted.yaml")
	require.NoError(t, err)
	ledger := func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "create table ledger (attempt int)")
		return err
	}
	var log bytes.Buffer
	bed, err := testbed.Open(t.Context(), testbed.Config{
		URL:    pgtest.URL(t, pgtest.WithTemplate(orchestration.Migrate, ledger)),
		Engine: orchestration.Config{Handlers: rubysteps.New(host)}, SQLClock: true, Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, bed.Close(), log.String()) })
	sql, err := rubysteps.ServeSQL(t.Context(), host, bed.Pool(), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { sql.Close(context.Background()) })
	for _, c := range []struct {
		fault testbed.Fault
		first string // the outcome of the first attempt
		class string // of its error
	}{
		{testbed.Fault{Kind: testbed.Crash, At: testbed.Before}, "lost", ""},
		{testbed.Fault{Kind: testbed.Crash, At: testbed.AtStatement, Number: 1}, "lost", ""},
		{testbed.Fault{Kind: testbed.Crash, At: testbed.AtStatement, Number: 3, Side: testbed.SideAfter}, "lost", ""},
		{testbed.Fault{Kind: testbed.Crash, At: testbed.AtCommit, Side: testbed.SideAfter}, "complete", ""},
		{testbed.Fault{Kind: testbed.Connection, At: testbed.AtStatement, Number: 1}, "error", "Tasker::SQLError::ConnectionLost"},
		{testbed.Fault{Kind: testbed.Connection, At: testbed.AtStatement, Number: 3}, "error", "Tasker::SQLError::ConnectionLost"},
		{testbed.Fault{Kind: testbed.Connection, At: testbed.AtCommit}, "lost", "Tasker::SQLError::ConnectionLost"},
		{testbed.Fault{Kind: testbed.CommitAnswer}, "complete", ""},
		{testbed.Fault{Kind: testbed.Timeout, At: testbed.Start}, "error", "Tasker::StepTimeout"},
		{testbed.Fault{Kind: testbed.Timeout, At: testbed.AtStatement, Number: 2}, "error", "Tasker::StepTimeout"},
	} {
		require.NoError(t, bed.Begin(t.Context(), time.Now()))
		c.fault.Step = "a"
		require.NoError(t, bed.Add(c.fault))
		run, err := bed.Run(t.Context(), orchestration.Submission{Template: template}, testbed.RunOptions{})
		require.NoError(t, err)
		require.Equal(t, orchestration.TaskComplete, run.Task.State, "%+v", c.fault)
		history := run.Task.Steps[0].History
		require.Equal(t, c.first, history[0].Outcome, "%+v", c.fault)
		if c.class != "" {
			require.Equal(t, c.class, history[0].Err.Class, "%+v: %v", c.fault, history[0].Err)
		}
		var rows, attempts int
		require.NoError(t, bed.Pool().QueryRow(t.Context(), "select count(*), count(distinct attempt) from ledger").Scan(&rows, &attempts))
		require.Equal(t, []int{2, 1}, []int{rows, attempts}, "%+v", c.fault)
		left, err := bed.End(t.Context())
		require.NoError(t, err)
		require.Empty(t, left, "%+v", c.fault)
	}
}
