package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// workerWithFile starts a worker whose output goes to a file: a child that
// outlives it would keep a pipe open.
func workerWithFile(t *testing.T, p *project) (*exec.Cmd, func() string) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "out")
	out, err := os.Create(name)
	require.NoError(t, err)
	worker := p.command("worker", "--handlers", "handlers")
	worker.Stdout, worker.Stderr = out, out
	require.NoError(t, worker.Start())
	require.NoError(t, out.Close())
	return worker, func() string {
		said, err := os.ReadFile(name)
		require.NoError(t, err)
		return string(said)
	}
}

// retried is a template of one step with attempts to spare.
func retried(class string) string {
	return "name: one\nstep_templates:\n  - {name: only, handler_class: " + class + ", default_retry_limit: 5}\n"
}

// A worker is killed while a child that its handler has forked goes on: its
// database sessions and row locks end with it, and another worker takes over.
func TestForkedChildKeepsNothingOfAKilledWorker(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{
		"forks.yaml": retried("Forks"),
		"handlers/forks.rb": `class Forks < Tasker::StepHandler::Base
  def process(*)
    file = File.join(__dir__, "..", "child")
    Tasker.db.exec("UPDATE things SET n = n + 1")
    return { second: true } if File.exist?(file)

    pid = fork { sleep }
    File.write(file + ".new", pid.to_s)
    File.rename(file + ".new", file)
    sleep
  end
end`,
	})
	conn, err := pgx.Connect(t.Context(), p.url)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(context.Background())) }()
	_, err = conn.Exec(t.Context(), "create table things (n int); insert into things values (0)")
	require.NoError(t, err)
	require.Zero(t, p.run("submit", "forks.yaml").code)

	first, said := workerWithFile(t, p)
	file := filepath.Join(p.dir, "child")
	require.Eventually(t, func() bool { _, err := os.Stat(file); return err == nil }, patience, 5*time.Millisecond)
	child, err := strconv.Atoi(strings.TrimSpace(p.read("child")))
	require.NoError(t, err)
	defer func() { require.NoError(t, syscall.Kill(child, syscall.SIGKILL)) }()
	require.NoError(t, first.Process.Kill())
	require.Error(t, first.Wait(), said())

	sessions := func() (n int) {
		require.NoError(t, conn.QueryRow(t.Context(), "select count(*) from pg_stat_activity where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()").Scan(&n))
		return n
	}
	require.Eventually(t, func() bool { return sessions() == 0 }, patience, 5*time.Millisecond, "the killed worker's sessions stay")
	_, err = conn.Exec(t.Context(), "select 1 from things for update nowait")
	require.NoError(t, err)

	second, said := workerWithFile(t, p)
	require.Eventually(t, func() bool { return done(t, p, "complete") == 1 }, patience, 20*time.Millisecond, said())
	require.NoError(t, syscall.Kill(child, 0), "the child was to be alive all the while")
	require.NoError(t, second.Process.Signal(syscall.SIGTERM))
	require.NoError(t, second.Wait(), said())
	var n int
	require.NoError(t, conn.QueryRow(t.Context(), "select n from things").Scan(&n))
	require.Equal(t, 1, n)
}

// What reaches a descriptor of the host's past Ruby ends the process, which
// says so, and another worker takes over.
func TestWorkerThatLosesItsPollerIsReplaced(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{
		"closes.yaml": retried("Closes"),
		"handlers/closes.rb": `class Closes < Tasker::StepHandler::Base
  def process(*)
    file = File.join(__dir__, "..", "once")
    return { second: true } if File.exist?(file)

    File.write(file, "x")
    polls = ->(fd) { File.readlink("/proc/self/fd/#{fd}") == "anon_inode:[eventpoll]" rescue false }
    close = { "x86_64" => 3, "aarch64" => 57 }.fetch(RbConfig::CONFIG["host_cpu"])
    Dir.children("/proc/self/fd").map(&:to_i).select(&polls).each { |fd| Kernel.syscall(close, fd) }
    sleep
  end
end`,
	})
	require.Zero(t, p.run("submit", "closes.yaml").code)
	first, said := workerWithFile(t, p)
	require.Error(t, first.Wait())
	require.Regexp(t, `runtime: (epollwait on fd \d+ failed with|netpoll failed)|netpoll failed`, said())

	second, said := workerWithFile(t, p)
	require.Eventually(t, func() bool { return done(t, p, "complete") == 1 }, patience, 20*time.Millisecond, said())
	require.NoError(t, second.Process.Signal(syscall.SIGTERM))
	require.NoError(t, second.Wait(), said())
}
