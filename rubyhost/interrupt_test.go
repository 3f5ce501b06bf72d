package rubyhost_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/effort"
	"github.com/tasker-rb/tasker-rb/rubyhost"
)

func init() {
	// The caller polls for longer than the question takes, so it sees the end of the call
	// before the end of its context.
	children["a service that gives up with the call"] = func() {
		h := mustBoot(rubyhost.Options{Threads: 1, Spin: time.Minute})
		must(serveMixed(h))
		mustEval(h, `class Asks < Tasker::StepHandler::Base; def process(task, sequence, step) = Tasker::Host.ask("slow", ""); end; nil`)
		handler, err := h.Handler(context.Background(), "Asks")
		must(err)
		for range 20 {
			_, err := runFor(handler, time.Millisecond)
			fmt.Println(endedAs(err))
		}
		must(h.Close())
	}
}

// A service often learns that the time is up before the Ruby code does.
func TestInterruptIsTheErrorWhenAServiceGivesUp(t *testing.T) {
	t.Parallel()
	out, err := inChild(t, "a service that gives up with the call")
	require.NoError(t, err, out)
	require.Equal(t, strings.Repeat("interrupted\n", 20), out)
}

func init() {
	// The question ends the context and has the process stopped for longer than its grace.
	children["a process that stands still"] = func() {
		h := mustBoot(rubyhost.Options{Threads: 1, Grace: 2 * time.Second})
		ctx, cancel := context.WithCancel(context.Background())
		must(h.Serve(context.Background(), "stop", func(context.Context, []byte) ([]byte, error) {
			cancel()
			must(until(func() bool { return h.Stats().Timeouts == 1 }))
			return nil, exec.Command("sh", "-c", "kill -STOP $PPID; sleep 3; kill -CONT $PPID").Run()
		}))
		_, err := h.Eval(ctx, `Thread.handle_interrupt(Object => :never) { Tasker::Host.ask("stop", ""); sleep 0.5 }; sleep`, "still.rb")
		var interrupted *rubyhost.InterruptedError
		fmt.Println(errors.As(err, &interrupted) && !interrupted.Stuck && interrupted.After > 2*time.Second, err)
		must(h.Close())
	}
}

// A handler cannot stop while the whole process stands still, so that time is none of its
// grace.
func TestGraceDoesNotPassWhileTheProcessStandsStill(t *testing.T) {
	t.Parallel()
	out, err := inChild(t, "a process that stands still")
	require.NoError(t, err, out)
	require.True(t, strings.HasPrefix(out, "true "), out)
}

// Each body would run for ever; its context ends as soon as it has begun.
func TestInterrupt(t *testing.T) {
	for _, c := range []struct {
		name, body string
		backtrace  bool // whether the place is known
	}{
		{"sleep", "sleep", true},
		{"computing", "loop { }", true},
		{"rescue => e", "loop { begin; sleep; rescue => e; end }", true},
		{"rescue Exception once", "begin; sleep; rescue Exception; end; sleep", true},
		{"rescue Exception in a loop", "loop { begin; sleep; rescue Exception; end }", false},
		{"waiting on a queue", "Queue.new.pop", true},
		{"waiting for a child", "pid = spawn('sleep 60'); begin; Process.wait(pid); ensure; Process.kill(:KILL, pid); Process.wait(pid); end", true},
		{"reading a pipe", "reader, writer = IO.pipe; reader.read; writer", true},
		{"joining a thread", "Thread.new { sleep }.join", true},
		{"in a fiber", "Fiber.new { sleep }.resume", true},
		{"in an enumerator", "Enumerator.new { |y| sleep; y << 1 }.next", true},
		{"in Timeout", "require 'timeout'; Timeout.timeout(60) { sleep }", true},
		{"in a mutex", "m = Mutex.new; m.lock; m.synchronize { } rescue sleep", true},
		{"in an ensure block", "begin; raise 'x'; ensure; sleep; end", true},
		{"on a condition variable", "m = Mutex.new; c = ConditionVariable.new; m.synchronize { c.wait(m) }", true},
		{"on a monitor", "require 'monitor'; m = Monitor.new; c = m.new_cond; m.synchronize { c.wait }", true},
		{"for a mutex that another thread holds", "m = Mutex.new; Thread.new { m.lock; sleep }; sleep 0.001 until m.locked?; m.lock", true},
		{"for a lock on a file", "File.open('BEGUN.lock', 'w') { |f| f.flock(File::LOCK_EX); File.open('BEGUN.lock', 'w') { |g| g.flock(File::LOCK_EX) } }", true},
		{"opening a fifo", "File.mkfifo('BEGUN.fifo'); File.read('BEGUN.fifo')", true},
		{"for a program", "system('exec sleep 60', %i[out err] => File::NULL)", true},
		{"in a Regexp", "/^(a+)+\\1$/ =~ ('a' * 40 + 'b')", true},
		{"in a sort", "a = (1..30_000).to_a.shuffle; loop { a.sort }", true}, // much shorter than interruptEvery
		{"in big numbers", "x = 3**1_000_000; loop { x * x }", true},
		{"printing", "loop { puts 'x' }", true},
		{"in the result's to_h", "[Class.new { def to_h = sleep }.new]", true},
		{"in the error's message", "raise(Class.new(StandardError) { def message = sleep })", false},
		{"retry for ever", "begin; sleep; rescue Exception; retry; end", false},
		{"Timeout, and all is rescued", "require 'timeout'; loop { begin; Timeout.timeout(0.01) { sleep }; rescue Exception; end }", false},
		{"masked", "Thread.handle_interrupt(Object => :never) { deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + 0.3; nil while Process.clock_gettime(Process::CLOCK_MONOTONIC) < deadline }; sleep", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			begun := filepath.Join(t.TempDir(), "begun")
			body := strings.ReplaceAll(c.body, "BEGUN", begun)
			h := processBody(t, "File.write('"+begun+"', 'x')\n"+body)
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			go func() {
				for {
					if _, err := os.Stat(begun); err == nil {
						break
					}
					time.Sleep(time.Millisecond)
				}
				cancel(errors.New("enough"))
			}()
			_, err := h.Run(ctx, aStep())
			var interrupted *rubyhost.InterruptedError
			require.ErrorAs(t, err, &interrupted)
			require.ErrorContains(t, err, "enough")
			require.False(t, interrupted.Stuck)
			if c.backtrace {
				require.NotEmpty(t, interrupted.Backtrace)
			}
			requireHealthy(t)
		})
	}
}

func TestInterruptRunsEnsureBlocks(t *testing.T) {
	dir := t.TempDir()
	begun, ensured := filepath.Join(dir, "begun"), filepath.Join(dir, "ensured")
	h := processBody(t, fmt.Sprintf("begin; File.write('%s', 'x'); sleep; ensure; File.write('%s', 'x'); end", begun, ensured))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := h.Run(ctx, aStep())
		done <- err
	}()
	require.Eventually(t, func() bool { _, err := os.Stat(begun); return err == nil }, 10*time.Second, time.Millisecond)
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	require.FileExists(t, ensured)
}

// An interrupt is repeated, so it may come while the report of an error is made. The
// report has its place nevertheless.
func TestInterruptOfAReport(t *testing.T) {
	eval(t, "$in_report = Queue.new; nil")
	h := processBody(t, `
		error = Class.new(StandardError) do
		  def backtrace
		    return super if @waited || caller.none? { |line| line.include?("error_report.rb") }
		    @waited = true
		    $in_report << 1
		    sleep
		  end
		end
		raise error, "late"`)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := h.Run(ctx, aStep())
		done <- err
	}()
	eval(t, "$in_report.pop; nil")
	cancel()
	var interrupted *rubyhost.InterruptedError
	require.ErrorAs(t, <-done, &interrupted)
	require.NotEmpty(t, interrupted.Backtrace)
	require.Contains(t, interrupted.Backtrace[0], "process")
	requireHealthy(t)
}

// On a busy machine the report of an interrupt takes longer than it is until the next one.
func TestInterruptsOfASlowReport(t *testing.T) {
	eval(t, `$begun, $slow_reports = Queue.new, 0
		Tasker::Execution::ErrorReport.prepend(Module.new do
			private def excerpt(lines) = super.tap { sleep if ($slow_reports -= 1) >= 0 }
		end)
		nil`)
	h := processBody(t, "$slow_reports = 3; $begun << 1; sleep")
	_, err := runUntilBegun(t, h)
	require.ErrorContains(t, err, "the handler was interrupted at handlers/"+h.Class()+".rb:3")
	requireHealthy(t)
}

// An interrupt that comes at the very end of one call never hits the next.
func TestInterruptDoesNotHitTheNextCall(t *testing.T) {
	short := processBody(t, "sleep 0.001; 1")
	next := processBody(t, "x = 0; 200.times { x += 1 }; x")
	for i := range 200 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond+time.Duration(i)*time.Microsecond)
		_, err := short.Run(ctx, aStep())
		cancel()
		if err != nil {
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
		out, err := run(t, next)
		require.NoError(t, err)
		require.Equal(t, "200", out)
	}
	requireHealthy(t)
}

// The host goes on telling abandoned threads to end. One that masks its interrupts
// must not collect them.
func TestInterruptsOfAbandonedThreadsDoNotPileUp(t *testing.T) {
	eval(t, "$let_go, $woken, $begun = false, [0, 0], Queue.new; nil")
	masked := func(i int) string {
		return fmt.Sprintf("Thread.handle_interrupt(Object => :never) { $begun << 1; $woken[%d] += 1 while !$let_go && sleep }", i)
	}
	_, err := run(t, processBody(t, "Thread.new { "+masked(0)+" }; $begun.pop; :ok"))
	require.NoError(t, err)
	_, err = runUntilBegun(t, processBody(t, masked(1)))
	var interrupted *rubyhost.InterruptedError
	require.ErrorAs(t, err, &interrupted)
	require.True(t, interrupted.Stuck)
	await := func(times int) {
		t.Helper()
		require.Eventually(t, func() bool { return eval(t, fmt.Sprintf("$woken.min >= %d", times)) == "true" }, 30*time.Second, 10*time.Millisecond)
	}
	const count = "GC.start; ObjectSpace.each_object(Tasker::Host::Interrupt).count"
	await(1)
	before, err := strconv.Atoi(eval(t, count))
	require.NoError(t, err)
	await(effort.Of(3, 5))
	after, err := strconv.Atoi(eval(t, count))
	require.NoError(t, err)
	require.LessOrEqual(t, after, before+2, "a stack may still hold one or two")
	eval(t, "$let_go = true; nil")
	require.Eventually(t, func() bool { return host.Stats().Abandoned == 0 && host.Stats().ThreadsAbandoned == 0 }, 10*time.Second, time.Millisecond)
	requireHealthy(t)
}

// runUntilBegun runs a handler that says when it has begun, in the queue $begun. Then its
// context ends.
func runUntilBegun(t *testing.T, h *rubyhost.Handler) ([]byte, error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	begun := make(chan error, 1)
	go func() {
		defer cancel()
		_, err := host.Eval(context.Background(), "$begun.pop; nil", "begun.rb")
		begun <- err
	}()
	out, err := h.Run(ctx, aStep())
	require.NoError(t, <-begun)
	return out, err
}

func TestCallIsNotBegunAfterItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := processBody(t, "raise 'begun'").Run(ctx, aStep())
	require.ErrorIs(t, err, context.Canceled)
}

func TestCallInTheQueueLeavesAtOnce(t *testing.T) {
	release := filepath.Join(t.TempDir(), "release")
	block := processBody(t, "sleep 0.001 until File.exist?('"+release+"')")
	done := make(chan error, 8)
	for range 8 {
		go func() {
			_, err := block.Run(context.Background(), aStep())
			done <- err
		}()
	}
	require.Eventually(t, func() bool { return host.Stats().Busy == 8 }, 10*time.Second, time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	_, err := evalOn(ctx, "raise 'begun'")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NoError(t, os.WriteFile(release, nil, 0o600))
	for range 8 {
		require.NoError(t, <-done)
	}
	requireHealthy(t)
}

// evalOn waits for a thread, as every call does.
func evalOn(ctx context.Context, source string) ([]byte, error) {
	return host.Eval(ctx, source, "later.rb")
}
