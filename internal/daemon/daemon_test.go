package daemon_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/daemon"
	"github.com/tasker-rb/tasker-rb/internal/leaktest"
)

// endVariable makes this test binary another one, which a test kills.
const endVariable = "DAEMON_TEST_SLEEPS"

func TestMain(m *testing.M) { leaktest.Main(m) }

// sleeper starts a program that sleeps after it has printed a line.
func sleeper(t *testing.T) (p *daemon.Process, dir string) {
	t.Helper()
	dir = daemon.Dir(t)
	p = daemon.Start(t, dir, "/bin/sh", "-c", "echo up; exec sleep 3600")
	p.Await(func() error {
		if p.Log() != "up\n" {
			return errors.New(p.Log())
		}
		return nil
	})
	return p, dir
}

func TestAProgramEndsWithItsTest(t *testing.T) {
	t.Parallel()
	var p *daemon.Process
	var dir string
	t.Run("with a program", func(t *testing.T) {
		p, dir = sleeper(t)
		var process, folder syscall.Stat_t
		require.NoError(t, syscall.Stat(filepath.Join("/proc", strconv.Itoa(p.PID())), &process))
		require.NoError(t, syscall.Stat(dir, &folder))
		require.NotZero(t, process.Uid)
		require.Equal(t, process.Uid, folder.Uid)
	})
	<-p.Ended()
	require.NoDirExists(t, dir)
}

func TestAProgramIsStopped(t *testing.T) {
	t.Parallel()
	p, _ := sleeper(t)
	p.Stop(syscall.SIGKILL)
	<-p.Ended()
	p.Stop(syscall.SIGKILL)
}

// killThisBinary starts a program, says where it is, and ends like a killed test.
func killThisBinary(t *testing.T) {
	p, dir := sleeper(t)
	_, err := os.Stdout.WriteString("at " + strconv.Itoa(p.PID()) + " " + dir + "\n")
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGKILL))
}

func TestAKilledBinaryLeavesNoProgram(t *testing.T) {
	t.Parallel()
	if os.Getenv(endVariable) != "" {
		killThisBinary(t)
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestAKilledBinaryLeavesNoProgram$")
	cmd.Env = append(os.Environ(), endVariable+"=1")
	output, err := cmd.Output()
	require.Error(t, err)
	_, place, found := strings.Cut(string(output), "at ")
	require.True(t, found, "%s", output)
	pid, dir, _ := strings.Cut(strings.TrimSpace(place), " ")
	require.Eventually(t, func() bool {
		_, err := os.Stat(filepath.Join("/proc", pid))
		return os.IsNotExist(err)
	}, 2*time.Minute, time.Millisecond)
	daemon.Dir(t)
	require.NoDirExists(t, dir)
}

func TestProgramsOfPostgreSQLAreFound(t *testing.T) {
	t.Parallel()
	daemon.Run(t, daemon.Program(t, "postgres"), "--version")
}

func TestAFrozenProgramStandsStill(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("/bin/sh", "-c", `i=0; while :; do i=$((i+1)); echo $i > "$0"; done`, filepath.Join(t.TempDir(), "count"))
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	})
	written := func() string {
		count, err := os.ReadFile(cmd.Args[3])
		if err != nil {
			return ""
		}
		return string(count)
	}
	require.Eventually(t, func() bool { return written() != "" }, 2*time.Minute, time.Millisecond)
	daemon.Freeze(t, cmd.Process)
	before := written()
	require.Never(t, func() bool { return written() != before }, 50*time.Millisecond, time.Millisecond)
	require.NoError(t, cmd.Process.Signal(syscall.SIGCONT))
	require.Eventually(t, func() bool { return written() != before && written() != "" }, 2*time.Minute, time.Millisecond)
}
