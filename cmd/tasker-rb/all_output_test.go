package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// screen returns what a terminal shows in the end, with what has scrolled away. It knows
// what terminalBlock writes.
func screen(said string) []string {
	lines, row, column := [][]rune{nil}, 0, 0
	for said = colour.ReplaceAllString(said, ""); said != ""; {
		if at := sequence.FindStringIndex(said); at != nil && at[0] == 0 {
			var up int
			switch code := said[:at[1]]; {
			case code == "\x1b[J":
				lines = lines[:row+1]
				lines[row] = lines[row][:min(column, len(lines[row]))]
			case strings.HasSuffix(code, "A"):
				_, _ = fmt.Sscanf(code, "\x1b[%dA", &up)
				row = max(row-up, 0)
			}
			said = said[at[1]:]
			continue
		}
		next := []rune(said[:min(4, len(said))])[0]
		said = said[len(string(next)):]
		switch next {
		case '\r':
			column = 0
		case '\n':
			row, column = row+1, 0
			if row == len(lines) {
				lines = append(lines, nil)
			}
		default:
			for len(lines[row]) <= column {
				lines[row] = append(lines[row], ' ')
			}
			lines[row][column] = next
			column++
		}
	}
	shown := make([]string, len(lines))
	for i, line := range lines {
		shown[i] = strings.TrimRight(string(line), " ")
	}
	return shown
}

// allOutput prints in every way that a handler has, between two steps that take some
// pictures. The child that it leaves holds what the step's children print to.
const allOutput = `
require "logger"
class Slow
  def process(*) = sleep(0.3)
end
class Talks
  def process(*)
    puts "of the variable"
    STDOUT.puts "of the constant"
    system("echo of a child")
    Logger.new(STDOUT, formatter: ->(*, message) { message + "\n" }).info("of a logger")
    Process.wait(fork { puts "of a fork"; $stdout.flush; system("echo of a child of a fork") })
    Process.wait(spawn("echo of spawn"))
    Process.wait(spawn({ "WHO" => "an environment" }, "echo of $WHO", { umask: 2 }))
    IO.popen({ "WHO" => "popen" }, "read line; echo $line $WHO", "w") { |io| io.puts "of" }
    IO.popen(["sh", "-c", "echo read; echo complaint of an array >&2"], { mode: "r" }, &:read)
    IO.popen(["sh", "-c", "echo never >&2", { err: File::NULL }], &:read)
    STDERR.puts "complaint of the constant"
    system("echo complaint of a child >&2")
    warn "complaint of the variable"
    said = %x(echo read; echo complaint of backticks >&2)
    Process.wait(spawn("echo complaint of out: :err", out: :err))
    Process.wait(spawn("echo never; echo never >&2", { [:out, STDERR] => File::NULL }))
    require "open3"
    Open3.capture2("echo complaint of open3 >&2")
    Process.wait(spawn("printf '\\033[2Jodd \\377\\n' >&2"))
    system("printf 'without its end'")
    left = spawn("sleep 1000", in: File::NULL)
    File.write(File.join(__dir__, "..", "left"), left.to_s)
    said
  end
end
`

func allOutputProject(t *testing.T) *project {
	p := newProject(t, map[string]string{
		"t.yaml": `
name: t
step_templates:
  - {name: before, handler_class: Slow}
  - {name: talk, handler_class: Talks, depends_on_step: before}
  - {name: after, handler_class: Slow, depends_on_step: talk}
`,
		"handlers/talks.rb": allOutput,
	})
	t.Cleanup(func() {
		pid, err := os.ReadFile(filepath.Join(p.dir, "left"))
		require.NoError(t, err)
		left, err := strconv.Atoi(string(pid))
		require.NoError(t, err)
		require.NoError(t, syscall.Kill(left, syscall.SIGKILL), "the child that was left does not live")
	})
	return p
}

// What children print, or code to the constants, stays on the terminal like what it prints
// to the variables.
func TestTheLiveDisplayKeepsAllOutput(t *testing.T) {
	t.Parallel()
	shown := screen(allOutputProject(t).on(openTerminal(t, 200, 60), "run", "t.yaml"))
	first := slices.IndexFunc(shown, func(line string) bool { return strings.Contains(line, "the step leaves a child running") })
	require.GreaterOrEqual(t, first, 0, shown)
	require.Equal(t, []string{
		"talk | of the variable", "talk | of the constant", "of a child", "talk | of a logger", "of a fork", "of a child of a fork", "of spawn",
		"of an environment", "of popen", "complaint of an array", "talk | complaint of the constant", "complaint of a child", "talk | complaint of the variable", "complaint of backticks",
		"complaint of out: :err", "complaint of open3", `\u001b[2Jodd �`,
	}, slices.DeleteFunc(slices.Clone(shown[:first]), func(line string) bool { return line == "without its end" }))
	require.Contains(t, shown, "without its end")
	whole := strings.Join(shown, "\n")
	require.Regexp(t, `\ndefault/t 0\.1\.0  3/3 done, \S+\n  ✓ before .*\n  ✓ talk .*\n  ✓ after .*\n\ntask 1 `, whole)
	require.Equal(t, 1, strings.Count(whole, "0.1.0  3/3 done"), whole)
	require.Equal(t, 1, strings.Count(whole, " before  "), whole)
	require.NotContains(t, whole, "never")
}

// jsonRecords are the lines of a log. Each of them is an object.
func jsonRecords(t *testing.T, log string) (records []map[string]any) {
	t.Helper()
	for line := range strings.Lines(log) {
		var record map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &record), line)
		records = append(records, record)
	}
	return records
}

// workedOff runs a worker until the task is complete, and stops it.
func workedOff(t *testing.T, p *project, args ...string) (stdout, stderr string) {
	t.Helper()
	worker := p.command(append([]string{"worker", "--handlers", "handlers"}, args...)...)
	out, log := &lockedBuffer{}, &lockedBuffer{}
	worker.Stdout, worker.Stderr = out, log
	require.NoError(t, worker.Start())
	require.Eventually(t, func() bool { return done(t, p, "complete") == 1 }, patience, 20*time.Millisecond, log)
	require.NoError(t, worker.Process.Signal(syscall.SIGTERM))
	require.NoError(t, worker.Wait(), log) // it also waits for the end of both pipes
	return out.String(), log.String()
}

func TestAWorkerLogsAllOutput(t *testing.T) {
	t.Parallel()
	p := allOutputProject(t)
	p.write(map[string]string{"handlers/loads.rb": "system('echo loading >&2')\nSTDERR.puts 'still loading'\n"})
	require.Zero(t, p.run("submit", "t.yaml").code)
	stdout, stderr := workedOff(t, p, "--log", "json")
	require.Empty(t, stdout)
	said := map[string]map[string]any{}
	for _, record := range jsonRecords(t, stderr) {
		said[record["msg"].(string)] = record
	}
	for line, want := range map[string][]any{
		"of the constant":           {"INFO", nil, "talk"},
		"complaint of the constant": {"WARN", nil, "talk"},
		"of a child":                {"INFO", "stdout", nil},
		"of a fork":                 {"INFO", "stdout", nil},
		"complaint of a child":      {"WARN", "stderr", nil},
		"complaint of out: :err":    {"WARN", "stderr", nil},
		"\x1b[2Jodd �":              {"WARN", "stderr", nil},
		"without its end":           {"INFO", "stdout", nil},
		"loading":                   {"WARN", "stderr", nil},
		"still loading":             {"WARN", nil, nil},
	} {
		require.Equal(t, want, []any{said[line]["level"], said[line]["from"], said[line]["step"]}, "%s in\n%s", line, stderr)
	}
	require.NotContains(t, stderr, "never")
}

// A line may have any length. It comes in pieces.
func TestAChildsLineOfAMegabyte(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{
		"one.yaml":         one("Long"),
		"handlers/long.rb": "class Long\n  def process(*) = system('head -c 1000000 /dev/zero | tr \"\\\\0\" x >&2; echo afterwards')\nend\n",
	})
	require.Zero(t, p.run("submit", "one.yaml").code)
	_, stderr := workedOff(t, p, "--log", "json")
	length := 0
	for _, record := range jsonRecords(t, stderr) {
		if piece, _ := record["msg"].(string); strings.Trim(piece, "x") == "" {
			length += len(piece)
			require.LessOrEqual(t, len(piece), 64<<10)
		}
	}
	require.Equal(t, 1_000_000, length)
	require.Contains(t, stderr, `"afterwards"`)
}

// What a C library writes to descriptor 1 goes to standard error as it is.
func TestNothingOfAWorkerGoesToStandardOutput(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{
		"one.yaml": one("Writes"),
		"handlers/writes.rb": `
require "fiddle"
class Writes
  def process(*)
    write = Fiddle::Function.new(Fiddle::Handle::DEFAULT["write"], [Fiddle::TYPE_INT, Fiddle::TYPE_VOIDP, Fiddle::TYPE_SIZE_T], Fiddle::TYPE_SSIZE_T)
    write.call(1, "of a library\n", 13)
  end
end
`,
	})
	require.Zero(t, p.run("submit", "one.yaml").code)
	stdout, stderr := workedOff(t, p)
	require.Empty(t, stdout)
	require.Contains(t, stderr, "of a library\n")
}

// The report of a crash is no matter of the log: all of it is there, whoever reads.
func TestACrashOfAWorkerIsReportedWhole(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{
		"one.yaml": one("Crashes"),
		"handlers/crashes.rb": `
require "fiddle"
class Crashes
  def process(*)
    system("echo the last words >&2")
    Fiddle::Pointer.new(8)[0]
  end
end
`,
	})
	require.Zero(t, p.run("submit", "one.yaml").code)
	r := p.run("worker", "--handlers", "handlers", "--log", "json")
	require.NotZero(t, r.code)
	require.Empty(t, r.stdout)
	requireInOrder(t, r.stderr, `"msg":"the last words"`, "handlers/crashes.rb:6: [BUG] Segmentation fault at 0x0000000000000008", "-- Control frame information", "* Loaded features:", "* Process memory map:", "[stack]")
}
