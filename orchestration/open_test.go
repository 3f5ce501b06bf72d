package orchestration_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgtest"
	"github.com/tasker-rb/tasker-rb/orchestration"
)

// Open runs a task on an empty database, and leaves no connection: the end of the test
// checks that.
func TestOpenMigratesAndOwnsItsPool(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	_, err := orchestration.Open(t.Context(), url, orchestration.Config{Handlers: resolver{}})
	require.ErrorIs(t, err, orchestration.ErrSchemaOlder)
	require.Contains(t, orchestration.Hint(err), "Config.Migrate")

	e, err := orchestration.Open(t.Context(), url, orchestration.Config{Handlers: resolver{}, Migrate: true})
	require.NoError(t, err)
	require.Contains(t, e.Pool().Config().ConnConfig.RuntimeParams["application_name"], "tasker-rb:", "ConfigurePool has prepared it")
	b := &bundle{Engine: e}
	require.Equal(t, orchestration.TaskComplete, b.run(t, template(t, "a:", "")).State)
	require.NoError(t, e.Close())
	require.NoError(t, e.Close())
	require.Error(t, e.Pool().Ping(t.Context()))
}

func TestOpenSaysWhatIsWrongWithTheAddress(t *testing.T) {
	t.Parallel()
	for url, hint := range map[string]string{
		"":                               "DATABASE_URL",
		"postgres://u:pass@word@host:x/": "@ is written %40",
		"postgres://u:secret@127.0.0.1:1/db?sslmode=disable": "the server runs",
	} {
		_, err := orchestration.Open(t.Context(), url, orchestration.Config{Handlers: resolver{}})
		require.Error(t, err)
		require.Contains(t, orchestration.Hint(err), hint)
		require.NotContains(t, err.Error(), "pass@")
		require.NotContains(t, err.Error(), "secret")
	}
	pool := database(t)
	_, err := orchestration.Open(t.Context(), "postgres://host/", orchestration.Config{Pool: pool, Handlers: resolver{}})
	require.ErrorContains(t, err, "Config.Pool is set")
}
