package pgtest_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgtest"
)

// endVariable makes this test binary another one. Its value says how that one ends.
const endVariable = "PGTEST_END"

// TestInAnotherBinary is the test that the other test binary runs.
func TestInAnotherBinary(t *testing.T) {
	end := os.Getenv(endVariable)
	if end == "" {
		t.Parallel()
		pgtest.New(t)
		return
	}
	pool := pgtest.New(t)
	var sockets string
	require.NoError(t, pool.QueryRow(t.Context(), "show unix_socket_directories").Scan(&sockets))
	_, err := os.Stdout.WriteString("dir " + filepath.Dir(strings.Trim(sockets, `"`)) + "\n")
	require.NoError(t, err)
	switch end {
	case "panics":
		panic("on purpose")
	case "is killed":
		require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGKILL))
	case "fails":
		require.Fail(t, "on purpose")
	}
}

func TestTheServerEndsWithTheBinary(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"passes", "fails", "panics", "is killed"} {
		t.Run("which "+end, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command("/proc/self/exe", "-test.run=^TestInAnotherBinary$")
			cmd.Env = append(os.Environ(), endVariable+"="+end, "TASKER_TEST_DATABASE_URL=")
			output, err := cmd.CombinedOutput()
			require.Equal(t, end == "passes", err == nil, "%s", output)
			_, dir, found := strings.Cut(string(output), "dir ")
			require.True(t, found, "%s", output)
			dir, _, _ = strings.Cut(dir, "\n")
			require.Eventually(t, func() bool {
				_, err := os.Stat(dir)
				return os.IsNotExist(err) && !anyProcessOf(dir)
			}, 2*time.Minute, 20*time.Millisecond)
		})
	}
}

// anyProcessOf looks for the supervisor and the server of a folder.
func anyProcessOf(dir string) bool {
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, line := range lines {
		content, _ := os.ReadFile(line) // it may be gone by now
		if strings.Contains(string(content), dir) {
			return true
		}
	}
	return false
}

// On a server that outlives the binaries, the next binary drops the databases of a
// killed one, and leaves those of a living one alone.
func TestAServerOfOnesOwnIsSweptAndKept(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	other := func(end string) {
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestInAnotherBinary$")
		cmd.Env = append(os.Environ(), endVariable+"="+end, "TASKER_TEST_DATABASE_URL="+url)
		output, err := cmd.CombinedOutput()
		require.Equal(t, end == "passes", err == nil, "%s", output)
	}
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(context.Background())) }()
	before := databases(t, conn)
	other("is killed")
	require.Greater(t, databases(t, conn), before)
	require.Eventually(t, func() bool {
		other("passes")
		return databases(t, conn) == before
	}, 2*time.Minute, 10*time.Millisecond, "the killed one's session takes a moment to end")
}

// databases counts the databases of other test binaries.
func databases(t *testing.T, conn *pgx.Conn) int {
	t.Helper()
	var n int
	const others = `select count(*) from pg_database where datname like 'tasker_test_%'
		and datname not like (select regexp_replace(current_database(), '\d+$', '%'))`
	require.NoError(t, conn.QueryRow(t.Context(), others).Scan(&n))
	return n
}
