package testbed_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgtest"
	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/orchestration/testbed"
)

// Waits take no time, and the clock shows them.
func TestWaitsAreSkipped(t *testing.T) {
	t.Parallel()
	bed := open(t)
	template := parse(t, `
name: patient
step_templates:
  - name: charge
    handler_class: Charge
    default_retry_limit: 5
    backoff: {curve: exponential, base_seconds: 86400, max_seconds: 604800}
`)
	for range 3 {
		begin(t, bed)
		add(t, bed, testbed.Fault{Step: "charge", Kind: testbed.Fail, Err: errors.New("no"), Times: 3})
		run(t, bed, template, testbed.RunOptions{})
		require.Equal(t, noon.Add(7*24*time.Hour), bed.Now())
	}
	begin(t, bed)
	require.Equal(t, noon, bed.Now())
	_, err := bed.Run(t.Context(), orchestration.Submission{Template: template, RunAt: noon.Add(time.Hour)}, testbed.RunOptions{Workers: 2})
	require.NoError(t, err)
	require.Equal(t, noon.Add(time.Hour), bed.Now())
}

func TestTheClockIsSet(t *testing.T) {
	t.Parallel()
	bed := open(t)
	begin(t, bed)
	bed.Advance(noon.Add(-time.Hour))
	require.Equal(t, noon, bed.Now(), "never back")
	bed.Advance(noon.Add(time.Hour))
	require.Equal(t, noon.Add(time.Hour), bed.Now())
	require.NoError(t, bed.SetTime(t.Context(), noon.Add(-time.Hour)))
	require.Equal(t, noon.Add(-time.Hour), bed.Now())
	run(t, bed, parse(t, shopYAML), testbed.RunOptions{})
	require.ErrorContains(t, bed.SetTime(t.Context(), noon.Add(-2*time.Hour)), "a task has run")
	require.NoError(t, bed.SetTime(t.Context(), noon))
	require.Equal(t, noon, bed.Now())
}

// clocked is a bed whose handler runs a statement, and returns the time that it tells.
func clocked(t *testing.T, sql *string, more ...func(*testbed.Config)) *testbed.Bed {
	t.Helper()
	tell := func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		tx, err := x.Tx(ctx)
		if err != nil {
			return nil, err
		}
		var told time.Time
		if err := tx.QueryRow(ctx, *sql).Scan(&told); err != nil {
			return nil, err
		}
		return json.Marshal(told)
	}
	return open(t, append(more, func(c *testbed.Config) {
		c.SQLClock = true
		c.Engine.Handlers = orchestration.Handlers{ByClass: map[string]orchestration.StepHandler{"Tell": orchestration.StepHandlerFunc(tell)}}
	})...)
}

const tellYAML = "name: tell\nstep_templates: [{name: tell, handler_class: Tell, timeout_seconds: 60, backoff: {curve: exponential, base_seconds: 86400, max_seconds: 86400}}]"

func told(t *testing.T, r *testbed.Run) (at time.Time) {
	t.Helper()
	require.NoError(t, json.Unmarshal(r.Task.Steps[0].Results(), &at))
	return at
}

// now() in SQL follows the clock, when it is set and when it goes on by itself.
func TestNowInSQLFollowsTheClock(t *testing.T) {
	t.Parallel()
	sql := "select now()"
	bed, template := clocked(t, &sql), parse(t, tellYAML)
	real := time.Now()
	for _, at := range []time.Time{real, noon.AddDate(-3, 0, 0), noon.AddDate(5, 0, 0), real} {
		require.NoError(t, bed.Begin(t.Context(), at))
		require.WithinDuration(t, at, told(t, run(t, bed, template, testbed.RunOptions{})), time.Minute)
		add(t, bed, testbed.Fault{Step: "tell", Kind: testbed.Crash, At: testbed.During}, testbed.Fault{Step: "tell", Kind: testbed.Fail, Err: errors.New("no")})
		began := bed.Now()
		r := run(t, bed, template, testbed.RunOptions{})
		require.WithinDuration(t, bed.Now(), told(t, r), time.Minute)
		require.GreaterOrEqual(t, bed.Now().Sub(began), 24*time.Hour)
		left, err := bed.End(t.Context())
		require.NoError(t, err)
		require.Empty(t, left)
	}
	begin(t, bed)
	var outside time.Time
	require.NoError(t, bed.Pool().QueryRow(t.Context(), "select now()").Scan(&outside))
	require.WithinDuration(t, noon, outside, time.Minute, "the tests' own statements, too")
}

// What reads another clock is told when time is travelled, and only then.
func TestOtherClocksAreTold(t *testing.T) {
	t.Parallel()
	sql := ""
	url := pgtest.URL(t, pgtest.WithTemplate(orchestration.Migrate, tables, stamped))
	bed, template := clocked(t, &sql, func(c *testbed.Config) { c.URL = url }), parse(t, tellYAML)
	for statement, want := range map[string]string{
		"select current_timestamp":                                       "the step tell reads current_timestamp in SQL, which is the real time and not the test's; write now(), without a schema",
		"select pg_catalog.now()":                                        "the step tell reads pg_catalog.now() in SQL, which is the real time and not the test's; write now(), without a schema",
		"select statement_timestamp ()":                                  "the step tell reads statement_timestamp() in SQL, which is the real time and not the test's; write now(), without a schema",
		"select now() as \"current_date\"":                               "",
		"select now() -- current_date":                                   "",
		"insert into stamps (what) values ('a') returning now()":         "the step tell leaves stamps.at to its default now(), which is the real time and not the test's; give a value",
		"insert into public.stamps values ('a') returning at":            "the step tell leaves stamps.at to its default now(), which is the real time and not the test's; give a value",
		"insert into stamps (at, what) values (now(), 'a') returning at": "",
	} {
		sql = statement
		require.NoError(t, bed.Begin(t.Context(), time.Now()))
		run(t, bed, template, testbed.RunOptions{})
		left, err := bed.End(t.Context())
		require.NoError(t, err)
		require.Empty(t, left.Warnings, statement)

		begin(t, bed)
		require.NoError(t, bed.SetTime(t.Context(), noon.AddDate(1, 0, 0)))
		run(t, bed, template, testbed.RunOptions{})
		run(t, bed, template, testbed.RunOptions{})
		left, err = bed.End(t.Context())
		require.NoError(t, err)
		if want == "" {
			require.Empty(t, left.Warnings, statement)
		} else {
			require.Equal(t, []string{want}, left.Warnings, statement)
		}
	}
}

func stamped(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, "create table stamps (what text, at timestamptz default now())")
	return err
}

// The engines' own tables are found, and PostgreSQL's names with them.
func TestTheSearchPathIsTheDatabasesOwn(t *testing.T) {
	t.Parallel()
	sql := "select now() from pg_class where relname = 'pg_class' and current_schema() = 'public'"
	url := pgtest.URL(t, pgtest.WithTemplate(orchestration.Migrate, tables))
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), `do $$ begin execute format('alter database %I set search_path = pg_catalog, "Not there", public', current_database()); end $$`)
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))
	bed := clocked(t, &sql, func(c *testbed.Config) { c.URL = url })
	begin(t, bed)
	require.WithinDuration(t, noon, told(t, run(t, bed, parse(t, tellYAML), testbed.RunOptions{})), time.Minute)
}
