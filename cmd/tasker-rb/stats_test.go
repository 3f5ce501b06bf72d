package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/daemon"
	"github.com/tasker-rb/tasker-rb/internal/soak"
	soakwatch "github.com/tasker-rb/tasker-rb/internal/soak/watch"
)

func TestStats(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"handlers/fine.rb": fine, "one.yaml": one("Fine"), "gone.yaml": "name: gone\nnamespace_name: shop\nstep_templates: [{name: only, handler_class: Gone}]\n"})
	require.Equal(t, "tasks    0 pending, 0 in progress, 0 in error, 0 cancelled, 0 resolved manually, 0 complete\n"+
		"due      0 wait for a worker\nworkers  no worker is running\n", p.run("stats").stdout)
	require.Zero(t, p.run("submit", "one.yaml", "--count", "3").code)
	worked(t, p, func() bool { return done(t, p, "complete") == 3 })
	require.Zero(t, p.run("submit", "gone.yaml").code)
	require.Zero(t, p.run("submit", "gone.yaml", "--run-at", "1h").code)
	workerRow(t, p, "threads = 8, busy = 0")
	r := p.run("stats")
	require.Zero(t, r.code, r.stderr)
	require.Regexp(t, `^tasks    2 pending, 0 in progress, 0 in error, 0 cancelled, 0 resolved manually, 3 complete
due      1 wait for a worker; task 4 \(shop/gone\) has waited for \d+m?\d*s
workers  1 worker, 0 of 8 threads busy
$`, r.stdout)
	var s statsJSON
	require.NoError(t, json.Unmarshal([]byte(p.run("stats", "--output", "json").stdout), &s))
	require.Equal(t, []any{2, 3, 1, int64(4), 1, 8}, []any{s.Tasks["pending"], s.Tasks["complete"], s.Due, s.Oldest.TaskID, s.Workers, s.Threads})
}

func TestStatsMemoryOfOtherPrograms(t *testing.T) {
	t.Parallel()
	p := newProject(t, nil)
	require.Contains(t, p.run("stats", "--memory").stdout, "no worker is running\nhint: ")
	require.JSONEq(t, "[]", p.run("stats", "--memory", "--output", "json").stdout)
	workerRow(t, p, "threads = 8")
	for _, report := range []string{"null", `'[1]'`, `'{"memory": null}'`, `'{"memory": "much"}'`, `'{"release": "7"}'`} {
		p.change("update tasker.workers set report = %s where works", report)
		r := p.run("stats", "--memory")
		require.Regexp(t, fmt.Sprintf(`^\S+, process %d, since .*\n  says nothing about its memory\n$`, os.Getpid()), r.stdout, report)
	}
	p.change(`update tasker.workers set report = '{"memory": {"rss": -1, "steps": 3000, "samples": 12, "needed": 40, "ready_in": 1680, "rate": 2.5, "later": 1}}' where works`)
	requireInOrder(t, p.run("stats", "--memory").stdout, ": unknown, ", "  3000 steps, 2.5 a second lately\n",
		"  not enough samples yet: 12 of 40, in about 28 minutes at the present rate\n")
}

// leaky has a class that keeps 20 KB of each call, and one that keeps nothing. Ruby collects
// as often in the test's short windows as it does in a minute elsewhere.
const leaky = `KEPT = []
class Leaks
  def process(*)
    KEPT << ("x" * 20_000)
    sleep 0.05
    nil
  end
end
class Honest
  def process(*)
    GC.start if rand(10).zero?
    sleep 0.05
    { "text" => Array.new(10) { "y" * 5000 }.last.size }
  end
end
`

// A worker says by itself that it grows, and which of two classes makes it grow. Here a
// sample takes a fifth of a second instead of a minute.
func TestStatsMemoryNamesTheClassThatLeaks(t *testing.T) {
	t.Parallel()
	program, err := otherTimes()
	require.NoError(t, err)
	template := "name: %s\nstep_templates: [{name: only, handler_class: %s}]\n"
	p := newProject(t, map[string]string{"handlers/leaky.rb": leaky,
		"leaks.yaml": fmt.Sprintf(template, "leaks", "Leaks"), "honest.yaml": fmt.Sprintf(template, "honest", "Honest")})
	linked := *p
	linked.program = program
	worker := linked.command("worker", "--handlers", "handlers", "--quiet", "--max-rss", "2GB")
	log := &lockedBuffer{}
	worker.Stdout, worker.Stderr = log, log
	require.NoError(t, worker.Start())
	require.Eventually(t, func() bool {
		return strings.Contains(p.run("stats", "--memory").stdout, "not enough samples yet: 0 of 40; no step has ended so far")
	},
		patience, 20*time.Millisecond, log)

	memory := func() *soakwatch.Report {
		var list []workerMemoryJSON
		r := p.run("stats", "--memory", "--output", "json")
		require.NoError(t, json.Unmarshal([]byte(r.stdout), &list), r.stderr)
		require.Len(t, list, 1)
		require.Equal(t, worker.Process.Pid, list[0].PID)
		return list[0].Memory
	}
	known := func(m *soakwatch.Report) bool {
		return m.Samples >= m.Needed && len(m.Classes) == 2 && m.Classes[0].Grows && !m.Classes[1].Grows && m.Measures[0].Growth == "leak"
	}
	text := ""
	random := rand.New(rand.NewPCG(1, 2))
	for turn, deadline := 0, time.Now().Add(patience); ; turn++ {
		// The shares of the classes in a sample tell them apart.
		for p.count("select count(*) from tasker.queue") < 100 {
			name := []string{"leaks.yaml", "honest.yaml"}[random.IntN(2)]
			require.Zero(t, p.run("submit", name, "--count", fmt.Sprint(20+random.IntN(100))).code)
		}
		time.Sleep(100 * time.Millisecond)
		if turn%10 > 0 {
			continue
		}
		m := memory()
		if known(m) {
			daemon.Freeze(t, worker.Process) // so it does not change its report between the two looks below
			m, text = memory(), p.run("stats", "--memory").stdout
			require.NoError(t, worker.Process.Signal(syscall.SIGCONT))
		}
		if text != "" && known(m) {
			require.Equal(t, soak.MallocInUse, m.Measures[0].Key)
			require.Equal(t, []string{"Leaks"}, m.Classes[0].Names, text)
			require.InDelta(t, 20_000, m.Classes[0].Bytes, 12_000)
			break
		}
		require.True(t, time.Now().Before(deadline), "%+v\n%s", m, log)
	}
	t.Log(text)
	require.Regexp(t, `^\S+, process \d+, since [-0-9]+ [:0-9]+: [.\d]+ MB of 2.0 GB \(--max-rss\), \d+s ago\n  \d+ steps, [.0-9]+ a second lately\n`, text)
	requireInOrder(t, text, "  native memory ", "leak: ", "  old Ruby objects ", "  Go heap ", "  resident memory ", "CLASS ", "BYTES A CALL", "Leaks ", "native memory", "grows\n", "Honest ")
	require.NoError(t, worker.Process.Signal(syscall.SIGTERM))
	require.NoError(t, worker.Wait(), log)
}
