package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// newDevProject is a project whose task ends in error in its second step, with a database
// that is marked for development.
func newDevProject(t *testing.T) *project {
	t.Helper()
	p := newProject(t, map[string]string{"order.yaml": threeSteps, "handlers/order.rb": threeHandlers, "context.json": "{}"})
	marked := p.run("dev", "--mark-database")
	require.Zero(t, marked.code, marked.stderr)
	return p
}

func TestDevRunsAgainAfterASave(t *testing.T) {
	t.Parallel()
	p := newDevProject(t)
	p.sql("create table ledger (n int); insert into ledger values (1)")
	w := attend(t, p, "dev", "order.yaml", "--context", "@context.json")
	said := w.until("^C ends")
	requireInOrder(t, said, "task 1 started\n", "charge   ended in error (attempt 2 of 2)", "1 of 3 steps done, 1 failed",
		"watching 3 files; a save of a handler goes on from the failed step; ^C ends\n")
	require.NotContains(t, said, "\nnext\n")

	p.write(map[string]string{"handlers/order.rb": strings.Replace(threeHandlers, `unless File.exist?("open")`, "if false", 1)})
	said = w.until("^C ends")
	requireInOrder(t, said, "changed: handlers/order.rb\n", "going on with task 1 from charge\n", "charge   complete in ", "ship     complete in ", "3 of 3 steps done", "watching 3 files; ^C ends\n")
	require.NotContains(t, said, "reserve  started")

	p.write(map[string]string{"order.yaml": strings.NewReplacer("retry_limit: 2", "retry_limit: 5", "name: ship", "name: deliver").Replace(threeSteps)})
	said = w.until("^C ends")
	requireInOrder(t, said, "changed: order.yaml\n", "  step charge: retry limit 2 -> 5\n  step ship is now called deliver\n", "task 2 started\n", "deliver  complete in ")
	require.Equal(t, "1", p.sql("select count(*) from ledger"))

	p.write(map[string]string{"order.yaml": strings.Replace(threeSteps, "name: ship", "nmae: ship", 1)})
	requireInOrder(t, w.until("^C ends"), "changed: order.yaml\n", "error: order.yaml:6:", "watching 3 files; ^C ends\n")
	w.writeAtOnce(map[string]string{"order.yaml": threeSteps, "handlers/order.rb": "class Reserve\n"})
	requireInOrder(t, w.until("^C ends"), "changed: handlers/order.rb order.yaml\n", "error: ", "order.rb", "watching 3 files; ^C ends\n")
	p.write(map[string]string{"open": ""}) // before the save that begins the run
	p.write(map[string]string{"handlers/order.rb": threeHandlers})
	said = w.until("^C ends")
	requireInOrder(t, said, "  step charge: retry limit 5 -> 2\n  step deliver is now called ship\n", "task 3 started\n", "3 of 3 steps done")

	w.writeAtOnce(map[string]string{"context.json": `{"n": 1}`, "handlers/z\x1b[2J.rb": ""})
	requireInOrder(t, w.until("^C ends"), `changed: context.json handlers/z\u001b[2J.rb`+"\n", "task 4 started\n")
	require.Equal(t, exitInterrupted, w.end())

	require.Contains(t, p.run("tasks", "show", "2").stdout, "deliver", "it has the template that it began with")
	require.Zero(t, p.run("run", "order.yaml").code, "the template is the one in its place")
	p.write(map[string]string{"order.yaml": strings.Replace(threeSteps, "retry_limit: 2", "retry_limit: 4", 1)})
	for _, command := range []string{"run", "submit"} {
		refused := p.run(command, "order.yaml")
		require.Equal(t, exitBadInput, refused.code)
		requireInOrder(t, refused.stderr, "changed under the same version\n  step charge: retry limit 2 -> 4\n", "new version", "`tasker-rb dev order.yaml` replaces it")
	}
}

// newPatientProject is for a test that saves while a handler runs which lets itself be
// interrupted: dev must not kill its run because the machine is slow.
func newPatientProject(t *testing.T) *project {
	t.Helper()
	p := newDevProject(t)
	var err error
	p.program, err = otherTimes()
	require.NoError(t, err)
	return p
}

// A worker has loaded older code. It takes no task of run and dev, nor one that a save has
// interrupted.
func TestDevBesideAWorkerWithOlderCode(t *testing.T) {
	t.Parallel()
	p := newPatientProject(t)
	returns := func(v string) map[string]string {
		return map[string]string{"handlers/order.rb": "class Only\n  def process(*)\n    " + v + "\n  end\nend\n"}
	}
	p.write(map[string]string{"order.yaml": one("Only")})
	p.write(returns(`{ from: "the worker" }`))
	worker, out := startWorker(t, p)
	require.Eventually(t, func() bool { return strings.Contains(out.String(), "working on ") }, patience, 20*time.Millisecond, out)
	p.write(returns(`{ from: "run" }`))
	require.Contains(t, p.run("run", "order.yaml").stdout, `"from": "run"`)

	p.write(returns(`puts "begun"; sleep`))
	w := attend(t, p, "dev", "order.yaml")
	w.until("only | begun")
	p.write(returns(`{ from: "dev" }`))
	requireInOrder(t, w.until("^C ends"), "changed: handlers/order.rb\n", "going on with task 2\n", `"from": "dev"`, "1 of 1 step done")
	require.Equal(t, exitInterrupted, w.end())
	require.NoError(t, worker.Process.Signal(syscall.SIGTERM))
	require.NoError(t, worker.Wait(), out)
}

func TestDevInterruptsWhatRuns(t *testing.T) {
	t.Parallel()
	p := newPatientProject(t)
	p.write(map[string]string{"order.yaml": one("Only"), "handlers/order.rb": `
class Only
  def process(*)
    puts "begun"
    loop { }
  ensure
    puts "cleaned up"
  end
end
`})
	w := attend(t, p, "dev", "order.yaml")
	w.until("only | begun")
	p.write(map[string]string{"handlers/order.rb": "class Only\n  def process(*) = 1\nend\n"})
	requireInOrder(t, w.until("^C ends"), "only | cleaned up\n", "changed: handlers/order.rb\n", "going on with task 1\n", "1 of 1 step done, in ")

	p.write(map[string]string{"handlers/order.rb": long + "Only = Long\n"})
	w.until("only | in the middle")
	p.write(map[string]string{"order.yaml": one("Only") + "description: another\n"})
	requireInOrder(t, w.until("only | in the middle"), "  description unset -> another\n", "task 3 started\n")
	require.Equal(t, "cancelled", p.sql("select state from tasker.tasks where task_id = 2"))
	require.NoError(t, w.cmd.Process.Signal(syscall.SIGINT))
	requireInOrder(t, w.until("hint:"), "only | cleaned up\n", "error: interrupted\n", "hint: Task 3 keeps the steps it has done; ")
	_ = w.cmd.Wait()
	require.Equal(t, exitInterrupted, w.cmd.ProcessState.ExitCode())
	require.Equal(t, "pending 0", p.sql("select state || ' ' || attempts from tasker.steps where task_id = 3"))
}

// A handler does not let itself be interrupted.
func TestDevKillsWhatDoesNotEnd(t *testing.T) {
	t.Parallel()
	p := newDevProject(t)
	p.write(map[string]string{"order.yaml": one("Only"),
		"handlers/order.rb": "class Only\n  def process(*)\n    Thread.handle_interrupt(Object => :never) { puts \"begun\"; sleep }\n  end\nend\n"})
	w := attend(t, p, "dev", "order.yaml")
	w.until("only | begun")
	p.write(map[string]string{"handlers/order.rb": "class Only\n  def process(*) = 1\nend\n"})
	requireInOrder(t, w.until("^C ends"), "changed: handlers/order.rb\n", "going on with task 1\n",
		"only  started (attempt 1 of 1, after 1 lost)\n", "1 of 1 step done, 1 attempt lost, in ")
	require.Contains(t, p.run("tasks", "show", "1").stdout, "1 attempt, 1 lost")
	require.Equal(t, exitInterrupted, w.end())
}

// What waits for its next attempt does not wait after a save.
func TestDevRetriesAtOnce(t *testing.T) {
	t.Parallel()
	p := newDevProject(t)
	p.write(map[string]string{"order.yaml": strings.Replace(threeSteps, "curve: none", "base_seconds: 3600, max_seconds: 3600", 1)})
	w := attend(t, p, "dev", "order.yaml", "--debug")
	require.NotContains(t, w.until("next attempt in "), "event step.", "handlers have published nothing")
	p.write(map[string]string{"open": ""})
	p.write(map[string]string{"handlers/order.rb": threeHandlers + "# saved\n"})
	requireInOrder(t, w.until("^C ends"), "going on with task 1 from charge\n", "3 of 3 steps done")
	require.Equal(t, exitInterrupted, w.end())
}

func TestDevWithoutRetries(t *testing.T) {
	t.Parallel()
	p := newDevProject(t)
	w := attend(t, p, "dev", "order.yaml", "--no-retry", "--quiet")
	said := w.until("^C ends")
	require.Contains(t, said, "charge  error after 1 attempt\n")
	p.write(map[string]string{"handlers/order.rb": threeHandlers + "# saved\n"})
	requireInOrder(t, w.until("^C ends"), "going on with task 1 from charge\n", "charge  error after 1 attempt since the retry, 2 in all\n")
	require.Equal(t, exitInterrupted, w.end())
	require.Zero(t, strings.Count(p.sql("select environment from tasker.templates"), "~"), "the template is the file's")
}

// When the command is killed, its run ends, too.
func TestDevDoesNotLeaveItsRun(t *testing.T) {
	t.Parallel()
	p := newDevProject(t)
	p.write(map[string]string{"order.yaml": one("Long"), "handlers/order.rb": long})
	w := attend(t, p, "dev", "order.yaml")
	w.until("only | in the middle")
	require.NoError(t, w.cmd.Process.Kill())
	w.until("only | cleaned up")
	for range w.lines { // until no process has its output
	}
	_ = w.cmd.Wait()
	require.Equal(t, "pending", p.sql("select state from tasker.steps"))
}

func TestDevPrintsDocuments(t *testing.T) {
	t.Parallel()
	p := newDevProject(t)
	cmd := p.command("dev", "order.yaml", "--output", "json")
	var documents strings.Builder
	r := p.follow(cmd, func(line string) {
		documents.WriteString(line + "\n")
		switch {
		case line == "}":
			p.write(map[string]string{"order.yaml": "name: order\nstep_templates: 1\n"})
		case strings.HasPrefix(line, `{"error":"order.yaml:2:`):
			require.NoError(t, cmd.Process.Signal(os.Interrupt))
		}
	})
	require.Equal(t, exitInterrupted, r.code, r.stderr)
	require.Contains(t, documents.String(), `"status": "error"`)
}

func TestDevRefuses(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"order.yaml": threeSteps, "handlers/order.rb": threeHandlers, "bare/order.yaml": threeSteps})
	before := p.written()
	requireRefused(t, p.run("dev", "order.yaml"), []string{"is not marked for development"}, "tasker-rb dev --mark-database")
	require.Equal(t, before, p.written())
	marked := p.run("dev", "--mark-database", "--output", "json")
	require.Zero(t, marked.code)
	require.Regexp(t, `^marking the database at postgres://\S+, with 0 tasks, for development\n$`, marked.stderr)
	require.Regexp(t, `^\{"database":"postgres://[^"]+","for_development":true\}\n$`, marked.stdout)
	require.NotContains(t, marked.stdout, `\u00`)
	for _, c := range []struct {
		args        []string
		cause, hint string
	}{
		{[]string{"ordr.yaml"}, "ordr.yaml: the file does not exist", `Did you mean "order.yaml"?`},
		{[]string{"bare"}, "bare: this is a directory, not a template file", `Name one file: "order.yaml".`},
		{[]string{"bare/order.yaml"}, "there is no folder bare/handlers", "--handlers DIR"},
		{[]string{"order.yaml", "--context", "-"}, "--context cannot be -", "--context @FILE"},
		{[]string{"order.yaml", "--output", "xml"}, `--output cannot be "xml"`, "json"},
		{[]string{"order.yaml", "--mark-database"}, "one argument too many: order.yaml", "--help"},
		{nil, "TEMPLATE is missing", "--help"},
	} {
		requireRefused(t, p.run(append([]string{"dev"}, c.args...)...), []string{c.cause}, c.hint)
	}
	requireRefused(t, p.run("dev", "order.yaml", "--yes"), []string{"--yes is for --mark-database"}, "Leave it out.")
	p.url = ""
	requireRefused(t, p.run("dev", "--mark-database"), []string{"DATABASE_URL is not set"}, "Set it to the address")
}

// A database with tasks may be another than the user believes.
func TestADatabaseWithTasksIsMarkedOnlyWithYes(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"one.yaml": one("Fine"), "handlers/fine.rb": fine})
	require.Zero(t, p.run("run", "one.yaml").code)
	for range 2 { // the first one has not marked it
		requireRefused(t, p.run("dev", "--mark-database"), []string{"it holds 1 task, 0 of them unfinished; once it is marked, dev puts changed templates"}, "--yes marks it.")
	}
	require.Contains(t, p.run("dev", "--mark-database", "--yes").stderr, ", with 1 task, for development\n")
	require.Zero(t, p.run("dev", "--mark-database").code, "it is marked")
}

// The right to write to the tables is not enough to mark them.
func TestOnlyTheOwnerMarksADatabase(t *testing.T) {
	t.Parallel()
	p := newProject(t, nil)
	q, _, role := p.asRole("writer_of_")
	p.change("grant usage on schema tasker to %s", role)
	p.change("grant select, insert, update, delete on all tables in schema tasker to %s", role)
	refused := q.run("dev", "--mark-database")
	require.Equal(t, exitBadInput, refused.code)
	require.Contains(t, refused.stderr, "must be owner of table templates")
	require.Contains(t, refused.stderr, "hint: Only the owner of the tables may mark them: connect as the role that ran `tasker-rb migrate up`.\n")
}

func TestDevOffersNoStandardInput(t *testing.T) {
	t.Parallel()
	p := newDevProject(t)
	w := attend(t, p, "dev", "order.yaml", "--context", "{")
	requireInOrder(t, w.until("^C ends"), "error: the context is not usable JSON", "hint: --context takes a JSON object in single quotes, such as '{\"order_id\": 42}', or @FILE.\n", "watching 2 files")
	require.Equal(t, exitInterrupted, w.end())
}

// The project's own database needs no mark. On a terminal, Enter begins a new task.
func TestDevOnATerminal(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"order.yaml": threeSteps, "handlers/order.rb": threeHandlers})
	p.url, p.env = "", []string{"XDG_STATE_HOME=" + enterable(t), "TMPDIR=" + enterable(t)}
	require.NoError(t, os.Mkdir(filepath.Join(p.dir, ".tasker-rb"), 0o755))
	tty := openTerminal(t, 100, 40)
	keepOutput(t, tty)
	state := 0
	said := p.attach(tty, p.command("dev", "order.yaml"), func(said string) {
		rounds := strings.Count(said, "; Enter begins a new task; ^C ends\n")
		if rounds <= state {
			return
		}
		state = rounds
		switch rounds {
		case 1:
			_, err := tty.ours.WriteString("\n")
			require.NoError(t, err)
		case 2:
			p.write(map[string]string{"open": ""})
			p.write(map[string]string{"handlers/order.rb": threeHandlers + "# saved\n"})
		default:
			_, err := tty.ours.WriteString("\x03")
			require.NoError(t, err)
		}
	})
	last := sequence.ReplaceAllString(said, "")
	requireInOrder(t, last, "task 1  default/order 0.1.0  error", "task 2  default/order 0.1.0  error", "changed: handlers/order.rb\n", "going on with task 2 from charge\n\n", "default/order 0.1.0  1/3 done", "✓ reserve", "task 2  default/order 0.1.0  complete")
	require.NotContains(t, last, "error: interrupted", "nothing ran")
	require.True(t, strings.HasSuffix(last, "^C\n"), "the prompt of the shell has a line of its own")
}
