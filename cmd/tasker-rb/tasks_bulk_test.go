package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Cancel and resolve act on all tasks that the filters select, however many.
func TestCancelAndResolveOfMany(t *testing.T) {
	t.Parallel()
	p := flaky(t)
	require.Equal(t, 1, p.run("run", "flaky.yaml").code)
	require.Contains(t, p.run("submit", "flaky.yaml", "--count", "1234", "--tag", "many").stdout, "1234 tasks submitted")

	dry := p.run("tasks", "resolve", "--error-class", "Two::Closed", "--dry-run")
	require.Equal(t, "task 1 would be resolved (shop/flaky 1.0.0, two: Two::Closed)\n1 task\n", dry.stdout, dry.stderr)
	require.Equal(t, "1\n", p.run("tasks", "list", "--state", "error", "--count").stdout)
	require.Equal(t, "task 1 is resolved (shop/flaky 1.0.0, two: Two::Closed)\n1 task\n", p.run("tasks", "resolve", "--name", "flaky").stdout)

	dry = p.run("tasks", "cancel", "--state", "pending", "--limit", "3", "--dry-run")
	require.Equal(t, "task 1235 would be cancelled (shop/flaky 1.0.0)\ntask 1234 would be cancelled (shop/flaky 1.0.0)\n"+
		"task 1233 would be cancelled (shop/flaky 1.0.0)\n3 tasks; there may be more than --limit 3\n", dry.stdout, dry.stderr)
	require.Equal(t, "{\"count\": 1234}\n", p.run("tasks", "list", "--state", "pending", "--tag", "many", "--count", "--output", "json").stdout)
	var list []struct {
		TaskID    int64   `json:"task_id"`
		Status    string  `json:"status"`
		Cancelled bool    `json:"cancelled"`
		Refused   *string `json:"refused"`
	}
	done := p.run("tasks", "cancel", "--name", "flaky", "--reason", "not needed", "--output", "json")
	require.Zero(t, done.code, done.stderr)
	require.NoError(t, json.Unmarshal([]byte(done.stdout), &list))
	require.Len(t, list, 1234)
	for i, task := range list {
		require.EqualValues(t, 1235-i, task.TaskID)
		require.True(t, task.Cancelled)
		require.Nil(t, task.Refused)
		require.Equal(t, "pending", task.Status, "as it was before")
	}
	require.Equal(t, "1234\n", p.run("tasks", "list", "--state", "cancelled", "--count").stdout)
	require.Equal(t, "[]\n", p.run("tasks", "cancel", "--name", "flaky", "--output", "json").stdout)
	require.Equal(t, "0 tasks\n", p.run("tasks", "retry", "--name", "flaky").stdout)
}

// ^C ends a bulk change after the tasks under way, and what is printed is what was done.
func TestBulkIsInterrupted(t *testing.T) {
	t.Parallel()
	p := flaky(t)
	require.Contains(t, p.run("submit", "flaky.yaml", "--count", "5000").stdout, "5000 tasks submitted")
	cmd := p.command("tasks", "cancel", "--name", "flaky")
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	first := make([]byte, 1)
	_, err = out.Read(first)
	require.NoError(t, err)
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	said := string(first)
	for buffer := make([]byte, 1<<16); err == nil; {
		var n int
		n, err = out.Read(buffer)
		said += string(buffer[:n])
	}
	var exit *exec.ExitError
	require.ErrorAs(t, cmd.Wait(), &exit)
	require.Equal(t, exitInterrupted, exit.ExitCode(), complaint.String())
	require.Contains(t, said, "; stopped, there may be more\n")
	require.Contains(t, complaint.String(), "error: interrupted\n")
	n := strings.Count(said, " is cancelled (")
	require.Positive(t, n)
	require.Less(t, n, 5000)
	require.Equal(t, plural(n, "task")+"; stopped, there may be more", last(said))
	require.JSONEq(t, fmt.Sprintf(`{"count": %d}`, n), p.run("tasks", "list", "--state", "cancelled", "--count", "--output", "json").stdout)
}

func last(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

func TestBulkCommandsRefuse(t *testing.T) {
	t.Parallel()
	p := flaky(t)
	require.Contains(t, p.run("submit", "flaky.yaml").stdout, "submitted")
	for _, c := range []struct {
		args []string
		text string
	}{
		{[]string{"tasks", "cancel"}, "filter"},
		{[]string{"tasks", "resolve"}, "filter"},
		{[]string{"tasks", "cancel", "--limit", "3"}, "filter"},
		{[]string{"tasks", "cancel", "1", "--name", "flaky"}, "--name"},
		{[]string{"tasks", "cancel", "1", "--state", "pending"}, "--state"},
		{[]string{"tasks", "resolve", "1", "--dry-run"}, "--dry-run"},
		{[]string{"tasks", "cancel", "--name", "flaky", "--step", "two"}, "--step"},
		{[]string{"tasks", "resolve", "--name", "flaky", "--results", "{}"}, "--results"},
		{[]string{"tasks", "cancel", "--state", "complete"}, "complete"},
		{[]string{"tasks", "cancel", "--name", "flaky", "--limit", "-1"}, "--limit"},
		{[]string{"tasks", "retry", "--name", "flaky", "--output", "xml"}, "xml"},
		{[]string{"tasks", "list", "--count", "--limit", "3"}, "--limit"},
		{[]string{"tasks", "prune"}, "--older-than"},
		{[]string{"tasks", "prune", "--older-than", "1d", "--state", "error"}, "error"},
		{[]string{"tasks", "prune", "--older-than", "1d", "--output", "xml"}, "xml"},
	} {
		got := p.run(c.args...)
		require.Equal(t, exitBadInput, got.code, c.args)
		require.Contains(t, got.stderr, "error: ", c.args)
		require.Contains(t, got.stderr, c.text, c.args)
		require.Contains(t, got.stderr, "hint: ", c.args)
	}
	require.Equal(t, "1\n", p.run("tasks", "list", "--state", "pending", "--count").stdout)

	refused := p.run("tasks", "cancel", "--state", "complete")
	require.Empty(t, refused.stdout)
	refused = p.run("tasks", "cancel", "--state", "complete", "--output", "json")
	require.JSONEq(t, `{"error": "tasks in state \"complete\" cannot be changed in this way", "hint": "These states allow it: pending, in_progress, error.", "errors": []}`, refused.stdout)
}
