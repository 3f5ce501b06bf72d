package rubysteps_test

import (
	"encoding/json"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/effort"
	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/templates"
)

// growthVariable says how many steps TestSQLLeavesNothingBehind runs.
const growthVariable = "RUBYSTEPS_GROWTH_STEPS"

// Steps with SQL of every kind, many of which fail, leak nothing: no connection, no
// request, no thread, no object, and no prepared statement beyond the bound.
func TestSQLLeavesNothingBehind(t *testing.T) {
	steps := effort.Of(1000, 5000)
	if n, err := strconv.Atoi(os.Getenv(growthVariable)); err == nil {
		steps = n
	}
	d := newDatabase(t)
	_, err := host.Eval(t.Context(), `
		class Grows < Tasker::StepHandler::Base
			def process(task, _sequence, step)
				db = Tasker.db
				id = task.task_id
				# A new text each time, one that is repeated, and one with a type.
				db.exec("SELECT #{id}, '#{step.name}' AS s")
				db.exec("SELECT $1::int AS n", [id])
				db.transaction { db.exec("INSERT INTO ledger (entry) VALUES ($1)", ["#{id} #{step.name}"]); raise Tasker::DB::Rollback } if id.odd?
				Tasker.after_commit { id }
				Thread.new { db.exec("SELECT 1") }.join
				db.exec("SELECT 1/0") if id % 7 == 0
				db.exec("COMMIT") if id % 11 == 0
				Tasker::Postgres.connect.exec_params("SELECT $1::text", [{ value: "x", type: 25 }]).values
			end
		end; nil`, "grows.rb")
	require.NoError(t, err)
	yaml := "name: grows\nstep_templates:\n"
	for i := range 8 {
		yaml += "  - {name: s" + strconv.Itoa(i) + ", handler_class: Grows, default_retry_limit: 1}\n"
	}
	template, err := templates.Parse([]byte(yaml), "t.yaml")
	require.NoError(t, err)
	run := func(steps int) {
		submissions := make([]orchestration.Submission, steps/8)
		for i := range submissions {
			submissions[i] = orchestration.Submission{Template: template, Context: json.RawMessage(`{}`)}
		}
		submitted, err := d.engine.SubmitMany(t.Context(), submissions)
		require.NoError(t, err)
		for _, s := range submitted {
			_, err := d.engine.Run(t.Context(), s.TaskID)
			require.NoError(t, err)
		}
	}
	type state struct {
		LiveSlots, Threads, Hooks int
		requests                  int
	}
	measure := func() (s state) {
		out, err := host.Eval(t.Context(), `3.times { GC.start }
			{ liveslots: GC.stat(:heap_live_slots), threads: Thread.list.size, hooks: Tasker::AfterCommit.instance_variable_get(:@waiting).size }`, "measure.rb")
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(out, &s))
		s.requests = host.Stats().Requests
		return s
	}
	run(500)
	before := measure()
	run(steps)
	after := measure()
	t.Logf("%d steps: %+v -> %+v", steps, before, after)
	require.LessOrEqual(t, after.LiveSlots-before.LiveSlots, 300)
	require.LessOrEqual(t, after.Threads, before.Threads) // threads of earlier tests may have ended meanwhile
	require.Zero(t, after.Hooks)
	require.Zero(t, after.requests)
	requireAllGivenBack(t, d.pool, "a step holds a connection")
	for range d.pool.Stat().TotalConns() {
		conn, err := d.pool.Acquire(t.Context())
		require.NoError(t, err)
		defer conn.Release()
		var prepared int
		require.NoError(t, conn.QueryRow(t.Context(), "select count(*) from pg_prepared_statements where name like 'tasker_%'").Scan(&prepared))
		require.LessOrEqual(t, prepared, 128)
	}
}
