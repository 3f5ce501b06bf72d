package sqlsession_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration/sqlsession"
)

// A text without a statement asks whether the connection answers. The server allows it
// in a transaction that has failed, too.
func TestATextWithoutAStatement(t *testing.T) {
	t.Parallel()
	settings := &sqlsession.Settings{Set: []sqlsession.Setting{{Name: "work_mem", Text: "work_mem = '5MB'"}}}
	s := sqlsession.Plain(ledger(t))
	defer s.Close(context.Background())
	ask := func(status byte) {
		t.Helper()
		for _, text := range []string{";", "", " -- nothing", "/* nothing */ ; ;"} {
			r, err := s.Exec(t.Context(), &sqlsession.Statement{SQL: text, Settings: settings})
			require.NoError(t, err, text)
			require.Zero(t, r.Rows)
			require.Equal(t, status, r.Status, text)
		}
	}
	ask('I')
	require.False(t, s.Holds())
	_, err := s.Exec(t.Context(), &sqlsession.Statement{SQL: "begin", Settings: settings})
	require.NoError(t, err)
	ask('T')
	_, err = s.Exec(t.Context(), &sqlsession.Statement{SQL: "select 1 / 0", Settings: settings})
	require.Error(t, err)
	ask('E')
	_, err = s.Exec(t.Context(), &sqlsession.Statement{SQL: "rollback", Settings: settings})
	require.NoError(t, err)
	ask('I')
	require.False(t, s.Holds())
}

// In a step it begins the transaction, as any first statement does.
func TestATextWithoutAStatementInAStep(t *testing.T) {
	t.Parallel()
	pool := ledger(t)
	s := sqlsession.ForStep(pool, "")
	for _, text := range []string{";", "insert into ledger values (1)", " -- nothing"} {
		r, err := s.Exec(t.Context(), &sqlsession.Statement{SQL: text})
		require.NoError(t, err, text)
		require.Equal(t, byte('T'), r.Status, text)
	}
	open, failure := s.Finish()
	require.True(t, open)
	require.Nil(t, failure)
	require.NoError(t, s.Commit(t.Context(), record))
	require.Equal(t, []int32{1, 100}, written(t, pool))
}
