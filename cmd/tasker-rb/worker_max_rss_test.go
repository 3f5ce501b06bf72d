package main

import (
	"errors"
	"log/slog"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	soakwatch "github.com/tasker-rb/tasker-rb/internal/soak/watch"
	"github.com/tasker-rb/tasker-rb/orchestration"
)

func TestMaxRSSIsChecked(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"handlers/fine.rb": fine})
	requireRefused(t, p.run("worker", "--handlers", "handlers", "--max-rss", "512"), []string{`--max-rss cannot be "512"`}, "such as 512MB or 2GiB")
	requireRefused(t, p.run("worker", "--handlers", "handlers", "--max-rss", "lots"), []string{`--max-rss cannot be "lots"`}, "such as 512MB or 2GiB")
	r := p.run("worker", "--handlers", "handlers", "--max-rss", "10MB")
	requireRefused(t, r, []string{"--max-rss 10.0 MB is too small: the worker uses "}, "Give more, with room for the steps")
	r = p.run("worker", "--handlers", "handlers", "--max-rss", "10MB", "--log", "json")
	require.Equal(t, exitBadInput, r.code)
	require.Contains(t, r.stderr, `"hint":"Give more, with room for the steps`)
}

// eats keeps 40 MB of each step, in a process that is told to. All but the first two wait for
// ever, so steps run when the worker is above its limit.
const eats = `EATEN = []
class Eat
  def process(*)
    return unless ENV["EATS"]

    EATEN << ("x" * 40_000_000)
    sleep if EATEN.size > 2
  end
end
`

// One of two workers eats memory. It ends by itself with a code of its own. What it was
// running goes to the other one, and no attempt is spent.
func TestWorkerEndsAboveMaxRSS(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"handlers/eat.rb": eats, "eat.yaml": `name: eat
step_templates:
  - {name: a, handler_class: Eat, default_retry_limit: 1}
  - {name: b, handler_class: Eat, default_retry_limit: 1, depends_on_step: a}
`})
	const tasks = 60
	require.Zero(t, p.run("submit", "eat.yaml", "--count", "60").code)
	p.env = []string{"EATS=1"}
	eater, eaterOut := startWorker(t, p, "--max-rss", "300MB", "--drain", "200ms", "--quiet")
	p.env = nil
	ended := make(chan error, 1)
	go func() { ended <- eater.Wait() }()
	require.Eventually(t, func() bool { return strings.Contains(eaterOut.String(), "uses more memory than --max-rss") }, patience, 5*time.Millisecond, eaterOut)
	other, otherOut := startWorker(t, p)
	var exit *exec.ExitError
	require.True(t, errors.As(<-ended, &exit), eaterOut)
	require.Equal(t, exitMemory, exit.ExitCode(), eaterOut)
	require.Regexp(t, `WARN  the worker uses more memory than --max-rss; it takes no more tasks, and ends rss="\d+ MB" limit="300 MB"\n`, eaterOut)
	requireInOrder(t, eaterOut.String(), "INFO  stopping; running steps have 200ms to finish (--drain); ^C or SIGTERM, twice, interrupts them\n",
		"the time of --drain is over; running steps are interrupted and given back; ^C or SIGTERM, twice, ends the process at once\n",
		"step interrupted; the attempt does not count", "INFO  stopped\n")
	require.NotContains(t, eaterOut.String(), "error:")

	require.Eventually(t, func() bool { return p.count("select count(*) from tasker.tasks where state = 'complete'") == tasks }, patience, 20*time.Millisecond, otherOut)
	require.Zero(t, p.count("select count(*) from tasker.steps where attempts <> 1 or losses > 0 or crashes > 0"))
	require.Zero(t, p.count("select count(*) from tasker.attempts where outcome in ('error', 'lost')"))
	require.Zero(t, p.count("select count(*) from tasker.crashes"))
	require.NotContains(t, otherOut.String(), "dead")
	require.NoError(t, other.Process.Signal(syscall.SIGTERM))
	require.NoError(t, other.Wait(), otherOut)
}

// A worker below its limit ends as without one.
func TestWorkerBelowMaxRSS(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"handlers/fine.rb": fine, "one.yaml": one("Fine")})
	require.Zero(t, p.run("submit", "one.yaml").code)
	worker, out := startWorker(t, p, "--max-rss", "4GiB")
	require.Eventually(t, func() bool { return done(t, p, "complete") == 1 }, patience, 20*time.Millisecond, out)
	require.NoError(t, worker.Process.Signal(syscall.SIGTERM))
	require.NoError(t, worker.Wait(), out)
	require.Contains(t, out.String(), "a second ^C or SIGTERM interrupts them")
}

// A person may end a worker that drains by itself. Then nobody wants it to be started again.
func TestSignalsEndADrainAboveMaxRSS(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"handlers/eat.rb": eats, "eat.yaml": one("Eat")})
	require.Zero(t, p.run("submit", "eat.yaml", "--count", "60").code)
	p.env = []string{"EATS=1"}
	worker, out := startWorker(t, p, "--max-rss", "300MB", "--quiet")
	says := func(what string) {
		t.Helper()
		require.Eventually(t, func() bool { return strings.Contains(out.String(), what) }, patience, 5*time.Millisecond, out)
	}
	says("^C or SIGTERM, twice, interrupts them")
	require.NoError(t, worker.Process.Signal(syscall.SIGTERM))
	says("a first ^C or SIGTERM has come as well; a second one interrupts running steps")
	require.NoError(t, worker.Process.Signal(syscall.SIGTERM))
	says("running steps are interrupted and given back; another ^C or SIGTERM ends the process at once")
	require.NoError(t, worker.Wait(), out)
	require.Zero(t, p.count("select count(*) from tasker.attempts where outcome in ('error', 'lost')"))
}

// The warning names the class that grows.
func TestTheWarningNamesTheClass(t *testing.T) {
	t.Parallel()
	out := &lockedBuffer{}
	m := &workerMemory{log: slog.New(newWorkerLog(out, "text")), limit: 400_000_000, watch: soakwatch.New(soakwatch.Options{Window: time.Second})}
	leaked, at := int64(0), time.Now()
	for i := range int64(60) {
		for range 10 + i*i%7 {
			m.count(orchestration.Event{Kind: orchestration.EventStepCompleted, Class: "Shop::Charge"})
			leaked += 600
		}
		for range 10 + i*i*i%5 {
			m.count(orchestration.Event{Kind: orchestration.EventStepFailed, Class: "Shop::Ship"})
		}
		m.count(orchestration.Event{Kind: orchestration.EventStepReleased, Class: "Never::Began"})
		m.count(orchestration.Event{Kind: orchestration.EventTaskEnded})
		at = at.Add(time.Second)
		m.watch.Read(soakwatch.Reading{At: at, Native: 50_000_000 + leaked, Objects: soakwatch.Unknown, GoHeap: 5_000_000, RSS: 402_000_000, Collections: soakwatch.Unknown})
	}
	require.Len(t, m.watch.Report().Classes, 2)
	m.warn(402_000_000)
	require.Regexp(t, `WARN  the worker uses more memory than --max-rss; .* rss="402 MB" limit="400 MB" grows=Shop::Charge bytes_a_call=600 of="native memory"\n$`, out)
}
