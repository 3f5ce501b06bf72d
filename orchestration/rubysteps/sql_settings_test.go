package rubysteps_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSettingsEndWithTheStep(t *testing.T) {
	d := newDatabase(t)
	for i := range 4 {
		s := d.step(t, "Sets", `
			before = Tasker.db.first("SHOW work_mem")["work_mem"]
			Tasker.db.exec("SET work_mem = '1MB'")
			Tasker.db.exec("CREATE TEMPORARY TABLE mine (a int)")
			Tasker.db.exec("SELECT pg_advisory_lock(7)")
			[before, Tasker.db.first("SHOW work_mem")["work_mem"]]`, "")
		require.JSONEq(t, `["4MB","1MB"]`, string(s.Results()), "%d: %v", i, s.Last().Err)
	}
	require.Eventually(t, func() bool { // the server ends a closed connection a moment later
		var locks int
		err := d.pool.QueryRow(t.Context(), `select count(*) from pg_locks where locktype = 'advisory' and objid = 7
			and database = (select oid from pg_database where datname = current_database())`).Scan(&locks)
		return err == nil && locks == 0
	}, time.Minute, time.Millisecond)
}

func TestSettingsOfAConnectionInSteps(t *testing.T) {
	d := newDatabase(t)
	s := d.step(t, "Configured", `
		c = Tasker::Postgres.connect
		c.configure { |x| x.exec("SET work_mem TO '2MB'") }
		show = ->(x) { x.exec("SHOW work_mem").first["work_mem"] }
		seen = [show[c], show[Tasker.db], show[c]]
		Tasker.db.transaction { seen << show[c]; raise Tasker::DB::Rollback }
		seen << show[c] << show[Tasker.db]`, "")
	require.JSONEq(t, `["2MB","4MB","2MB","2MB","2MB","4MB"]`, string(s.Results()), s.Last().Err)
}

func TestSettingsOfAConnectionOutsideSteps(t *testing.T) {
	newDatabase(t)
	out, err := host.Eval(t.Context(), `
		c = Tasker::Postgres.connect
		c.configure { |x| x.exec("SET work_mem TO '2MB'") }
		other = Tasker::Postgres.connect
		seen = [c, other, c].map { |x| x.exec("SHOW work_mem").getvalue(0, 0) }
		c.exec("SET work_mem = '3MB'")
		seen << c.exec("SHOW work_mem").getvalue(0, 0) << other.exec("SHOW work_mem").getvalue(0, 0)
		c.finish
		begin; c.exec("SELECT 1"); rescue => e; seen << e.class.ancestors.any? { |a| a.name =~ /SQLError|PG::Error/ }; end
		other.finish
		seen`, "settings.rb")
	require.NoError(t, err)
	require.JSONEq(t, `["2MB","4MB","2MB","3MB","4MB",true]`, string(out))
}

// The engine records the success under its own settings, and the next step gets
// the connection as it was. An honest step runs between two that change settings.
func changesSettings(t *testing.T, a *adapter) {
	for _, text := range []string{
		"SET ROLE pg_monitor", "SET SESSION AUTHORIZATION pg_monitor", "SET statement_timeout = 5000", "SET search_path TO nowhere",
		"SELECT set_config('role', 'pg_monitor', false)", "DO $$ BEGIN SET ROLE pg_monitor; END $$", "RESET ROLE; SET ROLE pg_monitor",
	} {
		a.completes(t, `1`, `adapter.insert("kept"); adapter.run("`+text+`"); 1`, "")
		a.completes(t, `2`, `adapter.insert("of the next step"); 2`, "")
		require.Equal(t, []string{"kept", "of the next step"}, a.entries(t), text)
		_, err := a.pool.Exec(t.Context(), "truncate ledger")
		require.NoError(t, err)
	}
}

func readsOnly(t *testing.T, a *adapter) {
	e := a.inError(t, `adapter.run("SELECT 1"); adapter.run("SET TRANSACTION READ ONLY"); 1`, threeAttempts)
	require.True(t, e.Permanent)
	require.Contains(t, e.Message, "the handler made the step's transaction read only")
	require.Equal(t, "25006", e.ErrorCode)
}
