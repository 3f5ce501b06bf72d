package main

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgbouncer"
	"github.com/tasker-rb/tasker-rb/internal/pgtest"
)

func TestDoctor(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"one.yaml": one("Fine"), "lost.yaml": one("Lost"), "handlers/fine.rb": fine})
	r := p.run("doctor", "--template", "one.yaml")
	require.Zero(t, r.code, r.stdout)
	require.Regexp(t, `^ok    Ruby        CRuby \d\.\d+\.\d+, booted in this process
ok    gems        .*
ok    handlers    all there
ok    PostgreSQL  \d+.* at postgres://.*
ok    tables      current
ok    pooler      none: a connection has a backend of its own
ok    session     through DATABASE_URL; TASKER_SESSION_URL is not set
ok    takeover    .* may end the connections of dead workers with any role
ok    bounds      idle_in_transaction_session_timeout from each step's timeout, .*client_connection_check_interval 2s.* on each connection
$`, r.stdout)

	r = p.run("doctor", "--template", "lost.yaml")
	require.Equal(t, exitTaskFailed, r.code)
	require.Regexp(t, `(?m)^FAIL  handlers    lost.yaml:3:\d+: .*there is no class Lost`, r.stdout)

	p.url = "postgres://app:secret@127.0.0.1:1/x"
	r = p.run("doctor")
	require.Equal(t, exitTaskFailed, r.code)
	requireInOrder(t, r.stdout, "ok    Ruby", "FAIL  PostgreSQL  the database at postgres://app@127.0.0.1:1/x cannot be reached", "Start that server")

	empty := emptyProject(t)
	r = empty.run("doctor")
	require.Equal(t, exitTaskFailed, r.code)
	requireInOrder(t, r.stdout, "FAIL  tables", "no tables", "tasker-rb migrate up")
	require.Equal(t, -1, empty.written())
}

// A private database that is there is started, and one that is not there is not made.
func TestDoctorStartsThePrivateDatabase(t *testing.T) {
	t.Parallel()
	none := &project{t: t, dir: t.TempDir(), env: []string{"XDG_STATE_HOME=" + enterable(t)}}
	r := none.run("doctor")
	require.Zero(t, r.code, r.stdout)
	require.Regexp(t, `(?m)^ok    database    of .*, which the first command makes in `, r.stdout)

	p, dir := privateProject(t, nil)
	r = p.run("doctor")
	require.Zero(t, r.code, r.stdout)
	require.Contains(t, r.stdout, "ok    database    of "+p.dir+", in "+dir+"\n")

	require.NoError(t, os.Truncate(filepath.Join(dir, "data/global/pg_control"), 0))
	r = p.run("doctor")
	require.Equal(t, exitTaskFailed, r.code)
	require.Regexp(t, `(?m)^FAIL  database    PostgreSQL did not start .*pg_control`, r.stdout)

	require.NoError(t, os.Remove(filepath.Join(dir, "data/PG_VERSION")))
	require.Equal(t, exitBadInput, p.run("tasks", "list").code)
	r = p.run("doctor")
	require.Equal(t, exitTaskFailed, r.code)
	require.Regexp(t, `(?m)^FAIL  database    the last start failed: .*data is not empty, and is not a PostgreSQL database$`, r.stdout)
}

func TestDoctorKnowsPoolers(t *testing.T) {
	t.Parallel()
	p := newProject(t, nil)
	through := *p
	through.url = pgbouncer.Start(t, p.url, pgbouncer.Transaction, nil).URL(p.url)
	r := through.run("doctor")
	require.Equal(t, exitTaskFailed, r.code)
	requireInOrder(t, r.stdout,
		"ok    pooler      one in transaction mode: good for everything but the engine's session\n",
		"FAIL  session     TASKER_SESSION_URL is not set, and the pooler gives no session\n", "Set TASKER_SESSION_URL",
		"ok    bounds ", "the pooler has its own for its clients\n")

	through.env = []string{"TASKER_SESSION_URL=" + p.url}
	r = through.run("doctor")
	require.Zero(t, r.code, r.stdout)
	require.Contains(t, r.stdout, "ok    session     TASKER_SESSION_URL leads to the same database, at postgres://")

	through.env = []string{"TASKER_SESSION_URL=" + pgtest.URL(t)}
	r = through.run("doctor")
	require.Equal(t, exitTaskFailed, r.code)
	require.Contains(t, r.stdout, "FAIL  session     TASKER_SESSION_URL leads to another database than DATABASE_URL\n")

	through.env, through.url = nil, pgbouncer.Start(t, p.url, pgbouncer.Session, nil).URL(p.url)
	r = through.run("doctor")
	require.Zero(t, r.code, r.stdout)
	requireInOrder(t, r.stdout, "ok    pooler      one in session mode: good for everything\n", "ok    session     through DATABASE_URL")
}

// A role may end the connections of its own, and those of others with a right.
func TestDoctorKnowsWhoMayEndWorkers(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"one.yaml": one("Fine"), "handlers/fine.rb": fine})
	q, name, role := p.asRole("worker_of_")
	p.change("grant usage on schema tasker to %s; grant all on all tables in schema tasker to %s", role, role)
	r := q.run("doctor")
	require.Zero(t, r.code, r.stdout)
	require.Contains(t, r.stdout, "ok    takeover    "+name+" may end the connections of dead workers with the same role; for other roles it needs pg_signal_backend\n")
	p.change("grant pg_signal_backend to %s", role)
	require.Contains(t, q.run("doctor").stdout, "ok    takeover    "+name+" may end the connections of dead workers with any role\n")
	p.change("revoke pg_signal_backend from %s", role)

	worker, out := startWorker(t, p)
	require.Eventually(t, func() bool { return strings.Contains(out.String(), "working on ") }, patience, 5*time.Millisecond, out)
	r = q.run("doctor")
	require.NoError(t, worker.Process.Signal(syscall.SIGTERM))
	require.NoError(t, worker.Wait(), out)
	require.Equal(t, exitTaskFailed, r.code, r.stdout)
	owner, err := url.Parse(p.url)
	require.NoError(t, err)
	requireInOrder(t, r.stdout, "FAIL  takeover    "+name+" may not end the connections of workers with the role "+owner.User.Username()+", if they are frozen or lost\n",
		"Let all workers use one role, or GRANT pg_signal_backend TO \""+name+"\". Until then, the bounds below", "ok    bounds ")
}
