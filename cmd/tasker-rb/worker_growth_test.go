package main

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// One worker runs two hundred tasks, one at a time. One step fails at its first
// attempt, one step ends in error, and the handlers print.
func TestNothingGrowsWithTheTasks(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{
		"order.yaml": `
name: order
step_templates:
  - {name: reserve, handler_class: Reserve}
  - {name: notify, handler_class: Notify, depends_on_step: reserve}
  - {name: charge, handler_class: Charge, depends_on_step: reserve, default_retry_limit: 2, backoff: {curve: none}}
  - {name: ship, handler_class: Reserve, depends_on_step: charge}
`,
		"handlers/order.rb": `
class Reserve
  def process(_task, _sequence, step)
    puts step.name
    { "to" => File.open(__FILE__) { |f| Thread.new { f.readline }.value } }
  end
end
class Notify
  def process(*) = raise(Tasker::PermanentError, "nobody is there")
end
class Charge
  def process(_task, sequence, step)
    raise "busy" if step.attempts == 1

    sequence.get_results("reserve")
  end
end
`,
	})
	worker, out := startWorker(t, p, "--tasks", "1", "--threads", "4", "--quiet")
	conn, err := pgx.Connect(t.Context(), p.url)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(context.Background())) }()

	ended := 0
	tasks := func(n int) {
		r := p.run("submit", "order.yaml", "--count", fmt.Sprint(n))
		require.Zero(t, r.code, r.stderr)
		ended += n
		require.Eventually(t, func() bool {
			var there int
			return conn.QueryRow(t.Context(), "select count(*) from tasker.tasks where state = 'error'").Scan(&there) == nil && there == ended
		}, patience, 10*time.Millisecond, out)
	}
	// A single measurement is noisy, because Go starts threads and the pool opens
	// connections as needed. A leak shows in every later measurement, however many there are.
	tasks(40)
	var threads, files, connections []int
	for round := 0; round < 4 || round < 12 && (growsAlways(threads) || growsAlways(files) || growsAlways(connections)); round++ {
		tasks(50)
		threads, files = append(threads, entries(t, worker.Process.Pid, "task")), append(files, entries(t, worker.Process.Pid, "fd"))
		var open int
		require.NoError(t, conn.QueryRow(t.Context(),
			"select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()").Scan(&open))
		connections = append(connections, open)
	}
	t.Log("threads", threads, "files", files, "connections", connections)
	for _, v := range [][]int{threads, files, connections} {
		require.False(t, growsAlways(v), "it grows with every fifty tasks")
		require.LessOrEqual(t, v[len(v)-1]-v[0], 8) // the pool opens a connection when all others are busy
	}

	require.NoError(t, worker.Process.Signal(syscall.SIGTERM))
	require.NoError(t, worker.Wait(), out)
}

// growsAlways says whether each value is above the one before it.
func growsAlways(values []int) bool {
	for i := 1; i < len(values); i++ {
		if values[i] <= values[i-1] {
			return false
		}
	}
	return true
}

// entries counts the entries of a process's folder in /proc.
func entries(t *testing.T, pid int, of string) int {
	t.Helper()
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/%s", pid, of))
	require.NoError(t, err)
	return len(list)
}
