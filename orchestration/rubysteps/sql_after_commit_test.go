package rubysteps_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// heard returns what blocks have put into $heard since the last call.
func heard(t *testing.T) string {
	t.Helper()
	out, err := host.Eval(t.Context(), `h = ($heard ||= []); $heard = []; h`, "heard.rb")
	require.NoError(t, err)
	return string(out)
}

const seen = `seen = ->(what) { ($heard ||= []) << [what, Tasker.db.exec("SELECT count(*) AS n FROM ledger").first["n"], Tasker.db.in_step?] };`

func TestAfterCommitRunsOnceAfterTheCommit(t *testing.T) {
	d := newDatabase(t)
	heard(t)
	s := d.step(t, "Hooks", seen+`
		Tasker.after_commit { seen["committed"] }
		Tasker.after_rollback { seen["not this"] }
		Tasker.db.exec("INSERT INTO ledger (entry) VALUES ('1')")
		Tasker.db.transaction { Tasker.after_commit { seen["inside"] } }
		Tasker.db.transaction { Tasker.after_commit { seen["nor this"] }; Tasker.after_rollback { $heard = (($heard || []) << "undone") }; raise Tasker::DB::Rollback }
		$heard.size`, "")
	require.Equal(t, "1", string(s.Results()), "after_rollback of a savepoint runs at once: %v", s.Last().Err)
	// They run outside the step, when others can see what it has written.
	require.JSONEq(t, `["undone",["committed",1,false],["inside",1,false]]`, heard(t))
}

func TestAfterCommitDoesNotRunAfterARollback(t *testing.T) {
	d := newDatabase(t)
	heard(t)
	body := seen + `
		Tasker.after_commit { seen["committed"] }
		Tasker.after_rollback { seen["rolled back"] }
		Tasker.db.exec("INSERT INTO ledger (entry) VALUES ('1')")
		raise "no" if step.attempts < 3`
	s := d.step(t, "HooksOfAttempts", body, ", default_retry_limit: 3, backoff: {curve: none, base_seconds: 0}")
	require.Equal(t, orchestration.StepComplete, s.State)
	require.JSONEq(t, `[["rolled back",0,false],["rolled back",0,false],["committed",1,false]]`, heard(t))
}

func TestAfterCommitWithoutAnySQL(t *testing.T) {
	d := newDatabase(t)
	heard(t)
	s := d.step(t, "HookOnly", seen+`Tasker.after_commit { seen["committed"] }; $heard.to_a.size`, "")
	require.Equal(t, "0", string(s.Results()))
	require.JSONEq(t, `[["committed",0,false]]`, heard(t))
}

// A block that raises fails nothing, and the other blocks still run.
func TestAfterCommitThatRaises(t *testing.T) {
	d := newDatabase(t)
	heard(t)
	s := d.step(t, "HookRaises", seen+`
		Tasker.after_commit { raise "no" }
		Tasker.after_commit { seen["committed"] }
		nil`, "")
	require.Equal(t, orchestration.StepComplete, s.State)
	require.JSONEq(t, `[["committed",0,false]]`, heard(t))
}

func TestAfterCommitOutsideSteps(t *testing.T) {
	d := newDatabase(t)
	heard(t)
	_, err := host.Eval(t.Context(), seen+`
		Tasker.after_commit { seen["at once"] }
		Tasker.db.transaction do
			Tasker.db.exec("INSERT INTO ledger (entry) VALUES ('1')")
			Tasker.after_commit { seen["after"] }
			$heard << "before"
		end
		begin
			Tasker.db.transaction { Tasker.after_commit { seen["never"] }; Tasker.after_rollback { seen["rolled back"] }; raise "no" }
		rescue RuntimeError
		end
		nil`, "hooks.rb")
	require.NoError(t, err)
	require.JSONEq(t, `[["at once",0,false],"before",["after",1,false],["rolled back",1,false]]`, heard(t))
	require.Equal(t, []string{"1"}, d.entries(t))
}
