package rubysteps_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/rubyhost"
)

// Outside steps each statement may have another backend. Its settings are in force for
// it alone, wherever it runs.
func TestSettingsBehindAPooler(t *testing.T) {
	d := newPooledDatabase(t)
	_, err := d.pool.Exec(t.Context(), "create schema app")
	require.NoError(t, err)
	out, err := host.Eval(t.Context(), `
		c = Tasker::Postgres.connect
		c.configure { |x| x.exec("SET search_path TO app"); x.exec("SET work_mem TO '2MB'") }
		value = ->(text) { c.exec(text).getvalue(0, 0) }
		c.exec("CREATE TABLE mine (a int, doc jsonb)")
		c.exec("CREATE INDEX CONCURRENTLY of_mine ON app.mine (a)")
		c.exec("VACUUM app.mine")
		c.exec("INSERT INTO mine (a) VALUES (1); INSERT INTO mine (a) VALUES (2)")
		6.times { c.exec_params("INSERT INTO mine (a) VALUES ($1)", [3]) }
		c.exec("BEGIN"); c.exec("INSERT INTO mine (a) VALUES (4)"); c.exec("COMMIT")
		[value["SHOW work_mem"], value["SELECT count(*) FROM mine"], value["SHOW work_mem"], (c.exec("SELECT 1/0") rescue $!.message[/division by zero/]),
			value["SELECT 1"], 8.times.map { Tasker.db.first("SHOW work_mem")["work_mem"] }.uniq]`, "pooler.rb")
	require.NoError(t, err)
	require.JSONEq(t, `["2MB","9","2MB","division by zero","1",["4MB"]]`, string(out))
	requireAllGivenBack(t, d.pool, "a connection was not released")
}

// The types of parameters are asked for on the backend that then gets them.
func TestJSONBehindAPooler(t *testing.T) {
	d := newPooledDatabase(t)
	out, err := host.Eval(t.Context(), `
		8.times.map { Tasker.db.first("SELECT $1::jsonb ->> 'a' AS a, $2::int[] AS b", [{ "a" => "x" }, [1, 2]]) }.uniq`, "pooler.rb")
	require.NoError(t, err)
	require.JSONEq(t, `[{"a":"x","b":[1,2]}]`, string(out))
	requireAllGivenBack(t, d.pool, "a connection was not released")

	// A statement that fails leaves no transaction behind.
	_, err = host.Eval(t.Context(), `Tasker.db.exec("SELECT $1::jsonb / 0", [{ "a" => 1 }])`, "pooler.rb")
	var raised *rubyhost.Error
	require.ErrorAs(t, err, &raised)
	requireAllGivenBack(t, d.pool, "a connection was not released")
}

// What a step's statements leave on their backend is gone when others get it.
func TestStepsLeaveNothingBehindAPooler(t *testing.T) {
	d := newPooledDatabase(t)
	for range 6 {
		s := d.step(t, "Pooled", `
			Tasker.db.exec("SELECT pg_advisory_lock(7), set_config('work_mem', '1MB', false)")
			Tasker.db.exec("CREATE TEMPORARY TABLE mine (a int)")
			Tasker.db.exec("PREPARE mine AS SELECT 1")
			Tasker.db.first("SHOW work_mem")["work_mem"]`, "")
		require.JSONEq(t, `"1MB"`, string(s.Results()), s.Last().Err)
	}
	for range 8 {
		var workMem string
		var locks, tables, prepared int
		require.NoError(t, d.pool.QueryRow(t.Context(), `select current_setting('work_mem'),
			(select count(*) from pg_locks where locktype = 'advisory' and objid = 7
				and database = (select oid from pg_database where datname = current_database())),
			(select count(*) from pg_class where relname = 'mine'), (select count(*) from pg_prepared_statements)`).
			Scan(&workMem, &locks, &tables, &prepared))
		require.Equal(t, "4MB", workMem)
		require.Zero(t, locks)
		require.Zero(t, tables)
		require.Zero(t, prepared)
	}
}
