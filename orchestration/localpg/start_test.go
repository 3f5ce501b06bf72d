package localpg_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration/localpg"
)

func TestAnEphemeralServerLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := stateDir(t)
	server := open(t, localpg.Options{Ephemeral: true, Dir: dir})
	require.Equal(t, "off", ask(t, server.URL(), "show fsync"))
	other := open(t, localpg.Options{Ephemeral: true, Dir: dir})
	require.NotEqual(t, server.URL(), other.URL())
	require.NoError(t, server.Close())
	require.Equal(t, "1", ask(t, other.URL(), "select '1'"))
	require.NoError(t, other.Close())
	requireEmpty(t, dir)

	killed := begin(t, order{Options: localpg.Options{Ephemeral: true, Dir: dir}}, nil).up()
	killed.kill(syscall.SIGKILL)
	require.True(t, waitUntil(func() bool {
		entries, err := os.ReadDir(dir)
		return err == nil && len(entries) == 0
	}))
}

func requireEmpty(t testing.TB, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, entries)
	requireGone(t, dir)
}

func TestSettingsReachTheServer(t *testing.T) {
	t.Parallel()
	server := open(t, localpg.Options{Ephemeral: true, Settings: map[string]string{"work_mem": "7MB", "application_name": "it's"}})
	require.Equal(t, "7MB", ask(t, server.URL(), "show work_mem"))
	require.Equal(t, "it's", ask(t, server.URL(), "show application_name"))
	require.FileExists(t, server.LogFile())
}

// The user has the name of the engine's schema. That schema must not come before
// public.
func TestTablesAreMadeInPublic(t *testing.T) {
	t.Parallel()
	server := open(t, localpg.Options{Ephemeral: true})
	require.Equal(t, "public", ask(t, server.URL(), "select case when current_user = 'tasker' then array_to_string(current_schemas(false), ' ') end"))
}

func TestAWrongSettingIsNamed(t *testing.T) {
	t.Parallel()
	dir := stateDir(t)
	_, err := localpg.Start(t.Context(), localpg.Options{Ephemeral: true, Dir: dir, Settings: map[string]string{"no_such_setting": "1"}})
	require.ErrorContains(t, err, "no_such_setting")
	require.True(t, waitUntil(func() bool { return len(remains(dir)) == 0 }))
	requireEmpty(t, dir)
}

func TestThePathOfTheSocketAlwaysFits(t *testing.T) {
	t.Parallel()
	base := stateDir(t)
	for _, name := range []string{strings.Repeat("long", 40), `quotes " ' , and spaces`} {
		dir := filepath.Join(base, name)
		server := open(t, localpg.Options{Dir: dir})
		again := startCommand(t, dir)
		require.Equal(t, server.URL(), again.url)
		require.Equal(t, "1", ask(t, again.url, "select '1'"))
		sockets := strings.Trim(ask(t, again.url, "show unix_socket_directories"), `"`)
		require.DirExists(t, sockets)
		again.leave()
		require.NoError(t, server.Close())
		requireGone(t, dir)
		require.NoDirExists(t, sockets)
	}
}

func TestACancelledStartLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := stateDir(t)
	for _, after := range []time.Duration{0, 20 * time.Millisecond, 60 * time.Millisecond, 150 * time.Millisecond} {
		ctx, cancel := context.WithTimeout(t.Context(), after)
		_, err := localpg.Start(ctx, localpg.Options{Dir: dir, BinDir: realBinDir(t)})
		cancel()
		if err != nil { // on a fast machine the server may be ready before
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
		requireSoonGone(t, dir)
	}
	server := open(t, localpg.Options{Dir: dir, BinDir: realBinDir(t)})
	require.Equal(t, "1", ask(t, server.URL(), "select '1'"))
	require.NoDirExists(t, filepath.Join(dir, "data.new"))
}

func TestALargeLogIsPutAside(t *testing.T) {
	t.Parallel()
	dir := stateDir(t)
	log := filepath.Join(dir, "postgres.log")
	require.NoError(t, os.WriteFile(log, make([]byte, 2<<20), 0o600))
	server := open(t, localpg.Options{Dir: dir})
	require.NoError(t, server.Close())
	require.FileExists(t, log+".old")
	info, err := os.Stat(log)
	require.NoError(t, err)
	require.Less(t, info.Size(), int64(1<<20))
}
