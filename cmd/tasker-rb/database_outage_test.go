package main

import (
	"net/url"
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
	r := p.follow(p.command("run", "long.yaml"), func(line string) {
		if line == "only | in the middle" {
			stopped = true
			_ = server.Close() // it may report the session that it ends
		}
	})
	require.Equal(t, exitBadInput, r.code, r.stderr)
	requireInOrder(t, r.stderr,
		"error: the database at postgres://", "does not answer any more; task 1 is in it, with the steps it has done\n",
		"hint: When that server is back, a `tasker-rb worker` runs the rest; `tasker-rb tasks cancel 1` ends it.\n")
	require.Contains(t, r.stdout, "only | cleaned up\n")
}
