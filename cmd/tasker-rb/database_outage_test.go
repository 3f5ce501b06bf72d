package main

import (
	"bufio"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgtest"
	"github.com/tasker-rb/tasker-rb/orchestration/localpg"
)

// The database server stops in the middle of a task and does not come back.
func TestTheDatabaseGoesAway(t *testing.T) {
	t.Parallel()
	server, err := localpg.Start(t.Context(), localpg.Options{Ephemeral: true, Dir: pgtest.MemoryDir()})
	require.NoError(t, err)
	stopped := false
	defer func() {
		if !stopped {
			_ = server.Close()
		}
	}()
	u, err := url.Parse(server.URL())
	require.NoError(t, err)
	settings := u.Query()
	settings.Set("connect_timeout", "3")
	u.RawQuery = settings.Encode()

	p := &project{t: t, dir: t.TempDir(), url: u.String()}
	p.write(map[string]string{"long.yaml": one("Long"), "handlers/long.rb": long})
	require.Zero(t, p.run("migrate", "up").code)
	cmd := p.command("run", "long.yaml")
	var complaint strings.Builder
	cmd.Stderr = &complaint
	pipe, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	var said strings.Builder
	for lines := bufio.NewScanner(pipe); lines.Scan(); {
		said.WriteString(lines.Text() + "\n")
		if lines.Text() == "only | in the middle" {
			stopped = true
			_ = server.Close() // it may report the session that it ends
		}
	}
	require.Error(t, cmd.Wait())
	require.Equal(t, exitBadInput, cmd.ProcessState.ExitCode(), complaint.String())
	requireInOrder(t, complaint.String(),
		"error: the database at postgres://", "does not answer any more; task 1 is in it, with the steps it has done\n",
		"hint: When that server is back, a `tasker-rb worker` runs the rest; `tasker-rb tasks cancel 1` ends it.\n")
	require.Contains(t, said.String(), "only | cleaned up\n")
}
