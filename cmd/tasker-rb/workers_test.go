package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// workerRow starts an engine that runs nothing, and whose row says what a worker's would.
func workerRow(t *testing.T, p *project, says string) (stop func()) {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), p.url)
	require.NoError(t, err)
	e, err := orchestration.New(t.Context(), orchestration.Config{Pool: pool, Handlers: orchestration.Handlers{}, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	p.change("update tasker.workers set works = true, %s where number = (select number from tasker.workers order by started_at desc limit 1)", says)
	stop = sync.OnceFunc(func() {
		require.NoError(t, e.Close())
		pool.Close()
	})
	t.Cleanup(stop)
	return stop
}

func TestWorkersAreListed(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"handlers/fine.rb": fine})
	require.Equal(t, "no worker is running\nhint: Start one with `tasker-rb worker --handlers DIR`.\n", p.run("workers").stdout)
	require.JSONEq(t, "[]", p.run("workers", "--output", "json").stdout)

	stopOne := workerRow(t, p, "threads = 8")
	stopTwo := workerRow(t, p, "queues = '{bulk,mail}', names = '{order}', misses = '{Shop::Ship,Shop::Bill}', version = 'v1.2.3'")
	host, err := os.Hostname()
	require.NoError(t, err)
	r := p.run("workers")
	require.Zero(t, r.code, r.stderr)
	requireInOrder(t, r.stdout, "HOST ", "PID ", "VERSION ", "TAKES ", "BUSY ", "TASKS ", "SINCE ", "HEARTBEAT ", "MISSES\n", host)
	require.Regexp(t, fmt.Sprintf(`(?m)^\S+ +%d +\S+ +all +0/8 +0 +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d +\S+ ago$`, os.Getpid()), r.stdout)
	require.Regexp(t, fmt.Sprintf(`(?m)^\S+ +%d +v1\.2\.3 +queue bulk, mail; name order +0 +0 +.* ago +Shop::Ship, Shop::Bill$`, os.Getpid()), r.stdout)

	var list []workerJSON
	r = p.run("workers", "--output", "json")
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &list), r.stdout)
	require.Len(t, list, 2)
	require.Equal(t, []any{os.Getpid(), 8, 0, host}, []any{list[0].PID, *list[0].Threads, list[0].Busy, list[0].Host})
	require.Equal(t, []string{"bulk", "mail"}, list[1].Queues)
	require.Equal(t, []string{"Shop::Ship", "Shop::Bill"}, list[1].Misses)
	require.Nil(t, list[1].Namespaces)
	require.Nil(t, list[1].Threads)
	require.False(t, list[1].HeartbeatAt.Before(list[1].StartedAt.Time))

	stopOne()
	require.Contains(t, p.run("workers").stdout, "Shop::Ship")
	stopTwo()
	require.Contains(t, p.run("workers").stdout, "no worker is running")
}

// The only worker misses a class of a task, and the task's page says so.
func TestATaskWaitsForAClass(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"handlers/fine.rb": fine, "ship.yaml": one("Ship"), "later.yaml": "name: later\nstep_templates: [{name: only, handler_class: Ship}]\n"})
	workerRow(t, p, "refuses = '{1,2}', misses = '{Ship}'")
	require.Zero(t, p.run("submit", "ship.yaml").code)
	require.Zero(t, p.run("submit", "later.yaml", "--run-at", "1h").code)
	r := p.run("tasks", "list")
	require.Regexp(t, `(?m)^1 .* no live worker has Ship$`, r.stdout)
	require.Regexp(t, `(?m)^2 .*\d\d:\d\d:\d\d$`, r.stdout)
	var list []summaryJSON
	require.NoError(t, json.Unmarshal([]byte(p.run("tasks", "list", "--output", "json").stdout), &list))
	require.Nil(t, list[0].WaitsFor)
	require.Equal(t, &unservedJSON{Message: "no live worker has Ship", Classes: []string{"Ship"}}, list[1].WaitsFor)
	require.Regexp(t, `(?m)^  waits      no live worker has Ship$`, p.run("tasks", "show", "1").stdout)
	require.NotContains(t, p.run("tasks", "show", "2").stdout, "waits ")
	require.Contains(t, p.run("tasks", "show", "1", "--output", "json").stdout, `"waits_for": {`)
	require.NotContains(t, p.run("tasks", "show", "2", "--output", "json").stdout, `"waits_for"`)
}
