package testbed

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgtest"
	"github.com/tasker-rb/tasker-rb/orchestration"
)

// An engine that ends gives the steps back that it has begun, and then their starts do not
// count. A dropped one must not get so far.
func TestADroppedEngineIsCutOffBeforeItEnds(t *testing.T) {
	t.Parallel()
	nothing := orchestration.StepHandlerFunc(func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) { return nil, nil })
	bed, err := Open(t.Context(), Config{
		URL:    pgtest.URL(t, pgtest.WithTemplate(orchestration.Migrate)),
		Engine: orchestration.Config{Handlers: orchestration.Handlers{ByClass: map[string]orchestration.StepHandler{"Nothing": nothing}}},
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, bed.Close()) })
	i, err := bed.start(t.Context(), seat{})
	require.NoError(t, err)
	end, ended := i.end, false
	i.end = func(cause error) {
		ended = true
		require.Error(t, i.engine.Pool().Ping(t.Context()), "it still reaches the database")
		end(cause)
	}
	i.drop()
	require.True(t, ended)
	require.NoError(t, i.close())
}
