package sqlsession_test

import (
	"context"
	"testing"
	"time"

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

	_, err = s.Notified(endedLate{t.Context()}, 5*time.Second)
	require.Error(t, err)
	for _, payload := range []string{"one", "two"} {
		n, err := s.Notified(t.Context(), 5*time.Second)
		require.NoError(t, err)
		require.Equal(t, payload, n.Payload)
	}
}
