package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgtest"
)

func TestRubyProgram(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{
		"program.rb": `
at_exit { puts "last, of #{$!.inspect}" }
at_exit { puts "first: #{Tasker.db.first("SELECT count(*) AS n FROM things")["n"]}" }
puts [ARGV, __FILE__ == $0, Tasker.db.in_step?].inspect
Tasker.db.exec("CREATE TABLE things (name text)")
Tasker.db.transaction { Tasker.db.exec("INSERT INTO things VALUES ($1)", ["one"]) }
begin
  Tasker.db.transaction { Tasker.db.exec("INSERT INTO things VALUES ('two')"); raise "no" }
rescue RuntimeError => e
  warn e.message
end
exit 7
`,
	})
	r := p.run("ruby", "program.rb", "--name", "a b", "-e")
	require.Equal(t, result{
		7, "[[\"--name\", \"a b\", \"-e\"], true, false]\nfirst: 1\nlast, of #<SystemExit: exit>\n", "no\n",
	}, r)
}

func TestRubyProgramsEnd(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{
		"raises.rb": "def fails = raise(ArgumentError, 'no good')\nfails\n",
	})
	for _, c := range []struct {
		name   string
		args   []string
		code   int
		stdout string
		stderr string // a regular expression
	}{
		{"Well", []string{"-e", "print 1"}, 0, "1", `^$`},
		{"Raises", []string{"raises.rb"}, 1, "", `^raises\.rb:1:in .*fails.: no good \(ArgumentError\)\n(.|\n)*\tfrom raises\.rb:2:in .<main>.\n$`},
		{"Aborts", []string{"-e", "abort 'enough'"}, 1, "", `^enough\n$`},
		{"ExitsWell", []string{"-e", "exit"}, 0, "", `^$`},
		{"ChangesItsMind", []string{"-e", "at_exit { exit 3 }; at_exit { print $!.inspect; exit 4 }; raise 'no'"}, 3, "#<RuntimeError: no>", `no \(RuntimeError\)`},
		{"RaisesAtExit", []string{"-e", "at_exit { print :on }; at_exit { raise 'late' }"}, 1, "on", `^-e:1:in .*: late \(RuntimeError\)\n$`},
		{"RaisesAndRaisesAtExit", []string{"-e", "at_exit { raise 'late' }; raise 'early'"}, 1, "", `^-e:1:in .*: late \(RuntimeError\)\n(.*\n)?-e:1:in .*: early \(RuntimeError\)\n$`},
		{"RaisesAfterExit", []string{"-e", "at_exit { raise 'late' }; exit 5"}, 1, "", `^-e:1:in .*: late \(RuntimeError\)\n`},
		{"AddsAtExit", []string{"-e", "at_exit { at_exit { print 2 }; print 1 }"}, 0, "12", `^$`},
		{"SyntaxError", []string{"-e", "def x"}, 1, "", `-e:1: `},
		{"NoFile", []string{"nowhere.rb"}, 2, "", `error: there is no Ruby file nowhere\.rb\nhint: Name a file`},
		{"Nothing", nil, 2, "", `error: FILE is missing`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := p.run(append([]string{"ruby"}, c.args...)...)
			require.Equal(t, c.code, r.code, r.stderr)
			require.Equal(t, c.stdout, r.stdout)
			require.Regexp(t, c.stderr, r.stderr)
		})
	}
}

// The database is opened when a program first uses it. One that cannot be used is an error at
// that line; a program without SQL needs none.
func TestARubyProgramWithoutItsDatabase(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"asks.rb": "def asks = Tasker.db.first('SELECT 1 AS x')\nasks\n"})
	unmigrated := *p
	unmigrated.url = pgtest.URL(t)
	unreachable := *p
	unreachable.url = "postgres://app:secret@127.0.0.1:1/x"
	for name, c := range map[string]struct {
		p           *project
		cause, hint string
	}{
		"NoTables":  {&unmigrated, "the database at postgres://.* has no tables of tasker-rb yet", "Create them with `tasker-rb migrate up`"},
		"NoAddress": {&unreachable, "the database at postgres://app@127.0.0.1:1/x cannot be reached: .* refused", "Start that server"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := c.p.run("ruby", "asks.rb")
			require.Equal(t, 1, r.code)
			require.Regexp(t, `^asks\.rb:1:in .*asks.: `+c.cause+` \(Tasker::SQLError::NotConnected\)\nHINT: `+c.hint+`.*\n\tfrom asks\.rb:2:in .<main>.\n$`, r.stderr)
			require.Equal(t, result{0, "7\n", ""}, c.p.run("ruby", "-e", "p 7"))
			r = c.p.run("ruby", "-e", "require 'tasker/sequel'; begin; Tasker.sequel.run('SELECT 1'); rescue Sequel::DatabaseError => e; puts e.message; end")
			require.Regexp(t, `(NotConnected|PG::ConnectionBad): .*`+c.cause+`\nHINT: +`+c.hint, r.stdout, r.stderr)
			r = c.p.typedIn("6 * 7", "db.first('SELECT 1 AS x')", "8 * 9")
			require.Zero(t, r.code)
			require.Regexp(t, `(?s)=> 42\n.*`+c.cause+`.*NotConnected.*`+c.hint+`.*=> 72`, r.stdout)
			require.NotContains(t, r.stdout, "channel.rb")
		})
	}
}

// What a program prints, and how it ends, is what the ruby command prints, in every
// version's own words.
func TestRubyProgramsEndAsWithRuby(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{
		"lib/broken.rb": "def x\n",
		"broken.rb":     "def x\n  y = (\nend\n",
		"raises.rb":     "def fails = raise(ArgumentError, 'no good')\nfails\n",
		"cause.rb":      "class Own < StandardError; end\ndef a\n  Float('x')\nrescue ArgumentError\n  raise Own, \"two\\nlines\"\nend\n[1].each { a }\n",
		"block.rb":      "1.then { loop { raise KeyError, 'k' } }\n",
		"method.rb":     "nil.no_such_method\n",
		"constant.rb":   "Nowhere::At::All\n",
		"name.rb":       "instance_eval { putz 1 }\n",
		"anonymous.rb":  "raise Class.new(StandardError), 'of no name'\n",
		"empty.rb":      "raise ''\n",
		"throws.rb":     "throw :nowhere\n",
		"feature.rb":    "require 'no_such_feature'\n",
		"requires.rb":   "require_relative 'lib/broken'\n",
		"eval.rb":       "eval 'raise 5.to_s', binding, 'other.rb', 7\n",
		"thread.rb":     "Thread.new { Thread.current.report_on_exception = false; raise 'inside' }.join\n",
		"status.rb":     "at_exit { exit 3 }; at_exit { print $!.inspect; exit 4 }; raise 'no'\n",
		"late.rb":       "at_exit { $stderr.puts 'first' }; raise 'last'\n",
		"aborts.rb":     "at_exit { abort 'gone' }; raise 'no'\n",
		"frozen.rb":     "# frozen_string_literal: true\np __FILE__ == $0, __FILE__, File.basename(__dir__) == File.basename(Dir.pwd), self.inspect\ndef top = 1\np Object.private_method_defined?(:top), ''.frozen?\n'a' << 'b'\n",
	})
	files, err := filepath.Glob(p.dir + "/*.rb")
	require.NoError(t, err)
	require.Greater(t, len(files), 15)
	for _, file := range files {
		name := filepath.Base(file)
		t.Run(strings.TrimSuffix(name, ".rb"), func(t *testing.T) {
			t.Parallel()
			theirs := p.command(name)
			theirs.Path, theirs.Args[0] = ruby(t), "ruby"
			want := p.finish(theirs)
			require.Equal(t, want, p.run("ruby", name))
		})
	}
}

// A program may come on standard input.
func TestRubyProgramsOnStandardInput(t *testing.T) {
	t.Parallel()
	p := emptyProject(t)
	broken := p.command("ruby", "-")
	broken.Stdin = strings.NewReader("def x\n")
	r := p.finish(broken)
	require.Equal(t, 1, r.code)
	require.Regexp(t, `-:1: `, r.stderr)
	for name, program := range map[string]string{
		"Arguments":   "p ARGV, $0, __FILE__, __method__, self.to_s, 'é', ''.encoding, $stdin.gets, Object.const_defined?(:DATA)",
		"TheRest":     "p $stdin.gets, $stdin.read, DATA.equal?(STDIN), $stdin.external_encoding\n__END__\none é\ntwo\nthree",
		"NothingElse": "p 1\n__END__",
		"InTexts":     "puts <<A\n__END__\nA\n=begin\n__END__\n=end\np 2, $stdin.gets\n__END__\nthree",
		"Raises":      "def fails = raise(ArgumentError, 'no good')\nfails\n",
		"Exits":       "at_exit { puts 'last' }\nexit 7\n",
		"Latin":       "# encoding: iso-8859-1\np '\xe9', '\xe9'.encoding\n",
		"Nothing":     "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			given := func(cmd *exec.Cmd) *exec.Cmd {
				cmd.Stdin = strings.NewReader(program)
				return cmd
			}
			theirs := given(p.command("-", "a b", "--name"))
			theirs.Path, theirs.Args[0] = ruby(t), "ruby"
			require.Equal(t, p.finish(theirs), p.finish(given(p.command("ruby", "-", "a b", "--name"))))
		})
	}
}

// ruby is the path of the ruby command.
func ruby(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("ruby")
	require.NoError(t, err)
	return path
}

// The test suite runs itself at exit. It uses handlers and SQL.
func TestRubyRunsASuite(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{
		"handlers/fine.rb": fine,
		"suite.rb": `
require "minitest/autorun"
class SuiteTest < Minitest::Test
  def test_database = assert_equal(1, Tasker.db.first("SELECT 1 AS one")["one"])
  def test_handler = assert(Fine.new)
  def test_failing = assert_equal(1, 2)
end
`,
	})
	r := p.run("ruby", "--handlers", "handlers", "suite.rb", "--name", "/database|handler/")
	require.Zero(t, r.code, r.stdout+r.stderr)
	require.Contains(t, r.stdout, "2 runs, 2 assertions, 0 failures, 0 errors")
	r = p.run("ruby", "--handlers", "handlers", "suite.rb")
	require.Equal(t, 1, r.code)
	require.Contains(t, r.stdout, "3 runs, 3 assertions, 1 failures, 0 errors")
}

func TestRubyProgramIsInterrupted(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{
		"waits.rb": `
at_exit { File.write("ended", "yes") }
begin
  Tasker.db.transaction { File.write("begun", "yes"); Tasker.db.exec("SELECT pg_sleep(600)") }
ensure
  File.write("ensured", "yes")
end
`,
	})
	cmd := p.command("ruby", "waits.rb")
	require.NoError(t, cmd.Start())
	require.Eventually(t, func() bool { _, err := os.Stat(p.dir + "/begun"); return err == nil }, patience, 10*time.Millisecond)
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	require.Error(t, cmd.Wait())
	require.Equal(t, exitInterrupted, cmd.ProcessState.ExitCode())
	require.FileExists(t, p.dir+"/ensured")
	require.FileExists(t, p.dir+"/ended")
}
