package rubysteps_test

import (
	"testing"

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
	var locks int
	require.NoError(t, d.pool.QueryRow(t.Context(), `select count(*) from pg_locks where locktype = 'advisory' and objid = 7
		and database = (select oid from pg_database where datname = current_database())`).Scan(&locks))
	require.Zero(t, locks)
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
