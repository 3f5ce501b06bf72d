package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// talks prints, logs with facts, and fails at its first attempt. ESC and the C1 control
// characters would reach a terminal.
const talks = `
class Talks
  def process(_task, _sequence, step)
    puts "red \e[31m and \u009b32m"
    Tasker.logger.error("a line\nand another\u007f")
    raise "no \e[31m luck" if step.attempts == 1

    step.attempts
  end
end
class Facts < Tasker::StepHandler::Base
  def process(*)
    log_structured(:warn, "Got through", order_id: 42, who: "Ada B", big: 2**70, task: "not mine")
    1
  end
end
`

// talked runs a worker until the tasks of both templates are complete.
func talked(t *testing.T, args ...string) (stdout, stderr string) {
	t.Helper()
	p := newProject(t, map[string]string{
		"talks.yaml":        "name: talks\nstep_templates:\n  - {name: only, handler_class: Talks, default_retry_limit: 2, backoff: {curve: none}}\n",
		"facts.yaml":        "name: facts\nstep_templates:\n  - {name: only, handler_class: Facts}\n",
		"handlers/talks.rb": talks,
	})
	require.Zero(t, p.run("submit", "talks.yaml").code)
	require.Zero(t, p.run("submit", "facts.yaml").code)
	worker := p.command(append([]string{"worker", "--handlers", "handlers"}, args...)...)
	out, log := &lockedBuffer{}, &lockedBuffer{}
	worker.Stdout, worker.Stderr = out, log
	require.NoError(t, worker.Start())
	require.Eventually(t, func() bool { return log.says("working on ")() && done(t, p, "complete") == 2 }, patience, 20*time.Millisecond, log)
	require.NoError(t, worker.Process.Signal(syscall.SIGTERM))
	require.NoError(t, worker.Wait(), log)
	return out.String(), log.String()
}

func TestWorkerLogsJSON(t *testing.T) {
	t.Parallel()
	stdout, stderr := talked(t, "--log", "json")
	require.Empty(t, stdout)
	require.NotRegexp(t, `[\x00-\x09\x0b-\x1f\x7f]|\x{009b}`, stderr)
	var lines []map[string]any
	for line := range strings.Lines(stderr) {
		var parsed map[string]any
		d := json.NewDecoder(strings.NewReader(line))
		d.UseNumber()
		require.NoError(t, d.Decode(&parsed), line)
		require.Subset(t, keysOf(parsed), []string{"time", "level", "msg"}, line)
		delete(parsed, "time")
		delete(parsed, "duration")
		delete(parsed, "next_attempt")
		lines = append(lines, parsed)
	}
	about := func(class, attempt string, more map[string]any) map[string]any {
		task := json.Number("1")
		if class == "Facts" {
			task = "2"
		}
		line := map[string]any{"task": task, "step": "only", "attempt": json.Number(attempt), "class": class}
		for k, v := range more {
			line[k] = v
		}
		return line
	}
	for _, wanted := range []map[string]any{
		about("Talks", "1", map[string]any{"level": "INFO", "msg": "red \x1b[31m and \u009b32m"}),
		about("Talks", "1", map[string]any{"level": "WARN", "msg": "attempt failed", "error": `RuntimeError: no \u001b[31m luck`, "error_class": "RuntimeError", "attempts_allowed": json.Number("2")}),
		about("Talks", "2", map[string]any{"level": "INFO", "msg": "step complete"}),
		about("Facts", "1", map[string]any{"level": "WARN", "msg": "Got through", "facts": map[string]any{
			"order_id": json.Number("42"), "who": "Ada B", "big": json.Number("1180591620717411303424"), "task": "not mine"}}),
		{"level": "INFO", "msg": "task complete", "task": json.Number("2"), "namespace": "default", "name": "facts"},
		{"level": "INFO", "msg": "stopped"},
	} {
		require.Contains(t, lines, wanted, stderr)
	}
}

func keysOf(m map[string]any) (keys []string) {
	for k := range m {
		keys = append(keys, k)
	}
	return keys
}

func TestWorkerLogsText(t *testing.T) {
	t.Parallel()
	stdout, stderr := talked(t)
	require.Empty(t, stdout)
	require.NotRegexp(t, `[\x00-\x09\x0b-\x1f\x7f]|\x{009b}`, stderr)
	for _, wanted := range []string{
		`INFO  working on the database at .*; \^C or SIGTERM ends it`,
		`INFO  task=1 step=only attempt=1 class=Talks \| red \\u001b\[31m and \\u009b32m`,
		`WARN  task=1 step=only attempt=1 class=Talks \| attempt failed: RuntimeError: no \\u001b\[31m luck error_class=RuntimeError attempts_allowed=2 next_attempt=.*Z`,
		`INFO  task=1 step=only attempt=2 class=Talks \| step complete duration=.*`,
		`WARN  task=2 step=only attempt=1 class=Facts \| Got through order_id=42 who="Ada B" big=1180591620717411303424 task="not mine"`,
		`INFO  task=2 \| task complete namespace=default name=facts`,
	} {
		require.Regexp(t, `(?m)^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\S+ `+wanted+`$`, stderr)
	}
}

func TestWorkerLogsForAPersonOnATerminal(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"one.yaml": one("Fine"), "handlers/fine.rb": fine})
	require.Zero(t, p.run("submit", "one.yaml").code)
	tty := openTerminal(t, 80, 24)
	worker := p.command("worker", "--handlers", "handlers")
	worker.Stdout, worker.Stderr = tty.theirs, tty.theirs
	require.NoError(t, worker.Start())
	said := &lockedBuffer{}
	read := make(chan struct{})
	go func() {
		defer close(read)
		part := make([]byte, 4096)
		for {
			n, err := tty.ours.Read(part)
			_, _ = said.Write(part[:n])
			if err != nil {
				return
			}
		}
	}()
	require.Eventually(t, said.says("task complete"), patience, 5*time.Millisecond, said)
	require.NoError(t, worker.Process.Signal(syscall.SIGTERM))
	require.NoError(t, worker.Wait())
	require.Eventually(t, said.says("stopped"), patience, 5*time.Millisecond, said)
	require.NoError(t, tty.theirs.Close())
	<-read
	require.Regexp(t, `(?m)^\d\d:\d\d:\d\d\.\d{3} task 1 only \| step complete duration=\S+\r$`, said.String())
	require.Regexp(t, `(?m)^\d\d:\d\d:\d\d\.\d{3} task 1 \| task complete namespace=default name=one\r$`, said.String())
}

// Each attempt that fails is logged at once, also with the error of the one before it.
func TestEachFailedAttemptIsLogged(t *testing.T) {
	t.Parallel()
	p := flaky(t)
	require.Zero(t, p.run("submit", "flaky.yaml").code)
	worker, out := startWorker(t, p)
	require.Eventually(t, out.says("working on "), patience, 20*time.Millisecond, out)
	require.Equal(t, p.version(), p.sql("select distinct version from tasker.workers"))
	for failures := 1; failures <= 3; failures++ {
		require.Eventually(t, func() bool {
			return strings.Count(out.String(), "step failed") == failures && strings.Count(out.String(), "task error") == failures
		}, patience, 20*time.Millisecond, out)
		require.Zero(t, p.run("tasks", "retry", "1").code)
	}
	require.NoError(t, worker.Process.Signal(syscall.SIGTERM))
	require.NoError(t, worker.Wait(), out)
	require.NotContains(t, out.String(), "times=")
	require.Regexp(t, `attempt=1 class=Two \| step failed: .* attempts_in_all=3 `, out.String())
}

// Many tasks fail with the same error. The first ones are logged, and the rest at the end
// with a count.
func TestManyFailuresAreAFewLines(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{
		"bad.yaml":        one("Bad"),
		"handlers/bad.rb": "class Bad\n  def process(*) = raise(\"the gateway is down\")\nend\n",
	})
	const tasks = 200 // within a minute, after which the count would be printed
	require.Zero(t, p.run("submit", "bad.yaml", "--count", fmt.Sprint(tasks)).code)
	worker, out := startWorker(t, p)
	require.Eventually(t, func() bool { return p.count("select count(*) from tasker.tasks where state = 'error'") == tasks }, patience, 20*time.Millisecond, out)
	require.NoError(t, worker.Process.Signal(syscall.SIGTERM))
	require.NoError(t, worker.Wait(), out)
	log := out.String()
	require.Less(t, strings.Count(log, "\n"), 2*(mostAlike+1)+20, log)
	require.Regexp(t, `stopped\n$`, log)
	for _, what := range []string{"step failed: RuntimeError: the gateway is down .*", "task error namespace=default name=one"} {
		require.Len(t, regexp.MustCompile(`(?m)`+what).FindAllString(log, -1), mostAlike+1, log)
		require.Regexp(t, `(?m)`+what+` times=`+fmt.Sprint(tasks-mostAlike)+`$`, log)
	}
}

// What was not printed is printed with its count after a minute, also if it does not come
// again, and at the end.
func TestRepeatedProblemsAreCounted(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := newProblemLog(newStepLog(&out))
	now := time.Unix(0, 0)
	log.now = func() time.Time { return now }
	fails := func(times int, text string) {
		for range times {
			require.NoError(t, log.often(t.Context(), slog.NewRecord(now, slog.LevelError, text, 0), text, "kind", 1))
		}
	}
	flushed := func(end bool) string {
		out.Reset()
		log.flush(end)
		return out.String()
	}
	fails(10, "down")
	fails(1, "alone")
	require.Equal(t, "error: down\nerror: alone\n", out.String())
	require.Empty(t, flushed(false))
	now = now.Add(repeatAfter)
	require.Equal(t, "error: down times=9\n", flushed(false))
	require.Empty(t, flushed(false))
	fails(3, "down")
	require.Empty(t, out.String())
	require.Equal(t, "error: down times=3\n", flushed(true))
	require.Empty(t, flushed(true))

	out.Reset()
	for i := range 10 * mostProblems { // each has a text of its own
		fails(1, fmt.Sprint("order ", i))
	}
	require.Equal(t, mostProblems-2+1, strings.Count(out.String(), "\n"), "two are known already")
	require.Equal(t, fmt.Sprintf("error: order %d times=%d\n", 10*mostProblems-1, 9*mostProblems+1), flushed(true))
	require.LessOrEqual(t, len(log.said), mostProblems+1)
	now = now.Add(2 * forgetAfter)
	out.Reset()
	fails(1, "new")
	require.Equal(t, "error: new\n", out.String())
	require.Len(t, log.said, 1)
}

func TestWorkerRefusesAnotherLog(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"handlers/fine.rb": fine})
	requireRefused(t, p.run("worker", "--handlers", "handlers", "--log", "xml"), []string{"--log"}, "json")
}

// What ends the worker is a line of its log, too.
func TestWorkerLogsWhyItDoesNotStart(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"two.yaml": one("Gone"), "handlers/fine.rb": fine})
	r := p.run("worker", "--handlers", "handlers", "--templates", "two.yaml", "--log", "json")
	require.Equal(t, exitBadInput, r.code)
	p.url = "postgres://app:secret@127.0.0.1:1/x"
	lost := p.run("worker", "--handlers", "handlers", "--log", "json")
	require.Equal(t, exitBadInput, lost.code)
	for said, wanted := range map[string]map[string]string{
		r.stderr:    {"level": "ERROR", "msg": "the worker ended with an error", "error": "there is no class Gone", "hint": ""},
		lost.stderr: {"level": "ERROR", "msg": "the worker ended with an error", "error": "postgres://app@127.0.0.1:1/x cannot be reached", "hint": "Start that server"},
	} {
		var line map[string]string
		require.NoError(t, json.Unmarshal([]byte(said), &line), said)
		for key, part := range wanted {
			require.Contains(t, line[key], part, said)
		}
	}
}
