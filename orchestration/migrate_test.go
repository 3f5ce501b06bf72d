package orchestration_test

import (
	"testing"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgtest"
	"github.com/tasker-rb/tasker-rb/orchestration"
)

func connection(t *testing.T) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), pgtest.URL(t))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	return conn
}

// Every migration can be undone and repeated, also with tasks in the tables.
func TestMigrateDownAndUp(t *testing.T) {
	t.Parallel()
	b := engine(t, funcs{"Bad": failing})
	b.run(t, template(t, "a:\nbad: a", "default_retry_limit: 2"))
	cancelled := b.submit(t, template(t, "a:", ""), "{}")
	require.NoError(t, b.CancelTask(t.Context(), cancelled, ops))
	require.NoError(t, b.Close())
	conn, err := b.pool.Acquire(t.Context())
	require.NoError(t, err)
	defer conn.Release()
	s, err := orchestration.ReadSchema(t.Context(), conn.Conn())
	require.NoError(t, err)
	require.True(t, s.Current())
	for version := s.Latest - 1; version >= 0; version-- {
		require.NoError(t, orchestration.MigrateDown(t.Context(), conn.Conn(), version), version)
		require.ErrorIs(t, orchestration.CheckSchema(t.Context(), conn.Conn()), orchestration.ErrSchemaOlder)
		require.NoError(t, orchestration.Migrate(t.Context(), conn.Conn()), version)
		require.NoError(t, orchestration.MigrateDown(t.Context(), conn.Conn(), version), version)
	}
	require.NoError(t, orchestration.Migrate(t.Context(), conn.Conn()))
	require.NoError(t, orchestration.CheckSchema(t.Context(), conn.Conn()))
}

// Otherwise a handler's table "steps" would be the engine's.
func TestSearchPathWithTheEnginesSchemaFirst(t *testing.T) {
	t.Parallel()
	conn := connection(t)
	require.NoError(t, orchestration.Migrate(t.Context(), conn))
	require.NoError(t, orchestration.CheckSchema(t.Context(), conn))
	for path, refused := range map[string]bool{"public, tasker": false, "pg_catalog, public": false, "tasker": true, "nowhere, tasker, public": true} {
		_, err := conn.Exec(t.Context(), "set search_path to "+path)
		require.NoError(t, err)
		err = orchestration.CheckSchema(t.Context(), conn)
		if !refused {
			require.NoError(t, err, path)
			continue
		}
		require.ErrorIs(t, err, orchestration.ErrSearchPath, path)
		require.Contains(t, errors.FlattenHints(err), "search_path=public")
	}
}

func TestConcurrentMigrations(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	ended := make(chan error, 6)
	for range cap(ended) {
		go func() {
			conn, err := pgx.Connect(t.Context(), url)
			if err == nil {
				err = orchestration.Migrate(t.Context(), conn)
				_ = conn.Close(t.Context())
			}
			ended <- err
		}()
	}
	for range cap(ended) {
		require.NoError(t, <-ended)
	}
}

func TestNewerSchemaIsRefused(t *testing.T) {
	t.Parallel()
	conn := connection(t)
	require.NoError(t, orchestration.Migrate(t.Context(), conn))
	_, err := conn.Exec(t.Context(), "update tasker.schema_version set version = 99")
	require.NoError(t, err)
	require.ErrorIs(t, orchestration.Migrate(t.Context(), conn), orchestration.ErrSchemaNewer)
	require.ErrorIs(t, orchestration.CheckSchema(t.Context(), conn), orchestration.ErrSchemaNewer)
}

func TestReadOnlyDatabaseIsRefused(t *testing.T) {
	t.Parallel()
	conn := connection(t)
	_, err := conn.Exec(t.Context(), "set default_transaction_read_only = on")
	require.NoError(t, err)
	require.ErrorContains(t, orchestration.Migrate(t.Context(), conn), "read-only")
}

// The rows that belong to a task are deleted with it.
func TestDeletingATaskDeletesItsRows(t *testing.T) {
	t.Parallel()
	b := engine(t, nil)
	gone, kept := b.run(t, template(t, diamond, "")), b.run(t, template(t, diamond, ""))
	_, err := b.pool.Exec(t.Context(), "delete from tasker.tasks where task_id = $1", gone.TaskID)
	require.NoError(t, err)
	var left []int
	require.NoError(t, b.pool.QueryRow(t.Context(), `select array[(select count(*) from tasker.tasks), (select count(*) from tasker.steps),
		(select count(*) from tasker.queue), (select count(*) from tasker.attempts), (select count(*) from tasker.step_history),
		(select count(*) from tasker.task_history)]::int[]`).Scan(&left))
	require.Equal(t, []int{1, 4, 0, 4, 8, 3}, left)
	d, err := b.Task(t.Context(), kept.TaskID)
	require.NoError(t, err)
	require.Len(t, d.Steps, 4)
}
