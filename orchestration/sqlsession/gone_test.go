package sqlsession_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration/sqlsession"
)

// A transaction outside steps whose connection is lost takes no more statements: each
// would commit by itself on another connection, without those before it.
func TestALostTransactionTakesNoMoreStatements(t *testing.T) {
	t.Parallel()
	pool := ledger(t)
	s := sqlsession.Plain(pool)
	defer s.Close(context.Background())
	for i, end := range []string{"rollback", "commit", "close"} {
		exec := func(sql string) (*sqlsession.Result, error) {
			return s.Exec(t.Context(), &sqlsession.Statement{SQL: sql})
		}
		_, err := exec("begin")
		require.NoError(t, err)
		r, err := exec("select pg_backend_pid()")
		require.NoError(t, err)
		_, err = pool.Exec(t.Context(), "select pg_terminate_backend($1, 60000)", string(r.Values))
		require.NoError(t, err)

		for _, sql := range []string{"insert into ledger values (1)", "select 1", ";", "begin", "rollback and chain", "commit; select 1", "rollback to savepoint a"} {
			_, err = exec(sql)
			require.True(t, sqlsession.ConnectionLost(err), "%s: %v", sql, err)
		}
		require.True(t, s.Holds(), "nobody may forget the session")
		status, err := s.Status(t.Context())
		require.NoError(t, err)
		require.Equal(t, byte('X'), status)
		open, err := s.AddHook(t.Context(), 7)
		require.NoError(t, err)
		require.True(t, open, "nothing is committed")

		switch r, err = exec(end); end {
		case "rollback":
			require.NoError(t, err)
			require.Equal(t, "ROLLBACK", r.Tag)
			require.Equal(t, byte('I'), r.Status)
			require.Equal(t, []sqlsession.Ended{{Hook: 7}}, r.Ended)
		case "commit":
			require.True(t, sqlsession.ConnectionLost(err), err)
		case "close":
			require.True(t, sqlsession.ConnectionLost(err), err)
			s.Close(t.Context())
			s = sqlsession.Plain(pool)
		}
		require.False(t, s.Holds())
		_, err = exec("insert into ledger values (" + strings.Repeat("2", i+1) + ")")
		require.NoError(t, err)
	}
	require.Equal(t, []int32{2, 22, 222}, written(t, pool))
}
