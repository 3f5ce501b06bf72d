package rubyhost_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/rubyhost"
)

// Ways to start a child. Each prints its name, so that it is known to which stream.
const startedChildren = `
require "open3"
said = []
sh = ->(name) { "echo \"out of #{name}\"; echo \"err of #{name}\" >&2" }
wait = ->(pid) { Process.wait(pid); $?.exitstatus }
say = lambda do |name, &call|
  value = begin; call.call(sh[name]); rescue StandardError => e; [e.class.name, e.message.sub(/#\d+/, "N")]; end
  said << [name, value, $?&.exitstatus]
end
file = ENV.fetch("CHILD_FILE")
of_file = ->(pid) { wait[pid]; File.read(file) }
to_hash = Class.new { def to_hash = { out: :err } }.new
say.call("spawn") { |c| wait[spawn(c)] }
say.call("argv") { |c| wait[Process.spawn("sh", "-c", c)] }
say.call("argv0") { wait[spawn(["sh", "named"], "-c", "echo $0")] }
say.call("env") { |c| wait[spawn({ "A" => "1" }, "echo A$A; #{c}", { unsetenv_others: false })] }
say.call("both") { |c| of_file[spawn(c, [:out, :err] => [file, "w"])] }
say.call("both, a Hash") { |c| of_file[spawn(c, { [:out, :err] => [file, "w"] }.freeze)] }
say.call("out: :err") { |c| wait[spawn(c, out: :err)] }
say.call("err: child out") { |c| of_file[spawn(c, out: file, err: [:child, :out])] }
say.call("err: out") { |c| of_file[spawn(c, out: file, err: :out)] }
say.call("2 => 1") { |c| wait[spawn(c, 2 => 1)] }
say.call("swap") { |c| wait[spawn(c, 1 => 2, 2 => 1)] }
say.call("constants") { |c| wait[spawn(c, STDERR => STDOUT)] }
say.call("variables") { |c| wait[spawn(c, $stderr => $stdout)] }
say.call("both variables") { |c| wait[spawn(c, [$stdout, $stderr] => :err)] }
say.call("to_hash") { |c| wait[spawn(c, to_hash)] }
say.call("another number") { wait[spawn("echo nine >&9", 9 => 1)] }
say.call("IO") { |c| r, w = IO.pipe; wait[spawn(c, out: w)]; w.close; r.read }
say.call("closed") { |c| r, w = IO.pipe; w.close; wait[spawn(c, out: w)] }
say.call("closed key") { |c| r, w = IO.pipe; w.close; wait[spawn(c, w => :out)] }
say.call("close") { wait[spawn("true", out: :close, err: :close)] }
say.call("close_others") { |c| wait[spawn(c, close_others: true)] }
say.call("other options") { |c| wait[spawn("pwd; #{c}", chdir: "/", pgroup: true, umask: 0o77, rlimit_core: 0)] }
say.call("nil") { |c| wait[spawn(c, nil)] }
say.call("nothing") { spawn }
say.call("options only") { spawn({ "A" => "b" }, { out: :err }) }
say.call("no option") { spawn("true", foo: 1) }
say.call("no key") { spawn("true", 1.5 => 1) }
say.call("no value") { spawn("true", out: 3.5) }
say.call("no name") { spawn("true", [:out, :foo] => 1) }
say.call("no folder") { spawn("true", out: "/no-such-folder/x") }
say.call("no command") { spawn("no-such-command", "x", { out: :err }) }
say.call("system") { |c| system(c) }
say.call("system, exception") { |c| system("#{c}; exit 3", exception: true) }
say.call("system, a Hash") { |c| system({ "A" => "1" }, "#{c}; exit 3", { exception: true, out: :err }) }
say.call("system, no option") { system("true", foo: 1) }
say.call("backticks") { |c| ` + "`#{c}`" + ` }
say.call("popen") { |c| IO.popen(c) { |io| io.read } }
say.call("popen argv") { |c| IO.popen([{ "A" => "1" }, "sh", "-c", "echo $A; #{c}", { err: [:child, :out] }].freeze) { |io| io.read } }
say.call("popen argv, err: out") { |c| IO.popen(["sh", "-c", c, { err: :out }]) { |io| io.read } }
say.call("popen env") { |c| IO.popen({ "A" => "1" }, "echo $A; #{c}", "r", { chdir: "/" }) { |io| io.read } }
say.call("popen err: out") { |c| IO.popen(c, err: :out) { |io| io.read } }
say.call("popen w") { |c| IO.popen("cat; #{c}", "wb") { |io| io.puts "to popen w" } }
say.call("popen Integer") { |c| IO.popen("cat; #{c}", File::WRONLY) { |io| io.puts "to popen Integer" } }
say.call("popen mode:") { |c| IO.popen("cat; #{c}", mode: "w") { |io| io.puts "to popen mode:" } }
say.call("popen r+") { |c| IO.popen("cat; #{c}", "r+") { |io| io.puts "to popen r+"; io.close_write; io.read } }
say.call("popen out twice") { |c| IO.popen(c, out: :err) { |io| io.read } }
say.call("popen no mode") { IO.popen("true", "q") }
say.call("popen -") { IO.popen("-") { |io| io ? io.read : ($stderr.puts "fork's err"; puts "fork's out") } }
say.call("capture3") { |c| Open3.capture3(c)[0, 2] }
say.call("capture2") { |c| Open3.capture2(c)[0] }
say.call("capture2e") { |c| Open3.capture2e(c)[0] }
say.call("popen2") { |c| Open3.popen2(c) { |i, o, t| [o.read, t.value.exitstatus] } }
say.call("pipeline") { |c| Open3.pipeline(c, "cat").map(&:exitstatus) }
say.call("fork") { |c| wait[fork { $stdout.puts "of a fork"; STDERR.puts "err of a fork"; system(c) }] }
say.call("fork, exec") { |c| wait[fork { exec c, out: :err }] }
say.call("fork, reopened") { of_file[fork { STDOUT.reopen(file, "w"); STDOUT.puts "in the file"; STDOUT.flush }] }
said`

func init() {
	children["started children"] = func() {
		log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
		h := mustBoot(rubyhost.Options{Threads: 2, AllOutput: true, Logger: log})
		said, err := h.Eval(context.Background(), startedChildren, "started.rb")
		must(err)
		must(h.Close())
		fmt.Println(string(said))
	}
}

// With AllOutput, too, children do what those of Ruby do, and print to the same of the two
// streams. The host logs both.
func TestChildrenWhoseOutputIsCaughtAreRunAsRubyRunsThem(t *testing.T) {
	t.Parallel()
	runIn := func(command *exec.Cmd) (out, stderr string) {
		command.Env = append(append(os.Environ(), "LC_ALL=C.UTF-8", "CHILD_FILE="+t.TempDir()+"/file"), command.Env...)
		var o, e strings.Builder
		command.Stdout, command.Stderr = &o, &e
		require.NoError(t, command.Run(), e.String())
		return o.String(), e.String()
	}
	plain := exec.CommandContext(t.Context(), "ruby", "-rjson", "-e",
		"said = begin\n"+startedChildren+"\nend\nFile.write(ENV.fetch('CHILD_FILE'), JSON.generate(said))\nputs\nputs File.read(ENV.fetch('CHILD_FILE'))")
	out, wantErr := runIn(plain)
	wantOut, want, _ := strings.Cut(out, "\n\n")
	host := exec.CommandContext(t.Context(), os.Args[0])
	host.Env = []string{childVariable + "=started children"}
	got, log := runIn(host)
	require.JSONEq(t, want, got)
	lines := map[string][]string{}
	for decoder := json.NewDecoder(strings.NewReader(log)); ; {
		var line struct{ Level, Msg string }
		if err := decoder.Decode(&line); err == io.EOF {
			break
		} else {
			require.NoError(t, err, log)
		}
		lines[line.Level] = append(lines[line.Level], line.Msg)
	}
	sorted := func(lines []string) []string { return slices.Sorted(slices.Values(lines)) }
	require.Equal(t, sorted(strings.Split(wantOut, "\n")), sorted(lines["INFO"]))
	require.Equal(t, sorted(strings.Split(strings.TrimSpace(wantErr), "\n")), sorted(lines["WARN"]))
}
