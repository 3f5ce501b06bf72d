package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/effort"
	"github.com/tasker-rb/tasker-rb/internal/soak"
)

// soakFiles is a template of two steps. One of them leaks, if LEAK is in its file.
func soakFiles(leaks bool) map[string]string {
	line := "    { charged: task.context[:n].to_i }\n"
	if leaks {
		line = "    SEEN << \"order #{task.context[:n]}\"\n" + line
	}
	return map[string]string{
		"order.yaml": `name: order
namespace_name: shop
version: 1.0.0
step_templates:
  - {name: validate, handler_class: "Shop::Validate"}
  - {name: charge, handler_class: "Shop::Charge", depends_on_steps: [validate]}
`,
		"handlers/validate.rb": "module Shop\n  class Validate < Tasker::StepHandler::Base\n    def process(task, sequence, step) = { n: task.context[:n] }\n  end\nend\n",
		"handlers/charge.rb": "module Shop\n  SEEN = []\n  class Charge < Tasker::StepHandler::Base\n    def process(task, sequence, step)\n" +
			strings.ReplaceAll(line, "    ", "      ") + "    end\n  end\nend\n",
		"contexts.rb": "->(n) { { n: n } }\n",
	}
}

func newSoakProject(t *testing.T, files map[string]string) *project {
	p := &project{t: t, dir: t.TempDir()} // a private database
	p.write(files)
	return p
}

func soakResult(t *testing.T, r result) soak.Result {
	t.Helper()
	var found soak.Result
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &found), r.stderr)
	return found
}

func value(t *testing.T, r soak.Result, key string) soak.Measure {
	t.Helper()
	for _, m := range r.Measures {
		if m.Key == key {
			return m
		}
	}
	require.Fail(t, "no measure "+key)
	return soak.Measure{}
}

func TestSoakOfHonestHandlersIsFlat(t *testing.T) {
	t.Parallel()
	p := newSoakProject(t, soakFiles(false))
	r := p.run("soak", "order.yaml", "--contexts", "contexts.rb", "--iterations", "2000", "--samples", "50", "--budget", "500", "--output", "json")
	require.Zero(t, r.code, r.stdout+r.stderr)
	found := soakResult(t, r)
	require.Equal(t, "flat", found.Verdict.Growth)
	require.GreaterOrEqual(t, found.Run.Tasks, int64(2000))
	require.Equal(t, 2*found.Run.Tasks, found.Run.Steps)
	require.Equal(t, []string{"shop/order 1.0.0"}, found.Run.Templates)
	require.Contains(t, found.Environment.Database, "PostgreSQL")
	require.Contains(t, found.Environment.Allocator, "glibc")
	require.Empty(t, found.Suspects)
	for _, key := range []string{
		soak.MallocInUse, soak.RubySlots, soak.GoHeap, soak.RSS, soak.PSS, soak.MallocFree, soak.ObjectMemory, soak.MallocIncrease, soak.BridgeBytes,
		soak.BridgeAllocations, soak.LiveSlots, soak.OldObjects, soak.Goroutines, soak.Threads, soak.Descriptors, soak.Connections,
		soak.PreparedStatements, soak.SlotsOfType + "T_STRING", soak.SlotsOfPool + "40",
	} {
		m := value(t, found, key)
		require.Len(t, m.Values, found.Run.Samples, key)
		require.NotNil(t, m.Trend, key)
	}
	require.Positive(t, value(t, found, soak.Connections).Values[10])
}

func TestSoakFindsTheLineThatLeaks(t *testing.T) {
	t.Parallel()
	p := newSoakProject(t, soakFiles(true))
	r := p.run("soak", "order.yaml", "--contexts", "contexts.rb", "--iterations", "1200", "--samples", "40", "--report", "r.html", "--report", "r.svg", "--report", "r.png")
	require.Equal(t, exitTaskFailed, r.code, r.stdout+r.stderr)
	require.True(t, strings.HasPrefix(r.stdout, "leak: "), r.stdout)
	for _, part := range []string{"Ruby heap", "Shop::Charge", "handlers/charge.rb:5", "Shop::SEEN", "SEEN << "} {
		require.Contains(t, r.stdout, part)
	}
	require.NotContains(t, r.stdout, "Shop::Validate", "that class does not grow")
	page, err := os.ReadFile(filepath.Join(p.dir, "r.html"))
	require.NoError(t, err)
	require.Contains(t, string(page), "handlers/charge.rb:5")
	picture, err := os.ReadFile(filepath.Join(p.dir, "r.png"))
	require.NoError(t, err)
	_, err = png.Decode(bytes.NewReader(picture))
	require.NoError(t, err)
	require.FileExists(t, filepath.Join(p.dir, "r.svg"))
}

func TestSoakWithoutADatabase(t *testing.T) {
	t.Parallel()
	p := newSoakProject(t, soakFiles(true))
	p.env = []string{"PATH=" + os.Getenv("PATH"), "DATABASE_URL=postgres://nobody@localhost:1/none"}
	r := p.run("soak", ".", "--no-db", "--contexts", "contexts.rb", "--iterations", "1200", "--samples", "40", "--output", "json")
	require.Equal(t, exitTaskFailed, r.code, r.stdout+r.stderr)
	found := soakResult(t, r)
	require.Equal(t, "ruby_heap", found.Where[0].Kind)
	require.Equal(t, []string{"Shop::Charge"}, found.Classes[0].Classes)
	require.True(t, found.Classes[0].Grows)
	require.NotEmpty(t, found.Suspects)
	require.Equal(t, "Shop::SEEN", found.Suspects[0].Path[0].Name)
	require.Equal(t, 5, found.Suspects[0].Allocated.Line)
	require.NotNil(t, found.Suspects[0].Stored)
	require.Equal(t, 5, found.Suspects[0].Stored.Line)
	require.True(t, found.Run.NoDatabase)
}

// Goroutines that have ended stay in lists of Go, which used to fill over thousands of steps.
func TestSoakGoHeapIsLevelFromTheSecondSample(t *testing.T) {
	t.Parallel()
	p := newSoakProject(t, soakFiles(false))
	r := p.run("soak", "order.yaml", "--no-db", "--iterations", "2000", "--samples", "50", "--output", "json")
	heap := value(t, soakResult(t, r), soak.GoHeap).Values
	last := slices.Sorted(slices.Values(heap[len(heap)-9:]))
	require.InDelta(t, heap[2], last[4], 4000, heap)
}

func TestSoakAgainstAnotherVersion(t *testing.T) {
	t.Parallel()
	p := newSoakProject(t, soakFiles(true))
	gitIn := func(args ...string) {
		cmd := exec.Command("git", append([]string{"-C", p.dir, "-c", "user.name=t", "-c", "user.email=t@example.com"}, args...)...)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
	}
	gitIn("init", "-q")
	gitIn("add", ".")
	gitIn("commit", "-qm", "leaks")
	gitIn("tag", "leaky")
	p.write(map[string]string{"handlers/charge.rb": soakFiles(false)["handlers/charge.rb"]})
	gitIn("commit", "-qam", "does not leak")

	if effort.Thorough() {
		t.Run("the same growth is no difference", func(t *testing.T) {
			r := p.run("soak", "order.yaml", "--no-db", "--against", "HEAD", "--iterations", "1200", "--samples", "40", "--budget", "200", "--output", "json")
			require.Zero(t, r.code, r.stdout+r.stderr)
			found := soakResult(t, r)
			require.NotNil(t, found.Against)
			require.Contains(t, found.Against.Name, "HEAD (")
			require.NotNil(t, value(t, found, soak.RubySlots).Difference)
		})
	}
	t.Run("the older version grows more", func(t *testing.T) { // so this one has a lower slope
		r := p.run("soak", "order.yaml", "--no-db", "--against", "leaky", "--iterations", "1200", "--samples", "40", "--budget", "200", "--output", "json")
		require.Zero(t, r.code, r.stdout+r.stderr)
		require.Less(t, value(t, soakResult(t, r), soak.RubySlots).Difference.High, -15.0)
	})
	t.Run("a folder, and the database", func(t *testing.T) {
		honest := t.TempDir()
		for name, text := range soakFiles(false) {
			require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(honest, name)), 0o755))
			require.NoError(t, os.WriteFile(filepath.Join(honest, name), []byte(text), 0o644))
		}
		p.write(map[string]string{"handlers/charge.rb": soakFiles(true)["handlers/charge.rb"]})
		r := p.run("soak", "order.yaml", "--against", filepath.Join(honest, "handlers"), "--iterations", "800", "--samples", "40")
		require.Equal(t, exitTaskFailed, r.code, r.stdout+r.stderr)
		require.Contains(t, r.stdout, "more than in")
		require.Contains(t, r.stdout, "SEEN <<")
	})
	out, err := exec.Command("git", "-C", p.dir, "worktree", "list").CombinedOutput()
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(string(out), "\n"), "the worktrees are removed")
}

func TestSoakOfSeveralTemplates(t *testing.T) {
	t.Parallel()
	files := soakFiles(true)
	files["refund.yaml"] = "name: refund\nnamespace_name: shop\nversion: 1.0.0\nstep_templates:\n  - {name: refund, handler_class: \"Shop::Refund\"}\n"
	files["handlers/refund.rb"] = "module Shop\n  class Refund < Tasker::StepHandler::Base\n    def process(*) = { done: true }\n  end\nend\n"
	files["contexts.jsonl"] = "{\"n\": 1}\n\n{\"n\": 2}\n"
	p := newSoakProject(t, files)
	r := p.run("soak", ".", "--no-db", "--contexts", "contexts.jsonl", "--iterations", "1600", "--samples", "40", "--output", "json")
	require.Equal(t, exitTaskFailed, r.code, r.stdout+r.stderr)
	found := soakResult(t, r)
	require.Equal(t, []string{"shop/order 1.0.0", "shop/refund 1.0.0"}, found.Run.Templates)
	require.Equal(t, "2 contexts in turns", found.Run.Contexts)
	for _, c := range found.Classes {
		if c.Measure == soak.RubySlots {
			require.Equal(t, c.Classes[0] == "Shop::Charge", c.Grows, c)
		}
	}
}

// Retries wait for minutes, and a run does not.
func TestSoakSkipsWaits(t *testing.T) {
	t.Parallel()
	p := newSoakProject(t, map[string]string{
		"t.yaml": "name: slow\nversion: 1.0.0\nstep_templates:\n  - {name: s, handler_class: \"Slow\", backoff: {base_seconds: 60, max_seconds: 600}}\n",
		"handlers/slow.rb": "class Slow < Tasker::StepHandler::Base\n  def process(task, sequence, step)\n" +
			"    raise Tasker::RetryableError.new('later', retry_after: 600) if step.attempts == 1 && task.task_id.even?\n    { attempts: step.attempts }\n  end\nend\n",
	})
	r := p.run("soak", "t.yaml", "--iterations", "160", "--samples", "40", "--budget", "10000", "--cancel-every", "7", "--output", "json")
	found := soakResult(t, r)
	require.Contains(t, []int{0, exitUndecided}, r.code, r.stderr)
	require.Greater(t, found.Run.Steps, found.Run.Tasks*5/4, "the retries have run")
	require.Less(t, found.Run.Took, 10*time.Minute, "one wait takes that long")
}

func TestSoakIsStopped(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, iterations, shown, says string }{
		{"before there are samples", "100000000", `running: `, "the run was stopped after"},
		{"when there are enough", "100000", `, ([4-9]|\d\d)\d samples`, "the run was stopped; until then it was "},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			files := soakFiles(false)
			// It does not end before it is stopped.
			files["handlers/charge.rb"] = strings.Replace(files["handlers/charge.rb"], "{ charged:", "sleep if task.context[:n] > 20_000\n      { charged:", 1)
			p := newSoakProject(t, files)
			cmd := p.command("soak", "order.yaml", "--no-db", "--contexts", "contexts.rb", "--iterations", c.iterations, "--samples", "400", "--report", "r.html")
			var stdout bytes.Buffer
			cmd.Stdout = &stdout
			stderr, err := cmd.StderrPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			shown, said := regexp.MustCompile(c.shown), ""
			for lines := bufio.NewScanner(stderr); lines.Scan(); {
				said += lines.Text() + "\n"
				if shown != nil && shown.MatchString(lines.Text()) {
					shown = nil
					require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
				}
			}
			_ = cmd.Wait()
			require.Equal(t, exitUndecided, cmd.ProcessState.ExitCode(), stdout.String()+said)
			require.Contains(t, stdout.String(), "undecided: ")
			require.Contains(t, stdout.String(), c.says)
			require.FileExists(t, filepath.Join(p.dir, "r.html"))
		})
	}
}

// The other version of a folder that is a repository by itself is the whole worktree.
func TestOtherVersionOfAPath(t *testing.T) {
	t.Parallel()
	o := &otherVersion{from: t.TempDir(), to: t.TempDir()}
	require.NoError(t, os.MkdirAll(filepath.Join(o.from, "app", "handlers"), 0o755))
	require.Equal(t, o.to, o.there(o.from))
	require.Equal(t, filepath.Join(o.to, "app/handlers"), o.there(filepath.Join(o.from, "app/handlers")))
	for _, elsewhere := range []string{"", "json", o.from + "-too"} {
		require.Equal(t, elsewhere, o.there(elsewhere))
	}
}

// The database of the other version is a new one, and leaves those of others alone.
func TestSoakMakesADatabaseForTheOtherVersion(t *testing.T) {
	t.Parallel()
	p := newProject(t, soakFiles(false))
	config, err := pgx.ParseConfig(p.url)
	require.NoError(t, err)
	theirs := pgx.Identifier{config.Database + "_other"}.Sanitize()
	p.change("create database %s", theirs)
	t.Cleanup(func() { p.change("drop database %s", theirs) })
	p.change("create database %s", pgx.Identifier{config.Database + "_soak_against"}.Sanitize()) // of a run that was killed
	r := p.run("soak", "order.yaml", "--force", "--against", "handlers", "--iterations", "39")
	require.Contains(t, r.stderr, "39 iterations are too few", "which is only looked at when the databases are there")
	require.Equal(t, 1, p.count("select count(*) from pg_database where datname = current_database() || '_other'"))
	require.Zero(t, p.count("select count(*) from pg_database where datname = current_database() || '_soak_against'"))
}

// Standard input is read once, although each template checks the context.
func TestSoakOfSeveralTemplatesWithOneContext(t *testing.T) {
	t.Parallel()
	files := soakFiles(false)
	files["again.yaml"] = strings.Replace(files["order.yaml"], "name: order", "name: again", 1)
	p := newSoakProject(t, files)
	cmd := p.command("soak", ".", "--no-db", "--context", "-", "--iterations", "39")
	cmd.Stdin = strings.NewReader(`{"n": 1}`)
	out, _ := cmd.CombinedOutput()
	require.Contains(t, string(out), "39 iterations are too few", "which is only looked at when the contexts fit")
}

func TestSoakRefuses(t *testing.T) {
	t.Parallel()
	files := soakFiles(false)
	files["fails.yaml"] = "name: fails\nversion: 1.0.0\nstep_templates:\n  - {name: s, handler_class: \"Fails\"}\n"
	files["handlers/fails.rb"] = "class Fails < Tasker::StepHandler::Base\n  def process(*) = raise(Tasker::PermanentError, 'the card was declined')\nend\n"
	files["sql.yaml"] = "name: sql\nversion: 1.0.0\nstep_templates:\n  - {name: s, handler_class: \"Sql\", default_retry_limit: 1}\n"
	files["handlers/sql.rb"] = "class Sql < Tasker::StepHandler::Base\n  def process(*) = Tasker.db.first('SELECT 1')\nend\n"
	files["absent.yaml"] = "name: absent\nversion: 1.0.0\nstep_templates:\n  - {name: s, handler_class: \"Absent\"}\n"
	files["dies.yaml"] = "name: dies\nversion: 1.0.0\nstep_templates:\n  - {name: s, handler_class: \"Dies\"}\n"
	files["handlers/dies.rb"] = "class Dies < Tasker::StepHandler::Base\n  def process(*) = `kill -9 #{Process.pid}`\nend\n"
	files["bad.jsonl"] = "{\"n\": 1}\n[1]\n"
	files["empty.jsonl"] = "\n"
	files["number.rb"] = "42\n"
	files["raises.rb"] = "->(n) { raise 'no context' }\n"
	files["syntax.rb"] = "->(n) {\n"
	p := newSoakProject(t, files)
	for _, c := range []struct {
		name, says, hint string
		args             []string
	}{
		{"a template that fails", "a task of default/fails has failed", "--allow-failed", []string{"fails.yaml"}},
		{"its cause", "the card was declined", "", []string{"fails.yaml"}},
		{"SQL without a database", "with --no-db there is no database", "", []string{"sql.yaml", "--no-db"}},
		{"a class that is missing", "absent.yaml:4", "Correct handler_class:", []string{"absent.yaml", "--no-db"}},
		{"a handler that ends the process", "the process that runs the tasks has ended: signal: killed", "", []string{"dies.yaml", "--no-db"}},
		{"too few iterations", "39 iterations are too few for any verdict", "--iterations 40", []string{"order.yaml", "--iterations", "39"}},
		{"too short", "too few for any verdict, which needs 40", "--duration", []string{"order.yaml", "--no-db", "--duration", "1ms"}},
		{"no iterations", "--iterations cannot be 0", "20000", []string{"order.yaml", "--iterations", "0"}},
		{"both", "--iterations and --duration", "Choose", []string{"order.yaml", "--iterations", "50", "--duration", "1s"}},
		{"no budget", "--budget cannot be 0", "above 0", []string{"order.yaml", "--budget", "0"}},
		{"an odd budget", "--budget cannot be NaN", "above 0", []string{"order.yaml", "--budget", "nan"}},
		{"an endless budget", "--budget cannot be +Inf", "above 0", []string{"order.yaml", "--budget", "inf"}},
		{"no folder of the load path", "--load-path nodir: no such file", "Name the folder", []string{"order.yaml", "-I", "nodir"}},
		{"few samples", "30 samples are asked for", "needs 40", []string{"order.yaml", "--samples", "30"}},
		{"a ref that is none", "--against v9: there is no such folder", "other version", []string{"order.yaml", "--against", "v9"}},
		{"no report of that kind", "--report r.pdf", ".html, .svg or .png", []string{"order.yaml", "--report", "r.pdf"}},
		{"a report that cannot be written", "cannot be written", "a folder that exists", []string{"order.yaml", "--report", "none/r.html"}},
		{"no contexts", "empty.jsonl holds no context", "order_id", []string{"order.yaml", "--contexts", "empty.jsonl"}},
		{"a context that is none", "bad.jsonl:2 is not a JSON object", "order_id", []string{"order.yaml", "--contexts", "bad.jsonl"}},
		{"no file of contexts", "--contexts none.jsonl", "JSON object in each line", []string{"order.yaml", "--contexts", "none.jsonl"}},
		{"no block", "is not a block, but Integer", "->(n)", []string{"order.yaml", "--no-db", "--contexts", "number.rb"}},
		{"a block that raises", "no context", "gets the number of a task", []string{"order.yaml", "--no-db", "--contexts", "raises.rb"}},
		{"a block with an error", "syntax error", "->(n)", []string{"order.yaml", "--no-db", "--contexts", "syntax.rb"}},
		{"a template that is none", "none.yaml", "", []string{"none.yaml"}},
		{"output", "--output", "", []string{"order.yaml", "--output", "yaml"}},
		{"cancels without an engine", "--cancel-every needs the engine", "", []string{"order.yaml", "--no-db", "--cancel-every", "3"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			args := append([]string{"soak"}, c.args...)
			r := p.run(args...)
			require.Equal(t, exitBadInput, r.code, r.stdout+r.stderr)
			require.Contains(t, r.stderr, "error: ")
			require.Contains(t, r.stderr, c.says)
			require.Contains(t, r.stderr, c.hint)
			require.NotContains(t, r.stdout, "flat")
		})
	}
}

func TestSoakUsesADatabaseForTestsOnly(t *testing.T) {
	t.Parallel()
	p := newSoakProject(t, soakFiles(false))
	p.url = "postgres://app@db.example.com/orders"
	r := p.run("soak", "order.yaml", "--iterations", "100")
	require.Equal(t, exitBadInput, r.code)
	require.Contains(t, r.stderr, "DATABASE_URL names the database orders, which may not be for tests")
}
