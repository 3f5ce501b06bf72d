package localpg_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/daemon"
	"github.com/tasker-rb/tasker-rb/orchestration/localpg"
)

// postmaster returns the process id of the server in dir.
func postmaster(t testing.TB, dir string) int {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(dir, "data", "postmaster.pid"))
	require.NoError(t, err)
	first, _, _ := strings.Cut(string(content), "\n")
	pid, err := strconv.Atoi(first)
	require.NoError(t, err)
	return pid
}

// supervisor returns the process id of the parent of the server in dir.
func supervisor(t testing.TB, dir string) int {
	t.Helper()
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", postmaster(t, dir)))
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(content), ") ")
	require.True(t, found)
	pid, err := strconv.Atoi(strings.Fields(rest)[1])
	require.NoError(t, err)
	return pid
}

func TestDataIsThereForTheNextCommand(t *testing.T) {
	t.Parallel()
	dir := stateDir(t)
	first := open(t, localpg.Options{Dir: dir, BinDir: realBinDir(t)})
	require.Equal(t, "on", ask(t, first.URL(), "show fsync"))
	require.Empty(t, ask(t, first.URL(), "show listen_addresses"))
	require.Equal(t, "UTF8", ask(t, first.URL(), "show server_encoding"))
	ask(t, first.URL(), "create table notes as select 'kept' as note")
	require.NoError(t, first.Close())
	requireGone(t, dir)
	require.NoError(t, first.Close(), "a second Close does nothing")

	second := open(t, localpg.Options{Dir: dir})
	require.Equal(t, "kept", ask(t, second.URL(), "select note from notes"))
	require.NoError(t, second.Close())
	requireGone(t, dir)
}

func TestCommandsShareAServerAndTheLastOneOutStopsIt(t *testing.T) {
	t.Parallel()
	ends := map[string]func(*command){
		"leaves":     (*command).leave,
		"is killed":  func(c *command) { c.kill(syscall.SIGKILL) },
		"gets ^C":    func(c *command) { c.kill(syscall.SIGINT) },
		"is hung up": func(c *command) { c.kill(syscall.SIGHUP) },
	}
	for name, end := range ends {
		t.Run("the first one "+name, func(t *testing.T) {
			t.Parallel()
			dir := stateDir(t)
			first := startCommand(t, dir)
			second := startCommand(t, dir)
			require.Equal(t, first.url, second.url)
			server := postmaster(t, dir)
			end(first)
			require.Equal(t, "1", ask(t, second.url, "select '1'"))
			require.Equal(t, server, postmaster(t, dir))
			second.leave()
			requireGone(t, dir)
		})
		t.Run("the only one "+name, func(t *testing.T) {
			t.Parallel()
			dir := stateDir(t)
			only := startCommand(t, dir)
			ask(t, only.url, "create table notes as select 'kept' as note")
			end(only)
			requireSoonGone(t, dir)
			log, err := os.ReadFile(filepath.Join(dir, "postgres.log"))
			require.NoError(t, err)
			require.Contains(t, string(log), "database system is shut down", "it was stopped, not killed")
			next := startCommand(t, dir)
			require.Equal(t, "kept", ask(t, next.url, "select note from notes"))
			next.leave()
		})
	}
}

func TestTheServerEndsWithItsSupervisor(t *testing.T) {
	t.Parallel()
	dir := stateDir(t)
	first := startCommand(t, dir)
	ask(t, first.url, "create table notes as select 'kept' as note")
	keeper := supervisor(t, dir)
	require.NoError(t, syscall.Kill(keeper, syscall.SIGKILL))
	require.True(t, waitUntil(func() bool { return syscall.Kill(keeper, 0) == syscall.ESRCH }))
	// While the first command still uses the server, another one starts it again.
	second := startCommand(t, dir)
	require.Equal(t, "kept", ask(t, second.url, "select note from notes"))
	require.Equal(t, "kept", ask(t, first.url, "select note from notes"))

	require.NoError(t, syscall.Kill(supervisor(t, dir), syscall.SIGKILL))
	requireSoonGone(t, dir)
	first.leave()
	second.leave()
}

func TestAServerThatDiesIsStartedAgain(t *testing.T) {
	t.Parallel()
	dir := stateDir(t)
	c := startCommand(t, dir)
	ask(t, c.url, "create table notes as select 'kept' as note")
	const upLongEnough = "select (clock_timestamp() - pg_postmaster_start_time() > '1.2 s')::text"
	require.True(t, waitUntil(func() bool { return ask(t, c.url, upLongEnough) == "true" }))
	dead := postmaster(t, dir)
	require.NoError(t, syscall.Kill(dead, syscall.SIGKILL))
	require.True(t, waitUntil(func() bool {
		note, err := tryAsk(c.url, "select note from notes")
		return err == nil && note == "kept"
	}))
	require.NotEqual(t, dead, postmaster(t, dir))
	c.leave()
	requireGone(t, dir)
}

func TestAServerThatDiesAtOnceIsNotStartedForEver(t *testing.T) {
	t.Parallel()
	dir := stateDir(t)
	c := startCommand(t, dir)
	require.True(t, waitUntil(func() bool {
		if content, err := os.ReadFile(filepath.Join(dir, "data", "postmaster.pid")); err == nil {
			first, _, _ := strings.Cut(string(content), "\n")
			if pid, err := strconv.Atoi(first); err == nil {
				_ = syscall.Kill(pid, syscall.SIGKILL) // it may be dead already
			}
		}
		return !anyProcess(dir)
	}))
	c.leave()
	requireGone(t, dir)
	next := startCommand(t, dir)
	require.Equal(t, "1", ask(t, next.url, "select '1'"))
	next.leave()
}

func TestWhatAKilledServerLeftIsNoObstacle(t *testing.T) {
	t.Parallel()
	dir := stateDir(t)
	c := startCommand(t, dir)
	ask(t, c.url, "create table notes as select 'kept' as note")
	pid := filepath.Join(dir, "data", "postmaster.pid")
	stale, err := os.ReadFile(pid)
	require.NoError(t, err)
	server, keeper := postmaster(t, dir), supervisor(t, dir)
	frozen, err := os.FindProcess(keeper)
	require.NoError(t, err)
	daemon.Freeze(t, frozen) // it must not tidy up
	require.NoError(t, syscall.Kill(server, syscall.SIGKILL))
	require.NoError(t, syscall.Kill(keeper, syscall.SIGKILL))
	c.kill(syscall.SIGKILL)
	require.FileExists(t, pid)
	require.FileExists(t, filepath.Join(dir, "run", ".s.PGSQL.5432.lock"))

	// The worst case: the process id now belongs to another process of the server's
	// user. PostgreSQL would take that one for a running server.
	for _, file := range []string{pid, filepath.Join(dir, "run", ".s.PGSQL.5432.lock")} {
		_, rest, _ := strings.Cut(string(stale), "\n")
		owner := sleeper(t, dir)
		require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, "%d\n%s", owner, rest), 0o600))
	}
	require.True(t, waitUntil(func() bool { return !anyProcess(dir) }))
	next := startCommand(t, dir)
	require.Equal(t, "kept", ask(t, next.url, "select note from notes"))
	next.leave()
}

// sleeper starts a process of the user who owns the data, and returns its id.
func sleeper(t testing.TB, dir string) int {
	t.Helper()
	info, err := os.Stat(filepath.Join(dir, "data"))
	require.NoError(t, err)
	stat := info.Sys().(*syscall.Stat_t)
	cmd := exec.Command("sleep", "600")
	cmd.Dir = "/"
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: stat.Uid, Gid: stat.Gid}}
	}
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd.Process.Pid
}

// anyProcess reports whether a process of a server in dir lives.
func anyProcess(dir string) bool {
	for _, found := range remains(dir) {
		if strings.HasPrefix(found, "/proc/") {
			return true
		}
	}
	return false
}

func TestCommandsThatStartAtOnceShareOneServer(t *testing.T) {
	t.Parallel()
	dir := stateDir(t)
	commands := make([]*command, 8)
	for i := range commands {
		commands[i] = begin(t, order{Options: localpg.Options{Dir: dir}}, nil)
	}
	for _, c := range commands {
		c.up()
	}
	started := ask(t, commands[0].url, "select pg_postmaster_start_time()::text")
	for i, c := range commands {
		require.Equal(t, started, ask(t, c.url, "select pg_postmaster_start_time()::text"))
		if i%2 == 0 {
			c.kill(syscall.SIGKILL)
		}
	}
	for i, c := range commands {
		if i%2 == 1 {
			c.leave()
		}
	}
	requireGone(t, dir)
}

// Servers come and go while commands start and leave in every order.
func TestCommandsComeAndGo(t *testing.T) {
	t.Parallel()
	dir := stateDir(t)
	require.NoError(t, open(t, localpg.Options{Dir: dir}).Close())
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 10 {
				server, err := localpg.Start(t.Context(), localpg.Options{Dir: dir})
				if err != nil {
					t.Error(oneLine(err))
					return
				}
				if _, err := tryAsk(server.URL(), "select '1'"); err != nil {
					t.Error(oneLine(err))
				}
				if err := server.Close(); err != nil {
					t.Error(oneLine(err))
				}
			}
		})
	}
	group.Wait()
	requireGone(t, dir)
}
