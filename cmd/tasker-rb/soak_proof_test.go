package main

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgtest"
)

// TestSoakProof is the project's own proof that nothing grows, in short: handlers that use
// all that a handler may use. `make soak` runs it for a million steps, with the default
// budget. So few steps tell only growth of more than 250 bytes a step, which is less than a
// call of SQL that is not freed, with its answer.
func TestSoakProof(t *testing.T) {
	t.Parallel()
	p := &project{t: t, dir: filepath.Join("..", "..", "test", "ruby", "soak", "proof"), url: pgtest.URL(t)}
	r := p.run("soak", "template.yaml", "--require", "./setup.rb", "--contexts", "contexts.rb", "--cancel-every", "25", "--threads", "2",
		"--iterations", "480", "--samples", "40", "--budget", "250", "--output", "json")
	require.Equal(t, 0, r.code, "%s\n%s", r.stdout, r.stderr)
	found := soakResult(t, r)
	t.Log(found.Verdict.Text)
	require.Greater(t, found.Run.Steps, int64(4000))
	for _, m := range []string{"threads", "goroutines", "descriptors", "connections"} {
		require.NotEqual(t, "leak", value(t, found, m).Trend.Growth, m)
	}
}
