package rubyhost_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/rubyhost"
)

// threadsOf counts the living threads whose name begins so.
func threadsOf(t testing.TB, name string) string {
	t.Helper()
	return eval(t, fmt.Sprintf(`Thread.list.count { |t| t.name.to_s.start_with?(%q) }`, name))
}

// requireEnded waits until so many threads of steps have ended since before, and
// so many threads more are alive.
func requireEnded(t testing.TB, before rubyhost.Stats, ended, more int) {
	t.Helper()
	var now rubyhost.Stats
	assert.Eventually(t, func() bool {
		now = host.Stats()
		return now.ThreadsEnded == before.ThreadsEnded+uint64(ended) &&
			now.OtherThreads == before.OtherThreads+more && now.ThreadsAbandoned == 0
	}, 30*time.Second, time.Millisecond)
	require.False(t, t.Failed(), "before %+v, now %+v", before, now)
}

// The threads that a step's own code starts end with the step, whatever they do.
// Other steps go on beside it. When the machine is busy a thread may need longer
// than the worker waits for it, and ends after the result.
func TestStepThreads(t *testing.T) {
	require.NoError(t, host.Serve(t.Context(), "unanswered", func(ctx context.Context, _ []byte) ([]byte, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}))
	honest := besideHonestCalls(t, 2)
	// Later versions of it keep a thread of the process's from then on. It has begun when it raises.
	eval(t, "require 'timeout'; begin; Timeout.timeout(0.001) { sleep }; rescue Timeout::Error; end; nil")
	for _, c := range []struct {
		name, body string
		ended      int
	}{
		{"sleeping", "Thread.new { sleep }; :ok", 1},
		{"computing", "3.times { Thread.new { loop {} } }; :ok", 3},
		{"Thread.start", "Thread.start { sleep }; :ok", 1},
		{"Thread.fork", "Thread.fork { sleep }; :ok", 1},
		{"a subclass of Thread", "Class.new(Thread) { def initialize(n) = super() { sleep n } }.new(60); :ok", 1},
		{"a subclass with an own start", "Class.new(Thread).start { sleep }; :ok", 1},
		{"through method objects", "Thread.method(:new).to_proc.call { sleep }; Thread.public_send(:new) { sleep }; :ok", 2},
		{"inside eval", "eval('Thread.new { sleep }'); :ok", 1},
		{"inside a block of a core method", "[1, 2].each { Thread.new { sleep } }; :ok", 2},
		{"threads that threads start", "q = Queue.new; Thread.new { Thread.new { q << 1; sleep }; sleep }; q.pop; :ok", 2},
		{"threads of a thread that is at its end", "q = Queue.new; Thread.new { Thread.new { q << 1; sleep } }.join; q.pop; :ok", 1},
		{"rescuing the interrupt", "q = Queue.new; Thread.new { begin; q << 1; sleep; rescue Exception; retry; end }; q.pop; :ok", 1},
		{"rescuing while computing", "q = Queue.new; Thread.new { begin; q << 1; loop {}; rescue Exception; retry; end }; q.pop; :ok", 1},
		{"sleeping in ensure", "q = Queue.new; Thread.new { begin; q << 1; sleep; ensure; sleep 60; end }; q.pop; :ok", 1},
		{"computing in ensure", "q = Queue.new; Thread.new { begin; q << 1; sleep; ensure; loop {}; end }; q.pop; :ok", 1},
		// On a busy machine the kill may come with the interrupt, and would spare the ensure block.
		{"starting another in ensure", `
			q, given = Queue.new, ->(way, &block) { Thread.handle_interrupt(Object => way, &block) }
			given.(:never) do
				Thread.new { begin; q << 1; given.(:immediate) { sleep }; ensure; Thread.new { given.(:immediate) { sleep } }; end }
			end
			q.pop; :ok`, 2},
		{"inside a Timeout", "require 'timeout'; q = Queue.new; Thread.new { Timeout.timeout(60) { q << 1; sleep } }; q.pop; :ok", 1},
		{"inside a Timeout of the step's", "require 'timeout'; Timeout.timeout(60) { Thread.new { sleep } }; :ok", 1},
		{"waiting for the host", "q = Queue.new; Thread.new { q << 1; Tasker::Host.ask('unanswered', '') }; q.pop; :ok", 1},
		{"waiting for a child", "Thread.new { system('sleep 60', %i[out err] => File::NULL) }; Thread.pass; :ok", 1},
		{"holding a lock", "m = Mutex.new; q = Queue.new; Thread.new { m.synchronize { q << 1; sleep } }; q.pop; :ok", 1},
		{"with abort_on_exception", "q = Queue.new; Thread.new { Thread.current.abort_on_exception = true; q << 1; sleep }; q.pop; :ok", 1},
		{"of a Fiber of the step's", "Fiber.new { Thread.new { sleep } }.resume; :ok", 1},
		{"killed before they begin", "[Thread.new { sleep }.kill, Thread.start { sleep }.kill].each(&:join); :ok", 0},
		{"after a failure", "Thread.new { sleep }; raise 'the step fails'", 1},
		{"after an exit", "Thread.new { sleep }; Thread.exit", 1},
		{"at their end by themselves", "Thread.new { 1 }.join; :ok", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := host.Stats()
			out, err := run(t, processBody(t, c.body))
			if err == nil {
				require.Equal(t, `"ok"`, out)
			}
			requireEnded(t, before, c.ended, 0)
		})
	}
	require.NoError(t, honest.more(10))
	honest.requireRight(t)
	requireHealthy(t)
}

// One that cannot be ended is abandoned, and does not hold up the result. The
// host goes on telling it to end.
func TestStepThreadThatDoesNotEndIsAbandoned(t *testing.T) {
	honest := besideHonestCalls(t, 2)
	before := host.Stats()
	eval(t, "$let_go = false; nil")
	h := processBody(t, `
		q = Queue.new
		Thread.new { Thread.handle_interrupt(Object => :never) { q << 1; sleep 0.001 until $let_go } }.tap { |t| t.name = "masked" }
		q.pop
		:ok`)
	out, err := run(t, h) // although the thread goes on
	require.NoError(t, err)
	require.Equal(t, `"ok"`, out)
	require.Equal(t, 1, host.Stats().ThreadsAbandoned)
	require.Equal(t, before.ThreadsEnded, host.Stats().ThreadsEnded)
	require.Eventually(t, func() bool {
		return len(logs.lines(`the thread \"masked\" from handlers/`+h.Class()+`.rb:5 did not end with the step and was abandoned`)) == 1
	}, 10*time.Second, time.Millisecond)
	eval(t, "$let_go = true; nil")
	requireEnded(t, before, 1, 0)
	require.NoError(t, honest.more(10))
	honest.requireRight(t)
	requireHealthy(t)
}

// A thread that is created when the step's end is near begins after it, if at
// all, and runs nothing.
func TestStepThreadThatBeginsAfterItsStep(t *testing.T) {
	honest := besideHonestCalls(t, 2)
	eval(t, "$ran_late = 0; nil")
	h := processBody(t, "20.times { Thread.new { sleep 60; $ran_late += 1 }; Thread.start { sleep 60; $ran_late += 1 } }; :ok")
	before := host.Stats()
	out, err := run(t, h)
	require.NoError(t, err)
	require.Equal(t, `"ok"`, out)
	require.Eventually(t, func() bool { return host.Stats().OtherThreads == before.OtherThreads }, 10*time.Second, time.Millisecond)
	require.Equal(t, "0", eval(t, "$ran_late"))
	honest.requireRight(t)
	requireHealthy(t)
}

// Each thread that was ended is in the log with its name and the line that
// created it, with the attributes of the step.
func TestStepThreadsAreLogged(t *testing.T) {
	var file string
	abandoned := func(line map[string]any) bool { return strings.Contains(fmt.Sprint(line["msg"]), "did not end") }
	// On a busy machine a thread may have had no time to end. Then another step tries.
	for tries := 0; file == "" || slices.ContainsFunc(logs.lines("from "+file), abandoned); tries++ {
		require.Less(t, tries, 20, "its threads are always abandoned")
		h := processBody(t, `
		Thread.new { sleep }.name = "poller"
		3.times { Thread.new { sleep } }
		:ok`)
		_, err := run(t, h)
		require.NoError(t, err)
		file = "handlers/" + h.Class() + ".rb"
	}
	for _, text := range []string{
		`the thread \"poller\" from ` + file + `:4 ended with the step`,
		`3 threads from ` + file + `:5 ended with the step`,
	} {
		require.Eventually(t, func() bool { return len(logs.lines(text)) == 1 }, 10*time.Second, time.Millisecond, text)
	}
	line := logs.lines(`3 threads from ` + file)[0]
	require.Equal(t, "WARN", line["level"])
	require.Equal(t, 3.0, line["threads"])
	require.Equal(t, file+":5", line["place"])
	require.Empty(t, logs.lines("(Tasker::Host::Interrupt)"), "an interrupt of ours is no failure of the thread's")
}

// A thread that could not be started is none: nobody waits for it, and no line is
// about it.
func TestStepThreadsThatCouldNotStart(t *testing.T) {
	for name, body := range map[string]string{
		"new":        "Thread.new { sleep }",
		"start":      "Thread.start { sleep }",
		"a subclass": "Class.new(Thread) { def initialize = super() { sleep } }.new",
	} {
		t.Run(name, func(t *testing.T) {
			h := processBody(t, "Thread.current.group.freeze; begin; "+body+"; rescue ThreadError => e; e.message; end")
			before := host.Stats()
			out, err := run(t, h)
			require.NoError(t, err)
			require.Contains(t, out, "frozen ThreadGroup")
			require.Empty(t, logs.lines("from handlers/"+h.Class()))
			requireEnded(t, before, 0, 0)
		})
	}
	requireHealthy(t)
}

func TestStepThreadsKept(t *testing.T) {
	honest := besideHonestCalls(t, 2)
	wake := func(t *testing.T) {
		t.Helper()
		eval(t, "$kept_goes_on << 1; nil")
		require.Equal(t, `"went on"`, eval(t, "$kept_answers.pop"))
		require.Eventually(t, func() bool { return threadsOf(t, "kept") == "0" }, 10*time.Second, time.Millisecond)
	}
	const thread = `Thread.new { $kept_goes_on.pop; $kept_answers << "went on" }.tap { |t| t.name = "kept" }`
	for name, body := range map[string]string{
		"keep_thread":                        "Tasker.keep_thread { " + thread + " }",
		"threads that a kept thread starts":  "Tasker.keep_thread { Thread.new { " + thread + " }.join }; sleep 0.001 until Thread.list.any? { |t| t.name == 'kept' }",
		"keep_thread around another's block": "m = -> { " + thread + " }; Tasker.keep_thread { m.call }",
	} {
		t.Run(name, func(t *testing.T) {
			eval(t, "$kept_goes_on, $kept_answers = Queue.new, Queue.new; nil")
			_, err := run(t, processBody(t, body+"; Thread.new { sleep }.name = 'ends'; :ok"))
			require.NoError(t, err)
			require.Equal(t, "1", threadsOf(t, "kept"))
			wake(t)
		})
	}
	t.Run("Step.KeepThreads", func(t *testing.T) {
		eval(t, "$kept_goes_on, $kept_answers = Queue.new, Queue.new; nil")
		step := aStep()
		step.KeepThreads = true
		_, err := processBody(t, thread+"; :ok").Run(t.Context(), step)
		require.NoError(t, err)
		require.Equal(t, "1", threadsOf(t, "kept"))
		wake(t)
	})
	t.Run("what is no step", func(t *testing.T) {
		eval(t, "$kept_goes_on, $kept_answers = Queue.new, Queue.new; "+thread+"; nil")
		require.Equal(t, "1", threadsOf(t, "kept"))
		wake(t)
	})
	t.Run("keep_thread ends with its block", func(t *testing.T) {
		before := host.Stats()
		_, err := run(t, processBody(t, "Tasker.keep_thread { }; (Tasker.keep_thread { raise 'x' } rescue nil); Thread.new { sleep }; :ok"))
		require.NoError(t, err)
		requireEnded(t, before, 1, 0)
	})
	honest.requireRight(t)
	requireHealthy(t)
}

// writeFiles writes files below a new folder and returns it.
func writeFiles(t testing.TB, files map[string]string) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	for name, content := range files {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	}
	return dir
}

// A pool that a gem makes when a step first uses it belongs to the process, and
// serves the next step. A thread of the handler's own beside it ends.
func TestStepThreadsOfGemsStay(t *testing.T) {
	dir := writeFiles(t, map[string]string{
		"gem/lazy_pool.rb": `
			module LazyPool
				def self.run(&job)
					@jobs ||= Queue.new
					@worker ||= Thread.new { loop { job, answer = @jobs.pop; answer << job.call } }.tap { |t| t.name = "lazy pool" }
					@jobs << [job, answer = Queue.new]
					answer.pop
				end
				def self.stop = @worker = @worker.kill.join && nil
			end`,
		"handlers/uses_the_pool.rb": `
			require "lazy_pool"
			class UsesThePool < Tasker::StepHandler::Base
				def process(task, sequence, step)
					Thread.new { sleep }.name = "the handler's own"
					{ from_the_pool: LazyPool.run { [Thread.current.name, Thread.current.object_id] } }
				end
			end`,
		"loaded.rb": `
			class LoadedByPath < Tasker::StepHandler::Base
				def process(task, sequence, step) = Thread.new { sleep }.then { :ok }
			end`,
	})
	eval(t, fmt.Sprintf("$LOAD_PATH.unshift(%q); nil", filepath.Join(dir, "gem")))
	require.NoError(t, host.LoadDir(t.Context(), filepath.Join(dir, "handlers")))
	h, err := host.Handler(t.Context(), "UsesThePool")
	require.NoError(t, err)
	honest := besideHonestCalls(t, 2)
	before := host.Stats()
	first, err := run(t, h)
	require.NoError(t, err)
	for range 5 {
		again, err := run(t, h)
		require.NoError(t, err)
		require.Equal(t, first, again, "the same thread serves all steps")
	}
	require.Contains(t, first, "lazy pool")
	requireEnded(t, before, 6, 1)
	eval(t, "LazyPool.stop")
	requireEnded(t, before, 6, 0)

	require.NoError(t, host.Load(t.Context(), filepath.Join(dir, "loaded.rb")))
	h, err = host.Handler(t.Context(), "LoadedByPath")
	require.NoError(t, err)
	_, err = run(t, h)
	require.NoError(t, err)
	requireEnded(t, before, 7, 0)
	honest.requireRight(t)
	requireHealthy(t)
}

// A step's own end, by a timeout, also ends its threads, and is not held up by them.
func TestStepThreadsEndWhenTheStepIsInterrupted(t *testing.T) {
	honest := besideHonestCalls(t, 2)
	eval(t, "$begun = Queue.new; nil")
	h := processBody(t, "5.times { Thread.new { begin; sleep; ensure; sleep 60; end } }; $begun << 1; sleep")
	before := host.Stats()
	_, err := runUntilBegun(t, h)
	var interrupted *rubyhost.InterruptedError
	require.ErrorAs(t, err, &interrupted)
	require.False(t, interrupted.Stuck)
	requireEnded(t, before, 5, 0)
	honest.requireRight(t)
	requireHealthy(t)
}

// A child that a step leaves running is reported and counted, and lives on.
func TestStepChildrenLeft(t *testing.T) {
	honest := besideHonestCalls(t, 2)
	for _, c := range []struct {
		name, body string
		left       int
	}{
		{"spawn", "spawn('sleep 60')", 1},
		{"Process.spawn with options", "Process.spawn({'A' => '1'}, 'sleep 60', out: File::NULL)", 1},
		{"fork", "fork { sleep 60 }", 1},
		{"IO.popen", "IO.popen('sleep 60').pid", 1},
		{"in a thread", "Thread.new { spawn('sleep 60') }.value", 1},
		{"detached", "pid = spawn('sleep 60'); Process.detach(pid); pid", 0},
		{"Open3", "require 'open3'; Open3.popen3('sleep 60')[3].pid", 0},
		{"waited for", "pid = spawn('true'); Process.wait(pid); pid", 0},
		{"closed", "IO.popen('true').tap(&:close); 0", 0},
		{"IO.popen with a block", "IO.popen('true', &:read); 0", 0},
		{"system and backticks", "system('true'); `true`; 0", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := host.Stats().ChildrenLeft
			h := processBody(t, "\n"+c.body)
			pid, err := run(t, h)
			require.NoError(t, err)
			require.Equal(t, before+uint64(c.left), host.Stats().ChildrenLeft)
			report := fmt.Sprintf("the step leaves a child running, pid %s from handlers/%s.rb:4", pid, h.Class())
			if c.left == 0 {
				require.Empty(t, logs.lines(report))
			} else {
				require.Eventually(t, func() bool { return len(logs.lines(report)) == 1 }, 10*time.Second, time.Millisecond)
			}
			if strings.Contains(c.body, "sleep 60") { // it still runs
				eval(t, fmt.Sprintf("Process.kill(:KILL, %s); nil", pid))
				eval(t, fmt.Sprintf("begin; Process.wait(%s); rescue Errno::ECHILD; end; nil", pid))
			}
		})
	}
	honest.requireRight(t)
	requireHealthy(t)
}
