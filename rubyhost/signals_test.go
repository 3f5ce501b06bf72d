package rubyhost_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Go keeps its signals although Ruby has booted.
func TestSignalsReachGo(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGALRM, syscall.SIGPIPE} {
		t.Run(s.String(), func(t *testing.T) {
			got := make(chan os.Signal, 64)
			signal.Notify(got, s)
			defer signal.Stop(got)
			busy := processBody(t, "t = Process.clock_gettime(Process::CLOCK_MONOTONIC) + 0.02; nil while Process.clock_gettime(Process::CLOCK_MONOTONIC) < t")
			done := make(chan error, 4)
			for range 4 {
				go func() {
					_, err := busy.Run(context.Background(), aStep())
					done <- err
				}()
			}
			// While Ruby's threads compute, any of them may be the one that
			// the kernel picks.
			for range 20 {
				require.NoError(t, syscall.Kill(os.Getpid(), s))
				require.Equal(t, os.Signal(s), <-got)
			}
			for range 4 {
				require.NoError(t, <-done)
			}
		})
	}
	requireHealthy(t)
}

func TestGoRecoversFromNilDereference(t *testing.T) {
	deref := func() (recovered any) {
		defer func() { recovered = recover() }()
		var p *int
		*p = 1
		return nil
	}
	h := processBody(t, "def deeper(n) = deeper(n + 1) + 1\nbegin; deeper(0); rescue SystemStackError; :caught; end")
	var all sync.WaitGroup
	for range 4 {
		all.Add(1)
		go func() {
			defer all.Done()
			for range 10 {
				require.ErrorContains(t, deref().(error), "nil pointer")
			}
		}()
	}
	for range 5 {
		out, err := run(t, h)
		require.NoError(t, err)
		require.Equal(t, `"caught"`, out)
	}
	all.Wait()
}

// A goroutine that never calls anything is preempted with SIGURG, also while
// Ruby computes; without that the collection would wait for ever.
func TestGoPreemptsGoroutinesBesideRuby(t *testing.T) {
	var stop atomic.Bool
	var spinning sync.WaitGroup
	spinning.Go(func() {
		for n := 0; !stop.Load(); n++ {
			for i := range 1 << 20 {
				n ^= i
			}
		}
	})
	busy := processBody(t, "x = 0; 2_000_000.times { |i| x += i }; x")
	done := make(chan error, 1)
	go func() {
		_, err := busy.Run(context.Background(), aStep())
		done <- err
	}()
	for range 20 {
		runtime.GC() // stops every goroutine
	}
	require.NoError(t, <-done)
	stop.Store(true)
	spinning.Wait()
	requireHealthy(t)
}

func TestGoRunsCommandsBesideRubys(t *testing.T) {
	h := processBody(t, "`echo ruby`")
	var all sync.WaitGroup
	for range 4 {
		all.Add(1)
		go func() {
			defer all.Done()
			for range 5 {
				out, err := exec.Command("echo", "go").Output()
				if err != nil || string(out) != "go\n" {
					t.Error(string(out), err)
				}
			}
		}()
	}
	for range 5 {
		out, err := run(t, h)
		require.NoError(t, err)
		require.Equal(t, `"ruby\n"`, out)
	}
	all.Wait()
}

// Ruby leaves its SEGV handler with a longjmp: a mask set for the handler would
// stay on the thread, and its system calls could not be interrupted any more.
func TestStackOverflowLeavesNoSignalBlocked(t *testing.T) {
	out, err := run(t, processBody(t, `
		def deeper(n) = deeper(n + 1) + 1
		begin; deeper(0); rescue SystemStackError; end
		File.read("/proc/thread-self/status")[/^SigBlk:\s*(\h+)/, 1]`))
	require.NoError(t, err)
	require.Equal(t, `"0000000000000000"`, out)
}

var (
	endingSignals  = map[string]syscall.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "HUP": syscall.SIGHUP, "USR1": syscall.SIGUSR1, "PIPE": syscall.SIGPIPE}
	ignoredAtStart = map[string]bool{} // Go forgets it once it was notified of the signal
)

func init() {
	for name, number := range endingSignals {
		ignoredAtStart[name] = signal.Ignored(number)
	}
}

// A program that Ruby spawns starts with default handlers: SIGTERM ends it. What the tests
// were started to ignore stays ignored, such as SIGINT in the background of a script.
func TestSpawnedProgramsHaveDefaultHandlers(t *testing.T) {
	var names, ends []string
	for name, number := range endingSignals {
		names = append(names, name)
		if ignoredAtStart[name] {
			ends = append(ends, "null")
		} else {
			ends = append(ends, strconv.Itoa(int(number)))
		}
	}
	out, err := run(t, processBody(t, fmt.Sprintf(
		`%%w[%s].map { |s| pid = spawn("kill -#{s} $$; exit 9"); Process.wait2(pid)[1].termsig }`, strings.Join(names, " "))))
	require.NoError(t, err)
	require.Equal(t, "["+strings.Join(ends, ",")+"]", out)
}

func TestProfilingUnderLoad(t *testing.T) {
	var profile bytes.Buffer
	require.NoError(t, pprof.StartCPUProfile(&profile))
	h := processBody(t, "x = 0; 20_000.times { |i| x += i }; x")
	deadline := time.Now().Add(300 * time.Millisecond)
	for time.Now().Before(deadline) {
		out, err := run(t, h)
		require.NoError(t, err)
		require.Equal(t, "199990000", out)
	}
	pprof.StopCPUProfile()
	require.NotZero(t, profile.Len())
	requireHealthy(t)
}

func TestTrapWarns(t *testing.T) {
	_, err := run(t, processBody(t, "trap('USR1') { }"))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return len(logs.lines(`trap(\"USR1\") is ignored`)) > 0 }, 10*time.Second, time.Millisecond)
}
