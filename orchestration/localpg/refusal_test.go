package localpg_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/errors"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration/localpg"
)

// requireRefusal requires an error with this text and a hint with that one.
func requireRefusal(t testing.TB, err error, text, hint string) {
	t.Helper()
	require.ErrorContains(t, err, text)
	require.Contains(t, errors.FlattenHints(err), hint)
}

func TestDataOfAnotherVersionIsRefused(t *testing.T) {
	t.Parallel()
	dir := stateDir(t)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "data"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "data", "PG_VERSION"), []byte("9\n"), 0o600))
	giveToServerUser(t, filepath.Join(dir, "data"))
	_, err := localpg.Start(t.Context(), localpg.Options{Dir: dir})
	requireRefusal(t, err, "was made by PostgreSQL 9, but only", "Install PostgreSQL 9 again")
}

// giveToServerUser makes the user who runs this user's servers the folder's owner.
func giveToServerUser(t testing.TB, dir string) {
	t.Helper()
	if os.Geteuid() == 0 {
		made := stateDir(t)
		require.NoError(t, open(t, localpg.Options{Dir: made}).Close())
		info, err := os.Stat(filepath.Join(made, "data"))
		require.NoError(t, err)
		stat := info.Sys().(*syscall.Stat_t)
		require.NoError(t, os.Chown(dir, int(stat.Uid), int(stat.Gid)))
	}
}

func TestAFolderWithoutBinariesIsRefused(t *testing.T) {
	t.Parallel()
	_, err := localpg.Start(t.Context(), localpg.Options{Dir: stateDir(t), BinDir: t.TempDir()})
	requireRefusal(t, err, "no PostgreSQL server in", "holds postgres and initdb")
	_, err = localpg.Start(t.Context(), localpg.Options{Dir: stateDir(t), BinDir: "bin"})
	requireRefusal(t, err, "not an absolute path", "holds postgres and initdb")
}

func TestAPlaceThatCannotBeWrittenIsRefused(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for _, dir := range []string{file, filepath.Join(file, "below"), "/proc/tasker-rb"} {
		_, err := localpg.Start(t.Context(), localpg.Options{Dir: dir})
		requireRefusal(t, err, "no place for the database", "Set XDG_STATE_HOME to a folder that you can write")
	}
	_, err := localpg.Start(t.Context(), localpg.Options{Ephemeral: true, Dir: "/proc"})
	requireRefusal(t, err, "no place for the database", "TMPDIR")
}

func TestDataThatIsNotPostgreSQLsIsLeftAlone(t *testing.T) {
	t.Parallel()
	dir := stateDir(t)
	data := filepath.Join(dir, "data")
	require.NoError(t, os.Mkdir(data, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(data, "thesis.txt"), []byte("mine"), 0o600))
	giveToServerUser(t, data)
	_, err := localpg.Start(t.Context(), localpg.Options{Dir: dir})
	requireRefusal(t, err, "is not empty, and is not a PostgreSQL database", "Move it away")
	require.FileExists(t, filepath.Join(data, "thesis.txt"))
}

func TestDamagedDataIsReported(t *testing.T) {
	t.Parallel()
	dir := stateDir(t)
	require.NoError(t, open(t, localpg.Options{Dir: dir}).Close())
	logs, err := filepath.Glob(filepath.Join(dir, "data", "pg_wal", "0*"))
	require.NoError(t, err)
	require.NotEmpty(t, logs)
	for _, log := range logs {
		require.NoError(t, os.Remove(log))
	}
	_, err = localpg.Start(t.Context(), localpg.Options{Dir: dir})
	requireRefusal(t, err, "could not locate a valid checkpoint record", "The data is damaged")
	requireSoonGone(t, dir)
}

func TestAServerThatTaskerRbDidNotStartIsLeftAlone(t *testing.T) {
	t.Parallel()
	dir := stateDir(t)
	server := open(t, localpg.Options{Dir: dir})
	ask(t, server.URL(), "create table notes as select 'kept' as note")
	require.NoError(t, server.Close())

	installations := localpg.Installations(t.Context())
	require.NotEmpty(t, installations)
	data := filepath.Join(dir, "data")
	info, err := os.Stat(data)
	require.NoError(t, err)
	stat := info.Sys().(*syscall.Stat_t)
	foreign := exec.Command(filepath.Join(installations[0].BinDir, "postgres"), "-D", data,
		"-c", "listen_addresses=", "-c", "unix_socket_directories="+filepath.Join(dir, "run"), "-c", "port=5433")
	foreign.Dir = "/"
	if os.Geteuid() == 0 {
		foreign.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: stat.Uid, Gid: stat.Gid}}
	}
	require.NoError(t, foreign.Start())
	defer func() {
		require.NoError(t, foreign.Process.Signal(syscall.SIGINT))
		require.NoError(t, foreign.Wait())
	}()
	url := strings.Replace(server.URL(), "5432", "5433", 1)
	require.True(t, waitUntil(func() bool { _, err := tryAsk(url, "select '1'"); return err == nil }))

	_, err = localpg.Start(t.Context(), localpg.Options{Dir: dir})
	requireRefusal(t, err, "which tasker-rb did not start, runs a server on", "pg_ctl")
	require.Equal(t, "kept", ask(t, url, "select note from notes"))
}
