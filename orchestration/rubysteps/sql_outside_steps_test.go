package rubysteps_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSQLOutsideSteps(t *testing.T) {
	d := newDatabase(t)
	out, err := host.Eval(t.Context(), `
		db = Tasker.db
		db.exec("INSERT INTO ledger (entry) VALUES ('1')")
		db.transaction { db.exec("INSERT INTO ledger (entry) VALUES ('2')") }
		begin
			db.transaction { db.exec("INSERT INTO ledger (entry) VALUES ('3')"); raise "no" }
		rescue RuntimeError
		end
		db.transaction do
			db.transaction { db.exec("INSERT INTO ledger (entry) VALUES ('4')"); raise Tasker::DB::Rollback }
			db.exec("INSERT INTO ledger (entry) VALUES ('5')")
		end
		db.exec("BEGIN"); db.exec("INSERT INTO ledger (entry) VALUES ('6')"); db.exec("ROLLBACK")
		# Transactions of two threads are two.
		other = Thread.new { Tasker.db.in_transaction? }
		[db.in_step?, db.transaction { [db.in_transaction?, Thread.new { Tasker.db.in_transaction? }.value] }, other.value]`, "outside.rb")
	require.NoError(t, err)
	require.JSONEq(t, `[false,[true,false],false]`, string(out))
	require.Equal(t, []string{"1", "2", "5"}, d.entries(t))
}

// A connection that listens stays its listener's until UNLISTEN *.
func TestListeningOutsideSteps(t *testing.T) {
	d := newDatabase(t)
	out, err := host.Eval(t.Context(), `
		$listener = c = Tasker::Postgres.connect
		kinds = [(c.wait_for_notify(1) rescue $!.message[/nothing is listened to/])]
		c.exec("LISTEN news")
		waiting = Thread.new { c.wait_for_notify { |_, _, payload| Thread.current[:payload] = payload } }
		Tasker.db.exec("NOTIFY news, 'one'")
		kinds << waiting.value << waiting[:payload]
		waits_in_vain = Thread.new { c.wait_for_notify }
		Thread.pass until waits_in_vain.stop?
		waits_in_vain.kill.join
		Tasker.db.exec("NOTIFY news, 'two'")
		kinds << c.wait_for_notify(60) { |_, _, payload| kinds << payload }`, "listen.rb")
	require.NoError(t, err)
	require.JSONEq(t, `["nothing is listened to","news","one","two","news"]`, string(out))
	require.Eventually(t, func() bool { return d.pool.Stat().AcquiredConns() == 1 }, time.Minute, time.Millisecond)
	_, err = host.Eval(t.Context(), `$listener.exec("unlisten *;"); nil`, "listen.rb")
	require.NoError(t, err)
	requireAllGivenBack(t, d.pool, "a connection was not released")
}
