package rubysteps_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
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

// A connection that listens is its listener's until it does not any more.
func TestListeningOutsideSteps(t *testing.T) {
	d := newDatabase(t)
	out, err := host.Eval(t.Context(), `
		$listener = c = Tasker::Postgres.connect
		kinds = [(c.wait_for_notify(1) rescue $!.message[/nothing is listened to/])]
		c.exec("LISTEN news")
		waiting = Thread.new { c.wait_for_notify { |_, _, payload| Thread.current[:payload] = payload } }
		Tasker.db.exec("NOTIFY news, 'one'")
		kinds << waiting.value << waiting[:payload]
		given_up = Thread.new { c.wait_for_notify }
		Thread.pass until given_up.stop?
		given_up.kill.join
		Tasker.db.exec("NOTIFY news, 'two'")
		kinds << c.wait_for_notify(5) { |_, _, payload| kinds << payload }`, "listen.rb")
	require.NoError(t, err)
	require.JSONEq(t, `["nothing is listened to","news","one","two","news"]`, string(out))
	require.EqualValues(t, 1, d.pool.Stat().AcquiredConns())
	_, err = host.Eval(t.Context(), `$listener.exec("unlisten *;"); nil`, "listen.rb")
	require.NoError(t, err)
	require.Zero(t, d.pool.Stat().AcquiredConns())
}

// Two steps that lock two rows in opposite order: one is the deadlock's victim,
// tries again, and both are done.
func TestADeadlockIsRetried(t *testing.T) {
	d := newDatabase(t)
	_, err := d.pool.Exec(t.Context(), `insert into ledger (entry, amount) values ('x', 0), ('y', 0)`)
	require.NoError(t, err)
	task := d.run(t, "Deadlocks", `
		first, second = step.name == "a" ? %w[x y] : %w[y x]
		add = ->(entry) { Tasker.db.exec("UPDATE ledger SET amount = amount + 1 WHERE entry = $1", [entry]) }
		add[first]
		if step.attempts == 1
			($meet ||= Queue.new) << 1
			Thread.pass until $meet.size >= 2
		end
		add[second]
		nil`, "  - {name: a, handler_class: Deadlocks, backoff: {curve: none, base_seconds: 0}}\n  - {name: b, handler_class: Deadlocks, backoff: {curve: none, base_seconds: 0}}\n")
	require.Equal(t, orchestration.TaskComplete, task.State)
	var victims []string
	for _, s := range task.Steps {
		for _, a := range s.History {
			if a.Err != nil {
				victims = append(victims, a.Err.Class)
			}
		}
	}
	require.Equal(t, []string{"Tasker::SQLError::DeadlockDetected"}, victims)
	var amounts []int
	require.NoError(t, d.pool.QueryRow(t.Context(), `select array_agg(amount::int) from ledger`).Scan(&amounts))
	require.Equal(t, []int{2, 2}, amounts)
}

func TestASerializationFailureIsRetried(t *testing.T) {
	d := newDatabase(t)
	_, err := d.pool.Exec(t.Context(), `insert into ledger (entry, amount) values ('x', 0)`)
	require.NoError(t, err)
	task := d.run(t, "Serializes", `
		n = Tasker.db.first("SELECT amount FROM ledger WHERE entry = 'x'")["amount"]
		if step.attempts == 1
			($both ||= Queue.new) << 1
			Thread.pass until $both.size >= 2
		end
		Tasker.db.exec("UPDATE ledger SET amount = $1 WHERE entry = 'x'", [n + 1])
		nil`, "  - {name: a, handler_class: Serializes, isolation: repeatable read, backoff: {curve: none, base_seconds: 0}}\n"+
		"  - {name: b, handler_class: Serializes, isolation: repeatable read, backoff: {curve: none, base_seconds: 0}}\n")
	require.Equal(t, orchestration.TaskComplete, task.State)
	var amount int
	require.NoError(t, d.pool.QueryRow(t.Context(), `select amount::int from ledger`).Scan(&amount))
	require.Equal(t, 2, amount)
}
