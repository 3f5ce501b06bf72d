package main

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgtest"
)

// TestSoakProof is the project's own proof that nothing grows, in short: handlers that use
// all that a handler may use. `make soak` runs it for a million steps, with the default
// budget. In so few steps connections still prepare statements, 70 to 140 bytes a step, so
// they tell growth of more than 500.
func TestSoakProof(t *testing.T) {
	t.Parallel()
	p := &project{t: t, dir: filepath.Join("..", "..", "test", "ruby", "soak", "proof"), url: pgtest.URL(t)}
	r := p.run("soak", "template.yaml", "--require", "./setup.rb", "--contexts", "contexts.rb", "--cancel-every", "25", "--threads", "2",
		"--iterations", "480", "--samples", "40", "--budget", "500", "--output", "json")
	require.Equal(t, 0, r.code, "%s\n%s", r.stdout, r.stderr)
	found := soakResult(t, r)
	t.Log(found.Verdict.Text)
	require.Greater(t, found.Run.Steps, int64(4000))
	for _, m := range []string{"threads", "goroutines", "descriptors", "connections"} {
		require.NotEqual(t, "leak", value(t, found, m).Trend.Growth, m)
	}
}
