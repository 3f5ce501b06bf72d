package main

import (
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgproxy"
	"github.com/tasker-rb/tasker-rb/internal/pgtest"
	"github.com/tasker-rb/tasker-rb/orchestration/localpg"
)

// The database server stops in the middle of a task and does not come back.
func TestTheDatabaseGoesAway(t *testing.T) {
	t.Parallel()
	server, err := localpg.Start(t.Context(), pgtest.Ephemeral(nil))
	require.NoError(t, err)
	stopped := false
	defer func() {
		if !stopped {
			_ = server.Close()
		}
	}()
	u, err := url.Parse(server.URL())
	require.NoError(t, err)
	settings := u.Query()
	settings.Set("connect_timeout", "5") // a connection may take that long; the run gives up after three times as long
	u.RawQuery = settings.Encode()

	p := &project{t: t, dir: t.TempDir(), url: u.String()}
	p.write(map[string]string{"long.yaml": one("Long"), "handlers/long.rb": long})
	require.Zero(t, p.run("migrate", "up").code)
	r := p.follow(p.command("run", "long.yaml"), func(line string) {
		if line == "only | in the middle" {
			stopped = true
			_ = server.Close() // it may report the session that it ends
		}
	})
	require.Equal(t, exitBadInput, r.code, r.stderr)
	requireInOrder(t, r.stderr,
		"error: the database at postgres://", "does not answer any more; task 1 is in it, with the steps it has done\n",
		"hint: When that server is back, `tasker-rb run --task 1` goes on with the task, or a `tasker-rb worker` does; `tasker-rb tasks cancel 1` ends it.\n")
	require.Contains(t, r.stdout, "only | cleaned up\n")
}

// privateProject has a private database, which is made; dir is the folder of it.
func privateProject(t *testing.T, files map[string]string) (p *project, dir string) {
	t.Helper()
	p = &project{t: t, dir: enterable(t)}
	p.write(files)
	p.env = []string{"XDG_STATE_HOME=" + enterable(t), "TASKER_PROJECT=" + p.dir}
	r := p.run("tasks", "list")
	require.Zero(t, r.code, r.stderr)
	_, dir, made := strings.Cut(strings.TrimSpace(r.stderr), ", in ")
	require.True(t, made, r.stderr)
	return p, dir
}

// The server of a private database dies for want of room, and cannot start again. Its log says
// why, and no other worker brings it back.
func TestTheDiskFillsDuringARun(t *testing.T) {
	t.Parallel()
	p, dir := privateProject(t, map[string]string{"long.yaml": one("Long"), "handlers/long.rb": long})
	p.env = append(p.env, "PGCONNECT_TIMEOUT=5") // as above
	r := p.follow(p.command("run", "long.yaml"), func(line string) {
		if line != "only | in the middle" {
			return
		}
		log, err := os.OpenFile(filepath.Join(dir, "postgres.log"), os.O_WRONLY|os.O_APPEND, 0)
		require.NoError(t, err)
		_, err = log.WriteString("2026-01-01 [7] PANIC:  could not write to file \"pg_wal/xlogtemp.7\": No space left on device\n")
		require.NoError(t, err)
		require.NoError(t, log.Close())
		require.NoError(t, os.Truncate(filepath.Join(dir, "data/global/pg_control"), 0)) // so it does not start again
		state, err := os.ReadFile(filepath.Join(dir, "data/postmaster.pid"))
		require.NoError(t, err)
		first, _, _ := strings.Cut(string(state), "\n")
		pid, err := strconv.Atoi(first)
		require.NoError(t, err)
		require.NoError(t, syscall.Kill(pid, syscall.SIGQUIT))
	})
	require.Equal(t, exitBadInput, r.code, r.stderr)
	requireInOrder(t, r.stderr, "error: the private database does not answer any more: the last start failed: ",
		"; task 1 is in it, with the steps it has done\n",
		"hint: The disk is full. Make room on the file system of "+dir+",",
		"Then `tasker-rb run --task 1` goes on with the task; `tasker-rb tasks cancel 1` ends it.\n")
	require.NotContains(t, r.stdout+r.stderr, "unset DATABASE_URL")
}

// A run loses the way to the database for a while. It says so as a worker does, and completes.
func TestARunSaysThatItTriesAgain(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"one.yaml": one("Waits"), "handlers/waits.rb": `
class Waits
  def process(*)
    puts "in the middle"
    Thread.pass until File.exist?("go")
    nil
  end
end
`})
	proxy := pgproxy.Start(t, p.url)
	far := *p
	far.url = proxy.URL(p.url)
	r := far.follow(far.command("run", "one.yaml"), func(line string) {
		switch {
		case line == "only | in the middle":
			leadNowhere(t, proxy)
		case strings.Contains(line, "cannot open a session"):
			proxy.SetTarget(p.url)
		case strings.Contains(line, "has a session again"):
			p.write(map[string]string{"go": ""})
		}
	})
	require.Zero(t, r.code, r.stdout+r.stderr)
	said := r.stdout + r.stderr
	require.Contains(t, said, "the engine cannot open a session, and so it takes no tasks; trying again: the database at "+redact(far.url)+" cannot be reached: ")
	require.Contains(t, said, "Start that server, or correct DATABASE_URL.")
	require.NotContains(t, said, "error: ")
	require.NotContains(t, said, "dial")
}

// Someone takes the tables away from a worker.
func TestAWorkerWhoseTablesAreGone(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"handlers/fine.rb": fine})
	worker, out := startWorker(t, p)
	says := func(what string) func() bool { return func() bool { return strings.Contains(out.String(), what) } }
	require.Eventually(t, says("working on "), patience, 5*time.Millisecond, out)
	down := p.run("migrate", "down", "0", "--yes")
	require.Zero(t, down.code, down.stderr)
	require.Eventually(t, says("the tables of tasker-rb are gone from the database: relation \"tasker."), patience, 5*time.Millisecond, out)
	require.Contains(t, out.String(), ". `tasker-rb migrate up` makes them.")
	require.NotContains(t, out.String(), "preprocessing batch")
	require.NoError(t, worker.Process.Signal(syscall.SIGTERM))
	_ = worker.Wait()

	p.url = "postgres://app@127.0.0.1:1/x"
	r := p.run("worker", "--handlers", "handlers")
	require.Equal(t, exitBadInput, r.code)
	require.Contains(t, r.stderr, "hint: Start that server, or correct DATABASE_URL.\n")
}
