package rubyhost_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A child that an interrupted step was waiting for is reported, whatever waited.
func TestChildrenOfInterruptedStepsAreReported(t *testing.T) {
	honest := besideHonestCalls(t, 2)
	places := map[bool]string{false: "handlers/", true: "/"} // of Ruby's library, or the handler's
	for name, body := range map[string]string{
		"system":                `system(command)`,
		"Kernel.system":         `Kernel.system("sh", "-c", command, out: File::NULL)`,
		"backticks":             "`#{command}`",
		"IO.popen with a block": `IO.popen(command) { |io| io.read }`,
		"Open3.capture3":        `require "open3"; Open3.capture3(command)`,
		"Open3.capture2e":       `require "open3"; Open3.capture2e(command)`,
		"Process.wait":          `Process.wait(spawn(command))`,
	} {
		t.Run(name, func(t *testing.T) {
			before := host.Stats().ChildrenLeft
			file := filepath.Join(t.TempDir(), "pid")
			h := processBody(t, fmt.Sprintf("command = 'echo $$ > %[1]s.new; mv %[1]s.new %[1]s; exec sleep 60'\n%[2]s", file, body))
			ctx, interrupt := context.WithCancel(t.Context())
			defer interrupt()
			ended := make(chan error, 1)
			go func() {
				_, err := h.Run(ctx, aStep())
				ended <- err
			}()
			var pid string
			require.Eventually(t, func() bool {
				content, err := os.ReadFile(file)
				pid = strings.TrimSpace(string(content))
				return err == nil
			}, 30*time.Second, time.Millisecond)
			interrupt()
			require.ErrorContains(t, <-ended, "the handler was interrupted at "+places[strings.HasPrefix(name, "Open3")])
			report := fmt.Sprintf("the step leaves a child running, pid %s from handlers/%s.rb:4", pid, h.Class())
			require.Eventually(t, func() bool { return len(logs.lines(report)) == 1 }, 10*time.Second, time.Millisecond)
			require.Equal(t, before+1, host.Stats().ChildrenLeft)
			eval(t, fmt.Sprintf("Process.kill(:KILL, %[1]s); begin; Process.wait(%[1]s); rescue Errno::ECHILD; end; nil", pid))
		})
	}
	honest.requireRight(t)
	requireHealthy(t)
}

// An interrupt is repeated, so it may come while the child is looked at.
func TestChildrenAreReportedInSpiteOfInterrupts(t *testing.T) {
	eval(t, `$begun, $slow = Queue.new, true
		class << Tasker::Host
		  alias left_plainly child_left?
		  def child_left?(pid) = (sleep 0.25 if $slow; left_plainly(pid))
		end
		nil`)
	defer eval(t, "class << Tasker::Host; alias child_left? left_plainly; remove_method :left_plainly; end; nil")
	h := processBody(t, "$left = spawn('sleep 60'); $begun << 1; sleep")
	_, err := runUntilBegun(t, h)
	require.ErrorContains(t, err, "the handler was interrupted at handlers/"+h.Class()+".rb:3")
	pid := eval(t, "$left")
	report := fmt.Sprintf("the step leaves a child running, pid %s from handlers/%s.rb:3", pid, h.Class())
	require.Eventually(t, func() bool { return len(logs.lines(report)) == 1 }, 10*time.Second, time.Millisecond)
	eval(t, "Process.kill(:KILL, $left); Process.wait($left); nil")
	requireHealthy(t)
}

// In a step, system and backticks do what Ruby's own do.
func TestChildrenAreRunAsRubyRunsThem(t *testing.T) {
	const body = `
did = []
say = lambda do |&call|
  value = begin; call.call; rescue StandardError => e; [e.class.name, e.message, e.cause&.message]; end
  value = [value.b.inspect, value.encoding.name, value.valid_encoding?] if value.is_a?(String)
  did << [value, $?&.exitstatus, $?&.termsig]
end
command = Class.new { def to_str = "exit 3" }.new
say.call { system("true") }
say.call { system("exit 3") }
say.call { system("false", exception: false) }
say.call { system("false", exception: true) }
say.call { system("exit 3", exception: true) }
say.call { system("sh", "-c", "exit 4", { exception: true }) }
say.call { system("no-such-command") }
say.call { system("no-such-command", "x") }
say.call { system("no-such-command", exception: true) }
say.call { system("kill -9 $$") }
say.call { system({ "A" => "1" }, 'test "$A" = 1') }
say.call { system({ "A" => nil }, ["sh", "named"], "-c", "exit 6", [:out, :err] => File::NULL) }
say.call { system("exit 5", { out: File::NULL }) }
say.call { system("true", nonsense: 1) }
say.call { system("true", chdir: "/no-such-folder") }
say.call { system(command) }
say.call { system(5) }
say.call { system }
say.call { system("a\0b") }
say.call { Kernel.system("exit 8") }
say.call { ` + "`echo one; exit 7`" + ` }
say.call { ` + "`true`" + ` }
say.call { ` + "`printf '\\303\\251'`" + ` }
say.call { ` + "`printf '\\303'`" + ` }
say.call { ` + "`no-such-command`" + ` }
say.call { ` + "`kill -9 $$`" + ` }
say.call { Kernel.send(:` + "`" + `, command) }
say.call { Kernel.` + "`" + `("echo two") }
say.call { send(:` + "`" + `, nil) }
say.call { IO.popen("echo three") { |io| break io.read } }
say.call { IO.popen("exit 9") { |io| io.read } }
did`
	plain := exec.CommandContext(t.Context(), "ruby", "-rjson", "-e", "did = begin\n"+body+"\nend\nputs JSON.generate(did)")
	plain.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	expected, err := plain.Output()
	require.NoError(t, err)
	out, err := run(t, processBody(t, body))
	require.NoError(t, err)
	var want, got []any
	require.NoError(t, json.Unmarshal(expected, &want))
	require.NoError(t, json.Unmarshal([]byte(out), &got))
	require.NotEmpty(t, want)
	require.Equal(t, want, got)
}

// A command that has begun never runs again, although another thread raises before the
// host has noted the child.
func TestACommandRunsOnce(t *testing.T) {
	eval(t, `$begun = Queue.new
		class << Tasker::Host::Children
		  alias plainly note
		  def note(pid) = plainly(pid).tap { ($begun << 1; sleep 0.05) if $widened }
		end
		nil`)
	defer eval(t, "class << Tasker::Host::Children; alias note plainly; remove_method :plainly; end; nil")
	file := filepath.Join(t.TempDir(), "runs")
	for name, call := range map[string]string{"system": "system(command)", "backticks": "`#{command}`"} {
		out, err := run(t, processBody(t, fmt.Sprintf(`
			late, here, $widened = Class.new(StandardError), Thread.current, true
			command = "echo %s >> %s"
			Thread.new { $begun.pop; here.raise(late) }
			begin; %s; sleep; rescue late; "late"; ensure $widened = false; end`, name, file, call)))
		require.NoError(t, err)
		require.Equal(t, `"late"`, out)
	}
	require.Eventually(t, func() bool {
		ran, err := os.ReadFile(file)
		return err == nil && strings.Contains(string(ran), "system\n") && strings.Contains(string(ran), "backticks\n")
	}, 10*time.Second, time.Millisecond)
	ran, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, 2, strings.Count(string(ran), "\n"), string(ran))
	requireHealthy(t)
}

// CRuby before 3.3 has one of its sleeping threads look for the ends of children, and hands
// that over from one to the other. Here the second child ends while its thread, which was
// just handed it, waits for Ruby's lock. So nobody looks when the first child ends.
func TestNoEndOfAChildIsMissed(t *testing.T) {
	var all sync.WaitGroup
	ended := make(chan error, 3)
	for _, body := range []string{
		"n = 7**2_000_000; sleep 0.4; Integer.sqrt(n)", // looks first, then keeps the lock
		`system("exec sleep 1.8")`,                     // ends last
		`system("exec sleep 0.7")`,                     // is handed the looking
	} {
		h := processBody(t, body+"\nnil")
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			_, err := h.Run(ctx, aStep())
			ended <- err
		})
		time.Sleep(100 * time.Millisecond) // the order is likely so, and the result is right in any
	}
	all.Wait()
	for range cap(ended) {
		require.NoError(t, <-ended)
	}
}
