package sqlsession_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration/sqlsession"
)

// endedLate is a context that has ended, but does not wake those who wait for its
// end.
type endedLate struct{ context.Context }

func (endedLate) Err() error { return context.Canceled }

// A notification that comes just after its waiter has left is for the next waiter.
func TestAnUntakenNotificationIsKept(t *testing.T) {
	t.Parallel()
	pool := ledger(t)
	s := sqlsession.Plain(pool)
	defer s.Close(context.Background())
	_, err := s.Exec(t.Context(), &sqlsession.Statement{SQL: "listen news"})
	require.NoError(t, err)
	_, err = pool.Exec(t.Context(), "select pg_notify('news', 'one'), pg_notify('news', 'two')")
	require.NoError(t, err)

	_, err = s.Notified(endedLate{t.Context()}, time.Minute)
	require.Error(t, err)
	for _, payload := range []string{"one", "two"} {
		n, err := s.Notified(t.Context(), time.Minute)
		require.NoError(t, err)
		require.Equal(t, payload, n.Payload)
	}
}

// Once a session listens no more, nobody gets what has come until then: neither the
// session, nor the next one on the connection.
func TestNoNotificationOutlivesTheListening(t *testing.T) {
	t.Parallel()
	config := ledger(t).Config()
	config.MaxConns = 1
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	defer pool.Close()
	exec := func(s *sqlsession.Session, sql string) {
		t.Helper()
		_, err := s.Exec(t.Context(), &sqlsession.Statement{SQL: sql})
		require.NoError(t, err)
	}
	for _, kept := range []string{"", "set work_mem = '5MB'"} { // then the session keeps the connection
		first := sqlsession.Plain(pool)
		defer first.Close(context.Background())
		exec(first, "listen news")
		exec(first, "select pg_notify('news', 'one'), pg_notify('news', 'two'), pg_notify('news', 'three')")
		n, err := first.Notified(t.Context(), time.Minute)
		require.NoError(t, err)
		require.Equal(t, "one", n.Payload)
		_, err = first.Notified(endedLate{t.Context()}, time.Minute) // the second is kept for the next waiter
		require.Error(t, err)
		if kept != "" {
			exec(first, kept)
		}
		exec(first, "unlisten *")
		n, err = first.Notified(t.Context(), 0)
		require.NoError(t, err)
		require.Nil(t, n)
		if kept != "" {
			first.Close(t.Context())
		}

		second := sqlsession.Plain(pool)
		defer second.Close(context.Background())
		exec(second, "listen weather")
		exec(second, "notify weather, 'rain'")
		n, err = second.Notified(t.Context(), time.Minute)
		require.NoError(t, err)
		require.Equal(t, "rain", n.Payload)
		second.Close(t.Context())
	}
}
