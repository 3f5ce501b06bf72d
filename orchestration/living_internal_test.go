package orchestration

import (
	"bytes"
	"context"
	"log/slog"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// An engine that is closing while it looks after a dead one says nothing: another engine
// goes on with it.
func TestAClosingEngineLeavesTheDeadToOthers(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	e := &Engine{cfg: Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}}
	ctx, cancel := context.WithCancel(t.Context())
	e.endBackends(ctx, []deadEngine{{number: 1, looks: 1}}, func(ctx context.Context, _ *pgx.Batch) error {
		cancel()
		return ctx.Err()
	})
	require.Empty(t, log.String())
}
