package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// Ended tasks are deleted, and their keys stay known.
func TestTasksPrune(t *testing.T) {
	t.Parallel()
	p := flaky(t)
	require.Equal(t, 1, p.run("run", "flaky.yaml").code)
	require.Equal(t, "task 2 submitted\n", p.run("submit", "flaky.yaml", "--key", "k").stdout)
	require.Contains(t, p.run("submit", "flaky.yaml", "--count", "2").stdout, "submitted")
	require.Equal(t, "task 2 is cancelled\n", p.run("tasks", "cancel", "2").stdout)
	require.Equal(t, "task 3 is cancelled\n", p.run("tasks", "cancel", "3").stdout)

	got := p.run("tasks", "prune", "--older-than", "1d")
	require.Equal(t, "0 tasks deleted\n", got.stdout, got.stderr)
	require.Equal(t, "0 tasks would be deleted\n", p.run("tasks", "prune", "--older-than", "1ms", "--state", "complete", "--dry-run").stdout)
	require.Equal(t, "2 tasks would be deleted\n", p.run("tasks", "prune", "--older-than", "1ms", "--dry-run").stdout)
	require.Equal(t, "0 tasks deleted\n", p.run("tasks", "prune", "--older-than", "1ms", "--name", "other").stdout)
	got = p.run("tasks", "prune", "--older-than", "1ms", "--output", "json")
	require.JSONEq(t, `{"tasks": 2, "at_least": false, "stopped": false, "dry_run": false}`, got.stdout)
	require.Equal(t, "2\n", p.run("tasks", "list", "--count").stdout, "one is in error, and one is pending")
	require.Equal(t, "already there: task 2\n", p.run("submit", "flaky.yaml", "--key", "k").stdout)

	kept := strings.Replace(p.read("flaky.yaml"), "version: 1.0.0", "version: 2.0.0\nkeep: forever", 1)
	p.write(map[string]string{"flaky.yaml": kept})
	// The submission with the key has drawn a number.
	require.Equal(t, "task 6 submitted\n", p.run("submit", "flaky.yaml").stdout)
	require.Equal(t, "task 6 is cancelled\n", p.run("tasks", "cancel", "6").stdout)
	require.Equal(t, "0 tasks deleted\n", p.run("tasks", "prune", "--older-than", "1ms").stdout)
}

// Tasks that were begun long ago are listed, and can be cancelled at once.
func TestTasksRunningLong(t *testing.T) {
	t.Parallel()
	p := flaky(t)
	require.Contains(t, p.run("submit", "flaky.yaml", "--count", "3").stdout, "3 tasks submitted")
	conn, err := pgx.Connect(t.Context(), p.url)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(t.Context())) }()
	for id, age := range map[int]string{1: "1 hour", 2: "1 minute"} {
		for _, sql := range []string{
			"update tasker.tasks set state = 'in_progress', begun_at = now() - interval '%s' where task_id = %d",
			"update tasker.queue set begun = true where '%s' <> '' and task_id = %d",
		} {
			_, err := conn.Exec(t.Context(), fmt.Sprintf(sql, age, id))
			require.NoError(t, err)
		}
	}
	require.Equal(t, "1\n", p.run("tasks", "list", "--running-longer-than", "10m", "--count").stdout)
	require.Equal(t, "2\n", p.run("tasks", "list", "--running-longer-than", "10s", "--count").stdout)
	require.Equal(t, "0\n", p.run("tasks", "list", "--running-longer-than", "10s", "--state", "pending", "--count").stdout)
	require.Contains(t, p.run("tasks", "list", "--running-longer-than", "10m").stdout, "in_progress")
	got := p.run("tasks", "cancel", "--running-longer-than", "10m")
	require.Equal(t, "task 1 is cancelled (shop/flaky 1.0.0)\n1 task\n", got.stdout, got.stderr)
}

// ^C ends a prune between two batches, and what is printed is what was deleted.
func TestPruneIsInterrupted(t *testing.T) {
	t.Parallel()
	p := flaky(t)
	require.Contains(t, p.run("submit", "flaky.yaml", "--count", "20000").stdout, "20000 tasks submitted")
	conn, err := pgx.Connect(t.Context(), p.url)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(t.Context())) }()
	for _, sql := range []string{"update tasker.tasks set state = 'complete', ended_at = created_at", "delete from tasker.queue",
		"create function take_long() returns trigger language plpgsql as 'begin perform pg_sleep(0.3); return null; end'",
		"create trigger take_long after delete on tasker.tasks for each statement execute function take_long()"} { // forty batches of it
		_, err = conn.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	left := func() (n int) {
		require.NoError(t, conn.QueryRow(t.Context(), "select count(*) from tasker.tasks").Scan(&n))
		return n
	}
	cmd := p.command("tasks", "prune", "--older-than", "1ms")
	var out, complaint strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &complaint
	require.NoError(t, cmd.Start())
	require.Eventually(t, func() bool { return left() < 20000 }, patience, time.Millisecond)
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	var exit *exec.ExitError
	require.ErrorAs(t, cmd.Wait(), &exit)
	require.Equal(t, exitInterrupted, exit.ExitCode(), complaint.String())
	require.Positive(t, left())
	require.Equal(t, fmt.Sprintf("%d tasks deleted, and there may be more\n", 20000-left()), out.String())
	require.Contains(t, complaint.String(), "error: interrupted\n")
}
