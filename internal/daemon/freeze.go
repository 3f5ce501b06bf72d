package daemon

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Freeze stops a process with SIGSTOP, and waits until each of its threads stands
// still. The signal alone does not wait: on a busy machine the process still works for
// some milliseconds, and may commit what a test takes for undone. SIGCONT thaws it.
func Freeze(t testing.TB, process *os.Process) {
	t.Helper()
	require.NoError(t, process.Signal(syscall.SIGSTOP))
	require.Eventually(t, func() bool { return frozen(process.Pid) }, 2*time.Minute, time.Millisecond, "process %d does not stop", process.Pid)
}

// frozen reports whether all threads of a process are stopped, or have ended.
func frozen(pid int) bool {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	for _, thread := range threads {
		stat, err := os.ReadFile(thread)
		// The state follows the name, and a name may hold a parenthesis.
		if _, state, ok := bytes.Cut(stat[max(0, bytes.LastIndexByte(stat, ')')):], []byte(") ")); err != nil || !ok || !bytes.ContainsRune([]byte("TZ"), rune(state[0])) {
			return false
		}
	}
	return err == nil && len(threads) > 0
}
