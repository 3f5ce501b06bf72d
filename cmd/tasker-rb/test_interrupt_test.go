package main

import (
	"bufio"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgtest"
	"github.com/tasker-rb/tasker-rb/orchestration"
)

// runUntil runs a suite in a process group of its own. It calls begun when a line of
// standard output ends in "begun"; told waits for a line of standard error. It returns
// standard output.
func (p *project) runUntil(path string, begun func(interrupt func(), told func(text string))) (code int, stdout string) {
	p.t.Helper()
	cmd := p.command("test", path, "--", "--seed", "1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stderr, err := cmd.StderrPipe()
	require.NoError(p.t, err)
	errorLines := make(chan string, 1000)
	go func() {
		defer close(errorLines)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			errorLines <- lines.Text()
		}
	}()
	pipe, err := cmd.StdoutPipe()
	require.NoError(p.t, err)
	require.NoError(p.t, cmd.Start())
	interrupt := func() { require.NoError(p.t, syscall.Kill(-cmd.Process.Pid, syscall.SIGINT)) }
	told := func(text string) {
		for line := range errorLines {
			if strings.Contains(line, text) {
				return
			}
		}
		require.Failf(p.t, "the command ended", "before it said %q", text)
	}
	var all strings.Builder
	for lines := bufio.NewScanner(pipe); lines.Scan(); {
		all.WriteString(lines.Text() + "\n")
		if strings.HasSuffix(lines.Text(), "begun") {
			begun(interrupt, told)
		}
	}
	_ = cmd.Wait() // ProcessState has it
	return cmd.ProcessState.ExitCode(), all.String()
}

// RSpec ends after the example under way, with its summary.
func TestASuiteOfRSpecIsInterrupted(t *testing.T) {
	t.Parallel()
	p := newSuite(t, map[string]string{"spec/a_spec.rb": `RSpec.describe("x", order: :defined) do
  it("waits") { puts "begun"; $stdout.flush; sleep 0.01 until File.exist?("told") }
  it("is left out") { puts "not to be seen" }
end
`})
	code, stdout := p.runUntil("spec/a_spec.rb", func(interrupt func(), told func(string)) {
		interrupt()
		told("RSpec is shutting down")
		p.write(map[string]string{"told": ""})
	})
	require.Equal(t, exitInterrupted, code, stdout)
	require.Contains(t, stdout, "1 example, 0 failures")
	require.NotContains(t, stdout, "not to be seen")
}

// A second ^C ends the example, too. Its ensure blocks run, and those of at_exit.
func TestAnExampleIsInterrupted(t *testing.T) {
	t.Parallel()
	p := newSuite(t, map[string]string{"spec/a_spec.rb": `at_exit { puts "ended" }
RSpec.describe("x") do
  it("waits") do
    puts "begun"
    $stdout.flush
    Tasker.db.exec("SELECT pg_sleep(600)")
  ensure
    puts "ensured"
  end
end
`})
	code, stdout := p.runUntil("spec/a_spec.rb", func(interrupt func(), told func(string)) {
		interrupt()
		told("RSpec is shutting down")
		interrupt()
	})
	require.Equal(t, exitInterrupted, code, stdout)
	requireInOrder(t, stdout, "ensured\n", "ended\n")
}

// minitest reports at once on what has run.
func TestASuiteOfMinitestIsInterrupted(t *testing.T) {
	t.Parallel()
	p := newSuite(t, map[string]string{"test/a_test.rb": `class A < Minitest::Test
  i_suck_and_my_tests_are_order_dependent!
  def test_a = puts("seen")
  def test_b = (puts "begun"; $stdout.flush; Tasker.db.exec("SELECT pg_sleep(600)"))
  def test_c = puts("not to be seen")
end
at_exit { puts "ended" }
`})
	code, stdout := p.runUntil("test/a_test.rb", func(interrupt func(), told func(string)) {
		interrupt()
		told("Interrupted. Exiting...")
	})
	require.Equal(t, exitInterrupted, code, stdout)
	requireInOrder(t, stdout, "seen\n", "1 runs, 0 assertions, 0 failures", "ended\n")
	require.NotContains(t, stdout, "not to be seen")
}

// ^C before the suite begins, while the check loads the handlers.
func TestACheckIsInterrupted(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"spec"}, {"spec", "--parallel", "2"}} {
		p := &project{t: t, dir: enterable(t)}
		p.write(map[string]string{
			"handlers/slow.rb": "File.write('loading', '')\nsleep\n", "spec/a_spec.rb": "puts 'not to be seen'\n", "spec/b_spec.rb": "puts 'not to be seen'\n",
		})
		cmd := p.command(append([]string{"test"}, args...)...)
		var stdout, stderr strings.Builder
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		require.NoError(t, cmd.Start())
		require.Eventually(t, func() bool { return exists(p.dir + "/loading") }, patience, tick)
		require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
		_ = cmd.Wait() // ProcessState has it
		require.Equal(t, exitInterrupted, cmd.ProcessState.ExitCode(), stderr.String())
		require.Equal(t, "error: interrupted\n", stderr.String())
		require.Empty(t, stdout.String())
		require.Eventually(t, func() bool { return len(processesWith(p.dir)) == 0 }, patience, tick)
	}
}

// ^C while the files are loaded.
func TestLoadingASuiteIsInterrupted(t *testing.T) {
	t.Parallel()
	for path, said := range map[string]string{"spec/a_spec.rb": "RSpec is shutting down", "test/a_test.rb": ""} {
		p := newSuite(t, map[string]string{path: "begin\n  puts 'begun'\n  $stdout.flush\n  sleep 0.01 until File.exist?('told')\nensure\n  puts 'over'\nend\n"})
		code, stdout := p.runUntil(path, func(interrupt func(), told func(string)) {
			interrupt()
			if said != "" { // minitest is interrupted at once
				told(said)
				p.write(map[string]string{"told": ""})
			}
		})
		require.Equal(t, exitInterrupted, code, stdout)
		require.Contains(t, stdout, "over\n")
	}
}

// ^C while the engine of the tests starts, which takes some round trips after the signal. The
// engine is closed all the same.
func TestTheStartOfTheEngineIsInterrupted(t *testing.T) {
	t.Parallel()
	p := newSuite(t, nil)
	p.url = pgtest.URL(t, pgtest.WithTemplate(orchestration.Migrate))
	conn, err := pgx.Connect(t.Context(), p.url)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(t.Context())) }()
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "create schema tasker_testbed")
	require.NoError(t, err)
	cmd := p.command("test")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	require.NoError(t, cmd.Start())
	require.Eventually(t, func() bool {
		var waiting bool
		err := tx.QueryRow(t.Context(), `select exists (select from pg_locks join pg_stat_activity using (pid)
			where not granted and datname = current_database())`).Scan(&waiting) // other tests wait in other databases
		return err == nil && waiting
	}, patience, tick)
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	require.NoError(t, tx.Rollback(t.Context()))
	_ = cmd.Wait() // ProcessState has it
	require.Equal(t, exitInterrupted, cmd.ProcessState.ExitCode(), stderr.String())
	var engines int
	require.NoError(t, conn.QueryRow(t.Context(), "select count(*) from tasker.workers").Scan(&engines))
	require.Zero(t, engines)
}
