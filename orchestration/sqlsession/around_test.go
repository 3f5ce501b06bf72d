package sqlsession_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration/sqlsession"
)

// What Around is told of a statement that has failed has its error, as what Trace is told.
func TestAroundIsToldOfFailures(t *testing.T) {
	t.Parallel()
	pool := ledger(t)
	s := sqlsession.ForStep(pool, "")
	var around, traced []error
	s.Trace(func(told sqlsession.Traced) { traced = append(traced, told.Err) })
	s.Around(func(string) (func(sqlsession.Traced), error) {
		return func(told sqlsession.Traced) { around = append(around, told.Err) }, nil
	})
	for _, sql := range []string{"select 1", "select 1 / 0"} {
		_, _ = s.Exec(t.Context(), &sqlsession.Statement{SQL: sql})
	}
	s.Finish()
	s.Rollback(t.Context())
	require.Equal(t, traced, around)
	require.NoError(t, around[0])
	require.ErrorContains(t, around[1], "division by zero")
}
