package runner

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgtest"
	"github.com/tasker-rb/tasker-rb/orchestration"
)

// allOpen is an engine whose pool has all its connections, and all of them are idle.
func allOpen(t *testing.T) (r *engineRuns, open int) {
	t.Helper()
	engine, err := orchestration.Open(t.Context(), pgtest.URL(t), orchestration.Config{Migrate: true, Handlers: orchestration.Handlers{}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, engine.Close()) })
	var held []*pgxpool.Conn
	for range engine.Pool().Config().MaxConns {
		c, err := engine.Pool().Acquire(t.Context())
		require.NoError(t, err)
		held = append(held, c)
	}
	for _, c := range held {
		c.Release()
	}
	require.Greater(t, len(held), 1)
	return &engineRuns{engine: engine}, len(held)
}

// The pool would give the same connections to the steps each time. The others would learn
// the engine's statements late, and that would look like growth.
func TestEachConnectionComesFirstInTurn(t *testing.T) {
	r, open := allOpen(t)
	first := map[uint32]bool{}
	for range open {
		connections, _, err := r.connections(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, open, connections)
		require.NoError(t, r.engine.Pool().AcquireFunc(t.Context(), func(c *pgxpool.Conn) error {
			first[c.Conn().PgConn().PID()] = true
			return nil
		}))
	}
	require.Len(t, first, open)
}

// What a connection keeps of a large parameter is no growth.
func TestBuffersOfConnectionsDoNotCount(t *testing.T) {
	r, open := allOpen(t)
	pool := r.engine.Pool()
	use := func(text string) {
		for _, c := range pool.AcquireAllIdle(t.Context()) {
			_, err := c.Exec(t.Context(), "select $1::text, $2::text, $3::text", text, text, text)
			require.NoError(t, err)
			c.Release()
		}
	}
	use("small")
	_, _, err := r.connections(t.Context())
	require.NoError(t, err)
	heap := goHeap()

	use(strings.Repeat("large ", 2000))
	require.Greater(t, goHeap(), heap+int64(open)*10_000)
	_, _, err = r.connections(t.Context())
	require.NoError(t, err)
	require.Less(t, goHeap(), heap+int64(open)*1_000)
}
