package main

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/daemon"
	"github.com/tasker-rb/tasker-rb/internal/pgbouncer"
	"github.com/tasker-rb/tasker-rb/internal/pgtest"
)

func TestSessionURLsThatAreWrong(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"one.yaml": one("Fine"), "handlers/fine.rb": fine})
	pooler := pgbouncer.Start(t, p.url, pgbouncer.Transaction, nil)
	for _, c := range []struct{ name, url, cause, hint string }{
		{"a word", "foo", "TASKER_SESSION_URL is not a PostgreSQL address", "postgres://user"},
		{"bad sslmode", "postgres://app:secret@db/x?sslmode=requir", "TASKER_SESSION_URL: sslmode is invalid", "verify-full"},
		{"nobody listens", "postgres://app:secret@127.0.0.1:1/x", "the database at postgres://app@127.0.0.1:1/x cannot be reached", "or correct TASKER_SESSION_URL."},
		{"no such host", "postgres://app@db.invalid/x", "the host of the database at postgres://app@db.invalid:5432/x is not known", "in TASKER_SESSION_URL"},
		{"no such database", withPath(p.url, "/nowhere"), `database "nowhere" does not exist`, "in TASKER_SESSION_URL"},
		{"another database", pgtest.URL(t), "TASKER_SESSION_URL leads to another database than DATABASE_URL", "Name the same database"},
		{"a pooler", pooler.URL(p.url), "TASKER_SESSION_URL leads to a pooler in transaction mode", "pool_mode session"},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := *p
			q.t, q.env = t, []string{"TASKER_SESSION_URL=" + c.url}
			r := q.run("run", "one.yaml")
			requireRefused(t, r, []string{c.cause}, c.hint)
			require.NotContains(t, r.stderr, "secret")
		})
	}
	require.Zero(t, p.written())

	private := *p
	private.url, private.env = "", []string{"TASKER_SESSION_URL=" + p.url}
	requireRefused(t, private.run("run", "one.yaml"), []string{"TASKER_SESSION_URL is set, and DATABASE_URL is not"}, "Set both")
}

// pooledFiles are a template of three steps that write, and its handlers. The middle
// step uses every form of Tasker.db.
func pooledFiles() map[string]string {
	return map[string]string{
		"pay.yaml": `name: pay
step_templates:
  - {name: a, handler_class: Pay, default_retry_limit: 20}
  - {name: b, handler_class: Forms, default_retry_limit: 20, depends_on_step: a}
  - {name: c, handler_class: Pay, default_retry_limit: 20, depends_on_step: b}
`,
		"handlers/pay.rb": `class Pay < Tasker::StepHandler::Base
  def process(task, _sequence, step)
    Tasker.db.exec("insert into ledger (task, step) values ($1, $2)", [task.task_id, step.name])
    { "rows" => Tasker.db.first("select count(*) as n from ledger where task = $1", [task.task_id])["n"] }
  end
end
class Forms < Pay
  def process(task, sequence, step)
    3.times do # a text that comes again would be prepared
      Tasker.db.exec("select $1::int + 1 as n", [1]).first["n"] == 2 or raise "wrong"
      Tasker.db.first("select $1::jsonb ->> 'a' as a", [{ "a" => "b" }])["a"] == "b" or raise "wrong"
    end
    Tasker.db.transaction do
      Tasker.db.exec("insert into ledger (task, step) values ($1, 'undone')", [task.task_id])
      raise Tasker::DB::Rollback
    end
    Tasker.after_commit { Tasker.db.exec("insert into told values ($1)", [task.task_id]) }
    rows = super
    sleep 0.01 until File.exist?(File.join(__dir__, "..", "go")) # its transaction is open
    rows
  end
end
`,
	}
}

// pooled makes a project with tables of its handlers. Its commands go through the pooler.
func pooled(t *testing.T, mode pgbouncer.Mode) (p, through *project) {
	t.Helper()
	p = newProject(t, pooledFiles())
	p.change("create table ledger (task bigint, step text, primary key (task, step)); create table told (task bigint primary key)")
	q := *p
	q.url = pgbouncer.Start(t, p.url, mode, map[string]string{"default_pool_size": "60"}).URL(p.url)
	return p, &q
}

func TestWorkerBehindAPoolerNeedsASession(t *testing.T) {
	t.Parallel()
	direct, p := pooled(t, pgbouncer.Transaction)
	r := p.run("worker", "--handlers", "handlers")
	requireRefused(t, r, []string{"the database gives the engine no session of its own"}, "TASKER_SESSION_URL")
	requireRefused(t, p.run("migrate", "up"), []string{"is behind a pooler in transaction mode"}, "TASKER_SESSION_URL")
	require.Zero(t, direct.count("select count(*) from tasker.workers"))
	require.Zero(t, direct.count("select count(*) from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())"),
		"nothing is left on the pooler's backends")
	p.env = []string{"TASKER_SESSION_URL=" + direct.url}
	require.Zero(t, p.run("migrate", "up").code)
}

// count asks the project's database.
func (p *project) count(sql string) (n int) {
	p.t.Helper()
	conn, err := pgx.Connect(p.t.Context(), p.url)
	require.NoError(p.t, err)
	defer func() { require.NoError(p.t, conn.Close(p.t.Context())) }()
	require.NoError(p.t, conn.QueryRow(p.t.Context(), sql).Scan(&n))
	return n
}

// Through a pooler, one of two workers is killed or frozen while it holds row locks, and
// the other does the rest.
func TestWorkersBehindAPooler(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		mode pgbouncer.Mode
		fate syscall.Signal
	}{
		{pgbouncer.Transaction, syscall.SIGKILL}, {pgbouncer.Transaction, syscall.SIGSTOP},
		{pgbouncer.Session, syscall.SIGKILL}, {pgbouncer.Session, syscall.SIGSTOP},
	} {
		t.Run(fmt.Sprintf("%s, %v", c.mode, c.fate), func(t *testing.T) {
			t.Parallel()
			direct, p := pooled(t, c.mode)
			if c.mode == pgbouncer.Transaction {
				p.env = []string{"TASKER_SESSION_URL=" + direct.url}
			}
			const tasks = 150
			submitted := p.run("submit", "pay.yaml", "--count", fmt.Sprint(tasks))
			require.Zero(t, submitted.code, submitted.stderr)
			first, firstOut := startWorker(t, p)
			held := func() bool {
				return direct.count("select count(*) from tasker.steps where name = 'b' and state = 'in_progress'") >= 8
			}
			require.Eventually(t, held, patience, 5*time.Millisecond, firstOut)
			second, out := startWorker(t, p)
			require.Eventually(t, func() bool { return strings.Contains(out.String(), "working on ") }, patience, 5*time.Millisecond, out)
			if c.fate == syscall.SIGSTOP {
				daemon.Freeze(t, first.Process)
			} else {
				require.NoError(t, first.Process.Kill())
			}
			p.write(map[string]string{"go": ""})
			ended := func() bool {
				return direct.count("select count(*) from tasker.tasks where state = 'complete'") == tasks
			}
			require.Eventually(t, ended, patience, 20*time.Millisecond, out)
			// A worker that stops does not ask any more whether a commit without an answer has
			// succeeded, and then leaves its blocks out.
			require.Eventually(t, func() bool { return direct.count("select count(*) from told") == tasks }, patience, 20*time.Millisecond, out)
			require.NoError(t, first.Process.Kill())
			require.Error(t, first.Wait())
			require.NoError(t, second.Process.Signal(syscall.SIGTERM))
			require.NoError(t, second.Wait(), out)
			require.Equal(t, 3*tasks, direct.count("select count(*) from ledger"))
			require.Equal(t, tasks, direct.count("select count(*) from told"))
			require.Zero(t, direct.count("select count(*) from tasker.attempts where outcome = 'error'"), out)
			require.NotContains(t, firstOut.String()+out.String(), "prepared statement")
		})
	}
}
