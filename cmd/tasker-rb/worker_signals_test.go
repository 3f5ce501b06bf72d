package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// waits is a handler that sleeps until the file "go" is there.
const waits = `
class Waits
  def process(_task, _sequence, step)
    puts "in the middle"
    sleep 0.01 until File.exist?(File.join(__dir__, "..", "go"))
    step.attempts
  end
end
`

// says returns a condition: the worker has said it.
func (l *lockedBuffer) says(what string) func() bool {
	return func() bool { return strings.Contains(l.String(), what) }
}

// After the second signal the steps are given back: their attempts do not count, and the
// other worker runs them at once.
func TestASecondSignalGivesStepsBack(t *testing.T) {
	t.Parallel()
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			p := newProject(t, map[string]string{"waits.yaml": one("Waits"), "handlers/waits.rb": waits})
			first, out := startWorker(t, p)
			require.Zero(t, p.run("submit", "waits.yaml", "--count", "3").code)
			require.Eventually(t, func() bool { return strings.Count(out.String(), "in the middle") == 3 }, patience, 5*time.Millisecond, out)
			require.NoError(t, first.Process.Signal(signal))
			require.Eventually(t, out.says("running steps have 30s to finish (--drain); a second ^C or SIGTERM interrupts them"), patience, 5*time.Millisecond, out)
			require.NoError(t, first.Process.Signal(signal))
			require.NoError(t, first.Wait(), out)
			require.Contains(t, out.String(), "are interrupted and given back; another ^C or SIGTERM ends the process at once\n")
			requireInOrder(t, out.String(), "step interrupted; the attempt does not count\n", "stopped\n")
			require.Equal(t, 3, p.count("select count(*) from tasker.steps where state = 'pending' and attempts = 0 and losses = 0 and claimed_by is null"), out)
			require.Equal(t, 3, p.count("select count(*) from tasker.queue where ready and held_by is null and due_at <= now()"))
			require.Zero(t, p.count("select count(*) from tasker.attempts"))

			p.write(map[string]string{"go": ""})
			worked(t, p, func() bool { return done(t, p, "complete") == 3 })
			require.Equal(t, 3, p.count("select count(*) from tasker.attempts where attempt = 1 and results::text = '1'"))
		})
	}
}

// A worker that waits gets the tasks of one that is interrupted without looking for them.
func TestAnotherWorkerRunsInterruptedStepsAtOnce(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"waits.yaml": one("Waits"), "handlers/waits.rb": waits})
	first, out := startWorker(t, p)
	require.Zero(t, p.run("submit", "waits.yaml", "--count", "3").code)
	require.Eventually(t, func() bool { return strings.Count(out.String(), "in the middle") == 3 }, patience, 5*time.Millisecond, out)
	second, other := startWorker(t, p)
	require.Eventually(t, other.says("working on "), patience, 5*time.Millisecond, other)
	require.NoError(t, first.Process.Signal(syscall.SIGTERM))
	require.Eventually(t, out.says("a second ^C"), patience, 5*time.Millisecond, out)
	require.NoError(t, first.Process.Signal(syscall.SIGTERM))
	require.Eventually(t, func() bool { return strings.Count(other.String(), "in the middle") == 3 }, patience, 5*time.Millisecond, other)
	p.write(map[string]string{"go": ""})
	require.Eventually(t, func() bool { return done(t, p, "complete") == 3 }, patience, 20*time.Millisecond, other)
	require.NoError(t, first.Wait(), out)
	require.NoError(t, second.Process.Signal(syscall.SIGTERM))
	require.NoError(t, second.Wait(), other)
	require.Equal(t, 3, p.count("select count(*) from tasker.attempts"))
}

// A handler does not stop. The worker gives its step back when Grace is over, and ends.
func TestAWorkerEndsAlthoughAHandlerDoesNot(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"stubborn.yaml": one("Stubborn"), "handlers/stubborn.rb": stubborn})
	require.Zero(t, p.run("submit", "stubborn.yaml").code)
	worker, out := startWorker(t, p)
	for _, said := range []string{"in the middle", "a second ^C or SIGTERM"} {
		require.Eventually(t, out.says(said), patience, 5*time.Millisecond, out)
		require.NoError(t, worker.Process.Signal(syscall.SIGTERM))
	}
	require.NoError(t, worker.Wait(), out)
	require.Contains(t, out.String(), "stopped\n")
	require.Equal(t, 1, p.count("select count(*) from tasker.steps where state = 'pending' and attempts = 0 and claimed_by is null"), out)
}

// A handler does not stop. The third signal ends the process, and the step is a loss.
func TestAThirdSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"stubborn.yaml": one("Stubborn"), "handlers/stubborn.rb": stubborn})
	require.Zero(t, p.run("submit", "stubborn.yaml").code)
	worker, out := startWorker(t, p)
	for _, said := range []string{"in the middle", "a second ^C or SIGTERM", "held up"} {
		require.Eventually(t, out.says(said), patience, 5*time.Millisecond, out)
		require.NoError(t, worker.Process.Signal(syscall.SIGTERM))
	}
	var exit *exec.ExitError
	require.True(t, errors.As(worker.Wait(), &exit), out)
	status, ok := exit.Sys().(syscall.WaitStatus)
	require.True(t, ok)
	require.Equal(t, syscall.SIGTERM, status.Signal(), out)
	require.NotContains(t, out.String(), "stopped\n")
}

// The time of the drain is over: the second signal ends the process.
func TestTheEndOfADrainInterrupts(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"waits.yaml": one("Waits"), "handlers/waits.rb": waits})
	require.Zero(t, p.run("submit", "waits.yaml").code)
	worker, out := startWorker(t, p, "--drain", "100ms")
	require.Eventually(t, out.says("in the middle"), patience, 5*time.Millisecond, out)
	require.NoError(t, worker.Process.Signal(syscall.SIGTERM))
	require.NoError(t, worker.Wait(), out)
	requireInOrder(t, out.String(), "steps have 100ms to finish", "the time of --drain is over; running steps are interrupted", "stopped\n")
	require.Equal(t, 1, p.count("select count(*) from tasker.steps where state = 'pending' and attempts = 0"), out)
}

// A worker that drains and is killed, as containers are, has not crashed: its steps are lost,
// but they are no suspects.
func TestAKilledDrainIsNoCrash(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"waits.yaml": one("Waits"), "handlers/waits.rb": waits})
	for _, drained := range []bool{true, false} {
		first, out := startWorker(t, p)
		require.Zero(t, p.run("submit", "waits.yaml").code)
		require.Eventually(t, out.says("in the middle"), patience, 5*time.Millisecond, out)
		if drained {
			require.NoError(t, first.Process.Signal(syscall.SIGTERM))
			require.Eventually(t, func() bool { return p.count("select count(*) from tasker.workers where draining") == 1 }, patience, 5*time.Millisecond, out)
			require.Contains(t, p.run("workers").stdout, "nothing more, it stops")
		}
		require.NoError(t, first.Process.Kill())
		require.Error(t, first.Wait())
		p.write(map[string]string{"go": ""})
		worked(t, p, func() bool { return done(t, p, "complete") == p.count("select count(*) from tasker.tasks") })
		require.NoError(t, os.Remove(filepath.Join(p.dir, "go")))
	}
	require.Equal(t, 2, p.count("select count(*) from tasker.steps where losses = 1"))
	require.Equal(t, 1, p.count("select sum(crashes)::int from tasker.steps"), "of the one that was not told to stop")
}
