package sqlsession_test

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration/sqlsession"
)

func noticing(t *testing.T, before func(*pgconn.PgConn, *pgconn.Notice)) *pgxpool.Pool {
	t.Helper()
	config := ledger(t).Config()
	config.MaxConns = 1
	config.ConnConfig.OnNotice = before
	sqlsession.ReceiveNotices(&config.ConnConfig.Config)
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

// A statement hears its own notices and no others, also when it fails.
func TestNotices(t *testing.T) {
	t.Parallel()
	var all, own []string
	pool := noticing(t, func(_ *pgconn.PgConn, n *pgconn.Notice) { all = append(all, n.Message) })
	hear := func(n *pgconn.Notice) { own = append(own, n.Message) }
	says := func(message, then string) string {
		return fmt.Sprintf("do $$ begin raise notice '%s'; %s end $$", message, then)
	}
	for _, session := range []*sqlsession.Session{sqlsession.Plain(pool), sqlsession.ForStep(pool, "")} {
		all, own = nil, nil
		for _, st := range []*sqlsession.Statement{
			{SQL: says("one", ""), OnNotice: hear},
			{SQL: says("unheard", "")},
			{SQL: says("two", "") + ";" + says("three", ""), OnNotice: hear},
			{SQL: "select 1", OnNotice: hear},
		} {
			_, err := session.Exec(t.Context(), st)
			require.NoError(t, err)
		}
		_, err := session.Exec(t.Context(), &sqlsession.Statement{SQL: says("four", "raise 'no';"), OnNotice: hear})
		require.ErrorContains(t, err, "no")
		require.Equal(t, []string{"one", "two", "three", "four"}, own)
		require.Equal(t, []string{"one", "unheard", "two", "three", "four"}, all)
		session.Close(t.Context())
	}
	_, err := pool.Exec(t.Context(), says("of another user", ""))
	require.NoError(t, err)
	require.Len(t, own, 4)
}
