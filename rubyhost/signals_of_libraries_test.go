package rubyhost_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/tasker-rb/tasker-rb/rubyhost"
)

func init() {
	children["a profiler's handler"] = func() {
		h := mustBoot(rubyhost.Options{Threads: 4})
		eval := func(source string) string {
			out, err := h.Eval(context.Background(), source, "profiler.rb")
			must(err)
			return string(out)
		}
		eval(`require "fiddle/import"
			module ::Profiler
				extend Fiddle::Importer
				dlload ENV.fetch("TEST_PROFILER")
				extern "void profiler_sigaction(int)"
				extern "void profiler_restore(int)"
				extern "void profiler_signal(int)"
				extern "int profiler_on_stack(int)"
				extern "int profiler_calls()"
			end
			class ::Honest
				def process(task, *) = 2_000.times.sum + task.context[:order_id]
			end
			nil`)
		honest, err := h.Handler(context.Background(), "Honest")
		must(err)
		got := make(chan os.Signal, 1)
		signal.Notify(got, syscall.SIGUSR1)
		for _, install := range []string{"sigaction", "restore", "signal"} {
			fmt.Println(install, eval("Profiler.profiler_"+install+"(Signal.list['USR1']); Profiler.profiler_on_stack(Signal.list['USR1'])"))
			must(underSignals(syscall.SIGUSR1, func() error {
				calls := startHonestCalls(4, honestStep(honest, "1999042"))
				err := calls.more(400)
				calls.mustBeRight()
				return err
			}))
		}
		fmt.Println("handled:", eval("Profiler.profiler_calls > 100"))
		must(h.Close())
	}
}

// underSignals sends each thread of the process the signal, again and again,
// while work runs.
func underSignals(s syscall.Signal, work func() error) error {
	var over atomic.Bool
	done := make(chan error, 1)
	go func() {
		for !over.Load() {
			threads, err := os.ReadDir("/proc/self/task")
			if err != nil {
				done <- err
				return
			}
			for _, thread := range threads {
				if tid, err := strconv.Atoi(thread.Name()); err == nil {
					_ = unix.Tgkill(os.Getpid(), tid, s) // it may have ended
				}
			}
		}
		done <- nil
	}()
	err := work()
	over.Store(true)
	if sent := <-done; err == nil {
		err = sent
	}
	return err
}

// Go ends the process when a handler comes without SA_ONSTACK and then reaches
// Go's own, and the handler itself runs on a goroutine's small stack.
func TestSignalHandlersOfLibrariesRunOnTheSignalStack(t *testing.T) {
	t.Parallel()
	library := filepath.Join(t.TempDir(), "profiler.so")
	out, err := exec.Command("cc", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-o", library, "testdata/profiler.c").CombinedOutput()
	require.NoError(t, err, string(out))
	said, err := inChild(t, "a profiler's handler", "TEST_PROFILER="+library)
	require.NoError(t, err, said)
	require.Equal(t, "sigaction 1\nrestore 1\nsignal 1\nhandled: true\n", requireHonestCalls(t, said))
}
